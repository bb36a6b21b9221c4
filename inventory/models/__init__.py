"""The tables of the inventory app, by topic."""

from inventory.models.backorders import Backorder
from inventory.models.catalogue import Location, Merchant, Product, Variant
from inventory.models.conflicts import Conflict
from inventory.models.purchasing import InboundEvent, PurchaseOrder, PurchaseOrderLine, Supplier
from inventory.models.reservations import Reservation
from inventory.models.stock import StockLevel, StockMovement, StockOperation

__all__ = [
    "Backorder",
    "Conflict",
    "InboundEvent",
    "Location",
    "Merchant",
    "Product",
    "PurchaseOrder",
    "PurchaseOrderLine",
    "Reservation",
    "StockLevel",
    "StockMovement",
    "StockOperation",
    "Supplier",
    "Variant",
]
