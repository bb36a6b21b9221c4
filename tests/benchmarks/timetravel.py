"""How fast the past is answered, in a ledger of many movements: one variant, and a whole location.

Beside each case stands the indexed SQL that the answer needs at least, run on the same connection: for a variant one step
into an index by (level, recorded_at), which the ledger itself does not keep, and its reservations by what is known to be
held then; for a location one pass over the rows that the answer consists of, each found by its key.
"""

import random
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import Any, Final

from django.db import connection

from inventory import checkpoints
from inventory.history import levels_as_of, reservations_as_of
from inventory.location_history import (
    location_levels_as_of,
    location_page_as_of,
    location_reservations_as_of,
)
from inventory.models import CheckpointLevel, Location, Merchant, Product
from inventory.proof import prove
from tests.benchmarks.report import Aim, Result, document
from tests.benchmarks.scratch import scratch_database
from tests.benchmarks.tidying import tidy

VARIANTS: Final = 50_000
LOCATIONS: Final = 2
#: One level takes this share of all movements: one in so many.
HOT_SHARE: Final = 10
DAYS: Final = 400
#: Answers of each kind in one run, at least.
ANSWERS: Final = 3


@dataclass(frozen=True, slots=True)
class Seed:
    """The merchant whose past is asked for."""

    merchant_id: int
    location_id: int
    first_variant_id: int
    variants: int
    until: datetime


def run(*, runs: int, seconds: float, movements: int) -> dict[str, Any]:
    """Measures every case in `runs` pairs of `seconds` each, and returns the JSON document."""
    with scratch_database():
        seed = _seed(movements)
        _say(f"{movements} movements; writing checkpoints")
        started = perf_counter()
        written = checkpoints.write_due()
        checkpoint_seconds = perf_counter() - started
        _prepare_reference()
        notes = {
            "movements": movements,
            "checkpoints": written,
            "checkpoint_rows": CheckpointLevel.objects.count(),
            "seconds_to_write_them": round(checkpoint_seconds, 1),
        }
        bench = Bench(seed, runs, seconds, notes)
        results = [
            bench.measure("one variant", _variant, _variant_reference),
            bench.measure("one variant with a tenth of all movements", _hot, _hot_reference),
            bench.measure("whole location, a page with totals", _page, _location_reference),
            bench.measure("whole location, every level", _location, _location_reference),
            bench.measure("reservations of a location", _held, _held_reference),
        ]
        started = perf_counter()
        ledger_ok = all(proof.is_ok for proof in prove())
        _say(f"proven in {perf_counter() - started:.1f} s")
        return document("timetravel", runs, results, _aims(results, ledger_ok=ledger_ok))


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")


# -- what is asked


def _variant(seed: Seed, source: random.Random) -> Callable[[], object]:
    variant_id, at = _any_variant(seed, source), _any_instant(seed, source)
    return lambda: _stock_of(seed, variant_id, at)


def _hot(seed: Seed, source: random.Random) -> Callable[[], object]:
    at = _any_instant(seed, source)
    return lambda: _stock_of(seed, seed.first_variant_id, at)


def _stock_of(seed: Seed, variant_id: int, at: datetime) -> object:
    return (
        levels_as_of(seed.merchant_id, [variant_id], at),
        reservations_as_of(seed.merchant_id, [variant_id], at),
    )


def _page(seed: Seed, source: random.Random) -> Callable[[], object]:
    at = _any_instant(seed, source)
    return lambda: location_page_as_of(seed.merchant_id, seed.location_id, at)


def _location(seed: Seed, source: random.Random) -> Callable[[], object]:
    at = _any_instant(seed, source)
    return lambda: location_levels_as_of(seed.merchant_id, seed.location_id, at)


def _held(seed: Seed, source: random.Random) -> Callable[[], object]:
    at = _any_instant(seed, source)
    return lambda: location_reservations_as_of(seed.merchant_id, seed.location_id, at)


