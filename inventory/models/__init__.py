"""The tables of the inventory app, by topic."""

from inventory.models.bundles import Bundle, BundleComponent, BundleKind, BundlePart
from inventory.models.catalogue import Location, Merchant, Product, Variant
from inventory.models.conflicts import Conflict
from inventory.models.reservations import Reservation
from inventory.models.stock import StockLevel, StockMovement, StockOperation
from inventory.models.units import UnitOfMeasure

__all__ = [
    "Bundle",
    "BundleComponent",
    "BundleKind",
    "BundlePart",
    "Conflict",
    "Location",
    "Merchant",
    "Product",
    "Reservation",
    "StockLevel",
    "StockMovement",
    "StockOperation",
    "UnitOfMeasure",
    "Variant",
]
