"""Units held for a while: reserved, extended, confirmed, fulfilled, released, expired."""

import uuid
from collections import Counter
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
    fill,
    fill_owed,
    load_by_id,
    load_owed,
    load_waiting,
    places_of_reservations,
    release_expired,
)
from inventory.inbound import promises_of
from inventory.kits import Kit
from inventory.ledger import Context, Outcome, perform
from inventory.locking import check_known
from inventory.models.stock import Reason
from inventory.posting import Posting
from inventory.posting_rows import Hold, Short
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
    """Holds units for demands: all of them, or as many as there are where `allow_partial`; kits whole and first.

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
        first = sorted(demands, key=lambda demand: demand.variant_id not in posting.kits)
        short = [s for demand in first if (s := hold_available(posting, demand, expires_at)) is not None]
        if short:
            _check_known(posting, demands)
        if short and not allow_partial:
            raise InsufficientStock(short)
        posting.not_held += [Short(s.reference, s.variant_id, s.requested - s.available) for s in short]

    request = [[asdict(demand) for demand in demands], expires_at, allow_partial]
    variants = {demand.variant_id for demand in demands}
    return perform(context, "reserve", request, work, reservations=len(demands), variants=variants)


def lock_for(posting: Posting, demands: Sequence[Demand]) -> None:
    """Locks every level that these demands may draw on."""
    posting.lock(
        {part for d in demands for part, _ in posting.parts_of(d.variant_id)},
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
    """Holds what is available for a demand, place by place; returns what is missing. Kits are held whole."""
    kit = posting.kits.get(demand.variant_id)
    missing = (
        _hold_kits(posting, kit, demand, expires_at) if kit else _hold_units(posting, demand, expires_at)
    )
    if not missing:
        return None
    return Shortage(demand.reference, demand.variant_id, demand.quantity, demand.quantity - missing)


def _hold_units(posting: Posting, demand: Demand, expires_at: datetime | None) -> int:
    missing = demand.quantity
    for level in posting.levels_of(demand.variant_id, demand.location_ids):
        units = min(level.available, missing)
        if units > 0:
            posting.hold(level, demand.reference, units, expires_at=expires_at)
            missing -= units
    return missing


def _hold_kits(posting: Posting, kit: Kit, demand: Demand, expires_at: datetime | None) -> int:
    missing = demand.quantity
    for place in demand.location_ids:
        kits = min(posting.kits_available(kit, place), missing)
        if kits > 0:
            posting.hold_kits(kit, place, demand.reference, kits, expires_at=expires_at)
            missing -= kits
    return missing


def confirm(context: Context, reservation_ids: Sequence[int]) -> Outcome:
    """Makes holds permanent, all or none and kits whole, judged by the database's clock. Raises `ReservationExpired`."""
    _check_any(reservation_ids)

    def work(posting: Posting) -> None:
        held = _lock_and_load(posting, reservation_ids)
        if ended := expired_ids(reservation_ids):
            raise ReservationExpired(ended)
        if closed := [identity for identity, hold in held.items() if not hold.open]:
            raise ReservationClosed(closed)
        for hold in held.values():
            for row in hold.rows:
                row.is_confirmed_now = True

    return perform(context, "confirm", list(reservation_ids), work)


_EXTEND: Final = """
UPDATE inventory_reservation SET expires_at = %s
WHERE id = ANY(%s::bigint[]) AND open_quantity > 0 AND expires_at IS NOT NULL
"""


def extend(context: Context, reservation_ids: Sequence[int], expires_at: datetime) -> Outcome:
    """Gives holds another end, all or none and kits whole; those that are confirmed have none and keep having none.

    Judged by the database's clock. Raises `ReservationExpired`, `ReservationClosed`.
    """
    _check_any(reservation_ids)

    def work(posting: Posting) -> None:
        held = _lock_and_load(posting, reservation_ids)
        if ended := expired_ids(reservation_ids):
            raise ReservationExpired(ended)
        if closed := [identity for identity, hold in held.items() if not hold.open]:
            raise ReservationClosed(closed)
        rows = {
            row.id for hold in held.values() for row in hold.rows if row.open and row.expires_at is not None
        }
        posting.extended = sorted(rows)
        with connection.cursor() as cursor:
            cursor.execute(_EXTEND, [expires_at, posting.extended])

    return perform(context, "extend", [list(reservation_ids), expires_at], work)