def _any_variant(seed: Seed, source: random.Random) -> int:
    """Returns one of those whose first level has reservations."""
    return seed.first_variant_id + 5 * source.randrange(1, seed.variants // 5)


def _any_instant(seed: Seed, source: random.Random) -> datetime:
    return seed.until - timedelta(days=source.random() * (DAYS - 1))


# -- the indexed SQL that it needs

_STEP: Final = """
SELECT s.variant_id, s.location_id, m.on_hand_after, m.reserved_after, m.unavailable_after, m.version, m.id
FROM inventory_stocklevel s
CROSS JOIN LATERAL (
    SELECT * FROM inventory_stockmovement
    WHERE level_id = s.id AND recorded_at <= %s ORDER BY recorded_at DESC, version DESC LIMIT 1
) m
WHERE s.merchant_id = %s AND s.variant_id = %s
"""

_RESERVED: Final = """
SELECT r.id, r.reference, r.variant_id, known.quantity
FROM benchmark_held known JOIN inventory_reservation r ON r.id = known.reservation_id
WHERE known.variant_id = %s AND known.since <= %s AND known.until > %s ORDER BY r.id
"""

_LATEST: Final = """
SELECT s.variant_id, m.on_hand_after, m.reserved_after, m.unavailable_after, m.version, m.id
FROM benchmark_known known
JOIN inventory_stocklevel s ON s.id = known.level_id
JOIN inventory_stockmovement m ON m.level_id = known.level_id AND m.version = known.version
ORDER BY s.variant_id
"""

_HELD_THERE: Final = """
SELECT r.id, r.reference, r.variant_id, known.quantity
FROM benchmark_held known JOIN inventory_reservation r ON r.id = known.reservation_id
JOIN inventory_stocklevel s ON s.id = r.level_id AND s.location_id = %s
WHERE known.since <= %s AND known.until > %s ORDER BY r.id
"""


def _prepare_reference() -> None:
    """Adds what only the reference reads: an index by time, and when each reservation held how much."""
    _say("preparing the reference")
    _execute(
        "CREATE INDEX benchmark_by_time ON inventory_stockmovement (level_id, recorded_at DESC, version DESC)"
    )
    _execute("""
        CREATE TABLE benchmark_held AS
        SELECT r.variant_id, m.reservation_id, m.recorded_at AS since,
               coalesce(lead(m.recorded_at) OVER w, 'infinity') AS until,
               (sum(m.reserved_delta) OVER w)::bigint AS quantity
        FROM inventory_stockmovement m JOIN inventory_reservation r ON r.id = m.reservation_id
        WINDOW w AS (PARTITION BY m.reservation_id ORDER BY m.version)
    """)
    _execute("DELETE FROM benchmark_held WHERE quantity = 0")
    _execute("CREATE INDEX ON benchmark_held (variant_id, since)")
    _execute("CREATE TABLE benchmark_known (level_id bigint, version bigint)")
    tidy("benchmark_held")


def _variant_reference(seed: Seed, source: random.Random) -> Callable[[], object]:
    variant_id, at = _any_variant(seed, source), _any_instant(seed, source)
    return lambda: _steps(seed, variant_id, at)


def _hot_reference(seed: Seed, source: random.Random) -> Callable[[], object]:
    at = _any_instant(seed, source)
    return lambda: _steps(seed, seed.first_variant_id, at)


def _steps(seed: Seed, variant_id: int, at: datetime) -> object:
    return _query(_STEP, [at, seed.merchant_id, variant_id]), _query(_RESERVED, [variant_id, at, at])


def _location_reference(seed: Seed, source: random.Random) -> Callable[[], object]:
    """Notes the versions of the answer, which are not timed; what is timed is to read these rows."""
    at = _any_instant(seed, source)
    _execute("TRUNCATE benchmark_known")
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO benchmark_known SELECT s.id, answer.version FROM"
            " unnest(%s::bigint[], %s::bigint[]) AS answer (variant_id, version)"
            " JOIN inventory_stocklevel s ON s.variant_id = answer.variant_id AND s.location_id = %s",
            [*_columns(location_levels_as_of(seed.merchant_id, seed.location_id, at)), seed.location_id],
        )
    _execute("ANALYZE benchmark_known")
    return lambda: _query(_LATEST, [])


