"""Demands from outside (order lines), moved to their new state in one operation, whatever the stock says.

A sale that a channel accepted is a fact: it holds what there is, and the rest is an open conflict. A cancellation takes
what is owed off first, then what is held. A shipment takes what the demand holds, then what its twins hold, then what is
available, and the rest is shipped beyond record.

Which locations serve it is decided for all changes together, by the routing that the caller names
(`inventory.allocation`). Kits are planned by what their parts have free; they are held, owed and cancelled whole, each at one
place, and leave as their parts.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType
from typing import Final

from inventory import kit_backorders, taking
from inventory.allocation import Wish, allocate, lock_limited
from inventory.holds import (
    OWED_CAUSES,
    fill_owed,
    held_for,
    left_from,
    load_owed,
    load_waiting,
    places_of,
    release_expired,
)
from inventory.inbound import promises_of
from inventory.inbound_rows import PromiseTerms
from inventory.kits import Kit
from inventory.ledger import Context, Outcome, perform
from inventory.models.conflicts import ConflictCause
from inventory.models.stock import Reason
from inventory.posting import Posting
from inventory.posting_rows import HeldUnits, Hold, OwedUnits
from inventory.routing import Routing
from inventory.take_backs import TakeBacks
from inventory.validation import check_places, check_quantities, check_references

NO_PRE_ORDERS: Final[Mapping[str, PromiseTerms]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class DemandChange:
    """How one demand changes; all counts in units, 0 or more."""

    #: Whose demand it is, the same for all its changes.
    reference: str
    variant_id: int
    #: Where it may be taken from, in order of preference; at least one.
    location_ids: tuple[int, ...]
    #: Units newly demanded.
    wanted: int = 0
    #: Units no longer demanded, of those not yet shipped.
    cancelled: int = 0
    #: Units that left.
    fulfilled: int = 0
    #: Units said to have left that did not: held again where they lay, or owed again.
    unfulfilled: int = 0
    #: Units to plan for: those not shipped before, cancelled ones included, so that it does not matter when they were.
    ordered: int = 0
    #: Whether units of it left before: the plan is made as if they still lay where they left from.
    has_left: bool = False
    #: Whether what it holds and is owed already is placed anew.
    is_replanned: bool = False
    #: Locations at which what it holds stays all the same: they have been told.
    kept_at: tuple[int, ...] = ()
    #: Locations, of `location_ids`, that refused and serve it no more.
    refused_by: tuple[int, ...] = ()
    #: The location that the units left from, where somebody said so.
    left_from: int | None = None
    #: The name that it shares with other demands of one order for the same goods; empty: it has no twins.
    pool: str = ""

    @property
    def allowed_ids(self) -> tuple[int, ...]:
        """Where it may still be taken from."""
        return tuple(each for each in self.location_ids if each not in self.refused_by)

    @property
    def has_counts(self) -> bool:
        """Whether anything about its units changes."""
        return bool(self.wanted or self.cancelled or self.fulfilled or self.unfulfilled)


_AS_BEFORE: Final = Routing()


def settle(
    context: Context,
    changes: Sequence[DemandChange],
    *,
    routing: Routing = _AS_BEFORE,
    pre_orders: Mapping[str, PromiseTerms] = NO_PRE_ORDERS,
) -> Outcome:
    """Applies all changes in one operation. Never refused for want of stock.

    `pre_orders` holds, by reference, the terms on which a rule allows newly demanded units that are not there to be
    promised from inbound; what that does not cover is a conflict as ever.
    """
    _check(changes)
    ordered = [replace(c, location_ids=routing.ordered(c.location_ids)) for c in changes]
    settlement = _Settlement(_merged(ordered), routing, pre_orders)
    # The terms are no part of it: a rule may have changed, or a day gone by, before the same sale is told again.
    request = [[asdict(change) for change in changes], routing.strategy, routing.country, routing.may_split]
    variants = {change.variant_id for change in changes}
    return perform(context, "settle", request, settlement, reservations=len(changes), variants=variants)


def _check(changes: Sequence[DemandChange]) -> None:
    counts = [n for c in changes for n in (c.wanted, c.cancelled, c.fulfilled, c.unfulfilled)]
    check_quantities("changes", counts, smallest=0)
    check_references(change.reference for change in changes)
    check_quantities("ordered", [change.ordered for change in changes], smallest=0)
    check_places(change.location_ids for change in changes)


def _merged(changes: Sequence[DemandChange]) -> list[DemandChange]:
    """Adds up what concerns one demand at the same places, so that the order of its changes does not matter."""
    merged: dict[tuple[str, int, tuple[int, ...]], DemandChange] = {}
    for change in changes:
        key = change.reference, change.variant_id, change.location_ids
        known = merged.get(key)
        merged[key] = change if known is None else _sum(known, change)
    return [_netted(change) for change in merged.values()]


def _sum(one: DemandChange, other: DemandChange) -> DemandChange:
    return replace(
        one,
        wanted=one.wanted + other.wanted,
        cancelled=one.cancelled + other.cancelled,
        fulfilled=one.fulfilled + other.fulfilled,
        unfulfilled=one.unfulfilled + other.unfulfilled,
        ordered=max(one.ordered, other.ordered),
        has_left=one.has_left or other.has_left,
        is_replanned=one.is_replanned or other.is_replanned,
    )


def _netted(change: DemandChange) -> DemandChange:
    """Takes off both sides what is done and undone in one breath: it never happened."""
    demanded = min(change.wanted, change.cancelled)
    shipped = min(change.fulfilled, change.unfulfilled)
    return replace(
        change,
        wanted=change.wanted - demanded,
        cancelled=change.cancelled - demanded,
        fulfilled=change.fulfilled - shipped,
        unfulfilled=change.unfulfilled - shipped,
    )


#: What demands held before, by reference.
Held = Mapping[str, Sequence[Hold]]


@dataclass(frozen=True, slots=True)
class _Settlement:
    """The work of one settlement: take back, cancel, hold, ship, in this order."""

    changes: Sequence[DemandChange]
    routing: Routing
    pre_orders: Mapping[str, PromiseTerms]

    def __call__(self, posting: Posting) -> None:
        looked_up = self._looked_up()
        self._lock(posting, looked_up)
        has_expired = release_expired(posting)
        held = held_for(posting, looked_up) if looked_up else {}
        owed = self._owed(posting) if looked_up or self.pre_orders else []
        changes = sorted(self._taken_back(posting), key=lambda change: change.variant_id not in posting.kits)
        is_planned = any(c.wanted or c.is_replanned for c in changes)
        if is_planned:
            lock_limited(posting, self._choices(changes), self.routing)
        for change in changes:
            if change.cancelled:
                _cancel(posting, change, _held_of(posting, held, change), _debts(owed, change))
        if has_expired or looked_up:
            fill_owed(posting)
        if is_planned:
            allocate(posting, self._wishes(posting, changes, held), self.routing)
        if _Shipments(posting, changes, held, self.routing).ship():
            fill_owed(posting)

    def _wishes(self, posting: Posting, changes: Sequence[DemandChange], held: Held) -> list[Wish]:
        """Returns what the plan is made for; also of lines that want nothing now, whose units were cancelled."""
        planned = _planned(changes)
        wishes = [_wish(posting, change, held) for change in planned]
        left = left_from(posting.merchant_id, {change.reference for change in planned if change.has_left})
        for wish, location_ids in zip(wishes, self._choices(changes), strict=True):
            wish.location_ids = location_ids
            wish.left = _left_at(wish, left)
            wish.kit = posting.kits.get(wish.variant_id)
            wish.terms = self.pre_orders.get(wish.reference)
        return wishes

    def _choices(self, changes: Sequence[DemandChange]) -> list[tuple[int, ...]]:
        """Returns the locations among which the plan chooses, for each of the changes that are planned."""
        told = {place for change in changes for place in change.kept_at}
        return [self.routing.beside(change.allowed_ids, told) for change in _planned(changes)]

    def _looked_up(self) -> set[str]:
        """Returns the demands whose holds and debts matter: their own change does, or a twin ships."""
        shipping = {c.pool for c in self.changes if c.fulfilled and c.pool}
        return {
            c.reference
            for c in self.changes
            if c.cancelled or c.fulfilled or c.is_replanned or c.pool in shipping
        }

    def _owed(self, posting: Posting) -> list[OwedUnits]:
        """Locks and returns what is owed of these variants, and to kits where inbound may be promised: they come first."""
        if not self.pre_orders:
            return load_owed(posting, self._variant_ids())
        goods = {part for variant in self._variant_ids() for part, _ in posting.parts_of(variant)}
        return load_waiting(posting, goods | self._variant_ids())

    def _variant_ids(self) -> set[int]:
        return {change.variant_id for change in self.changes}

    def _returning(self) -> set[str]:
        return {change.reference for change in self.changes if change.unfulfilled}

    def _taken_back(self, posting: Posting) -> list[DemandChange]:
        """Takes fulfilments back; returns the changes, with units that the record never had wanted again."""
        variants = {variant for variant, _ in posting.levels}
        take_backs = TakeBacks(posting, self._returning(), variants)
        return [_take_back(change, take_backs) for change in self.changes]

    def _lock(self, posting: Posting, looked_up: set[str]) -> None:
        """Locks what the changes may touch, and where their demands hold units already.

        Every place that may serve a demand has a level from then on: under its lock no goods arrive there unseen while
        a shortage is being opened.
        """
        asked = {(c.variant_id, place) for c in self.changes for place in c.location_ids}
        named = {(c.variant_id, c.left_from) for c in self.changes if c.left_from is not None}
        needed = {(part, place) for variant, place in asked | named for part, _ in posting.parts_of(variant)}
        elsewhere: set[tuple[int, int]] = set()
        if looked_up or self._returning():
            elsewhere = places_of(posting.merchant_id, looked_up, shipped=self._returning())
        every = needed | elsewhere
        posting.lock({variant for variant, _ in every}, {place for _, place in every}, create=needed)
        for change in self.changes:
            if change.has_counts:
                variants = {change.variant_id, *(part for part, _ in posting.parts_of(change.variant_id))}
                posting.concerned |= {(v, place) for v in variants for place in change.location_ids}


def _planned(changes: Iterable[DemandChange]) -> list[DemandChange]:
    return [c for c in changes if c.wanted or c.is_replanned or c.ordered or c.has_left]


def _held_of(posting: Posting, held: Held, change: DemandChange) -> list[Hold]:
    """Returns what the demand holds, from the place that is drawn on first to the one drawn on last."""
    order = {place: number for number, place in enumerate(change.location_ids)}
    found = _of(held.get(change.reference, ()), change) + _new_of(posting, change)
    return sorted(found, key=lambda h: order.get(h.location_id, len(order)))


def _debts(owed: Iterable[OwedUnits], change: DemandChange) -> list[OwedUnits]:
    """Returns what the demand is owed and may yet be served."""
    mine = taking.owed_to(owed, change.reference, change.variant_id)
    return [each for each in mine if each.cause in OWED_CAUSES]


def _of(held: Iterable[Hold], change: DemandChange) -> list[Hold]:
    return [h for h in held if h.variant_id == change.variant_id]


def _new_of(posting: Posting, change: DemandChange) -> list[Hold]:
    """What this operation itself has just held for the demand."""
    return [h for h in _of(posting.new_holds(), change) if h.reference == change.reference]


def _take_back(change: DemandChange, take_backs: TakeBacks) -> DemandChange:
    if not change.unfulfilled:
        return change
    owed_again = take_backs.take_back(
        change.reference,
        change.variant_id,
        change.unfulfilled,
        home=change.location_ids[0],
        pool=change.pool or change.reference,
    )
    return _netted(replace(change, wanted=change.wanted + owed_again))


def _cancel(posting: Posting, change: DemandChange, held: list[Hold], owed: list[OwedUnits]) -> None:
    rest = taking.close_owed(posting, owed, change.cancelled)
    if rest:
        rest = _withdraw(posting, change, rest)
    for reservation in reversed(held):
        units = min(reservation.open, rest)
        if units > 0:
            posting.release(reservation, units, Reason.CANCELLATION)
            rest -= units


def _withdraw(posting: Posting, change: DemandChange, units: int) -> int:
    """Takes units, or kits, off what the demand was promised; returns those that were not."""
    rest = promises_of(posting).withdraw(change.reference, change.variant_id, units)
    return kit_backorders.withdraw(posting, change.reference, change.variant_id, rest)


def _left_at(wish: Wish, left: Mapping[tuple[str, int, int], int]) -> dict[int, int]:
    """Returns the units of the wish that left before, by location."""
    found = {place: left.get((wish.reference, wish.variant_id, place), 0) for place in wish.location_ids}
    return {place: units for place, units in found.items() if units}


def _wish(posting: Posting, change: DemandChange, held: Held) -> Wish:
    """Says what the demand is to hold beyond what stays where it is."""
    if not change.is_replanned:
        ordered = max(change.ordered, change.wanted)
        return Wish(change.reference, change.variant_id, change.allowed_ids, change.wanted, ordered)
    every = _held_of(posting, held, change)
    movable = [h for h in every if h.location_id not in change.kept_at and _may_move(posting, h, change)]
    kept = sum(h.open for h in every) - sum(h.open for h in movable)
    return Wish(
        change.reference,
        change.variant_id,
        change.allowed_ids,
        change.wanted,
        max(change.ordered - kept, 0),
        movable,
        _debts(posting.conflicts.values(), change),
    )


def _may_move(posting: Posting, hold: Hold, change: DemandChange) -> bool:
    """Tells whether a hold can be taken up and held elsewhere as what the variant is now.

    What was held before the variant became, or ceased to be, a kit stays as it is; of an older version of the kit, until
    its place refuses it.
    """
    kit = posting.kits.get(change.variant_id)
    if kit is None or isinstance(hold, HeldUnits):
        return kit is None and isinstance(hold, HeldUnits)
    return hold.kit.bundle_id == kit.bundle_id or hold.location_id in change.refused_by


def _ship_kits(posting: Posting, kit: Kit, rest: int, places: Sequence[int], *, reference: str) -> None:
    for place in places:
        rest = taking.ship_available_kits(posting, kit, place, rest)
    taking.ship_kits_beyond_record(posting, kit, places[0], rest, reference=reference)


class _Shipments:
    """What left, demand by demand: its own units first, then those of its twins, then whatever there is."""

    def __init__(
        self, posting: Posting, changes: Sequence[DemandChange], held: Held, routing: Routing
    ) -> None:
        self._posting = posting
        self._changes = changes
        self._held = held
        self._routing = routing

    def ship(self) -> bool:
        """Ships; tells whether units were given up that may serve others. Every demand takes its own before a twin's."""
        uncovered = [(change, self._ship_own(change)) for change in self._changes if change.fulfilled]
        freed = [self._ship_rest(change, rest) for change, rest in uncovered if rest]
        return any(freed)

    def _ship_own(self, change: DemandChange) -> int:
        held = _held_of(self._posting, self._held, change)
        return taking.ship_held(self._posting, held, change.fulfilled, location_id=change.left_from)

    def _ship_rest(self, change: DemandChange, rest: int) -> int:
        """Ships what the demand did not hold there; what it was owed, promised or holds elsewhere is thereby met.

        Returns how much it gave up of that.
        """
        posting = self._posting
        waited = taking.close_owed(posting, _debts(posting.conflicts.values(), change), rest)
        unpaid = _withdraw(posting, change, waited) if waited else 0
        freed = waited - unpaid
        if change.left_from is not None:
            freed += taking.release_elsewhere(posting, _held_of(posting, self._held, change), unpaid)
        places = change.location_ids if change.left_from is None else (change.left_from,)
        kit = posting.kits.get(change.variant_id)
        if kit is not None:
            _ship_kits(posting, kit, rest, places, reference=change.reference)
            return freed
        rest = self._ship_from_twins(change, rest, places)
        for level in posting.levels_of(change.variant_id, places):
            rest = taking.ship_available(posting, level, rest)
        if rest:
            level = posting.levels[change.variant_id, places[0]]
            taking.ship_beyond_record(posting, level, rest, reference=change.pool or change.reference)
        return freed

    def _ship_from_twins(self, change: DemandChange, rest: int, places: Sequence[int]) -> int:
        """Takes units that other lines of the order hold of the same goods; those lines are owed them from now on."""
        twins = [c for c in self._changes if c.pool and c.pool == change.pool and c is not change]
        for twin in reversed(twins):
            for held in _held_of(self._posting, self._held, twin):
                units = min(held.open, rest)
                if units > 0 and isinstance(held, HeldUnits) and held.location_id in places:
                    self._hand_over(held, twin, change, units)
                    rest -= units
        return rest

    def _hand_over(self, held: HeldUnits, giver: DemandChange, taker: DemandChange, units: int) -> None:
        self._posting.release(held, units, Reason.SALE)
        self._posting.owe(
            reference=giver.reference,
            variant_id=giver.variant_id,
            quantity=units,
            cause=ConflictCause.SHORTAGE,
            location_ids=giver.allowed_ids if self._routing.may_split else (held.level.location_id,),
        )
        self._posting.ship_held(self._posting.hold(held.level, taker.reference, units), units)
