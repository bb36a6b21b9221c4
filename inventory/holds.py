"""Reads of reservations and conflicts that an operation decides by; always after the level locks.

Under a level's lock nobody else changes its reservations, so these are plain reads; conflicts may be served from several
locations and are locked themselves.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from typing import Any, Final

from django.db import connection

from inventory.arrays import array
from inventory.errors import InvalidStockRequest, StockBusy
from inventory.inbound import promises_of
from inventory.kits import KITS_AS_JSON, Kit, current_kits, kits_from
from inventory.locking import LockedLevel
from inventory.models import Conflict
from inventory.models.conflicts import ConflictCause
from inventory.models.stock import MovementKind, Reason
from inventory.posting import Posting
from inventory.posting_rows import HeldUnits, Hold, OwedUnits, PartOf, whole

_SELECT: Final = """
SELECT r.id, r.level_id, r.reference, r.open_quantity, r.expires_at,
       r.lead_id, r.bundle_id, bundle.variant_id, r.per_bundle, bundle.part_count
FROM inventory_reservation r LEFT JOIN inventory_bundle bundle ON bundle.id = r.bundle_id
"""

_EXPIRED: Final = f"""{_SELECT}
WHERE r.level_id = ANY(%s::bigint[]) AND r.open_quantity > 0 AND r.expires_at <= clock_timestamp()
ORDER BY r.id
"""

_BY_REFERENCE: Final = f"""{_SELECT}
WHERE r.merchant_id = %s AND r.reference = ANY(%s::text[]) AND r.open_quantity > 0
ORDER BY r.id
"""

_BY_ID: Final = f"""{_SELECT}
WHERE r.id IN (
    SELECT id FROM inventory_reservation WHERE merchant_id = %s AND id = ANY(%s::bigint[])
    UNION ALL
    SELECT same.id FROM inventory_reservation named JOIN inventory_reservation same ON same.lead_id = named.lead_id
    WHERE named.merchant_id = %s AND named.id = ANY(%s::bigint[])
)
ORDER BY r.id
"""  # noqa: S608  # constants only

_OF_KITS: Final = f"""{_SELECT}
WHERE r.lead_id = ANY(%s::bigint[]) AND r.open_quantity > 0
ORDER BY r.id
"""

_PLACES_OF_KITS: Final = """
SELECT DISTINCT l.variant_id, l.location_id
FROM inventory_reservation r JOIN inventory_stocklevel l ON l.id = r.level_id
WHERE r.lead_id = ANY(%s::bigint[]) AND r.open_quantity > 0
"""

_NEWEST: Final = f"""{_SELECT}
WHERE r.level_id = ANY(%s::bigint[]) AND r.open_quantity > 0
ORDER BY r.created_at DESC, r.id DESC
"""

_PLACES_BY_ID: Final = """
SELECT l.variant_id, l.location_id
FROM inventory_reservation r JOIN inventory_stocklevel l ON l.id = r.level_id
WHERE r.merchant_id = %s AND r.id = ANY(%s::bigint[])
UNION
SELECT l.variant_id, l.location_id
FROM inventory_reservation named JOIN inventory_reservation same ON same.lead_id = named.lead_id
JOIN inventory_stocklevel l ON l.id = same.level_id
WHERE named.merchant_id = %s AND named.id = ANY(%s::bigint[])
"""

#: Units that a reservation `r` began with because they had been said to have left: `back.units`.
TAKEN_BACK: Final = """
LEFT JOIN LATERAL (
    SELECT sum(m.reserved_delta) AS units FROM inventory_stockmovement m
    WHERE m.reservation_id = r.id AND m.kind = 'return'
) back ON true
"""

#: Of kits, the reservation that leads them counts for all their parts.
_LEFT: Final = f"""
SELECT gone.reference, gone.variant_id, gone.location_id, sum(gone.units)::bigint
FROM (
    SELECT r.reference, coalesce(bundle.variant_id, r.variant_id) AS variant_id, level.location_id,
           (r.fulfilled_quantity - coalesce(back.units, 0)) / coalesce(r.per_bundle, 1) AS units
    FROM inventory_reservation r
    JOIN inventory_stocklevel level ON level.id = r.level_id
    LEFT JOIN inventory_bundle bundle ON bundle.id = r.bundle_id
    {TAKEN_BACK}
    WHERE r.merchant_id = %s AND r.reference = ANY(%s::text[]) AND (r.bundle_id IS NULL OR r.lead_id = r.id)
) gone
GROUP BY 1, 2, 3
HAVING sum(gone.units) > 0
"""  # noqa: S608  # constants only

_LOCATIONS_OF_REFERENCES: Final = """
SELECT DISTINCT l.variant_id, l.location_id
FROM inventory_reservation r JOIN inventory_stocklevel l ON l.id = r.level_id
WHERE r.merchant_id = %s
  AND (r.reference = ANY(%s::text[]) AND r.open_quantity > 0
       OR r.reference = ANY(%s::text[]) AND r.fulfilled_quantity > 0)
