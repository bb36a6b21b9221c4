"""Units held for a while: reserved, confirmed, fulfilled, released, expired."""

import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from django.db import connection

from inventory import taking
from inventory.errors import (
    InsufficientStock,
    InvalidStockRequest,
    ReservationClosed,
    ReservationExpired,
    Shortage,
    UnknownStock,
)
from inventory.holds import (
    fill_owed,
    load_by_id,
    load_owed,
    places_of_reservations,
    release_expired,
)
from inventory.inbound import promises_of
from inventory.ledger import Context, Outcome, perform
from inventory.locking import check_known
from inventory.models.stock import Reason
from inventory.posting import HeldUnits, Posting, Short
from inventory.validation import check_places, check_quantities, check_references


@dataclass(frozen=True, slots=True)
class Demand:
    """Units of a variant wanted for somebody."""

    #: Whose demand it is; shown to people and used to find the reservation again.
    reference: str
    variant_id: int
    quantity: int
    #: Where it may be taken from, in order of preference.
    location_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ReservedUnits:
    """Units of one reservation; `quantity` None means all that it still holds."""

    reservation_id: int
    quantity: int | None = None


def reserve(
    context: Context,
    demands: Sequence[Demand],
    *,
    expires_at: datetime | None = None,
    allow_partial: bool = False,
) -> Outcome:
    """Holds units for demands: all of them, or as many as there are where `allow_partial`.

    Without `expires_at` the reservation is confirmed from the start. Demands on one level are summed before the check.
    Raises `InsufficientStock` with every shortage, and `UnknownStock`.
    """
    check_quantities("quantity", [demand.quantity for demand in demands], smallest=1)
    check_references(demand.reference for demand in demands)
    check_places(demand.location_ids for demand in demands)

    def work(posting: Posting) -> None:
        lock_for(posting, demands)
        if release_expired(posting):
            fill_owed(posting)
        short = [s for demand in demands if (s := hold_available(posting, demand, expires_at)) is not None]
        if short:
            _check_known(posting, demands)
        if short and not allow_partial:
            raise InsufficientStock(short)
        posting.not_held += [Short(s.reference, s.variant_id, s.requested - s.available) for s in short]

    request = [[asdict(demand) for demand in demands], expires_at, allow_partial]
    return perform(context, "reserve", request, work, reservations=len(demands))


def lock_for(posting: Posting, demands: Sequence[Demand]) -> None:
    """Locks every level that these demands may draw on."""
    posting.lock(
        {d.variant_id for d in demands},
        {place for d in demands for place in d.location_ids},
    )


def _check_known(posting: Posting, demands: Sequence[Demand]) -> None:
    """Tells a place without stock from one that the merchant does not have; asked only where something is short."""
    check_known(
        posting.merchant_id,
        {d.variant_id for d in demands},
        {place for d in demands for place in d.location_ids},
    )


def hold_available(posting: Posting, demand: Demand, expires_at: datetime | None = None) -> Shortage | None:
    """Holds what is available for a demand, place by place; returns what is missing."""
    missing = demand.quantity
    for level in posting.levels_of(demand.variant_id, demand.location_ids):
        units = min(level.available, missing)
        if units > 0:
            posting.hold(level, demand.reference, units, expires_at=expires_at)
            missing -= units
    if not missing:
        return None
    return Shortage(demand.reference, demand.variant_id, demand.quantity, demand.quantity - missing)


def confirm(context: Context, reservation_ids: Sequence[int]) -> Outcome:
    """Makes holds permanent, all or none, judged by the database's clock. Raises `ReservationExpired`."""
    _check_any(reservation_ids)

    def work(posting: Posting) -> None:
        held = _lock_and_load(posting, reservation_ids)
        if ended := expired_ids(reservation_ids):
            raise ReservationExpired(ended)
        if closed := [h.id for h in held if not h.open]:
            raise ReservationClosed(closed)
        for reservation in held:
            reservation.is_confirmed_now = True

    return perform(context, "confirm", list(reservation_ids), work)


def fulfil(context: Context, units: Sequence[ReservedUnits]) -> Outcome:
    """Records that reserved goods left. More than is still held is taken from what is available, then beyond record."""

    def work(posting: Posting) -> None:
        held = {h.id: h for h in _lock_and_load(posting, [u.reservation_id for u in units])}
        uncovered = []
        for unit in units:
            reservation = held[unit.reservation_id]
            quantity = reservation.open if unit.quantity is None else unit.quantity
            if rest := taking.ship_held(posting, [reservation], quantity):
                uncovered.append((reservation, rest))
        if uncovered:
            _ship_uncovered(posting, uncovered)

    return _perform_on_units(context, "fulfil", units, work)


