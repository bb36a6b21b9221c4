"""Brings the holds of an order to the plan of its routing strategy: under the level locks, the whole order at once.

The plan is made for what was ordered, also for units cancelled since, from what is available and what the order itself
holds. So it is the same whichever of the order's messages came first: a cancellation gives up its last units, a shipment
takes its first ones.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from inventory import taking
from inventory.holds import fill_owed
from inventory.inbound import lock_inbound
from inventory.inbound_rows import PromiseTerms
from inventory.kit_backorders import KitsWanted, promise_kits
from inventory.kits import Kit
from inventory.locking import lock_locations
from inventory.models.conflicts import ConflictCause
from inventory.models.stock import Reason
from inventory.posting import Posting
from inventory.posting_rows import Hold, OwedUnits
from inventory.routing import Need, Routing, Share, Site, Usage, cut, fit, plan


@dataclass(slots=True)
class Wish:
    """What one demand is to hold, and what it holds already of that; of a kit, whole ones."""

    reference: str
    variant_id: int
    #: Where it may be taken from, the preferred place first; may be empty when all of them refused.
    location_ids: tuple[int, ...]
    #: Units newly demanded.
    wanted: int
    #: Units to plan for; at least what is to be held.
    ordered: int
    #: Holds and debts that may be placed anew.
    held: Sequence[Hold] = ()
    owed: Sequence[OwedUnits] = ()
    #: On which newly demanded units that are not there may be promised from inbound; None: not at all.
    terms: PromiseTerms | None = None
    #: Location → units that left from there before; they are planned for as if they still lay there.
    left: Mapping[int, int] = field(default_factory=dict)
    #: What it is made of, where the variant is a kit.
    kit: Kit | None = None

    @property
    def parts(self) -> tuple[tuple[int, int], ...]:
        """(variant, units) that one unit takes from the shelf; empty: itself."""
        return self.kit.parts if self.kit else ()

    @property
    def units(self) -> int:
        """Units that it should hold after this."""
        return self.wanted + self.open + self.debt

    @property
    def gone(self) -> int:
        """Units that left before."""
        return sum(self.left.values())

    @property
    def open(self) -> int:
        """Units that it holds now and that may move."""
        return sum(each.open for each in self.held)

    @property
    def debt(self) -> int:
        """Units that it is owed now."""
        return sum(each.open for each in self.owed)


def allocate(posting: Posting, wishes: Sequence[Wish], routing: Routing) -> None:
    """Plans for all wishes together, moves their holds to the plan, and owes what is not there.

    `lock_limited` has locked the locations by whose capacity it decides.
    """
    if not wishes:
        return
    free = _free(posting, wishes, with_gone=True)
    asked = [Need(w.variant_id, max(w.ordered, w.units) + w.gone, w.location_ids, w.parts) for w in wishes]
    needed = [Need(w.variant_id, w.units + w.gone, w.location_ids, w.parts) for w in wishes]
    planned = plan(routing, asked, free, full=_used_up(wishes, routing))
    cut_shares = cut(routing, planned, needed, free)
    shares = _without_gone(posting, wishes, cut_shares)
    wanted = [wish.units for wish in wishes]
    has_released = [_release(posting, wish, share) for wish, share in zip(wishes, shares, strict=True)]
    for wish, share in zip(wishes, shares, strict=True):
        _hold(posting, wish, share)
    # A promise of kits keeps parts that are there: only those that the plan holds for nobody.
    for wish, share, units in zip(wishes, shares, wanted, strict=True):
        _lack(posting, wish, share, units)
    if any(has_released):
        fill_owed(posting)


def _free(posting: Posting, wishes: Iterable[Wish], *, with_gone: bool) -> Counter[tuple[int, int]]:
    """Returns what is available, what the wishes hold themselves included, and what left on them where asked for."""
    free = Counter({pair: max(level.available, 0) for pair, level in posting.levels.items()})
    for wish in wishes:
        for place, units in wish.left.items() if with_gone else ():
            for part, per_unit in wish.parts or ((wish.variant_id, 1),):
                free[part, place] += units * per_unit
        for held in wish.held:
            for row in held.rows:
                free[row.variant_id, row.location_id] += held.open * held.per_unit(row)
    return free


def _without_gone(posting: Posting, wishes: Sequence[Wish], shares: Sequence[Share]) -> list[Share]:
    """Returns the shares less what has left already, as far as they still lie there.

    What left on one of the wishes may have been planned for another; that one takes what the first was planned to have.
    """
    if not any(wish.left for wish in wishes):
        return list(shares)
    needs = [Need(wish.variant_id, wish.units, wish.location_ids, wish.parts) for wish in wishes]
    rest = [_rest_of(wish, share) for wish, share in zip(wishes, shares, strict=True)]
    return fit(rest, needs, _free(posting, wishes, with_gone=False))


def _rest_of(wish: Wish, share: Share) -> Share:
    """Returns a share less what has left already; where it left from elsewhere, less the last of the others."""
    if not wish.left:
        return share
    units = {place: max(count - wish.left.get(place, 0), 0) for place, count in share.units.items()}
    excess = sum(units.values()) - wish.units
    for place in reversed(list(units)):
        taken = min(max(excess, 0), units[place])
        units[place] -= taken
        excess -= taken
    return replace(share, units=units)


def lock_limited(posting: Posting, choices: Iterable[Sequence[int]], routing: Routing) -> None:
    """Locks the locations of these choices whose day is limited; after the conflicts, before purchase orders."""
    if limited := _limited(choices, routing):
        lock_locations(posting.merchant_id, [site.location_id for site in limited])


def _limited(choices: Iterable[Sequence[int]], routing: Routing) -> list[Site]:
    """Returns the sites that ship only so much a day, among those between which there is a choice."""
    if routing.usage is None:
        return []
    places = {place for each in choices if len(each) > 1 for place in each}
    return [site for site in routing.sites if site.is_limited and site.location_id in places]


def _used_up(wishes: Iterable[Wish], routing: Routing) -> Collection[int]:
    """Returns the locations, locked by now, that have shipped enough today; asked only where there is a choice."""
    limited = _limited((wish.location_ids for wish in wishes), routing)
    if not limited or routing.usage is None:
        return ()
    used = routing.usage([site.location_id for site in limited])
    return [site.location_id for site in limited if site.is_used_up(used.get(site.location_id, Usage()))]


def _release(posting: Posting, wish: Wish, share: Share) -> bool:
    """Gives up, newest first, what the plan wants elsewhere; tells whether there was any."""
    excess = Counter(_held_at(wish))
    excess.subtract(share.units)
    has_released = False
    for held in reversed(wish.held):
        units = min(held.open, excess[held.location_id])
        if units > 0:
            posting.release(held, units, Reason.SALE)
            excess[held.location_id] -= units
            has_released = True
    return has_released


def _hold(posting: Posting, wish: Wish, share: Share) -> None:
    """Holds what the plan adds."""
    here = _held_at(wish)
    for place, units in share.units.items():
        if units > here[place]:
            _hold_at(posting, wish, place, units - here[place])


def _lack(posting: Posting, wish: Wish, share: Share, wanted: int) -> None:
    """Promises or owes what the plan lacks, and closes what is owed too much."""
    short, debt = wanted - share.total, wish.debt
    if short < debt:
        taking.close_owed(posting, list(wish.owed), debt - short)
    elif missing := _unpromised(posting, wish, short - debt, share.places):
        _owe(posting, wish, missing, share.places)
    for owed in wish.owed:
        if owed.open:
            posting.move_debt(owed, share.places)


def _hold_at(posting: Posting, wish: Wish, place: int, units: int) -> None:
    if wish.kit is None:
        posting.hold(posting.levels[wish.variant_id, place], wish.reference, units)
    else:
        posting.hold_kits(wish.kit, place, wish.reference, units)


def _unpromised(posting: Posting, wish: Wish, missing: int, places: tuple[int, ...]) -> int:
    """Promises newly demanded units from inbound, where that is allowed; returns those that are owed."""
    if not missing or wish.terms is None:
        return missing
    asked = min(missing, wish.wanted)
    if wish.kit is not None:
        rest = promise_kits(posting, KitsWanted(wish.kit, wish.reference, asked, places), wish.terms)
    else:
        rest = lock_inbound(posting).take(wish.reference, wish.variant_id, asked, places, wish.terms)
    return missing - asked + rest


def _owe(posting: Posting, wish: Wish, quantity: int, places: tuple[int, ...]) -> None:
    posting.owe(
        reference=wish.reference,
        variant_id=wish.variant_id,
        quantity=quantity,
        cause=ConflictCause.SHORTAGE,
        location_ids=places,
    )


def _held_at(wish: Wish) -> Counter[int]:
    held: Counter[int] = Counter()
    for each in wish.held:
        held[each.location_id] += each.open
    return held
