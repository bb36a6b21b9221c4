"""The tables of the inventory app, by topic."""

from inventory.models.catalogue import Location, Merchant, Product, Variant
from inventory.models.conflicts import Conflict
from inventory.models.reservations import Reservation
from inventory.models.stock import StockLevel, StockMovement, StockOperation
from inventory.models.tags import Tag, VariantTag

__all__ = [
    "Conflict",
    "Location",
    "Merchant",
    "Product",
    "Reservation",
    "StockLevel",
    "StockMovement",
    "StockOperation",
    "Tag",
    "Variant",
    "VariantTag",
]
