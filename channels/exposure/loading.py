"""Reads what the numbers of many listing levels depend on, in a number of statements that does not grow with them.

Stock, open orders, pools and what the shop should show are read in one statement, so that they are of one
instant. Rules and ranks are read after it: whoever changes them marks what depends on them due, in the same
transaction, so that a number computed with older ones is computed again.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from django.db import connection

from channels.connectors import CONNECTORS, connector_class
from channels.connectors.base import Capabilities, Convention
from channels.errors import Misconfigured
from channels.exposure.computing import compute
from channels.exposure.inputs import (
    ComponentStock,
    Exposure,
    FencedPart,
    Inputs,
    LocationStock,
    Pinned,
    Standing,
    index_of_serving,
)
from channels.preorders import free_inbound
from channels.rules.book import ChannelFacts, RuleBook, channels_by_id, load_book
from channels.rules.resolved import ResolvedRules
from inventory.arrays import array
from inventory.inbound_offers import Places

#: The shelves that are asked for, and what is theirs alone.
WANTED: Final = """
wanted AS MATERIALIZED (
    SELECT level.id, level.channel_id, level.channel_location_id, listing.variant_id, listing.external_id,
        level.expected,
        CASE WHEN level.raised_on = (clock_timestamp() AT TIME ZONE 'UTC')::date THEN level.raises ELSE 0 END
            AS raises
    FROM channels_listinglevel level
    JOIN channels_listing listing ON listing.id = level.listing_id
    WHERE level.id = ANY(%(ids)s::bigint[])
)"""

# Units that an order lacks are open conflicts and held nowhere: they are not offered, so not added either. What it was
# promised from inbound was offered, and is added. Kits are held part by part, and counted by the first part. Which way
# leads from a shelf to what its open orders have is written down (OFFSET 0): while these tables are young PostgreSQL has
# no idea of it.
#: Units that a channel's own open orders hold or were promised, by shelf: `wanted.id, units`, after SELECT and a kind.
OWN_OPEN: Final = """
wanted.id, sum(own.units)::bigint{filler}
FROM wanted
JOIN channels_channel channel ON channel.id = wanted.channel_id AND channel.kind = ANY(%(kinds)s::text[])
CROSS JOIN LATERAL (
    SELECT line.id, line.order_id FROM channels_channelorderline line
    WHERE line.variant_id = wanted.variant_id AND line.applied_demand > line.applied_fulfilled
      AND line.listing_external_id IN ('', wanted.external_id)
    OFFSET 0
) line
JOIN channels_channelorder placed ON placed.id = line.order_id AND placed.channel_id = wanted.channel_id
CROSS JOIN LATERAL (
    SELECT CASE
        WHEN held.bundle_id IS NULL THEN held.open_quantity
        WHEN held.lead_id = held.id THEN held.open_quantity / held.per_bundle
    END AS units
    FROM inventory_reservation held
    WHERE held.merchant_id = channel.merchant_id AND held.reference = 'order-line:' || line.id
      AND held.open_quantity > 0
    UNION ALL
    SELECT waiting.open_quantity FROM inventory_backorder waiting
    WHERE waiting.merchant_id = channel.merchant_id AND waiting.reference = 'order-line:' || line.id
      AND waiting.open_quantity > 0 AND waiting.kit_id IS NULL
    UNION ALL
    SELECT kits.open_quantity FROM inventory_kitbackorder kits
    WHERE kits.merchant_id = channel.merchant_id AND kits.reference = 'order-line:' || line.id
      AND kits.open_quantity > 0
    OFFSET 0
) own
GROUP BY wanted.id"""

#: Units that are held for the buyers of groups' channels, by variant and group; after SELECT and a kind.
POOL_HOLDS: Final = """
pooled.variant_id, pooled.group_id, sum(held.open_quantity / pooled.per_unit)::bigint{filler}
FROM channels_poolhold pooled
JOIN inventory_reservation held ON held.id = pooled.reservation_id AND held.open_quantity > 0
WHERE pooled.variant_id IN ({goods})
GROUP BY pooled.variant_id, pooled.group_id"""

# Rows of six kinds, told apart by their first column.
STATE: Final = f"""
WITH {WANTED}, goods AS MATERIALIZED (
    SELECT DISTINCT variant_id FROM wanted WHERE variant_id IS NOT NULL
), part AS MATERIALIZED (
    SELECT each.bundle_variant_id, each.variant_id, each.quantity
    FROM inventory_bundlepart each JOIN goods ON goods.variant_id = each.bundle_variant_id
    WHERE each.is_drawn_on
)
SELECT 0, id, channel_id, channel_location_id, variant_id, expected, raises FROM wanted
UNION ALL
SELECT 1, held.variant_id, held.location_id, held.on_hand, held.reserved, held.unavailable, held.safety_stock
FROM inventory_stocklevel held JOIN goods ON goods.variant_id = held.variant_id
UNION ALL
SELECT 2, {OWN_OPEN.format(filler=", NULL" * 4)}
UNION ALL
SELECT 3, used.variant_id, used.group_id, used.units, NULL, NULL, NULL
FROM channels_pooluse used
WHERE used.units <> 0
  AND used.variant_id IN (SELECT variant_id FROM goods UNION ALL SELECT variant_id FROM part)
