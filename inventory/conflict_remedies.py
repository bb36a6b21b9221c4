"""What ends an open conflict by moving stock: units of another location, or units that somebody less urgent holds.

A promise from inbound is `inventory.backorders.backorder_conflict`; a demand that is given up is cancelled by `settle`.
"""

from typing import Final

from inventory.errors import InsufficientStock, InvalidStockRequest, Shortage, UnknownStock
from inventory.holds import debt_of, fill, fill_owed, load_by_id, load_owed, release_expired
from inventory.ledger import Context, Outcome, perform
from inventory.models import Conflict, Reservation
from inventory.models.conflicts import ConflictCause
from inventory.models.stock import Reason
from inventory.posting import Posting
from inventory.posting_rows import HeldUnits, OwedUnits
from inventory.references import kits_named
from inventory.validation import check_quantities

_PART_OF_A_KIT: Final = "holds a part of a kit, which would not be whole any more."


def serve_conflict(
    context: Context, conflict_id: int, location_id: int, *, quantity: int | None = None
) -> Outcome:
    """Holds units of a location for what a conflict owes; of a kit whole kits. All that are asked for, or nothing.

    `quantity` None: as many as are there, at least one. Raises `InsufficientStock`, `InvalidStockRequest`,
    `UnknownStock`.
    """
    _check(quantity)
    conflict = _conflict(context, conflict_id)

    def work(posting: Posting) -> None:
        parts = [part for part, _ in posting.parts_of(conflict.variant_id)]
        posting.lock(parts, {location_id}, create=[(part, location_id) for part in parts])
        if release_expired(posting):
            fill_owed(posting)
        load_owed(posting, {conflict.variant_id})
        debt = debt_of(posting, conflict)
        units = _units(debt, _free(posting, debt, location_id), quantity)
        posting.close(debt, units)
        _hold(posting, debt, location_id, units)

    request = [conflict_id, location_id, quantity]
    return perform(context, "serve_conflict", request, work, reservations=1, variants={conflict.variant_id})


def take_over(
    context: Context,
    conflict_id: int,
    reservation_id: int,
    *,
    quantity: int | None = None,
    giver_location_ids: tuple[int, ...] = (),
) -> Outcome:
    """Gives units that a named reservation holds to what a conflict owes; whoever held them is owed them from then on.

    A hold with an end was no promise yet, and is owed nothing. `quantity` None: as many as it holds and the conflict
    owes. `giver_location_ids` are the places that may serve the giver, in order of preference: what is available there
    is held for it at once. Kits are not taken apart. Raises `InsufficientStock`, `InvalidStockRequest`, `UnknownStock`.
    """
    _check(quantity)
    conflict = _conflict(context, conflict_id)
    held_at = _place_of(context, reservation_id, conflict)
    giver_places = giver_location_ids or (held_at,)

    def work(posting: Posting) -> None:
        if posting.kits:
            raise InvalidStockRequest("conflict_id", "kits are held whole; serve it from a location instead.")
        pairs = {(conflict.variant_id, place) for place in (held_at, *giver_places)}
        posting.lock({conflict.variant_id}, {place for _, place in pairs}, create=pairs)
        if release_expired(posting):
            fill_owed(posting)
        load_owed(posting, {conflict.variant_id})
        debt, hold = debt_of(posting, conflict), _hold_of(posting, reservation_id)
        units = _units(debt, hold.open, quantity)
        posting.release(hold, units, Reason.SALE)
        posting.close(debt, units)
        posting.hold(hold.level, debt.reference, units)
        if hold.expires_at is None and not kits_named(hold.reference):
            _owe_giver(posting, hold, units, giver_places)

    request = [conflict_id, reservation_id, quantity, list(giver_location_ids)]
    return perform(context, "take_over", request, work, reservations=2, variants={conflict.variant_id})


def _check(quantity: int | None) -> None:
    if quantity is not None:
        check_quantities("quantity", [quantity], smallest=1)


def _conflict(context: Context, conflict_id: int) -> Conflict:
    conflict = Conflict.objects.filter(merchant_id=context.merchant_id, pk=conflict_id).first()
    if conflict is None:
        raise UnknownStock("The merchant has no such conflict.")
    return conflict


def _place_of(context: Context, reservation_id: int, conflict: Conflict) -> int:
    """Returns where a reservation is held, which never changes. Raises `UnknownStock`, `InvalidStockRequest`."""
    held = Reservation.objects.filter(merchant_id=context.merchant_id, pk=reservation_id)
    reservation = held.select_related("level").first()
    if reservation is None:
        raise UnknownStock("The merchant has no such reservation.")
    if reservation.variant_id != conflict.variant_id:
        raise InvalidStockRequest("reservation_id", "holds another variant than the one that is owed.")
    if reservation.bundle_id is not None:
        raise InvalidStockRequest("reservation_id", _PART_OF_A_KIT)
    if reservation.reference == conflict.reference:
        raise InvalidStockRequest("reservation_id", "is the conflict's own; choose somebody else's.")
    return reservation.level.location_id


def _hold_of(posting: Posting, reservation_id: int) -> HeldUnits:
    hold = load_by_id(posting, [reservation_id])[reservation_id]
    if not isinstance(hold, HeldUnits):
        raise InvalidStockRequest("reservation_id", _PART_OF_A_KIT)
    return hold


def _units(debt: OwedUnits, free: int, quantity: int | None) -> int:
    """Returns how many units go to what is owed. Raises where that is none, or fewer than asked for."""
    asked = debt.open if quantity is None else quantity
    if asked > debt.open:
        raise InvalidStockRequest("quantity", f"only {debt.open} units are still owed; enter at most these.")
    units = min(asked, free) if quantity is None else asked
    if not units or units > free:
        raise InsufficientStock([Shortage(debt.reference, debt.variant_id, asked, free)])
    return units


def _free(posting: Posting, debt: OwedUnits, location_id: int) -> int:
    kit = posting.kits.get(debt.variant_id)
    if kit is not None:
        return posting.kits_available(kit, location_id)
    return posting.levels[debt.variant_id, location_id].available


def _hold(posting: Posting, debt: OwedUnits, location_id: int, units: int) -> None:
    kit = posting.kits.get(debt.variant_id)
    if kit is None:
        level = posting.levels[debt.variant_id, location_id]
        posting.hold(level, debt.reference, units, reason=Reason.SHORTAGE_FILLED)
    else:
        posting.hold_kits(kit, location_id, debt.reference, units, reason=Reason.SHORTAGE_FILLED)


def _owe_giver(posting: Posting, hold: HeldUnits, units: int, places: tuple[int, ...]) -> None:
    posting.owe(
        reference=hold.reference,
        variant_id=hold.variant_id,
        quantity=units,
        cause=ConflictCause.GIVEN,
        location_ids=places,
    )
    fill(posting, [posting.conflicts[hold.reference, hold.variant_id, ConflictCause.GIVEN.value]])
