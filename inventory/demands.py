"""Demands from outside (order lines), moved to their new state in one operation, whatever the stock says.

A sale that a channel accepted is a fact: it holds what there is, and the rest is an open conflict. A cancellation takes
what is owed off first, then what is held. A shipment takes what the demand holds, then what is available, and the rest is
shipped beyond record. Kits are held, owed and cancelled whole; they leave as their parts.
"""

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass, replace
from functools import partial

from django.db import transaction

from inventory import taking
from inventory.errors import UnknownStock
from inventory.holds import OWED_CAUSES, fill_owed, held_for, load_owed, places_of, release_expired
from inventory.kits import Kit
from inventory.ledger import Context, Outcome, domain_errors, perform
from inventory.locking import create_missing_levels
from inventory.models.conflicts import ConflictCause
from inventory.models.stock import Reason
from inventory.posting import Hold, OwedUnits, Posting
from inventory.reservations import Demand, hold_available
from inventory.take_backs import TakeBacks
from inventory.validation import check_places, check_quantities, check_references


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


def settle(context: Context, changes: Sequence[DemandChange]) -> Outcome:
    """Applies all changes in one operation. Never refused for want of stock."""
    _check(changes)
    settlement = _Settlement(_merged(changes))
    request = [asdict(change) for change in changes]
    run = partial(
        perform,
        context,
        "settle",
        request,
        reservations=len(changes),
        variants={change.variant_id for change in changes},
    )
    try:
        return run(settlement)
    except _LevelsMissing as missing:
        # Rolled back, so that levels are created before any is locked, as by every other operation: inserting under
        # a lock could wait in a circle. It happens once for each place.
        with domain_errors(), transaction.atomic():
            create_missing_levels(context.merchant_id, missing.pairs)
            return run(replace(settlement, has_created_levels=True))


class _LevelsMissing(Exception):
    """Places that may serve a demand have no level yet."""

    def __init__(self, pairs: AbstractSet[tuple[int, int]]) -> None:
        self.pairs = pairs
        super().__init__()


def _check(changes: Sequence[DemandChange]) -> None:
    counts = [n for c in changes for n in (c.wanted, c.cancelled, c.fulfilled, c.unfulfilled)]
    check_quantities("changes", counts, smallest=0)
    check_references(change.reference for change in changes)
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


@dataclass(frozen=True, slots=True)
class _Settlement:
    """The work of one settlement: take back, cancel, hold, ship, in this order."""

    changes: Sequence[DemandChange]
    has_created_levels: bool = False

    def __call__(self, posting: Posting) -> None:
        looked_up = {c.reference for c in self.changes if c.cancelled or c.fulfilled}
        self._lock(posting, looked_up)
        has_expired = release_expired(posting)
        held = held_for(posting, looked_up) if looked_up else {}
        owed = load_owed(posting, self._variant_ids()) if looked_up else []
        changes = sorted(self._taken_back(posting), key=lambda change: change.variant_id not in posting.kits)
        for change in changes:
            debts = taking.owed_to(owed, change.reference, change.variant_id)
            _cancel(posting, change, _of(held.get(change.reference, ()), change), debts)
        if has_expired or looked_up:
            fill_owed(posting)
        for change in changes:
            _want(posting, change)
        for change in changes:
            _ship(posting, change, [*_of(held.get(change.reference, ()), change), *_new_of(posting, change)])

    def _variant_ids(self) -> set[int]:
        return {change.variant_id for change in self.changes}

    def _returning(self) -> set[str]:
        return {change.reference for change in self.changes if change.unfulfilled}

    def _taken_back(self, posting: Posting) -> list[DemandChange]:
        """Takes fulfilments back; returns the changes, with units that the record never had wanted again."""
        variants = {variant for variant, _ in posting.levels}
        take_backs = TakeBacks(posting, self._returning(), variants)
        return [_take_back(posting, change, take_backs) for change in self.changes]

    def _lock(self, posting: Posting, looked_up: set[str]) -> None:
        """Locks what the changes may touch, and where their demands hold units already.

        Every place that may serve a demand has a level from then on: under its lock no goods arrive there unseen while
        a shortage is being opened.
        """
        wanted = {(c.variant_id, place) for c in self.changes for place in c.location_ids}
        candidates = {(part, place) for variant, place in wanted for part, _ in posting.parts_of(variant)}
        elsewhere: set[tuple[int, int]] = set()
        if looked_up or self._returning():
            elsewhere = places_of(posting.merchant_id, looked_up, shipped=self._returning())
        every = candidates | elsewhere
        posting.lock({variant for variant, _ in every}, {place for _, place in every})
        if missing := candidates - posting.levels.keys():
            raise UnknownStock if self.has_created_levels else _LevelsMissing(missing)
        posting.concerned |= candidates | wanted


def _of(held: Iterable[Hold], change: DemandChange) -> list[Hold]:
    return [h for h in held if h.variant_id == change.variant_id]


def _new_of(posting: Posting, change: DemandChange) -> list[Hold]:
    """What this operation itself has just held for the demand."""
    return [h for h in _of(posting.new_holds(), change) if h.reference == change.reference]


def _take_back(posting: Posting, change: DemandChange, take_backs: TakeBacks) -> DemandChange:
    if not change.unfulfilled:
        return change
    home = change.location_ids[0]
    kit = posting.kits.get(change.variant_id)
    if kit is None:
        level = posting.levels[change.variant_id, home]
        owed_again = take_backs.take_back(change.reference, change.unfulfilled, home=level)
    else:
        owed_again = take_backs.take_back_kits(kit, change.reference, change.unfulfilled, home=home)
    return _netted(replace(change, wanted=change.wanted + owed_again))


def _cancel(posting: Posting, change: DemandChange, held: list[Hold], owed: list[OwedUnits]) -> None:
    rest = taking.close_owed(posting, owed, change.cancelled)
    for reservation in reversed([*held, *_new_of(posting, change)]):
        units = min(reservation.open, rest)
        if units > 0:
            posting.release(reservation, units, Reason.CANCELLATION)
            rest -= units


def _want(posting: Posting, change: DemandChange) -> None:
    if not change.wanted:
        return
    demand = Demand(change.reference, change.variant_id, change.wanted, change.location_ids)
    short = hold_available(posting, demand)
    if short is not None:
        posting.owe(
            reference=change.reference,
            variant_id=change.variant_id,
            quantity=short.requested - short.available,
            cause=ConflictCause.SHORTAGE,
            location_ids=change.location_ids,
        )


def _ship(posting: Posting, change: DemandChange, held: list[Hold]) -> None:
    """Ships what the demand holds, then what is available, the rest beyond record; what it was owed is thereby met."""
    rest = taking.ship_held(posting, held, change.fulfilled)
    debts = taking.owed_to(posting.conflicts.values(), change.reference, change.variant_id)
    taking.close_owed(posting, [o for o in debts if o.cause in OWED_CAUSES], rest)
    kit = posting.kits.get(change.variant_id)
    if kit is not None:
        _ship_kits(posting, kit, change, rest)
        return
    for level in posting.levels_of(change.variant_id, change.location_ids):
        rest = taking.ship_available(posting, level, rest)
    if rest:
        level = posting.levels[change.variant_id, change.location_ids[0]]
        taking.ship_beyond_record(posting, level, rest, reference=change.reference)


def _ship_kits(posting: Posting, kit: Kit, change: DemandChange, rest: int) -> None:
    for place in change.location_ids:
        rest = taking.ship_available_kits(posting, kit, place, rest)
    home = change.location_ids[0]
    taking.ship_kits_beyond_record(posting, kit, home, rest, reference=change.reference)