UNION ALL
SELECT 3, {
    POOL_HOLDS.format(
        filler=", NULL" * 3, goods="SELECT variant_id FROM goods UNION ALL SELECT variant_id FROM part"
    )
}
UNION ALL
SELECT 4, pin.listing_level_id, pin.id, pin.quantity, NULL, NULL, NULL
FROM channels_pin pin JOIN wanted ON wanted.id = pin.listing_level_id
WHERE pin.ended_at IS NULL AND pin.expires_at > clock_timestamp()
UNION ALL
SELECT 1, held.variant_id, held.location_id, held.on_hand, held.reserved, held.unavailable, held.safety_stock
FROM inventory_stocklevel held WHERE held.variant_id IN (SELECT variant_id FROM part)
UNION ALL
SELECT 5, bundle_variant_id, variant_id, quantity, NULL, NULL, NULL FROM part
"""  # noqa: S608  # constants only

_PLACES: Final = """
SELECT source.channel_location_id, location.id, location.code
FROM channels_channellocationsource source
JOIN inventory_location location
    ON location.id = source.location_id AND location.is_active AND source.is_active
WHERE source.channel_location_id = ANY(%s::bigint[])
ORDER BY source.channel_location_id, source.priority, source.id
"""

_STANDINGS: Final = """
SELECT listing_level_id, position, listings, shelf, shelves
FROM channels_listingstanding WHERE listing_level_id = ANY(%s::bigint[])
"""

_LAG_DEMANDS: Final = """
SELECT demand.channel_id, demand.variant_id, demand.q90, demand.q95, demand.q99
FROM channels_lagdemand demand
WHERE demand.channel_id = ANY(%s::bigint[]) AND demand.variant_id = ANY(%s::bigint[])
"""

_SKUS: Final = "SELECT id, sku FROM inventory_variant WHERE id = ANY(%s::bigint[])"

_PINS: Final = "SELECT id, reason, owner, expires_at FROM channels_pin WHERE id = ANY(%s::bigint[])"

#: Quantile → its column in `_LAG_DEMANDS`, after channel and variant.
QUANTILES: Final = {90: 0, 95: 1, 99: 2}

NO_USES: Final[Mapping[int, int]] = {}


@dataclass(slots=True)
class _State:
    """What `STATE` read, sorted by kind."""

    levels: list[tuple[Any, ...]] = field(default_factory=list)
    #: (variant, location) → on hand, reserved, unavailable, safety stock.
    stock: dict[tuple[int, int], tuple[int, int, int, int]] = field(default_factory=dict)
    own_open: dict[int, int] = field(default_factory=dict)
    pool_uses: dict[int, dict[int, int]] = field(default_factory=dict)
    #: Listing level → pin and its quantity.
    pins: dict[int, tuple[int, int]] = field(default_factory=dict)
    #: Kit → its parts, by variant, with the units in one kit.
    parts: dict[int, list[tuple[int, int]]] = field(default_factory=dict)

    @property
    def variant_ids(self) -> set[int]:
        """The variants that are listed."""
        return {row[4] for row in self.levels if row[4] is not None}


def load_inputs(listing_level_ids: Collection[int], *, book: RuleBook | None = None) -> dict[int, Inputs]:
    """Reads what these listing levels' numbers depend on, by id; with the rules in force or those of `book`."""
    state = _read_state(listing_level_ids)
    if not state.levels:
        return {}
    channels = channels_by_id({row[2] for row in state.levels})
    if book is None:
        merchant_ids = {channel.merchant_id for channel in channels.values()}
        parts = {kit: [part for part, _ in each] for kit, each in state.parts.items()}
        book = load_book(merchant_ids, state.variant_ids, parts)
    rules = {row[1]: book.rules_for(channels[row[2]], row[4]) for row in state.levels}
    places = read_places({row[3] for row in state.levels})
    build = _Build(
        state,
        places,
        rules,
        read_standings(rules),
        read_lag_demands(state.levels, rules),
        _read_pins(state.pins),
        {channel.id: capabilities_of(channel.kind) for channel in channels.values()},
        {channel.id: channel.may_split for channel in channels.values()},
        read_inbound(state.levels, rules, channels, places),
        _read_skus(state.parts),
    )
    return {row[1]: build.inputs(row) for row in state.levels}


