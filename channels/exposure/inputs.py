"""Everything that the number of one listing level depends on, and what comes out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from channels.connectors.base import Convention
from channels.rules.resolved import NO_RULES, Pool, ResolvedRules


@dataclass(frozen=True, slots=True)
class ComponentStock:
    """A part of a kit at one location, in the part's base unit."""

    sku: str
    #: Units in one kit.
    per_kit: int
    available: int
    safety_stock: int

    @property
    def free(self) -> int:
        """Units beyond its safety stock."""
        return max(self.available - self.safety_stock, 0)

    @property
    def kits(self) -> int:
        """Returns how many kits it is enough for, its safety stock left out."""
        return self.free // self.per_kit


@dataclass(frozen=True, slots=True)
class LocationStock:
    """One of our locations behind the channel location, in base units."""

    code: str
    on_hand: int
    reserved: int
    unavailable: int
    safety_stock: int
    #: Of a kit: its parts there; a kit has no stock of its own.
    components: tuple[ComponentStock, ...] = ()

    @property
    def available(self) -> int:
        """Units that may be promised there now."""
        return self.on_hand - self.reserved - self.unavailable

    @property
    def kits(self) -> int:
        """Whole kits that may be offered there now: as many as the scarcest part is enough for."""
        return min((component.kits for component in self.components), default=0)

    @property
    def offered(self) -> int:
        """Units, or whole kits, that may be offered there now."""
        return self.kits if self.components else max(self.available - self.safety_stock, 0)


@dataclass(frozen=True, slots=True)
class FencedPart:
    """A part of a kit of which units are ring-fenced."""

    variant_id: int
    sku: str
    #: Units in one kit.
    per_kit: int
    pools: tuple[Pool, ...]
    #: Units that each group's channels have sold, as of the kit itself.
    uses: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a shelf stands by rank: among the variant's listings, and among its shelves on the same channel."""

    position: int
    listings: int
    shelf: int
    shelves: int


@dataclass(frozen=True, slots=True)
class Pinned:
    """A number that a person has fixed."""

    quantity: int
    why: str


def index_of_serving(locations: Sequence[LocationStock]) -> int:
    """Returns which location serves where orders stay whole: the one that can offer most, else the first."""
    return max(range(len(locations)), key=lambda index: locations[index].offered)


@dataclass(slots=True)
class Inputs:
    """Everything that the number of one listing level depends on.

    Not frozen, because that takes four times as long to make, and one is made for every number; nothing changes it.
    """

    listing_level_id: int
    locations: tuple[LocationStock, ...] = ()
    rules: ResolvedRules = NO_RULES
    convention: Convention = Convention.EXCLUDES_OPEN_ORDERS
    #: Units held for this channel's own open orders of the listing, or promised to them from inbound.
    own_open_units: int = 0
    largest: int | None = None
    #: What the shop should show now; read with the stock, so that both are of one instant.
    expected: int | None = None
    #: Units that each group's channels have sold since its pool was filled, by group id.
    pool_uses: Mapping[int, int] = field(default_factory=dict)
    #: None where it has not been ranked yet.
    standing: Standing | None = None
    #: Units that sell within the channel's lag, at the quantile of the rules.
    lag_demand: int = 0
    #: Confirmed inbound that an order of this place could be promised.
    preorder_units: int = 0
    #: Pushes of today that raised the number.
    raises_today: int = 0
    pin: Pinned | None = None
    #: Whether an order of this channel may leave from several locations.
    may_split: bool = True
    #: Of a kit: its parts that have pools.
    fenced: tuple[FencedPart, ...] = ()

    @property
    def serving(self) -> tuple[LocationStock, ...]:
        """The locations whose units are offered together: all, or the one that can serve most where orders stay whole."""
        if self.may_split or not self.locations:
            return self.locations
        return (self.locations[index_of_serving(self.locations)],)

    @property
    def is_kit(self) -> bool:
        """Whether it is put together from parts when it is sold."""
        return bool(self.locations and self.locations[0].components)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the waterfall."""

    name: str
    before: int
    after: int
    why: str
    #: The rule version and rule that decided it; empty where no rule did.
    rule: str = ""

    def row(self) -> dict[str, Any]:
        """Returns it as the log of pushes keeps it; `asdict` takes ten times as long, for each step of each push."""
        return {
            "name": self.name,
            "before": self.before,
            "after": self.after,
            "why": self.why,
            "rule": self.rule,
        }


@dataclass(frozen=True, slots=True)
class Exposure:
    """The number of one listing level and how it came about."""

    listing_level_id: int
    quantity: int
    steps: tuple[Step, ...] = ()
    #: What the shop should show, as of the same instant; None before its first confirmation.
    expected: int | None = None
