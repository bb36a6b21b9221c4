"""The proof that levels and checkpoints are what the movements say: replayed in SQL, range by range of levels.

A mismatch is a defect and is reported with its evidence; nothing is healed here.
"""

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from django.db import connection, transaction

from inventory import transit
from inventory.checkpoint_proof import Finding, checkpoints_in_order, compare_checkpoint
from inventory.divergences import Divergence
from inventory.inbound_proof import inbound_divergences
from inventory.kit_proof import kit_divergences
from inventory.models import StockCheckpoint

#: Levels replayed by one statement; bounds its memory, not its result.
BATCH: Final = 5_000


@dataclass(slots=True)
class Proof:
    """What has been proven so far."""

    levels_total: int = 0
    levels: int = 0
    movements: int = 0
    reservations: int = 0
    checkpoints: int = 0
    divergences: list[Divergence] = field(default_factory=list)

    @property
    def is_ok(self) -> bool:
        """Whether nothing differs."""
        return not self.divergences


#: Each movement against the sum of all before it; each level against its last movement; each reservation against its movements.
_MOVEMENTS: Final = """
WITH replay AS (
    SELECT m.level_id, m.id, m.version, m.recorded_at,
           m.on_hand_after, m.reserved_after, m.unavailable_after,
           row_number() OVER w AS expected_version,
           sum(m.on_hand_delta) OVER w AS on_hand,
           sum(m.reserved_delta) OVER w AS reserved,
           sum(m.unavailable_delta) OVER w AS unavailable,
           lag(m.recorded_at) OVER w AS before
    FROM inventory_stockmovement m
    WHERE m.level_id BETWEEN %s AND %s
    WINDOW w AS (PARTITION BY m.level_id ORDER BY m.version)
)
SELECT count(*) AS movements,
       (SELECT to_jsonb(array_agg(d)) FROM (
           SELECT DISTINCT ON (level_id) level_id, id, version, expected_version,
                  on_hand, reserved, unavailable, on_hand_after, reserved_after, unavailable_after,
                  recorded_at, before
           FROM replay
           WHERE version <> expected_version OR on_hand <> on_hand_after OR reserved <> reserved_after
              OR unavailable <> unavailable_after OR recorded_at < before
           ORDER BY level_id, version LIMIT %s) d)
FROM replay
"""

#: Each live level of a range against its last movement.
LEVELS: Final = """
SELECT s.id, m.id, s.on_hand, s.reserved, s.unavailable, s.version, s.recorded_at::text,
       coalesce(m.on_hand_after, 0), coalesce(m.reserved_after, 0), coalesce(m.unavailable_after, 0),
       coalesce(m.version, 0), m.recorded_at::text
FROM inventory_stocklevel s
LEFT JOIN LATERAL (
    SELECT * FROM inventory_stockmovement WHERE level_id = s.id ORDER BY version DESC LIMIT 1
) m ON true
WHERE s.id BETWEEN %s AND %s
  AND (s.on_hand, s.reserved, s.unavailable, s.version, s.recorded_at)
      IS DISTINCT FROM (coalesce(m.on_hand_after, 0), coalesce(m.reserved_after, 0),
                        coalesce(m.unavailable_after, 0), coalesce(m.version, 0), m.recorded_at)
ORDER BY s.id LIMIT %s
"""

_RESERVATIONS: Final = """
WITH moved AS (
    SELECT reservation_id, sum(reserved_delta) AS units FROM inventory_stockmovement
    WHERE level_id BETWEEN %s AND %s AND reservation_id IS NOT NULL GROUP BY reservation_id
), compared AS (
    SELECT r.id, r.level_id, r.reference, r.open_quantity, coalesce(moved.units, 0) AS units
    FROM inventory_reservation r LEFT JOIN moved ON moved.reservation_id = r.id
    WHERE r.level_id BETWEEN %s AND %s
)
SELECT count(*), (SELECT to_jsonb(array_agg(d)) FROM (
    SELECT * FROM compared WHERE open_quantity <> units ORDER BY level_id, id LIMIT %s) d)
FROM compared
"""

_NAMES: Final = """
SELECT s.id, v.sku, l.code FROM inventory_stocklevel s
JOIN inventory_variant v ON v.id = s.variant_id JOIN inventory_location l ON l.id = s.location_id
WHERE s.id = ANY(%s::bigint[])
"""


def prove(*, at_most: int = 20) -> Iterator[Proof]:
    """Replays the whole ledger in one snapshot and yields the growing proof after each range of levels.

    Keeps the first `at_most` divergences, one a level and kind.
    """
    proof, at_most = Proof(), max(at_most, 1)
    is_outermost = not connection.in_atomic_block
    with transaction.atomic():
        with connection.cursor() as cursor:
            if is_outermost:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            cursor.execute("SELECT count(*) FROM inventory_stocklevel")
            (proof.levels_total,) = cursor.fetchone()
        for start in level_ranges():
            prove_levels(proof, start, at_most=at_most)
            yield proof
        prove_documents(proof, at_most=at_most)
        for checkpoint, before in checkpoints_in_order():
            prove_checkpoint(proof, checkpoint, before, at_most=at_most)
            yield proof
    yield proof