@dataclass(slots=True)
class _Build:
    """Puts together what was read, sharing what several listing levels have in common."""

    state: _State
    #: Place → our locations behind it, with their codes; places with the same ones share the tuple.
    places: Mapping[int, tuple[tuple[int, str], ...]]
    rules: Mapping[int, ResolvedRules]
    standings: Mapping[int, Standing]
    lag_demands: Mapping[tuple[int, int], tuple[int, ...]]
    pins: Mapping[int, Pinned]
    capabilities: Mapping[int, tuple[Convention, int | None]]
    #: Whether each channel's orders may leave from several locations.
    may_split: Mapping[int, bool]
    #: Confirmed inbound that may be promised, by variant and the locations that serve together, where a rule offers it.
    inbound: Mapping[tuple[int, Places], int]
    #: What the parts of kits are called.
    skus: Mapping[int, str]
    #: (variant, the tuple of its place) → what is there.
    _locations: dict[tuple[int | None, int], tuple[LocationStock, ...]] = field(default_factory=dict)

    def inputs(self, row: tuple[Any, ...]) -> Inputs:
        """Returns the inputs of one listing level."""
        _, level_id, channel_id, place_id, variant_id, expected, raises = row
        rules = self.rules[level_id]
        convention, largest = self.capabilities[channel_id]
        state = self.state
        stock = self._stock(variant_id, place_id)
        return Inputs(
            level_id,
            stock,
            rules,
            convention,
            state.own_open.get(level_id, 0),
            largest,
            expected,
            state.pool_uses.get(variant_id, NO_USES),
            self.standings.get(level_id),
            self._lag_demand(channel_id, variant_id, rules) if rules.velocity_quantile else 0,
            self._preorders(channel_id, variant_id, place_id, stock) if rules.preorder_limit else 0,
            raises,
            self.pins.get(level_id),
            self.may_split[channel_id],
            self._fenced(variant_id, rules) if rules.part_pools else (),
        )

    def _fenced(self, variant_id: int, rules: ResolvedRules) -> tuple[FencedPart, ...]:
        """Returns the parts of a kit that have pools."""
        uses, per_kit = self.state.pool_uses, dict(self.state.parts.get(variant_id, ()))
        return tuple(
            FencedPart(part, self.skus[part], per_kit[part], pools, uses.get(part, NO_USES))
            for part, pools in rules.part_pools
            # The kit may have been changed between the two statements; that marks it again.
            if part in per_kit
        )

    def _preorders(
        self, channel_id: int, variant_id: int, place_id: int, stock: tuple[LocationStock, ...]
    ) -> int:
        """Returns the inbound that an order of this place could be promised: where it is not split, of one location."""
        serving = ids_of(self.places.get(place_id, ()))
        if stock and not self.may_split[channel_id]:
            first = index_of_serving(stock)
            serving = serving[first : first + 1]
        return self.inbound.get((variant_id, serving), 0)

    def _stock(self, variant_id: int | None, place_id: int) -> tuple[LocationStock, ...]:
        sources = self.places.get(place_id, ())
        key = variant_id, id(sources)
        found = self._locations.get(key)
        if found is None:
            stock = self.state.stock
            if variant_id is not None and variant_id in self.state.parts:
                found = tuple([self._of_kit(variant_id, location_id, code) for location_id, code in sources])
            else:
                found = tuple(
                    [
                        LocationStock(code, *stock.get((variant_id or 0, location_id), (0, 0, 0, 0)))
                        for location_id, code in sources
                    ]
                )
            self._locations[key] = found
        return found

    def _of_kit(self, variant_id: int, location_id: int, code: str) -> LocationStock:
        components = []
        for part, per_kit in self.state.parts[variant_id]:
            on_hand, reserved, unavailable, kept = self.state.stock.get((part, location_id), (0, 0, 0, 0))
            components.append(
                ComponentStock(self.skus[part], per_kit, on_hand - reserved - unavailable, kept)
            )
        own = self.state.stock.get((variant_id, location_id), (0, 0, 0, 0))
        return LocationStock(code, *own, tuple(sorted(components, key=lambda each: each.sku)))

    def _lag_demand(self, channel_id: int, variant_id: int | None, rules: ResolvedRules) -> int:
        measured = self.lag_demands.get((channel_id, variant_id or 0))
        return measured[QUANTILES[rules.velocity_quantile]] if measured else 0


