"""Reads of reservations and conflicts that an operation decides by; always after the level locks.

Under a level's lock nobody else changes its reservations, so these are plain reads; conflicts may be served from several
locations and are locked themselves.
"""

from collections.abc import Collection, Iterable
from typing import Any, Final

from django.db import connection

from inventory.errors import StockBusy
from inventory.inbound import promises_of
from inventory.models import Conflict, Reservation
from inventory.models.conflicts import ConflictCause
from inventory.models.stock import MovementKind, Reason
from inventory.posting import HeldUnits, OwedUnits, Posting

_EXPIRED: Final = """
SELECT id, level_id, reference, open_quantity, expires_at FROM inventory_reservation
WHERE level_id = ANY(%s::bigint[]) AND open_quantity > 0 AND expires_at <= clock_timestamp()
ORDER BY id
"""

_BY_REFERENCE: Final = """
SELECT id, level_id, reference, open_quantity, expires_at FROM inventory_reservation
WHERE merchant_id = %s AND reference = ANY(%s::text[]) AND open_quantity > 0
ORDER BY id
"""

_BY_ID: Final = """
SELECT id, level_id, reference, open_quantity, expires_at FROM inventory_reservation
WHERE merchant_id = %s AND id = ANY(%s::bigint[])
ORDER BY id
"""

_NEWEST: Final = """
SELECT id, level_id, reference, open_quantity, expires_at FROM inventory_reservation
WHERE level_id = ANY(%s::bigint[]) AND open_quantity > 0
ORDER BY created_at DESC, id DESC
"""

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
)


def release_expired(posting: Posting) -> int:
    """Releases what has expired on the locked levels; returns the number of reservations released."""
    expired = _load(posting, _EXPIRED, [[level.id for level in posting.levels.values()]])
    alive = [held for held in expired if held.open]
    for held in alive:
        posting.release(held, held.open, Reason.EXPIRY)
    return len(alive)


def held_for(posting: Posting, references: Collection[str]) -> dict[str, list[HeldUnits]]:
    """Returns the open reservations of these references, oldest first. Raises `StockBusy` if one appeared elsewhere."""
    posting.references |= set(references)
    by_reference: dict[str, list[HeldUnits]] = {reference: [] for reference in references}
    for held in _load(posting, _BY_REFERENCE, [posting.merchant_id, sorted(references)]):
        by_reference[held.reference].append(held)
    return by_reference


def newest_first(posting: Posting, level_ids: Collection[int]) -> dict[int, list[HeldUnits]]:
    """Returns the open reservations of these levels, newest first, by level id."""
    by_level: dict[int, list[HeldUnits]] = {level_id: [] for level_id in level_ids}
    for held in _load(posting, _NEWEST, [sorted(level_ids)]):
        by_level[held.level.id].append(held)
    return by_level


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
    """Returns the (variant, location) pairs of these reservations; a reservation never moves, so this precedes the locks."""
    rows = Reservation.objects.filter(merchant_id=merchant_id, id__in=reservation_ids)
    return set(rows.values_list("level__variant_id", "level__location_id"))


def load_by_id(posting: Posting, reservation_ids: Collection[int]) -> list[HeldUnits]:
    """Returns these reservations of the merchant, closed ones too."""
    return _load(posting, _BY_ID, [posting.merchant_id, sorted(reservation_ids)])


def _load(posting: Posting, sql: str, parameters: list[Any]) -> list[HeldUnits]:
    """Reads reservations; one that this operation has loaded before is that same object."""
    levels = {level.id: level for level in posting.levels.values()}
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        rows = cursor.fetchall()
    found: list[HeldUnits] = []
    for identity, level_id, reference, open_quantity, expires_at in rows:
        if level_id not in levels:
            raise StockBusy
        held = posting.loaded_reservations.setdefault(
            identity,
            HeldUnits(levels[level_id], reference, open_quantity, identity, expires_at),
        )
        found.append(held)
    return found


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


def fill(posting: Posting, owed: Iterable[OwedUnits]) -> None:
    """Gives what is available on the locked levels to what is owed, in this order."""
    for debt in owed:
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


def fill_owed(posting: Posting) -> None:
    """Fills open shortages, then backorders, from levels that have more available than before the operation."""
    risen = {
        level.variant_id for level in posting.levels.values() if level.available > level.available_before
    }
    if risen:
        fill(posting, load_owed(posting, risen))
        promises_of(posting).fill()
