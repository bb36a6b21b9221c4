"""From where an order is served: strategies, as pure functions from what is wanted and what is free to shares.

The ledger asks them under its locks (`inventory.allocation`), so that `free` is what can be reserved at that moment. A
strategy sees the whole order at once, reads nothing and decides nothing by chance: the same question has the same answer.
To add one, write a `Spread` and enter it in `STRATEGIES`.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Final


@dataclass(frozen=True, slots=True)
class Usage:
    """What a location has been given to ship today."""

    orders: int = 0
    units: int = 0


@dataclass(frozen=True, slots=True)
class Site:
    """What routing knows of a location beside its stock."""

    location_id: int
    #: ISO 3166-1 alpha-2; empty where nobody entered it.
    country: str = ""
    #: Orders and units that it can ship a day; None: as many as come.
    daily_orders: int | None = None
    daily_units: int | None = None

    @property
    def is_limited(self) -> bool:
        """Whether it has a capacity at all."""
        return self.daily_orders is not None or self.daily_units is not None

    def is_used_up(self, usage: Usage) -> bool:
        """Tells whether nothing of today's capacity is left."""
        orders = self.daily_orders is not None and usage.orders >= self.daily_orders
        return orders or (self.daily_units is not None and usage.units >= self.daily_units)


@dataclass(frozen=True, slots=True)
class Need:
    """Units of a variant that one demand wants; of a kit, whole ones, each taken from one place with all its parts."""

    variant_id: int
    units: int
    #: Where they may come from, the preferred one first.
    location_ids: tuple[int, ...]
    #: Of a kit: (variant, units) that one takes from the shelf; empty: itself.
    parts: tuple[tuple[int, int], ...] = ()

    def free_at(self, place: int, free: "Free") -> int:
        """Returns how many can be had at a place; negative where less than nothing is free."""
        if not self.parts:
            return free.get((self.variant_id, place), 0)
        return min(free.get((part, place), 0) // per_unit for part, per_unit in self.parts)

    def take_at(self, place: int, units: int, left: "dict[tuple[int, int], int]") -> None:
        """Takes so many off what is left at a place."""
        for part, per_unit in self.parts or ((self.variant_id, 1),):
            left[part, place] = left.get((part, place), 0) - units * per_unit


@dataclass(frozen=True, slots=True)
class Share:
    """How one need is served."""

    #: Location → units; never more than is free there.
    units: Mapping[int, int]
    #: From where what is missing may come later.
    places: tuple[int, ...]

    @property
    def total(self) -> int:
        """Units that are served."""
        return sum(self.units.values())


#: (variant, location) → units that may be promised; of kits, of their parts.
Free = Mapping[tuple[int, int], int]
Spread = Callable[[Sequence[Need], Free], list[Share]]
#: Sorts locations for an order by its ship-to country.
Order = Callable[[Sequence[int], Mapping[int, Site], str], tuple[int, ...]]

#: Member states of the customs union of the EU, and those that belong to it by treaty.
CUSTOMS_UNION: Final = frozenset(
    "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MC MT NL PL PT RO SE SI SK".split()  # noqa: SIM905
)
#: Up to so many locations the smallest set is looked for among all sets; beyond, location by location.
EXACT: Final = 6


def by_priority(needs: Sequence[Need], free: Free) -> list[Share]:
    """Draws on locations in their order, line by line."""
    left = dict(free)
    return [Share(_take(need, need.location_ids, left), need.location_ids) for need in needs]


def fewest_parcels(needs: Sequence[Need], free: Free) -> list[Share]:
    """Uses as few locations as serve as much as all of them would; among equals, the preferred ones."""
    sites = _sites(needs)
    wanted = _total(by_priority(needs, free))
    chosen = _smallest(needs, free, sites, wanted) if len(sites) <= EXACT else _grown(needs, free, sites)
    return _among(chosen, needs, free)


def keep_together(needs: Sequence[Need], free: Free) -> list[Share]:
    """Takes the whole order from one place, else each line whole from one place, else by priority."""
    whole = sum(need.units for need in needs)
    for site in _sites(needs):
        shares = _among([site], needs, free)
        if _total(shares) == whole:
            return shares
    left = dict(free)
    return [Share(_take(need, _whole(need, left), left), need.location_ids) for need in needs]


def in_one_parcel(needs: Sequence[Need], free: Free) -> list[Share]:
    """Takes what may come from the same places from the one that has most of it; what it lacks is not looked for."""
    left = dict(free)
    shares: dict[int, Share] = {}
    for places in dict.fromkeys(need.location_ids for need in needs):
        group = [number for number, need in enumerate(needs) if need.location_ids == places]
        best = max(
            places, key=lambda site: _total(_among([site], [needs[n] for n in group], left)), default=0
        )
        chosen = tuple(site for site in places if site == best)
        shares |= {n: Share(_take(needs[n], chosen, left), chosen) for n in group}
    return [shares[number] for number in range(len(needs))]


def _take(need: Need, places: Iterable[int], left: dict[tuple[int, int], int]) -> dict[int, int]:
    """Takes what a need gets from these places off what is left."""
    taken: dict[int, int] = {}
    missing = need.units
    for place in places:
        units = min(need.free_at(place, left), missing)
        if units > 0:
            taken[place] = units
            need.take_at(place, units, left)
            missing -= units
    return taken


def _whole(need: Need, left: Mapping[tuple[int, int], int]) -> tuple[int, ...]:
    """Returns the first place that has all of a need, else all of its places."""
    able = [place for place in need.location_ids if need.free_at(place, left) >= need.units]
    return (able[0],) if able else need.location_ids


def _sites(needs: Iterable[Need]) -> list[int]:
    """Returns all places in the order in which the lines prefer them."""
    return list(dict.fromkeys(place for need in needs for place in need.location_ids))


def _total(shares: Iterable[Share]) -> int:
    return sum(share.total for share in shares)


def _among(sites: Collection[int], needs: Sequence[Need], free: Free) -> list[Share]:
    """Draws on these places alone, in the order of each need; the rest may still come from anywhere."""
    left = dict(free)
    return [
        Share(_take(need, (p for p in need.location_ids if p in sites), left), need.location_ids)
        for need in needs
    ]


def _smallest(needs: Sequence[Need], free: Free, sites: Sequence[int], wanted: int) -> Collection[int]:
    for size in range(1, len(sites)):
        for chosen in combinations(sites, size):
            if _total(_among(chosen, needs, free)) == wanted:
                return chosen
    return sites


def _grown(needs: Sequence[Need], free: Free, sites: Sequence[int]) -> Collection[int]:
    """Adds the place that brings most, until none brings more."""
    chosen: list[int] = []
    served = 0
    while len(chosen) < len(sites):
        gains = {site: _total(_among([*chosen, site], needs, free)) for site in sites if site not in chosen}
        best = max(gains, key=lambda site: gains[site])
        if gains[best] == served:
            break
        chosen.append(best)
        served = gains[best]
    return chosen


def as_entered(location_ids: Sequence[int], sites: Mapping[int, Site], country: str) -> tuple[int, ...]:
    """Leaves the order in which people put the locations."""
    return tuple(location_ids)


def nearest_first(location_ids: Sequence[int], sites: Mapping[int, Site], country: str) -> tuple[int, ...]:
    """Sorts by the way to the customer: the same country, the same customs union, elsewhere or unknown."""
    return tuple(
        sorted(location_ids, key=lambda each: _distance(sites.get(each, Site(each)).country, country))
    )


def _distance(one: str, other: str) -> int:
    one, other = one.upper(), other.upper()
    if one and one == other:
        return 0
    return 1 if {one, other} <= CUSTOMS_UNION else 2


@dataclass(frozen=True, slots=True)
class Strategy:
    """One way to choose locations."""

    label: str
    spread: Spread
    order: Order = as_entered
    #: Whether locations that ship a part of the order already come first.
    is_gathering: bool = False


#: Every strategy, by the name that a channel's setting holds.
STRATEGIES: Final[dict[str, Strategy]] = {
    "priority": Strategy("Priority", by_priority),
    "nearest": Strategy("Nearest by country, then priority", by_priority, nearest_first),
    "fewest_parcels": Strategy("Fewest parcels", fewest_parcels, is_gathering=True),
    "keep_together": Strategy("Keep together", keep_together, is_gathering=True),
}
DEFAULT: Final = "priority"

#: Reads what these locations have been given today by other orders; called under the locks.
UsageReader = Callable[[Collection[int]], Mapping[int, Usage]]


@dataclass(frozen=True, slots=True)
class Routing:
    """How the demands of one order are spread over the locations that may serve them."""

    strategy: str = DEFAULT
    #: Ship-to country, ISO 3166-1 alpha-2; empty when unknown.
    country: str = ""
    #: Whether an order may leave from several locations.
    may_split: bool = True
    sites: tuple[Site, ...] = ()
    usage: UsageReader | None = None
    by_id: Mapping[int, Site] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_id", {site.location_id: site for site in self.sites})

    @property
    def way(self) -> Strategy:
        """The strategy; one that no longer exists counts as priority."""
        return STRATEGIES.get(self.strategy, STRATEGIES[DEFAULT])

    def ordered(self, location_ids: Sequence[int]) -> tuple[int, ...]:
        """Returns locations in the order in which this order prefers them."""
        return self.way.order(location_ids, self.by_id, self.country)

    def beside(self, location_ids: tuple[int, ...], told: Collection[int]) -> tuple[int, ...]:
        """Returns locations in the order preferred once some have been told that they ship a part of the order."""
        begun = tuple(each for each in location_ids if each in told)
        if not begun or (self.may_split and not self.way.is_gathering):
            return location_ids
        return (*begun, *_without(location_ids, begun)) if self.may_split else begun


def plan(routing: Routing, needs: Sequence[Need], free: Free, *, full: Collection[int] = ()) -> list[Share]:
    """Returns a share for each need.

    Locations in `full` have used up their capacity: they are passed over while the others can serve everything, and come
    last otherwise.
    """
    spread = routing.way.spread if routing.may_split else in_one_parcel
    if full:
        others = [replace(need, location_ids=_without(need.location_ids, full)) for need in needs]
        shares = spread(others, free)
        if all(share.total == need.units for share, need in zip(shares, needs, strict=True)):
            return shares
        needs = [
            replace(need, location_ids=(*other.location_ids, *(p for p in need.location_ids if p in full)))
            for need, other in zip(needs, others, strict=True)
        ]
    return spread(needs, free)


def _without(location_ids: Iterable[int], full: Collection[int]) -> tuple[int, ...]:
    return tuple(each for each in location_ids if each not in full)


def cut(routing: Routing, shares: Sequence[Share], needs: Sequence[Need], free: Free) -> list[Share]:
    """Returns what is left of a plan when less is needed than was planned for: its first units.

    Units that others of the plan turned out not to need go to those that still lack some.
    """
    left = dict(free)
    kept = [
        replace(share, units=_first(share, need, routing.ordered(need.location_ids)))
        for share, need in zip(shares, needs, strict=True)
    ]
    for share, need in zip(kept, needs, strict=True):
        for place, units in share.units.items():
            need.take_at(place, units, left)
    return [_topped_up(share, need, left) for share, need in zip(kept, needs, strict=True)]


def fit(shares: Sequence[Share], needs: Sequence[Need], free: Free) -> list[Share]:
    """Returns shares as far as they are free, and what they lack from where else there is some."""
    left = dict(free)
    kept = [
        replace(share, units=_within(share, need, left)) for share, need in zip(shares, needs, strict=True)
    ]
    return [_topped_up(share, need, left) for share, need in zip(kept, needs, strict=True)]


def _within(share: Share, need: Need, left: dict[tuple[int, int], int]) -> dict[int, int]:
    kept: dict[int, int] = {}
    for place, units in share.units.items():
        kept |= _take(replace(need, units=units), (place,), left)
    return kept


def _first(share: Share, need: Need, order: Sequence[int]) -> dict[int, int]:
    planned = {(need.variant_id, place): units for place, units in share.units.items()}
    return _take(replace(need, parts=()), order, planned)


def _topped_up(share: Share, need: Need, left: dict[tuple[int, int], int]) -> Share:
    missing = replace(need, units=need.units - share.total)
    more = _take(missing, share.places, left)
    return replace(share, units={p: share.units.get(p, 0) + more.get(p, 0) for p in {**share.units, **more}})