UNION
SELECT b.variant_id, unnest(b.location_ids) FROM inventory_backorder b
WHERE b.merchant_id = %s AND b.reference = ANY(%s::text[]) AND b.open_quantity > 0
"""

#: What waits for goods; `BEYOND_RECORD` waits for a person.
OWED_CAUSES: Final = (
    ConflictCause.SHORTAGE.value,
    ConflictCause.BROKEN.value,
    ConflictCause.INBOUND.value,
    ConflictCause.GIVEN.value,
)


def release_expired(posting: Posting) -> int:
    """Releases what has expired on the locked levels; returns the number of reservations released."""
    expired = _load(posting, _EXPIRED, [array(level.id for level in posting.levels.values())])
    alive = [held for held in expired if held.open]
    for held in alive:
        posting.release(held, held.open, Reason.EXPIRY)
    return len(alive)


def held_for(posting: Posting, references: Collection[str]) -> dict[str, list[Hold]]:
    """Returns what these references hold, oldest first. Raises `StockBusy` if a reservation appeared elsewhere."""
    posting.references |= set(references)
    by_reference: dict[str, list[Hold]] = {reference: [] for reference in references}
    for hold in whole(_load(posting, _BY_REFERENCE, [posting.merchant_id, sorted(references)])):
        by_reference[hold.reference].append(hold)
    return by_reference


def left_from(merchant_id: int, references: Collection[str]) -> dict[tuple[str, int, int], int]:
    """Returns the units, or whole kits, that left on these demands and are not back, by (reference, variant, location)."""
    if not references:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(_LEFT, [merchant_id, sorted(references)])
        return {(reference, *at): units for reference, *at, units in cursor.fetchall()}


def newest_first(posting: Posting, level_ids: Collection[int]) -> dict[int, list[Hold]]:
    """Returns what is held of these levels, newest first, by level id. Raises `MoreLevels` for the rest of kits."""
    rows = _load(posting, _NEWEST, [sorted(level_ids)])
    leads = {row.lead_id for row in rows if row.part_of is not None}
    kits = {row.id: hold for hold in _whole_kits(posting, leads) for row in hold.rows}
    by_level: dict[int, list[Hold]] = {level_id: [] for level_id in level_ids}
    for row in rows:
        by_level[row.level.id].append(kits.get(row.id, row))
    return by_level


def _whole_kits(posting: Posting, lead_ids: Collection[int]) -> list[Hold]:
    """Returns the kits that these reservations lead, under the locks of all their parts."""
    if not lead_ids:
        return []
    with connection.cursor() as cursor:
        cursor.execute(_PLACES_OF_KITS, [sorted(lead_ids)])
        posting.need(cursor.fetchall())
    return whole(_load(posting, _OF_KITS, [sorted(lead_ids)]))


def places_of(
    merchant_id: int, references: Collection[str], *, shipped: Collection[str] = ()
) -> set[tuple[int, int]]:
    """Returns the (variant, location) pairs at which these references hold units or wait for them; read before the locks.

    With `shipped`, also those that the reservations of these references have left.
    """
    with connection.cursor() as cursor:
        holding = sorted(references)
        parameters: list[Any] = [merchant_id, holding, sorted(shipped), merchant_id, holding]
        cursor.execute(_LOCATIONS_OF_REFERENCES, parameters)
        return set(cursor.fetchall())


def places_of_reservations(merchant_id: int, reservation_ids: Collection[int]) -> set[tuple[int, int]]:
    """Returns the (variant, location) pairs of these reservations, and of the other parts of the kits they belong to.

    A reservation never moves, so this precedes the locks.
    """
    named: list[Any] = [merchant_id, sorted(reservation_ids)]
    with connection.cursor() as cursor:
        cursor.execute(_PLACES_BY_ID, [*named, *named])
        return set(cursor.fetchall())


def load_by_id(posting: Posting, reservation_ids: Collection[int]) -> dict[int, Hold]:
    """Returns what these reservations of the merchant are part of, closed ones too, by id and in order of id."""
    named = [posting.merchant_id, sorted(reservation_ids)]
    holds = whole(_load(posting, _BY_ID, [*named, *named]))
    wanted = set(reservation_ids)
    return {row.id: hold for hold in holds for row in hold.rows if row.id in wanted}


def _load(posting: Posting, sql: str, parameters: list[Any]) -> list[HeldUnits]:
    """Reads reservations; one that this operation has loaded before is that same object."""
    levels = {level.id: level for level in posting.levels.values()}
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        rows = cursor.fetchall()
    found: list[HeldUnits] = []
    for row in rows:
        if row[1] not in levels:
            raise StockBusy
        held = posting.loaded_reservations.get(row[0])
        if held is None:
            held = posting.loaded_reservations[row[0]] = _held(levels[row[1]], row)
        found.append(held)
    return found


def _held(level: LockedLevel, row: tuple[Any, ...]) -> HeldUnits:
    identity, _, reference, open_quantity, expires_at, lead_id, bundle_id, *kit = row
    held = HeldUnits(level, reference, open_quantity, identity, expires_at)
    if bundle_id is not None:
        held.part_of, held.lead_id = PartOf(bundle_id, *kit), lead_id
    return held


def load_owed(
    posting: Posting, variant_ids: Collection[int], *, causes: Collection[str] = OWED_CAUSES
) -> list[OwedUnits]:
    """Locks and returns what is owed of these variants, oldest first."""
    rows = (
        Conflict.objects.select_for_update(no_key=True)
        .filter(
            merchant_id=posting.merchant_id,
            variant_id__in=sorted(variant_ids),
            open_quantity__gt=0,
            cause__in=causes,
        )
        .order_by("id")
        .values_list(
            "opened_at",
            "id",
            "variant_id",
            "cause",
            "reference",
            "location_ids",
            "open_quantity",
        )
    )
    return [_owed(posting, row) for row in sorted(rows)]


def _owed(posting: Posting, row: tuple[Any, ...]) -> OwedUnits:
    _, identity, variant_id, cause, reference, location_ids, open_quantity = row
    key = (reference, variant_id, cause)
    known = posting.conflicts.get(key)
    if known is None or not known.id:
        opened = known.opened if known else 0
        owed = OwedUnits(
            variant_id,
            cause,
            reference,
            tuple(location_ids),
            open_quantity + opened,
            identity,
            opened,
        )
        posting.conflicts[key] = owed
        return owed
    return known


def debt_of(posting: Posting, conflict: Conflict) -> OwedUnits:
    """Returns what a conflict still owes, once it is loaded. Raises `InvalidStockRequest` where it waits for no goods."""
    for debt in posting.conflicts.values():
        if debt.id == conflict.pk and debt.open and debt.cause in OWED_CAUSES:
            return debt
    raise InvalidStockRequest(
        "conflict_id",
        "no goods are owed any more, or the conflict waits for a recount. There is nothing to do.",
    )


#: Kits wait in the list of their own variant: goods may complete them that are only a part.
_WAITING: Final = f"""
SELECT c.opened_at, c.id, c.variant_id, c.cause, c.reference, c.location_ids, c.open_quantity,
       ({KITS_AS_JSON} bundle.merchant_id = c.merchant_id AND bundle.variant_id = c.variant_id)
