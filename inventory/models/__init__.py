"""The tables of the inventory app, by topic."""

from inventory.models.access import ApiAnswer, ApiKey, ApiKeyUse
from inventory.models.backorders import Backorder, KitBackorder
from inventory.models.bundles import Bundle, BundleComponent, BundleKind, BundlePart
from inventory.models.catalogue import Location, Merchant, Product, Variant
from inventory.models.changes import CatalogueNote, Change, ChangeKind, FeedMark
from inventory.models.checkpoints import (
    CheckpointLevel,
    CheckpointReservation,
    SafetyStockChange,
    StockCheckpoint,
)
from inventory.models.conflicts import Conflict
from inventory.models.counts import CountSheet, CountSheetLine
from inventory.models.import_jobs import ImportJob
from inventory.models.imports import ImportedRow
from inventory.models.purchasing import InboundEvent, PurchaseOrder, PurchaseOrderLine, Supplier
from inventory.models.reservations import Reservation
from inventory.models.returns import CustomerReturn, ReturnLine
from inventory.models.stock import StockLevel, StockMovement, StockOperation
from inventory.models.tags import Tag, VariantTag
from inventory.models.transfers import Transfer, TransferLine
from inventory.models.units import UnitOfMeasure

__all__ = [
    "ApiAnswer",
    "ApiKey",
    "ApiKeyUse",
    "Backorder",
    "Bundle",
    "BundleComponent",
    "BundleKind",
    "BundlePart",
    "CatalogueNote",
    "Change",
    "ChangeKind",
    "CheckpointLevel",
    "CheckpointReservation",
    "Conflict",
    "CountSheet",
    "CountSheetLine",
    "CustomerReturn",
    "FeedMark",
    "ImportJob",
    "ImportedRow",
    "InboundEvent",
    "KitBackorder",
    "Location",
    "Merchant",
    "Product",
    "PurchaseOrder",
    "PurchaseOrderLine",
    "Reservation",
    "ReturnLine",
    "SafetyStockChange",
    "StockCheckpoint",
    "StockLevel",
    "StockMovement",
    "StockOperation",
    "Supplier",
    "Tag",
    "Transfer",
    "TransferLine",
    "UnitOfMeasure",
    "Variant",
    "VariantTag",
]