def state_parameters(listing_level_ids: Collection[int]) -> dict[str, Any]:
    """Returns what `STATE` is run with."""
    return {"ids": array(sorted(listing_level_ids)), "kinds": _kinds_told_of_open_orders()}


def _read_state(listing_level_ids: Collection[int]) -> _State:
    state = _State()
    with connection.cursor() as cursor:
        cursor.execute(STATE, state_parameters(listing_level_ids))
        for row in cursor.fetchall():
            kind = row[0]
            if kind == 0:
                state.levels.append(row)
            elif kind == 1:
                state.stock[row[1], row[2]] = row[3:]
            elif kind == 2:
                state.own_open[row[1]] = row[2]
            elif kind == 3:
                add_use(state.pool_uses, row)
            elif kind == 4:
                state.pins[row[1]] = row[2], row[3]
            else:
                state.parts.setdefault(row[1], []).append((row[2], row[3]))
    return state


def add_use(uses: dict[int, dict[int, int]], row: tuple[Any, ...]) -> None:
    """Adds a row of units that a group's pool has less: sold by its channels, or held for their buyers."""
    of_variant = uses.setdefault(row[1], {})
    of_variant[row[2]] = of_variant.get(row[2], 0) + row[3]


def read_places(place_ids: Collection[int]) -> dict[int, tuple[tuple[int, str], ...]]:
    """Reads our active locations behind places, in order of preference; places with the same ones share the tuple."""
    places: dict[int, list[tuple[int, str]]] = {}
    for place_id, location_id, code in _rows(_PLACES, array(place_ids)):
        places.setdefault(place_id, []).append((location_id, code))
    shared: dict[tuple[tuple[int, str], ...], tuple[tuple[int, str], ...]] = {}
    return {place_id: shared.setdefault(tuple(each), tuple(each)) for place_id, each in places.items()}


