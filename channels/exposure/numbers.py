"""Numbers alone, of very many listing levels: the same as `exposures` gives with their steps, but fast.

What our locations offer is added up by the database, in one row a listing level, and stages that change nothing under a
shelf's rules are left out; the others are those of the pipeline. Shelves that are pinned or list a kit, and pre-orders
where orders stay whole, are walked through all stages (`is_special`).
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final, NamedTuple

from django.db import connection

from channels.connectors.base import Convention
from channels.exposure import stages
from channels.exposure.computing import quantity_of
from channels.exposure.inputs import Inputs
from channels.exposure.loading import (
    NO_USES,
    OWN_OPEN,
    POOL_HOLDS,
    QUANTILES,
    WANTED,
    add_use,
    capabilities_of,
    ids_of,
    load_inputs,
    read_inbound,
    read_lag_demands,
    read_places,
    read_standings,
    state_parameters,
)
from channels.rules.book import ChannelFacts, channels_by_id, load_book
from channels.rules.resolved import ResolvedRules

# Rows of three kinds, told apart by their first column, all of one instant: shelves with what our locations behind them
# offer, together and at best; units held for a channel's own open orders; what groups have used up of their pools.
OFFERS: Final = f"""
WITH {WANTED}
SELECT 0, wanted.id, wanted.channel_id, wanted.channel_location_id, wanted.variant_id, wanted.expected, wanted.raises,
    coalesce(sum(free.units), 0)::bigint, coalesce(max(free.units), 0),
    EXISTS (
        SELECT FROM channels_pin pin
        WHERE pin.listing_level_id = wanted.id AND pin.ended_at IS NULL AND pin.expires_at > clock_timestamp()
    ) OR EXISTS (
        SELECT FROM inventory_bundlepart part
        WHERE part.bundle_variant_id = wanted.variant_id AND part.is_drawn_on
    )
FROM wanted
LEFT JOIN channels_channellocationsource source
    ON source.channel_location_id = wanted.channel_location_id AND source.is_active
LEFT JOIN inventory_location location ON location.id = source.location_id AND location.is_active
LEFT JOIN inventory_stocklevel held
    ON held.variant_id = wanted.variant_id AND held.location_id = location.id
LEFT JOIN LATERAL (
    SELECT greatest(held.on_hand - held.reserved - held.unavailable - held.safety_stock, 0) AS units
) free ON true
GROUP BY wanted.id, wanted.channel_id, wanted.channel_location_id, wanted.variant_id, wanted.expected, wanted.raises
UNION ALL
SELECT 2, {OWN_OPEN.format(filler=", NULL" * 7)}
UNION ALL
SELECT 3, used.variant_id, used.group_id, used.units, NULL, NULL, NULL, NULL, NULL, NULL
FROM channels_pooluse used
WHERE used.units <> 0 AND used.variant_id IN (SELECT variant_id FROM wanted)
UNION ALL
SELECT 3, {POOL_HOLDS.format(filler=", NULL" * 6, goods="SELECT variant_id FROM wanted")}
"""  # noqa: S608  # constants only

#: What a stage does to a number.
Apply = Callable[[int, Inputs], int]

#: Stage → whether it may change the number of a shelf that is neither pinned nor of a kit, by its rules and its platform.
#: What is offered stands for the first three. Stages that are not named here are always walked through.
_MATTERS: Final[Mapping[Apply, Callable[[ResolvedRules, "_Platform"], bool]]] = {
    stages.available: lambda rules, platform: False,
    stages.less_safety_stock: lambda rules, platform: False,
    stages.smallest_component: lambda rules, platform: False,
    stages.less_pools: lambda rules, platform: bool(rules.pools),
    stages.share_of_scarce: lambda rules, platform: rules.scarce_below > 0,
    stages.less_buffer: lambda rules, platform: _has_buffer(rules),
    stages.plus_preorders: lambda rules, platform: rules.preorder_limit > 0,
    stages.within_limits: lambda rules, platform: rules.minimum > 0 or rules.maximum is not None,
    stages.within_channel_cap: lambda rules, platform: rules.channel_cap is not None,
    stages.pinned: lambda rules, platform: False,
    stages.not_negative: lambda rules, platform: _has_buffer(rules),
    stages.in_convention: lambda rules, platform: platform.convention is Convention.INCLUDES_OPEN_ORDERS,
    stages.within_platform: lambda rules, platform: platform.largest is not None,
    stages.within_budget: lambda rules, platform: rules.daily_increases is not None,
}


class _Platform(NamedTuple):
    """What a platform takes."""

    convention: Convention
    largest: int | None


def _has_buffer(rules: ResolvedRules) -> bool:
    return bool(rules.buffer_units or rules.buffer_percent or rules.velocity_quantile)


def applied(rules: ResolvedRules, convention: Convention, largest: int | None) -> tuple[Apply, ...]:
    """Returns the stages that may change the number of a plain, unpinned shelf, in their order."""
    platform = _Platform(convention, largest)
    return tuple(
        stage.apply
        for stage in stages.STAGES
        if stage.apply not in _MATTERS or _MATTERS[stage.apply](rules, platform)
    )


class _Way(NamedTuple):
    """How the numbers of one kind of listings on one channel come about."""

    rules: ResolvedRules
    applied: tuple[Apply, ...]
    platform: _Platform
    may_split: bool
    #: Whether nothing but stock decides.
    is_bare: bool
    #: Whether all stages are needed, because it matters which location serves.
    is_special: bool


#: A row of the first kind, as it is read: kind, listing level, channel, place, variant, expected, raises, what our
#: locations offer together and at best, and whether it is special. A plain tuple, because so many are made.
Row = tuple[Any, ...]


def targets(listing_level_ids: Collection[int]) -> dict[int, int]:
    """Computes only the numbers, by listing level id."""
    shelves, own_open, pool_uses = _read(listing_level_ids)
    if not shelves:
        return {}
    plain = [shelf for shelf in shelves if not shelf[9]]
    special = [shelf[1] for shelf in shelves if shelf[9]]
    ways = _ways(plain) if plain else []
    numbers: dict[int, int] = {}
    asking: list[tuple[Row, _Way]] = []
    for shelf, way in zip(plain, ways, strict=True):
        if way.is_special:
            special.append(shelf[1])
        elif way.is_bare:
            numbers[shelf[1]] = shelf[7] if way.may_split else shelf[8]
        else:
            asking.append((shelf, way))
    if asking:
        numbers.update(_walked(asking, own_open, pool_uses))
    if special:
        numbers.update((key, quantity_of(inputs)) for key, inputs in load_inputs(special).items())
    return numbers


def _read(
    listing_level_ids: Collection[int],
) -> tuple[list[Row], dict[int, int], dict[int, dict[int, int]]]:
    """Reads shelves as plain tuples, a shelf's own open units, and the uses of pools by variant and group."""
    found: list[Row] = []
    own_open: dict[int, int] = {}
    pool_uses: dict[int, dict[int, int]] = {}
    with connection.cursor() as cursor:
        cursor.execute(OFFERS, state_parameters(listing_level_ids))
        for row in cursor.fetchall():
            if row[0] == 0:
                found.append(row)
            elif row[0] == 2:
                own_open[row[1]] = row[2]
            else:
                add_use(pool_uses, row)
    return found, own_open, pool_uses