def _columns(levels: list[Any]) -> list[list[int]]:
    return [[level.variant_id for level in levels], [level.version for level in levels]]


def _held_reference(seed: Seed, source: random.Random) -> Callable[[], object]:
    at = _any_instant(seed, source)
    return lambda: _query(_HELD_THERE, [seed.location_id, at, at])


def _query(sql: str, parameters: list[Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


# -- measuring

Ask = Callable[[Seed, random.Random], Callable[[], object]]


@dataclass(frozen=True, slots=True)
class Bench:
    """What every measurement needs."""

    seed: Seed
    runs: int
    seconds: float
    notes: dict[str, Any]

    def measure(self, case: str, ours: Ask, theirs: Ask) -> Result:
        """Asks ours and the reference in turn, of the same instants; milliseconds are medians."""
        for ask in (ours, theirs):
            self._milliseconds(ask, number=-1)
        pairs = []
        for number in range(self.runs):
            sides = (ours, theirs) if number % 2 == 0 else (theirs, ours)
            times = {ask: self._milliseconds(ask, number=number) for ask in sides}
            pairs.append((times[ours], times[theirs]))
            _say(f"{case}: {times[ours]:.2f} ms, indexed SQL {times[theirs]:.2f} ms")
        rate = statistics.median(mine for mine, _ in pairs)
        beside = statistics.median(others for _, others in pairs)
        ratio = statistics.median(mine / others for mine, others in pairs)
        return Result(
            case,
            "ms",
            round(rate, 3),
            "indexed SQL",
            round(beside, 3),
            round(ratio, 3),
            tuple((round(mine, 3), round(others, 3)) for mine, others in pairs),
            dict(self.notes),
        )

    def _milliseconds(self, ask: Ask, *, number: int) -> float:
        """Returns the median time of one answer; the same number asks the same."""
        source = random.Random(number)
        times: list[float] = []
        until = perf_counter() + self.seconds
        while len(times) < ANSWERS or perf_counter() < until:
            answer = ask(self.seed, source)
            started = perf_counter()
            answer()
            times.append((perf_counter() - started) * 1000)
        return statistics.median(times)


def _aims(results: list[Result], *, ledger_ok: bool) -> list[Aim]:
    one = results[0]
    return [
        Aim(f"{one.case}: milliseconds", "< 20", one.rate, one.rate < 20),
        Aim(f"{one.case}: ratio to the indexed SQL it needs", "<= 3", one.ratio, one.ratio <= 3),
        Aim("ledger and checkpoints replay", "1", float(ledger_ok), ledger_ok),
    ]


# -- the ledger that is asked

#: Written without its slower indexes and constraints, which come back before anything is measured.
_CUT: Final = (
    "inventory_stockmovement",
    "inventory_stockoperation",
    "inventory_reservation",
)


def _seed(movements: int) -> Seed:
    """Writes a ledger of that many movements over the last 400 days, with set-based SQL."""
    merchant = Merchant.objects.create(name="Benchmark", slug="benchmark")
    product = Product.objects.create(merchant=merchant, title="Benchmark product")
    places = [
        Location.objects.create(merchant=merchant, code=f"W{n}", name=f"W{n}") for n in range(LOCATIONS)
    ]
    variants = min(VARIANTS, max(movements // 100, 10))
    _execute(
        f"INSERT INTO inventory_variant (merchant_id, product_id, sku, gtin, title, is_active, created_at)"
        f" SELECT {merchant.pk}, {product.pk}, 'SKU-' || lpad(n::text, 6, '0'), '', '', true, now()"
        f" FROM generate_series(1, {variants}) n"
    )
    (first,) = _query("SELECT min(id) FROM inventory_variant", [])[0]
    until = datetime.now(UTC) - timedelta(minutes=10)
    _say(f"writing {movements} movements of {variants} variants")
    _execute("SET maintenance_work_mem = '512MB'")
    dropped = [definition for table in _CUT for definition in _drop_indexes(table)]
    _write(merchant.pk, [place.pk for place in places], first, variants, movements, until)
    _say("building the indexes")
    for definition in dropped:
        _execute(definition)
    _execute(_SET_LEVELS)
    tidy()
    return Seed(merchant.pk, places[0].pk, first, variants, until)


def _drop_indexes(table: str) -> list[str]:
    """Drops constraints and indexes of a table; returns what brings them back, keys to other tables unproven."""
    constraints = _query(
        "SELECT conname, contype::text, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE conrelid = %s::regclass AND contype <> 'n'"
        " UNION ALL SELECT conname, 'incoming', conrelid::regclass::text FROM pg_constraint"
        " WHERE confrelid = %s::regclass AND conrelid <> confrelid",
        [table, table],
    )
    for name, _, owner in (row for row in constraints if row[1] == "incoming"):
        _execute(f"ALTER TABLE {owner} DROP CONSTRAINT {name}")
    own = [row for row in constraints if row[1] != "incoming"]
    for name, _, _ in sorted(own, key=lambda row: row[1] != "f"):
        _execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
    indexes = _query("SELECT indexname, indexdef FROM pg_indexes WHERE tablename = %s", [table])
    for name, _ in indexes:
        _execute(f"DROP INDEX {name}")
    return [
        *(definition for _, definition in indexes),
        *(
            f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}"
            for name, kind, definition in own
            if kind != "f"
        ),
    ]


#: Movement number i belongs to a level and is that level's version v: every tenth to level 0, the others by turns.
_NUMBERED: Final = """
    SELECT i, CASE WHEN i %% 10 = 0 THEN 0 ELSE 1 + (i - i / 10 - 1) %% ({levels} - 1) END AS level,
           CASE WHEN i %% 10 = 0 THEN i / 10 ELSE (i - i / 10 - 1) / ({levels} - 1) + 1 END AS v
    FROM generate_series(1, {movements}::bigint) i
"""

#: The number of the movement that is version v of a level.
_NUMBER_OF: Final = """
    CASE WHEN level = 0 THEN 10 * ({v}) ELSE
        (({v}) - 1) * ({levels} - 1) + level + ((({v}) - 1) * ({levels} - 1) + level - 1) / 9
    END
"""

#: Each level receives much. Then, on every tenth level, a reservation and a shipment take turns, with three open behind the
#: latest; on the others, a find and a loss.
_WRITE: Final = (
    """
    INSERT INTO inventory_stocklevel (id, merchant_id, variant_id, location_id, on_hand, reserved, unavailable, version,
                                      safety_stock)
    SELECT {base} + n, {merchant}, {first} + n / {places}, ({place_ids})[n %% {places} + 1], 0, 0, 0, 0, 0
    FROM generate_series(0, {levels} - 1) n
    """,
    """
    INSERT INTO inventory_stockoperation (id, merchant_id, key, digest, verb, outcome, actor, source, document,
                                          occurred_at, recorded_at)
    SELECT n, {merchant}, 'op-' || n, '', 'settle', '{{"held": [], "short": []}}', '', '', '', at, at
    FROM generate_series(0, {movements}::bigint / 20) n, LATERAL (SELECT {at_of_n} AS at) clock
    """,
    """
    INSERT INTO inventory_reservation (id, merchant_id, operation_id, level_id, variant_id, reference, quantity,
                                       open_quantity, fulfilled_quantity, released_quantity, confirmed_at, created_at)
    SELECT i, {merchant}, n, {base} + level, {first} + level / {places}, 'benchmark:' || i, 1,
           CASE WHEN {shipped_by} > {movements} THEN 1 ELSE 0 END, CASE WHEN {shipped_by} > {movements} THEN 0 ELSE 1 END,
           0, {at_of_n}, {at_of_n}
    FROM ({numbered}) numbered, LATERAL (SELECT i / 20 AS n) operation WHERE v %% 2 = 0 AND level %% 10 = 0
    """,
    """
    INSERT INTO inventory_stockmovement (id, merchant_id, operation_id, level_id, version, kind, reason, on_hand_delta,
        reserved_delta, unavailable_delta, on_hand_after, reserved_after, unavailable_after, reservation_id, occurred_at,
        recorded_at)
    SELECT i, {merchant}, n, {base} + level, v,
           CASE WHEN v = 1 THEN 'receipt' WHEN level %% 10 > 0 THEN 'count' WHEN v %% 2 = 0 THEN 'reservation'
                WHEN k > 3 THEN 'shipment' ELSE 'receipt' END,
           CASE WHEN v = 1 THEN 'opening' WHEN level %% 10 > 0 THEN 'correction' WHEN v %% 2 = 0 OR k > 3 THEN 'sale'
                ELSE 'purchase' END,
           CASE WHEN v = 1 THEN 1000000000 WHEN level %% 10 > 0 THEN 1 - 2 * (v %% 2) WHEN v %% 2 = 0 THEN 0
                WHEN k > 3 THEN -1 ELSE 1 END,
           CASE WHEN level %% 10 > 0 THEN 0 WHEN v %% 2 = 0 THEN 1 WHEN k > 3 THEN -1 ELSE 0 END, 0,
           1000000000 + CASE WHEN level %% 10 > 0 THEN 1 - v %% 2
                             ELSE least((v - 1) / 2, 3) - greatest((v - 1) / 2 - 3, 0) END,
           CASE WHEN level %% 10 > 0 THEN 0 WHEN v %% 2 = 0 THEN least(k, 4) ELSE least(k, 3) END, 0,
           CASE WHEN level %% 10 > 0 THEN NULL WHEN v %% 2 = 0 THEN i WHEN k > 3 THEN {shipped} END,
           {at_of_n}, {at_of_n}
    FROM ({numbered}) numbered, LATERAL (SELECT i / 20 AS n, v / 2 AS k) derived
    """,
)

_SET_LEVELS: Final = """
UPDATE inventory_stocklevel s
SET on_hand = m.on_hand_after, reserved = m.reserved_after, version = m.version, recorded_at = m.recorded_at
FROM inventory_stocklevel old
CROSS JOIN LATERAL (
    SELECT * FROM inventory_stockmovement WHERE level_id = old.id ORDER BY version DESC LIMIT 1
) m
WHERE s.id = old.id
"""


def _write(
    merchant_id: int, place_ids: list[int], first: int, variants: int, movements: int, until: datetime
) -> None:
    levels = variants * len(place_ids)
    start = until - timedelta(days=DAYS)
    step = DAYS * 86_400 * 20 / movements
    parts = {
        "base": 1,
        "merchant": merchant_id,
        "first": first,
        "places": len(place_ids),
        "place_ids": f"ARRAY[{','.join(map(str, place_ids))}]",
        "levels": levels,
        "movements": movements,
        "at_of_n": f"'{start.isoformat()}'::timestamptz + n * interval '{step:.6f} seconds'",
        "numbered": _NUMBERED.format(levels=levels, movements=movements),
        "shipped": _NUMBER_OF.format(v="v - 7", levels=levels),
        "shipped_by": _NUMBER_OF.format(v="v + 7", levels=levels),
    }
    for statement in _WRITE:
        _execute(statement.format(**parts).replace("%%", "%"))


def _execute(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)
