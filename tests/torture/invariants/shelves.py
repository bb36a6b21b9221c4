"""The shops' own numbers against the ledger, by a sum of our own and not by the program's."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from tests.torture.goods import KIT_PARTS, POOL_UNITS, POOLED
from tests.torture.invariants.evidence import Evidence, rows
from tests.torture.verdict import Violation, violated
from tests.torture.world import World

_AVAILABLE: Final = """
SELECT v.sku, place.code, s.on_hand - s.reserved - s.unavailable
FROM inventory_stocklevel s
JOIN inventory_variant v ON v.id = s.variant_id JOIN inventory_location place ON place.id = s.location_id
WHERE s.merchant_id = %s
"""

_DEAD: Final = """
SELECT channel.name, listing.sku, level.last_error FROM channels_listinglevel level
JOIN channels_listing listing ON listing.id = level.listing_id
JOIN channels_channel channel ON channel.id = level.channel_id
WHERE level.dead_at IS NOT NULL
"""

#: What others than the first shop were told of what is ring-fenced for it.
_TOLD: Final = """
SELECT channel.name, push.quantity, push.computed_at FROM channels_push push
JOIN channels_listinglevel level ON level.id = push.listing_level_id
JOIN channels_listing listing ON listing.id = level.listing_id
JOIN inventory_variant variant ON variant.id = listing.variant_id
JOIN channels_channel channel ON channel.id = push.channel_id
WHERE variant.merchant_id = %s AND variant.sku = %s AND push.channel_id <> %s AND push.quantity > 0
"""

_MOVED: Final = """
SELECT m.level_id, m.recorded_at, m.on_hand_after - m.reserved_after - m.unavailable_after
FROM inventory_stockmovement m
JOIN inventory_stocklevel s ON s.id = m.level_id JOIN inventory_variant v ON v.id = s.variant_id
WHERE s.merchant_id = %s AND v.sku = %s ORDER BY m.level_id, m.version
"""
#: A number is computed at one instant and stamped at another, which is a moment earlier or later.
_BLUR: Final = timedelta(seconds=2)

Available = dict[str, Counter[str]]


def available(world: World) -> Available:
    """Returns what may be promised, by SKU and place; of kits, how many can be made at a place."""
    units: Available = {}
    for sku, place, free in rows(_AVAILABLE, [world.merchant.pk]):
        units.setdefault(sku, Counter())[place] = free
    for kit, parts in KIT_PARTS.items():
        places = {place for part in parts for place in units.get(part, ())}
        units[kit] = Counter(
            {place: min(units[part][place] // each for part, each in parts.items()) for place in places}
        )
    return units


def differing(world: World) -> list[str]:
    """Returns the shelves on which something else is sold than is available, apart from what a pool keeps back."""
    there = available(world)
    found = []
    for shop in world.shops:
        for sku, numbers in shop.client.shelves()["numbers"].items():
            if sku == POOLED:
                continue
            for code, shown in numbers.items():
                wanted = there[sku][code] if code else sum(there[sku].values())
                if shown != max(wanted, 0):
                    found.append(
                        f"{shop.name} sells {shown} of {sku}{code and ' at '}{code}, there are {wanted}"
                    )
    return found


def shops_show_the_ledger(evidence: Evidence) -> list[Violation]:
    """Compares every shelf."""
    dead = [f"given up: {channel} {sku}: {error}"[:300] for channel, sku, error in rows(_DEAD)]
    found = violated(
        "shops-show-the-ledger", "{count} shelves show another number", differing(evidence.world)
    )
    return found + violated("shops-show-the-ledger", "{count} shelves were given up", dead)


def shops_agree_in_time(evidence: Evidence) -> list[Violation]:
    """Looks how long it took after the last fault until every shop showed the ledger."""
    took, within = evidence.convergence_seconds, evidence.within
    if took is None:
        left = str(dict(evidence.left) or "nothing was on its way")
        return violated("shops-agree-in-time", "the shops never came to show the ledger", [left])
    late = [f"after {took:.1f} s"] if took > within else []
    return violated(
        "shops-agree-in-time", f"they came to agree later than {within:.0f} s after the last fault", late
    )


def pools_were_exclusive(evidence: Evidence) -> list[Violation]:
    """Compares every number of the pooled variant that others were ever told with what there was, and was left of the pool.

    What the first shop has sold of it only ever rises, cancellations aside; so what was left at the end was left all the time.
    """
    world = evidence.world
    first, merchant = world.channels[0].pk, world.merchant.pk
    ordered = sum(
        line["quantity"]
        for order in evidence.books[0]["orders"]
        for line in order["lines"]
        if line["sku"] == POOLED
    )
    left = max(POOL_UNITS - ordered, 0)
    moved = rows(_MOVED, [merchant, POOLED])
    cases = [
        f"{name} was told {told} at {at:%H:%M:%S}; {free} were there, {left} of them ring-fenced"
        for name, told, at in rows(_TOLD, [merchant, POOLED, first])
        if told > max((free := _most_free(moved, at)) - left, 0)
    ]
    return violated("pools-are-exclusive", "{count} times a shop was offered what is ring-fenced", cases)


def _most_free(moved: Sequence[tuple[int, datetime, int]], at: datetime) -> int:
    """Returns the most units that were available about an instant, over all places."""
    most: dict[int, int] = {}
    for level, recorded_at, free in moved:
        if recorded_at <= at - _BLUR:
            most[level] = free
        elif recorded_at <= at + _BLUR:
            most[level] = max(most.get(level, 0), free)
    return sum(most.values())


def pools_are_exclusive(evidence: Evidence) -> list[Violation]:
    """Compares what others sell with what the pool leaves them, by what the first shop has sold of it."""
    world = evidence.world
    free = sum(available(world).get(POOLED, Counter()).values())
    left = max(POOL_UNITS - _sold(evidence.books[0]), 0)
    cases = []
    for shop in world.shops[1:]:
        shown = sum(shop.client.shelves()["numbers"][POOLED].values())
        if shown > max(free - left, 0):
            cases.append(f"{shop.name} sells {shown}; {free} are there, {left} of them ring-fenced")
    return violated("pools-are-exclusive", "{count} shops sell what is ring-fenced", cases)


def _sold(book: dict[str, Any]) -> int:
    return sum(
        max(line["quantity"] - line["cancelled"], line["fulfilled"])
        for order in book["orders"]
        for line in order["lines"]
        if line["sku"] == POOLED
    )