def _ways(found: Collection[Row]) -> list[_Way]:
    """Returns the way of each shelf; those of which the rules are the same share it."""
    channels = channels_by_id({shelf[2] for shelf in found})
    variant_ids = {shelf[4] for shelf in found if shelf[4] is not None}
    # Kits are looked at elsewhere, so that parts do not matter.
    book = load_book({channel.merchant_id for channel in channels.values()}, variant_ids, {})
    known: dict[int, _Way] = {}
    ways = []
    for shelf in found:
        rules = book.rules_for(channels[shelf[2]], shelf[4])
        way = known.get(id(rules))
        if way is None:
            way = known[id(rules)] = _way(rules, channels[shelf[2]])
        ways.append(way)
    return ways


def _way(rules: ResolvedRules, channel: ChannelFacts) -> _Way:
    platform = _Platform(*capabilities_of(channel.kind))
    needed = applied(rules, *platform)
    is_special = rules.preorder_limit > 0 and not channel.may_split
    return _Way(rules, needed, platform, channel.may_split, not needed, is_special)


def _walked(
    asking: Collection[tuple[Row, _Way]],
    own_open: Mapping[int, int],
    pool_uses: Mapping[int, Mapping[int, int]],
) -> Iterable[tuple[int, int]]:
    """Walks shelves through the stages that matter to them; gives ids and numbers."""
    rules = {shelf[1]: way.rules for shelf, way in asking}
    rows = [shelf for shelf, _ in asking]
    standings = read_standings(rules)
    lag_demands = read_lag_demands(rows, rules)
    coming = _inbound([(shelf, way) for shelf, way in asking if way.rules.preorder_limit])
    for (_, level_id, channel_id, _, variant_id, expected, raises, together, best, _), way in asking:
        stated = way.rules
        lag = 0
        if stated.velocity_quantile and (measured := lag_demands.get((channel_id, variant_id))):
            lag = measured[QUANTILES[stated.velocity_quantile]]
        inputs = Inputs(
            level_id,
            (),
            stated,
            way.platform.convention,
            own_open.get(level_id, 0),
            way.platform.largest,
            expected,
            pool_uses.get(variant_id, NO_USES),
            standings.get(level_id),
            lag,
            coming.get(level_id, 0),
            raises,
        )
        number = together if way.may_split else best
        for apply in way.applied:
            number = apply(number, inputs)
        yield level_id, number


def _inbound(asking: Collection[tuple[Row, _Way]]) -> dict[int, int]:
    """Returns the inbound that orders of these shelves could be promised, by listing level."""
    if not asking:
        return {}
    rows = [shelf for shelf, _ in asking]
    channels = channels_by_id({row[2] for row in rows})
    places = read_places({row[3] for row in rows})
    found = read_inbound(rows, {row[1]: way.rules for row, way in asking}, channels, places)
    return {row[1]: found.get((row[4], ids_of(places.get(row[3], ()))), 0) for row in rows if row[4]}
