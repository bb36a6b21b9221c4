"""The tables of the inventory app, by topic."""

from inventory.models.catalogue import Location, Merchant, Product, Variant
from inventory.models.checkpoints import (
    CheckpointLevel,
    CheckpointReservation,
    SafetyStockChange,
    StockCheckpoint,
)
from inventory.models.conflicts import Conflict
from inventory.models.reservations import Reservation
from inventory.models.stock import StockLevel, StockMovement, StockOperation
from inventory.models.tags import Tag, VariantTag

__all__ = [
    "CheckpointLevel",
    "CheckpointReservation",
    "Conflict",
    "Location",
    "Merchant",
    "Product",
    "Reservation",
    "SafetyStockChange",
    "StockCheckpoint",
    "StockLevel",
    "StockMovement",
    "StockOperation",
    "Tag",
    "Variant",
    "VariantTag",
]