def read_standings(rules: Mapping[int, ResolvedRules]) -> dict[int, Standing]:
    """Reads where shelves stand, of those whose rules ask for it."""
    ids = [level_id for level_id, each in rules.items() if each.scarce_below or each.channel_cap is not None]
    return {row[0]: Standing(*row[1:]) for row in _rows(_STANDINGS, array(ids))} if ids else {}


def read_lag_demands(
    levels: Iterable[tuple[Any, ...]], rules: Mapping[int, ResolvedRules]
) -> dict[tuple[int, int], tuple[int, ...]]:
    """Reads what sells within the lag, of those whose rules ask for it."""
    asking = [(row[2], row[4]) for row in levels if row[4] and rules[row[1]].velocity_quantile]
    if not asking:
        return {}
    channel_ids, variant_ids = {channel for channel, _ in asking}, {variant for _, variant in asking}
    rows = _rows(_LAG_DEMANDS, array(channel_ids), array(variant_ids))
    return {(row[0], row[1]): row[2:] for row in rows}


def read_inbound(
    levels: Iterable[tuple[Any, ...]],
    rules: Mapping[int, ResolvedRules],
    channels: Mapping[int, ChannelFacts],
    places: Mapping[int, tuple[tuple[int, str], ...]],
) -> dict[tuple[int, Places], int]:
    """Reads what is still to come, of those whose rules offer it, for the locations that serve them together."""
    asking: dict[int, tuple[set[int], set[Places]]] = {}
    for row in levels:
        if row[4] and rules[row[1]].preorder_limit:
            channel, serving = channels[row[2]], ids_of(places.get(row[3], ()))
            variant_ids, sets = asking.setdefault(channel.merchant_id, (set(), set()))
            variant_ids.add(row[4])
            sets |= {serving} if channel.may_split else {(each,) for each in serving}
    found: dict[tuple[int, Places], int] = {}
    for merchant_id, (variant_ids, sets) in asking.items():
        found |= free_inbound(merchant_id, variant_ids, sets)
    return found


def ids_of(sources: tuple[tuple[int, str], ...]) -> Places:
    """Returns the locations behind a place."""
    return tuple(location_id for location_id, _ in sources)


def _read_pins(pins: Mapping[int, tuple[int, int]]) -> dict[int, Pinned]:
    if not pins:
        return {}
    words = {
        pin_id: f"{reason} ({owner}, until {expires_at:%Y-%m-%d %H:%M} UTC)"
        for pin_id, reason, owner, expires_at in _rows(_PINS, array(pin_id for pin_id, _ in pins.values()))
    }
    return {
        level_id: Pinned(quantity, words.get(pin_id, "")) for level_id, (pin_id, quantity) in pins.items()
    }


def _read_skus(parts: Mapping[int, list[tuple[int, int]]]) -> dict[int, str]:
    ids = {part for each in parts.values() for part, _ in each}
    return {row[0]: row[1] for row in _rows(_SKUS, array(ids))} if ids else {}


def _rows(sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def _kinds_told_of_open_orders() -> list[str]:
    return [kind for kind in CONNECTORS if capabilities_of(kind)[0] is Convention.INCLUDES_OPEN_ORDERS]


def capabilities_of(kind: str) -> tuple[Convention, int | None]:
    """Returns convention and largest number of a platform; a retired kind has the usual ones."""
    try:
        able: Capabilities = connector_class(kind).capabilities
    except Misconfigured:
        return Convention.EXCLUDES_OPEN_ORDERS, None
    return able.convention, able.largest_quantity


def exposures(listing_level_ids: Collection[int]) -> dict[int, Exposure]:
    """Computes the numbers of these listing levels with their steps, from what is committed now, by id."""
    return {identity: compute(inputs) for identity, inputs in load_inputs(listing_level_ids).items()}


def explain(listing_level_id: int) -> Exposure:
    """Returns the number of one listing level with its steps. Raises `KeyError` for an unknown id."""
    return exposures([listing_level_id])[listing_level_id]