def _ship_uncovered(posting: Posting, uncovered: Sequence[tuple[HeldUnits, int]]) -> None:
    """Ships units that no longer were held; what their demand was owed is thereby met."""
    release_expired(posting)
    owed = load_owed(posting, {held.level.variant_id for held, _ in uncovered})
    for held, quantity in uncovered:
        debts = taking.owed_to(owed, held.reference, held.level.variant_id)
        if unowed := taking.close_owed(posting, debts, quantity):
            promises_of(posting).withdraw(held.reference, held.level.variant_id, unowed)
        rest = taking.ship_available(posting, held.level, quantity)
        if rest:
            taking.ship_beyond_record(posting, held.level, rest, reference=held.reference)
    fill_owed(posting)


def release(context: Context, units: Sequence[ReservedUnits]) -> Outcome:
    """Gives held units back to what is available; open shortages get them first. Raises `ReservationClosed`."""

    def work(posting: Posting) -> None:
        held = {h.id: h for h in _lock_and_load(posting, [u.reservation_id for u in units])}
        for unit in units:
            reservation = held[unit.reservation_id]
            quantity = reservation.open if unit.quantity is None else unit.quantity
            if not 0 < quantity <= reservation.open:
                raise ReservationClosed([reservation.id])
            posting.release(reservation, quantity, Reason.CANCELLATION)
        fill_owed(posting)

    return _perform_on_units(context, "release", units, work)


_EXPIRED_BY_MERCHANT: Final = """
SELECT r.merchant_id, array_agg(r.id ORDER BY r.id)
FROM (
    SELECT id, merchant_id FROM inventory_reservation
    WHERE open_quantity > 0 AND expires_at <= clock_timestamp()
    ORDER BY expires_at LIMIT %s
) r
GROUP BY r.merchant_id
"""


def expire(*, limit: int = 1000) -> int:
    """Looks for up to `limit` reservations whose time is over, releases them and returns how many it released.

    Tidying only: `reserve` does not wait for it. Those confirmed or released meanwhile are left alone.
    """
    with connection.cursor() as cursor:
        cursor.execute(_EXPIRED_BY_MERCHANT, [limit])
        batches: list[tuple[int, list[int]]] = cursor.fetchall()
    return sum(_expire(merchant_id, reservation_ids) for merchant_id, reservation_ids in batches)


def _expire(merchant_id: int, reservation_ids: list[int]) -> int:
    released = 0

    def work(posting: Posting) -> None:
        nonlocal released
        _lock_and_load(posting, reservation_ids)
        released = release_expired(posting)
        fill_owed(posting)

    context = Context(merchant_id, key=f"expire:{uuid.uuid4()}", source="sweeper")
    perform(context, "expire", reservation_ids, work)
    return released


_ENDED: Final = """
SELECT id FROM inventory_reservation
WHERE id = ANY(%s::bigint[]) AND expires_at <= clock_timestamp() ORDER BY id
"""


def expired_ids(reservation_ids: Sequence[int]) -> list[int]:
    """Returns those whose time is over by the database's clock, read after the locks."""
    with connection.cursor() as cursor:
        cursor.execute(_ENDED, [list(reservation_ids)])
        return [identity for (identity,) in cursor.fetchall()]


def _lock_and_load(posting: Posting, reservation_ids: Sequence[int]) -> list[HeldUnits]:
    """Locks the levels of reservations, then reads them. Raises `UnknownStock`."""
    places = places_of_reservations(posting.merchant_id, reservation_ids)
    posting.lock({variant for variant, _ in places}, {place for _, place in places})
    held = load_by_id(posting, reservation_ids)
    if len(held) < len(set(reservation_ids)):
        raise UnknownStock("The merchant has no such reservation.")
    return held


def _check_any(reservations: Sequence[object]) -> None:
    if not reservations:
        raise InvalidStockRequest("reservations", "at least one is needed.")


def _perform_on_units(context: Context, verb: str, units: Sequence[ReservedUnits], work: Any) -> Outcome:
    _check_any(units)
    check_quantities("quantity", [1 if u.quantity is None else u.quantity for u in units], smallest=1)
    return perform(context, verb, [asdict(unit) for unit in units], work)