def fulfil(context: Context, units: Sequence[ReservedUnits]) -> Outcome:
    """Records that reserved goods left. More than is still held is taken from what is available, then beyond record."""

    def work(posting: Posting) -> None:
        held = _lock_and_load(posting, [u.reservation_id for u in units])
        uncovered = []
        for hold, quantity in _asked(units, held):
            if rest := taking.ship_held(posting, [hold], quantity):
                uncovered.append((hold, rest))
        if uncovered:
            _ship_uncovered(posting, uncovered)

    return _perform_on_units(context, "fulfil", units, work)


def _asked(units: Sequence[ReservedUnits], held: dict[int, Hold]) -> list[tuple[Hold, int]]:
    """Returns each hold with the units asked for; kits once, however many of their reservations were named."""
    asked: dict[int, Counter[int]] = {}
    for unit in units:
        hold = held[unit.reservation_id]
        counted = asked.setdefault(hold.id, Counter())
        rest = max(hold.open - counted[unit.reservation_id], 0)
        counted[unit.reservation_id] += rest if unit.quantity is None else _whole_units(hold, unit)
    holds = {hold.id: hold for hold in held.values()}
    return [(holds[identity], max(counted.values())) for identity, counted in asked.items()]


def _whole_units(hold: Hold, unit: ReservedUnits) -> int:
    """Returns a quantity in units of the hold: of kits, how many. Raises `InvalidStockRequest` for parts of kits."""
    quantity = unit.quantity or 0
    per_unit = next(hold.per_unit(row) for row in hold.rows if row.id == unit.reservation_id)
    if quantity % per_unit:
        message = f"reservation {unit.reservation_id} is part of kits that take {per_unit} each; only whole kits can be taken."
        raise InvalidStockRequest("quantity", message)
    return quantity // per_unit


def _ship_uncovered(posting: Posting, uncovered: Sequence[tuple[Hold, int]]) -> None:
    """Ships units that no longer were held; what their demand was owed is thereby met."""
    release_expired(posting)
    owed = load_owed(posting, {hold.variant_id for hold, _ in uncovered})
    for hold, quantity in uncovered:
        debts = taking.owed_to(owed, hold.reference, hold.variant_id)
        if unowed := taking.close_owed(posting, debts, quantity):
            promises_of(posting).withdraw(hold.reference, hold.variant_id, unowed)
        taking.ship_rest(posting, hold, quantity)
    fill_owed(posting)


def release(context: Context, units: Sequence[ReservedUnits]) -> Outcome:
    """Gives held units back to what is available; open shortages get them first. Raises `ReservationClosed`."""

    def work(posting: Posting) -> None:
        held = _lock_and_load(posting, [u.reservation_id for u in units])
        for hold, quantity in _asked(units, held):
            if not 0 < quantity <= hold.open:
                raise ReservationClosed([hold.id])
            posting.release(hold, quantity, Reason.CANCELLATION)
        fill_owed(posting)

    return _perform_on_units(context, "release", units, work)


def give_up(context: Context, units: Sequence[ReservedUnits]) -> Outcome:
    """Gives held units up for a demand that is made next in the same transaction: nobody who is owed gets them first.

    Whoever calls it calls `offer` after that demand. Raises `ReservationClosed`.
    """

    def work(posting: Posting) -> None:
        held = _lock_and_load(posting, [u.reservation_id for u in units])
        for hold, quantity in _asked(units, held):
            if not 0 < quantity <= hold.open:
                raise ReservationClosed([hold.id])
            posting.release(hold, quantity, Reason.CANCELLATION)

    return _perform_on_units(context, "give up", units, work)


def offer(context: Context, reservation_ids: Sequence[int]) -> Outcome:
    """Fills what is owed of the goods of these reservations from what is available where they were held."""
    _check_any(reservation_ids)

    def work(posting: Posting) -> None:
        places = places_of_reservations(posting.merchant_id, reservation_ids)
        variants = {variant for variant, _ in places}
        posting.lock(variants, {place for _, place in places})
        fill(posting, load_waiting(posting, variants))
        promises_of(posting).fill()

    return perform(context, "offer", list(reservation_ids), work)


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


def _lock_and_load(posting: Posting, reservation_ids: Sequence[int]) -> dict[int, Hold]:
    """Locks the levels of reservations, then reads what they hold, by id. Raises `UnknownStock`."""
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