FROM inventory_conflict c
WHERE c.merchant_id = %s AND c.open_quantity > 0 AND c.cause = ANY(%s::text[])
  AND c.variant_id IN (
      SELECT unnest(%s::bigint[])
      UNION ALL
      SELECT part.bundle_variant_id FROM inventory_bundlepart part
      WHERE part.variant_id = ANY(%s::bigint[]) AND part.is_drawn_on)
ORDER BY c.id
FOR NO KEY UPDATE OF c
"""  # noqa: S608  # constants only


def load_waiting(posting: Posting, variant_ids: Collection[int]) -> list[OwedUnits]:
    """Locks and returns what is owed of these variants and of kits that have one of them as a part, oldest first."""
    variants = sorted(variant_ids)
    with connection.cursor() as cursor:
        cursor.execute(_WAITING, [posting.merchant_id, list(OWED_CAUSES), variants, variants])
        rows = cursor.fetchall()
    for row in rows:
        posting.kits |= kits_from(row[-1])
    return [_owed(posting, row) for row in sorted(row[:-1] for row in rows)]


def fill(posting: Posting, owed: Iterable[OwedUnits]) -> None:
    """Gives what is available to what is owed, in this order; to kits only what makes them whole. Raises `MoreLevels`."""
    owed = list(owed)
    posting.need(pair for debt in owed for pair in _missing_parts(posting, debt))
    for debt in owed:
        kit = posting.kits.get(debt.variant_id)
        if kit is not None:
            _fill_kits(posting, debt, kit)
            continue
        for level in posting.levels_of(debt.variant_id, debt.location_ids):
            units = min(level.available, debt.open)
            if units > 0:
                posting.hold(
                    level,
                    debt.reference,
                    units,
                    kind=MovementKind.RESERVATION,
                    reason=Reason.SHORTAGE_FILLED,
                )
                posting.close(debt, units)


def _missing_parts(posting: Posting, debt: OwedUnits) -> Iterator[tuple[int, int]]:
    """Returns the levels that decide whether kits can be had, where those that are locked already would do."""
    kit = posting.kits.get(debt.variant_id)
    if kit is None or not debt.open:
        return
    for place in debt.location_ids:
        locked = [(part, units) for part, units in kit.parts if posting.has_sought((part, place))]
        if not locked or posting.kits_available(replace(kit, parts=tuple(locked)), place):
            yield from ((part, place) for part, _ in kit.parts)


def _fill_kits(posting: Posting, debt: OwedUnits, kit: Kit) -> None:
    for place in debt.location_ids:
        kits = min(posting.kits_available(kit, place), debt.open)
        if kits > 0:
            posting.hold_kits(kit, place, debt.reference, kits, reason=Reason.SHORTAGE_FILLED)
            posting.close(debt, kits)


def fill_owed(posting: Posting) -> None:
    """Fills open shortages, then backorders, from levels that have more available than before the operation."""
    risen = {
        level.variant_id for level in posting.levels.values() if level.available > level.available_before
    }
    if risen:
        fill(posting, load_waiting(posting, risen))
    if posting.broken_kits:
        fill(posting, _broken_kits(posting))
    if risen:
        promises_of(posting).fill()


def _broken_kits(posting: Posting) -> list[OwedUnits]:
    """Returns kits that this operation broke: made of something else by now, they may be whole again at once."""
    posting.kits |= current_kits(posting.merchant_id, posting.broken_kits)
    return [debt for debt in posting.conflicts.values() if debt.variant_id in posting.broken_kits]


_BEYOND_PLANS: Final = """
SELECT EXISTS (
    SELECT FROM inventory_bundle
    WHERE merchant_id = %(merchant)s AND variant_id = ANY(%(variants)s::bigint[]) AND is_current AND kind = 'kit'
) OR EXISTS (
    SELECT FROM inventory_reservation
    WHERE merchant_id = %(merchant)s AND reference = ANY(%(references)s::text[]) AND bundle_id IS NOT NULL
) OR EXISTS (
    SELECT FROM inventory_backorder
    WHERE merchant_id = %(merchant)s AND reference = ANY(%(references)s::text[]) AND open_quantity > 0
)
"""


def are_beyond_plans(merchant_id: int, variant_ids: Collection[int], references: Collection[str]) -> bool:
    """Tells whether planning these demands anew would leave something where it is: kits, and what is promised from inbound."""
    parameters: dict[str, Any] = {"merchant": merchant_id, "variants": sorted(variant_ids)}
    with connection.cursor() as cursor:
        cursor.execute(_BEYOND_PLANS, {**parameters, "references": sorted(references)})
        return bool(cursor.fetchone()[0])
