"""What variants are made of, as a graph: kits taken apart into what lies on the shelf, and circles found.

Pure: it knows nothing of the database. Only kits are taken apart; a composite lies on the shelf itself.
"""

from collections import Counter
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import Final

from inventory.errors import InvalidStockRequest

#: Components of one bundle, and parts when kits within it are taken apart.
MOST_PARTS: Final = 200
#: Kits within kits within kits.
MOST_LEVELS: Final = 20
#: Base units of one component in one bundle: far above any recipe, and few enough that stock times it stays a number.
LARGEST_AMOUNT: Final = 10**9

#: Component → base units of it in one bundle.
Components = MutableMapping[int, int]


@dataclass(frozen=True, slots=True)
class Recipe:
    """What one variant is made of, as people entered it."""

    is_kit: bool
    components: Components


def circle_through(variant_id: int, recipes: Mapping[int, Recipe]) -> list[int]:
    """Returns the variants of a circle that leads from a variant back to itself, or nothing."""
    came_from: dict[int, int] = {}
    waiting = [variant_id]
    while waiting:
        current = waiting.pop()
        for component in recipes[current].components if current in recipes else ():
            if component == variant_id:
                return [*_way_to(current, came_from, variant_id), variant_id]
            if component not in came_from:
                came_from[component] = current
                waiting.append(component)
    return []


def _way_to(variant_id: int, came_from: Mapping[int, int], start: int) -> list[int]:
    way = [variant_id]
    while way[-1] != start:
        way.append(came_from[way[-1]])
    return way[::-1]


def parts_of(variant_id: int, recipes: Mapping[int, Recipe]) -> dict[int, int]:
    """Returns what one unit of a bundle takes from stock: its components, kits within them taken apart.

    Raises `InvalidStockRequest` where that becomes too much to count. There must be no circle.
    """
    return _parts_of(variant_id, recipes, {}, MOST_LEVELS)


def _parts_of(
    variant_id: int, recipes: Mapping[int, Recipe], known: dict[int, dict[int, int]], levels: int
) -> dict[int, int]:
    """Takes a bundle apart once, however often it is in another one."""
    if variant_id in known:
        return known[variant_id]
    if not levels:
        raise InvalidStockRequest("components", f"at most {MOST_LEVELS} kits within each other.")
    parts: Counter[int] = Counter()
    for component, units in recipes[variant_id].components.items():
        recipe = recipes.get(component)
        is_kit = recipe is not None and recipe.is_kit
        inner = _parts_of(component, recipes, known, levels - 1) if is_kit else {component: 1}
        for part, per_component in inner.items():
            parts[part] += units * per_component
    if len(parts) > MOST_PARTS or max(parts.values()) > LARGEST_AMOUNT:
        message = f"at most {MOST_PARTS} parts and {LARGEST_AMOUNT:,} of each, kits within taken apart."
        raise InvalidStockRequest("components", message)
    known[variant_id] = dict(parts)
    return known[variant_id]


def bundles_with(variant_id: int, recipes: Mapping[int, Recipe]) -> list[int]:
    """Returns the bundles that contain a variant, directly or by way of kits, the nearest first."""
    found: list[int] = []
    wanted = [variant_id]
    while wanted:
        current = wanted.pop(0)
        for bundle, recipe in recipes.items():
            if current in recipe.components and bundle not in found:
                found.append(bundle)
                if recipe.is_kit:
                    wanted.append(bundle)
    return found
