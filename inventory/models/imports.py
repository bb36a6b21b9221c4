"""What was imported from files, row by row, so that no row is applied twice."""

from django.db import models
from django.db.models import Q

from inventory.models.catalogue import Merchant
from inventory.models.stock import StockLevel, StockOperation


class ImportedRow(models.Model):
    """One row of a file that the ledger has taken in; written with its movement or not at all."""

    merchant = models.ForeignKey(Merchant, on_delete=models.PROTECT, related_name="+")
    #: The row's own key, unique within the merchant.
    key = models.CharField(max_length=200)
    #: SHA-256 of what the row says, hexadecimal; tells a repeat from a reused key.
    digest = models.CharField(max_length=64)
    kind = models.CharField(max_length=16)
    operation = models.ForeignKey(StockOperation, on_delete=models.PROTECT, related_name="+")
    level = models.ForeignKey(StockLevel, on_delete=models.PROTECT, related_name="+")
    document = models.CharField(max_length=200, blank=True)
    occurred_at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["merchant", "key"], name="row_is_imported_once"),
        ]
        indexes = [
            models.Index(fields=["level"], name="row_opening", condition=Q(kind="opening")),
        ]

    def __str__(self) -> str:
        return self.key
