"""Units of measure: how quantities are entered and shown. The ledger itself counts base units only."""

from django.db import models
from django.db.models import Q
from simple_history.models import HistoricalRecords


class UnitOfMeasure(models.Model):
    """A unit in which people speak of a variant, as a whole number of what the ledger counts: 1 kg is 1,000 g."""

    merchant = models.ForeignKey("inventory.Merchant", on_delete=models.PROTECT, related_name="units")
    #: As it is written behind a number: `kg`.
    code = models.CharField(max_length=16)
    name = models.CharField(max_length=64, blank=True)
    #: What the ledger counts, written behind a number: `g`.
    base_code = models.CharField("base unit", max_length=16)
    #: Base units in one of this unit.
    base_units = models.PositiveBigIntegerField(default=1)
    history = HistoricalRecords()

    class Meta:
        ordering = ["code"]
        verbose_name = "unit of measure"
        verbose_name_plural = "units of measure"
        constraints = [
            models.UniqueConstraint(fields=["merchant", "code"], name="unit_code_is_unique_per_merchant"),
            models.CheckConstraint(condition=Q(base_units__gt=0), name="unit_has_base_units"),
            models.CheckConstraint(condition=~Q(code="") & ~Q(base_code=""), name="unit_has_codes"),
        ]

    def __str__(self) -> str:
        return self.code
