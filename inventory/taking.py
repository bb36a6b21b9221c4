"""Goods that leave a level as a matter of fact: what is taken first, and what it breaks.

A fact is never refused. What the record does not cover is written as an adjustment "shipped beyond record" with a
conflict, so that the level stays true and a person recounts.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from inventory.holds import newest_first
from inventory.kits import Kit
from inventory.locking import LockedLevel
from inventory.models.conflicts import ConflictCause
from inventory.models.stock import MovementKind, Reason
from inventory.posting import Posting
from inventory.posting_rows import HeldKits, Hold, OwedUnits
from inventory.references import kits_named


def ship_held(
    posting: Posting,
    held: Sequence[Hold],
    quantity: int,
    *,
    location_id: int | None = None,
) -> int:
    """Ships from a demand's own reservations; returns the units, or kits, that they did not cover.

    With `location_id`, the goods left from there, and only what is held there counts.
    """
    for reservation in held:
        units = min(reservation.open, quantity)
        if units <= 0:
            continue
        if location_id is None or reservation.location_id == location_id:
            posting.ship_held(reservation, units)
            quantity -= units
    return quantity


def release_elsewhere(posting: Posting, held: Sequence[Hold], quantity: int) -> int:
    """Releases what a demand still holds of units that left from another place; returns how many that is."""
    rest = quantity
    for reservation in held:
        units = min(reservation.open, rest)
        if units > 0:
            posting.release(reservation, units, Reason.SALE)
            rest -= units
    return quantity - rest


def ship_available(posting: Posting, level: LockedLevel, quantity: int) -> int:
    """Ships from what is available; returns the units that were not."""
    units = min(level.available, quantity)
    if units > 0:
        posting.post(level, MovementKind.SHIPMENT, Reason.SALE, on_hand=-units)
    return quantity - max(units, 0)


def ship_beyond_record(posting: Posting, level: LockedLevel, quantity: int, *, reference: str) -> None:
    """Ships units that the record does not have: first found, then shipped, and a conflict for a person."""
    add_beyond_record(posting, level, quantity, reference=reference)
    posting.post(level, MovementKind.SHIPMENT, Reason.SALE, on_hand=-quantity)


def ship_available_kits(posting: Posting, kit: Kit, location_id: int, quantity: int) -> int:
    """Ships whole kits from what is available of their parts; returns the kits that were not."""
    kits = min(posting.kits_available(kit, location_id), quantity)
    if kits > 0:
        for part, per_kit in kit.parts:
            ship_available(posting, posting.levels[part, location_id], kits * per_kit)
    return quantity - kits


def ship_kits_beyond_record(
    posting: Posting, kit: Kit, location_id: int, quantity: int, *, reference: str
) -> None:
    """Ships kits that cannot be whole by the record: of each part what is available, the rest beyond record."""
    for part, per_kit in kit.parts:
        level = posting.levels[part, location_id]
        rest = ship_available(posting, level, quantity * per_kit)
        if rest:
            ship_beyond_record(posting, level, rest, reference=reference)


def ship_rest(posting: Posting, hold: Hold, quantity: int) -> None:
    """Ships units that a hold did not cover from its place: what is available, the rest beyond record."""
    if isinstance(hold, HeldKits):
        rest = ship_available_kits(posting, hold.kit, hold.location_id, quantity)
        ship_kits_beyond_record(posting, hold.kit, hold.location_id, rest, reference=hold.reference)
        return
    rest = ship_available(posting, hold.level, quantity)
    if rest:
        ship_beyond_record(posting, hold.level, rest, reference=hold.reference)


def add_beyond_record(posting: Posting, level: LockedLevel, quantity: int, *, reference: str) -> None:
    """Adds units that must have been there although the record had none, and opens the conflict that says so."""
    posting.post(level, MovementKind.ADJUSTMENT, Reason.BEYOND_RECORD, on_hand=quantity)
    posting.owe(
        reference=reference,
        variant_id=level.variant_id,
        quantity=quantity,
        cause=ConflictCause.BEYOND_RECORD,
        location_ids=(level.location_id,),
    )


def owed_to(owed: Iterable[OwedUnits], reference: str, variant_id: int) -> list[OwedUnits]:
    """Returns what one demand is owed of a variant."""
    return [o for o in owed if o.reference == reference and o.variant_id == variant_id]


def close_owed(posting: Posting, owed: list[OwedUnits], quantity: int) -> int:
    """Takes units off what one demand is owed; returns the units that were not owed."""
    for debt in owed:
        units = min(debt.open, quantity)
        if units > 0:
            posting.close(debt, units)
            quantity -= units
    return quantity


def make_room(posting: Posting, losses: Iterable[tuple[LockedLevel, int]]) -> None:
    """Breaks the newest reservations of levels that lose more than is available, into conflicts. Kits break whole."""
    short = [(level, lost) for level, lost in losses if lost > level.available]
    if not short:
        return
    newest = newest_first(posting, [level.id for level, _ in short])
    for level, lost in short:
        for hold in newest[level.id]:
            missing = lost - level.available
            units = min(hold.open, -(-missing // hold.per_unit_at(level)))
            if units > 0:
                _break(posting, hold, units)


def lose_or_find(
    posting: Posting,
    level: LockedLevel,
    delta: int,
    kind: MovementKind,
    reason: Reason,
    *,
    reverses_id: int | None = None,
    occurred_at: datetime | None = None,
) -> int:
    """Posts the change of on hand; what neither available nor reservations cover comes off the unavailable units.

    Returns how many of these that is.
    """
    from_unavailable = max(-delta - level.available, 0)
    posting.post(
        level,
        kind,
        reason,
        on_hand=delta,
        unavailable=-from_unavailable,
        reverses_id=reverses_id,
        occurred_at=occurred_at,
    )
    return from_unavailable


def _break(posting: Posting, held: Hold, quantity: int) -> None:
    """Takes the goods from a reservation; its demand is owed them from now on."""
    posting.release(held, quantity, Reason.BROKEN)
    # What is available may stay as it is; what the demand holds, which some shops are told of, does not.
    posting.concerned.add((held.variant_id, held.location_id))
    if isinstance(held, HeldKits):
        posting.broken_kits.add(held.variant_id)
    if kits_named(held.reference):
        # Kept for kits that are promised: whole ones are owed, see `inventory.kit_backorders`.
        return
    posting.owe(
        reference=held.reference,
        variant_id=held.variant_id,
        quantity=quantity,
        cause=ConflictCause.BROKEN,
        location_ids=(held.location_id,),
    )
