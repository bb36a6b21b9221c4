"""How Shopify's levels move: available to committed at the order, committed away at the shipment."""

import time
from dataclasses import dataclass
from typing import Final

from channels.sandbox.book import Book, Item, Level, Place

#: Name, shown name, states it is part of, states it is made of (the sheet's formula for `on_hand`).
QUANTITY_NAMES: Final[tuple[tuple[str, str, tuple[str, ...], tuple[str, ...]], ...]] = (
    ("available", "Available", ("on_hand",), ()),
    ("committed", "Committed", ("on_hand",), ()),
    ("damaged", "Damaged", ("on_hand",), ()),
    ("incoming", "Incoming", (), ()),
    (
        "on_hand",
        "On hand",
        (),
        ("available", "committed", "damaged", "quality_control", "reserved", "safety_stock"),
    ),
    ("quality_control", "Quality control", ("on_hand",), ()),
    ("reserved", "Reserved", ("on_hand",), ()),
    ("safety_stock", "Safety stock", ("on_hand",), ()),
)
NAMES: Final = frozenset(name for name, *_ in QUANTITY_NAMES)
_OUTSIDE: Final = frozenset({"available", "committed", "on_hand", "incoming"})


@dataclass(frozen=True, slots=True)
class Shelf:
    """An item at a place: what Shopify calls an inventory level."""

    item: Item
    place: Place
    level: Level


def shelves_of_item(book: Book, item: Item, *, inactive: bool = False) -> list[Shelf]:
    """The levels of an item in the order of the places."""
    found = [
        Shelf(item, place, item.levels[code]) for code, place in book.places.items() if code in item.levels
    ]
    return [shelf for shelf in found if inactive or shelf.level.is_active]


def shelves_of_place(book: Book, place: Place, *, inactive: bool = False) -> list[Shelf]:
    """The levels at a place in the order of the items."""
    found = [
        Shelf(item, place, item.levels[place.code])
        for item in book.items_by_number.values()
        if place.code in item.levels
    ]
    return [shelf for shelf in found if inactive or shelf.level.is_active]


def quantity(level: Level, name: str) -> int:
    """Units of a level in one state."""
    if name == "available":
        return level.available
    if name == "committed":
        return level.committed
    if name == "on_hand":
        inside = sum(units for state, units in level.other.items() if state not in _OUTSIDE)
        return level.available + level.committed + inside
    return level.other.get(name, 0)


def set_quantity(shelf: Shelf, name: str, units: int) -> int:
    """Sets `available`, `on_hand` (which moves `available`) or another state; returns the change."""
    level = shelf.level
    delta = units - quantity(level, name)
    if name in ("available", "on_hand"):
        level.available += delta
    else:
        level.other[name] = units
    stamp(shelf.item, level)
    return delta


def stamp(item: Item, level: Level) -> None:
    """Notes that a level changed now."""
    level.updated_at = item.updated_at = time.time()
