"""The shops' own numbers against the ledger, by a sum of our own and not by the program's."""

from collections import Counter
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