def level_ranges() -> list[int]:
    """Returns the first level ids of all ranges that have to be proven, each for one call of `prove_levels`."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT min(id), max(id) FROM inventory_stocklevel")
        first, last = cursor.fetchone()
    return list(range(first or 0, (last or -1) + 1, BATCH))


def prove_documents(proof: Proof, *, at_most: int) -> None:
    """Compares transfers, purchase orders, backorders and kits with what the ledger says of them."""
    room = at_most - len(proof.divergences)
    found = [_transit_divergence(each) for each in transit.divergences(at_most=max(room, 0))]
    with connection.cursor() as cursor:
        proof.divergences += _named(cursor, found)
    proof.divergences += inbound_divergences(max(at_most - len(proof.divergences), 0))
    proof.divergences += kit_divergences(max(at_most - len(proof.divergences), 0))


def prove_checkpoint(
    proof: Proof, checkpoint: StockCheckpoint, before: StockCheckpoint | None, *, at_most: int
) -> None:
    """Compares a checkpoint with the movements, given the same merchant's checkpoint before it."""
    proof.checkpoints += 1
    found = compare_checkpoint(checkpoint, before, at_most=at_most)
    note_divergences(proof, [_checkpoint_divergence(finding) for finding in found], at_most)


def prove_levels(proof: Proof, first: int, *, at_most: int) -> None:
    """Replays one range of levels. Each statement sees one moment, so that ranges may be proven at different ones."""
    last = first + BATCH - 1
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM inventory_stocklevel WHERE id BETWEEN %s AND %s",
            [first, last],
        )
        proof.levels += cursor.fetchone()[0]
        room = at_most - len(proof.divergences)
        cursor.execute(_MOVEMENTS, [first, last, max(room, 0)])
        movements, wrong_movements = cursor.fetchone()
        cursor.execute(LEVELS, [first, last, max(room, 0)])
        wrong_levels = cursor.fetchall()
        cursor.execute(_RESERVATIONS, [first, last, first, last, max(room, 0)])
        reservations, wrong_reservations = cursor.fetchone()
        proof.movements += movements
        proof.reservations += reservations
    found = [
        *(movement_divergence(row) for row in decoded_rows(wrong_movements)),
        *(level_divergence(row) for row in wrong_levels),
        *(reservation_divergence(row) for row in decoded_rows(wrong_reservations)),
    ]
    note_divergences(proof, found, at_most)


def note_divergences(proof: Proof, found: list[Divergence], at_most: int) -> None:
    """Adds what was found, by name, up to `at_most` in all."""
    if found:
        with connection.cursor() as cursor:
            proof.divergences += _named(cursor, found)[: at_most - len(proof.divergences)]


def decoded_rows(value: Any) -> list[dict[str, Any]]:
    """The rows of a JSON column, which Django's raw cursor hands over as text."""
    return list(_loads(value) or [])


def _loads(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


def movement_divergence(row: dict[str, Any]) -> Divergence:
    """Says what is wrong with a movement that does not follow from those before it."""
    if row["version"] != row["expected_version"]:
        problem = (
            f"version {row['version']} stands where {row['expected_version']} belongs: a movement is missing"
        )
    elif row["before"] is not None and row["recorded_at"] < row["before"]:
        problem = "recorded before the movement that precedes it"
    else:
        problem = "the level after it is not the sum of all movements up to it"
    names = ("on_hand", "reserved", "unavailable")
    expected = {name: int(row[name]) for name in names} | {"version": row["expected_version"]}
    found = {name: row[f"{name}_after"] for name in names} | {"version": row["version"]}
    return Divergence(row["level_id"], "", "", row["id"], row["version"], problem, expected, found)


def level_divergence(row: tuple[Any, ...]) -> Divergence:
    """Says how a live level differs from its last movement."""
    level_id, movement_id, *values = row
    names = ("on_hand", "reserved", "unavailable", "version", "recorded_at")
    found = dict(zip(names, values[:5], strict=True))
    expected = dict(zip(names, values[5:], strict=True))
    problem = "the live level is not what its last movement left"
    return Divergence(level_id, "", "", movement_id, expected["version"] or None, problem, expected, found)


def reservation_divergence(row: dict[str, Any]) -> Divergence:
    """Says how a reservation differs from its movements."""
    problem = f"reservation {row['id']} ({row['reference']}) does not hold what its movements say"
    expected, found = (
        {"open_quantity": int(row["units"])},
        {"open_quantity": row["open_quantity"]},
    )
    return Divergence(row["level_id"], "", "", None, None, problem, expected, found)


def _transit_divergence(row: transit.TransitDivergence) -> Divergence:
    problem = f"variant {row.variant_id}: on the way is not what the open transfers say"
    expected = {"on_hand": row.expected, "reserved": 0, "unavailable": row.expected}
    found = {"on_hand": row.on_hand, "reserved": row.reserved, "unavailable": row.unavailable}
    return Divergence(row.level_id, "", "", None, None, problem, expected, found)


def _checkpoint_divergence(finding: Finding) -> Divergence:
    level_id, movement_id, version, problem, expected, found = finding
    return Divergence(level_id, "", "", movement_id, version, problem, _loads(expected), _loads(found))


def _named(cursor: Any, found: list[Divergence]) -> list[Divergence]:
    """Adds SKU and location, and puts them in order of level and version."""
    cursor.execute(_NAMES, [[d.level_id for d in found]])
    names = {level_id: (sku, code) for level_id, sku, code in cursor.fetchall()}
    named = [
        dataclasses.replace(d, sku=names[d.level_id][0], location=names[d.level_id][1])
        if d.level_id in names
        else d
        for d in found
    ]
    return sorted(named, key=lambda d: (d.level_id, d.version is None, d.version or 0))
