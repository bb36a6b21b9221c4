"""What a channel is told: a pure function from stock and rules to a number, each step of which can be shown.

`compute` walks a pipeline of named steps over `Inputs`; `load_inputs` reads what they need for many listing
levels in one statement, so that stock, open orders and what the shop should show are of one instant. Later
rules join the pipeline as further steps.
"""

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Final

from django.db import connection

from channels.connectors import CONNECTORS, connector_class
from channels.connectors.base import Convention
from channels.errors import Misconfigured


@dataclass(frozen=True, slots=True)
class ComponentStock:
    """A part of a kit at one location, in the part's base unit."""

    sku: str
    #: Units in one kit.
    per_kit: int
    available: int
    safety_stock: int

    @property
    def kits(self) -> int:
        """Returns how many kits it is enough for, its safety stock left out."""
        return max(self.available - self.safety_stock, 0) // self.per_kit


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
        """Whole kits that may be promised there now."""
        return min((component.kits for component in self.components), default=0)


@dataclass(frozen=True, slots=True)
class Inputs:
    """Everything that the number of one listing level depends on."""

    listing_level_id: int
    locations: tuple[LocationStock, ...] = ()
    buffer_units: int = 0
    buffer_percent: int = 0
    minimum: int = 0
    maximum: int | None = None
    convention: Convention = Convention.EXCLUDES_OPEN_ORDERS
    #: Units held for this channel's own open orders of the listing.
    own_open_units: int = 0
    largest: int | None = None
    #: What the shop should show now; read with the stock, so that both are of one instant.
    expected: int | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the waterfall."""

    name: str
    before: int
    after: int
    why: str


@dataclass(frozen=True, slots=True)
class Exposure:
    """The number of one listing level and how it came about."""

    listing_level_id: int
    quantity: int
    steps: tuple[Step, ...] = ()
    #: What the shop should show, as of the same instant; None before its first confirmation.
    expected: int | None = None


Change = tuple[int, str]
StepFunction = Callable[[int, Inputs], Change]


def available(number: int, inputs: Inputs) -> Change:
    """Adds up what our locations behind the place can promise."""
    units = sum(stock.available for stock in inputs.locations)
    named = ", ".join(f"{stock.code} {stock.available}" for stock in inputs.locations)
    return units, named or "no location of ours stands behind this place"


def less_safety_stock(number: int, inputs: Inputs) -> Change:
    """Leaves the safety stock of each location out, never less than nothing of it."""
    units = sum(max(stock.available - stock.safety_stock, 0) for stock in inputs.locations)
    kept = ", ".join(f"{s.code} keeps {s.safety_stock}" for s in inputs.locations if s.safety_stock)
    return units, kept or "no safety stock"


def smallest_component(number: int, inputs: Inputs) -> Change:
    """Counts whole kits: at each location as many as its scarcest part is enough for."""
    kits = [stock for stock in inputs.locations if stock.components]
    if not kits:
        return number, "no kit"
    return sum(stock.kits for stock in kits), "; ".join(_scarcest(stock) for stock in kits)


def _scarcest(stock: LocationStock) -> str:
    part = min(stock.components, key=lambda component: component.kits)
    kept = f", {part.safety_stock} kept" if part.safety_stock else ""
    return f"{stock.code} {stock.kits}: {part.available} {part.sku}{kept}, {part.per_kit} in each"


def less_buffer(number: int, inputs: Inputs) -> Change:
    """Withholds the channel's buffer: percent of what there is, rounded up, and units."""
    percent = -(-number * inputs.buffer_percent // 100)
    withheld = percent + inputs.buffer_units
    return (
        number - withheld,
        f"{inputs.buffer_units} units and {inputs.buffer_percent} % ({percent}) withheld",
    )


def within_limits(number: int, inputs: Inputs) -> Change:
    """Shows nothing below the minimum, and no more than the maximum."""
    if 0 < number < inputs.minimum:
        return 0, f"below the channel's minimum of {inputs.minimum}"
    if inputs.maximum is not None and number > inputs.maximum:
        return inputs.maximum, f"the channel shows {inputs.maximum} at most"
    return number, "within the channel's limits"


def not_negative(number: int, inputs: Inputs) -> Change:
    """A shop is never told less than nothing."""
    return max(number, 0), "never below 0"


def in_convention(number: int, inputs: Inputs) -> Change:
    """Adds the channel's own open orders where the platform subtracts them itself; nothing to nothing."""
    if inputs.convention is not Convention.INCLUDES_OPEN_ORDERS:
        return number, "the platform has taken its own orders off already"
    if number == 0:
        return 0, "nothing is left: its open orders are not added, or each shipment would offer a unit again"
    return (
        number + inputs.own_open_units,
        f"the platform subtracts its {inputs.own_open_units} open units itself",
    )


def within_platform(number: int, inputs: Inputs) -> Change:
    """Stays within the largest number that the platform takes."""
    if inputs.largest is not None and number > inputs.largest:
        return inputs.largest, f"the platform takes {inputs.largest} at most"
    return number, "within the platform's range"


#: The pipeline, in order.
STEPS: Final[tuple[tuple[str, StepFunction], ...]] = (
    ("Available", available),
    ("Safety stock", less_safety_stock),
    ("Bundle", smallest_component),
    ("Buffer", less_buffer),
    ("Minimum and maximum", within_limits),
    ("Floor", not_negative),
    ("Convention", in_convention),
    ("Platform", within_platform),
)


def compute(inputs: Inputs) -> Exposure:
    """Walks the pipeline."""
    number = sum(stock.on_hand for stock in inputs.locations)
    steps = []
    for name, function in STEPS:
        after, why = function(number, inputs)
        steps.append(Step(name, number, after, why))
        number = after
    return Exposure(inputs.listing_level_id, number, tuple(steps), inputs.expected)


# Units that an order lacks are open conflicts and held nowhere: they are not offered, so not added either. Kits
# are held part by part, and counted by the first part.
_INPUTS: Final = """
SELECT level.id, channel.kind, channel.buffer_units, channel.buffer_percent, channel.minimum_exposure,
       channel.maximum_exposure, level.expected, coalesce(stock.rows, '[]'::jsonb), coalesce(own.units, 0)
FROM channels_listinglevel level
JOIN channels_listing listing ON listing.id = level.listing_id
JOIN channels_channel channel ON channel.id = level.channel_id
LEFT JOIN LATERAL (
    SELECT jsonb_agg(jsonb_build_array(
               location.code, coalesce(held.on_hand, 0), coalesce(held.reserved, 0),
               coalesce(held.unavailable, 0), coalesce(held.safety_stock, 0), (
                   SELECT jsonb_agg(jsonb_build_array(
                              variant.sku, part.quantity, coalesce(lying.on_hand - lying.reserved - lying.unavailable, 0),
                              coalesce(lying.safety_stock, 0)
                          ) ORDER BY variant.sku)
                   FROM inventory_bundlepart part
                   JOIN inventory_variant variant ON variant.id = part.variant_id
                   LEFT JOIN inventory_stocklevel lying
                       ON lying.merchant_id = channel.merchant_id AND lying.variant_id = part.variant_id
                       AND lying.location_id = location.id
                   WHERE part.bundle_variant_id = listing.variant_id AND part.is_drawn_on)
           ) ORDER BY source.priority, source.id) AS rows
    FROM channels_channellocationsource source
    JOIN inventory_location location ON location.id = source.location_id AND location.is_active
    LEFT JOIN inventory_stocklevel held
        ON held.merchant_id = channel.merchant_id AND held.variant_id = listing.variant_id
        AND held.location_id = location.id
    WHERE source.channel_location_id = level.channel_location_id
) stock ON true
LEFT JOIN LATERAL (
    SELECT sum(CASE
               WHEN reservation.bundle_id IS NULL THEN reservation.open_quantity
               WHEN reservation.lead_id = reservation.id THEN reservation.open_quantity / reservation.per_bundle
           END)::bigint AS units
    FROM channels_channelorderline line
    JOIN channels_channelorder placed ON placed.id = line.order_id AND placed.channel_id = channel.id
    JOIN inventory_reservation reservation
        ON reservation.merchant_id = channel.merchant_id AND reservation.open_quantity > 0
        AND reservation.reference = 'order-line:' || line.id
    WHERE line.variant_id = listing.variant_id AND line.applied_demand > line.applied_fulfilled
        AND line.listing_external_id IN ('', listing.external_id)
) own ON channel.kind = ANY(%s::text[])
WHERE level.id = ANY(%s::bigint[])
"""


def load_inputs(listing_level_ids: Collection[int]) -> dict[int, Inputs]:
    """Reads what these listing levels' numbers depend on, by id, in one statement."""
    kinds = [kind for kind in CONNECTORS if _convention(kind) is Convention.INCLUDES_OPEN_ORDERS]
    with connection.cursor() as cursor:
        cursor.execute(_INPUTS, [kinds, sorted(listing_level_ids)])
        return {row[0]: _inputs(row) for row in cursor.fetchall()}


def _inputs(row: tuple[Any, ...]) -> Inputs:
    level_id, kind, units, percent, minimum, maximum, expected, stock, own_open = row
    places = json.loads(stock) if isinstance(stock, str) else stock
    return Inputs(
        level_id,
        tuple(_location(*place) for place in places),
        units,
        percent,
        minimum,
        maximum,
        _convention(kind),
        own_open,
        _largest(kind),
        expected,
    )


def _location(
    code: str, on_hand: int, reserved: int, unavailable: int, safety_stock: int, parts: list[Any] | None
) -> LocationStock:
    components = tuple(ComponentStock(*part) for part in parts or ())
    return LocationStock(code, on_hand, reserved, unavailable, safety_stock, components)


def _convention(kind: str) -> Convention:
    try:
        return connector_class(kind).capabilities.convention
    except Misconfigured:
        return Convention.EXCLUDES_OPEN_ORDERS


def _largest(kind: str) -> int | None:
    try:
        return connector_class(kind).capabilities.largest_quantity
    except Misconfigured:
        return None


def exposures(listing_level_ids: Collection[int]) -> dict[int, Exposure]:
    """Computes the numbers of these listing levels from what is committed now, by id."""
    return {identity: compute(inputs) for identity, inputs in load_inputs(listing_level_ids).items()}


def targets(listing_level_ids: Collection[int]) -> dict[int, int]:
    """Returns only the numbers, by listing level id."""
    return {identity: exposure.quantity for identity, exposure in exposures(listing_level_ids).items()}


def explain(listing_level_id: int) -> Exposure:
    """Returns the number of one listing level with its steps. Raises `KeyError` for an unknown id."""
    return exposures([listing_level_id])[listing_level_id]
