"""Stocktakes, as sheets of what is to be counted at one place."""

from django.db import models
from django.db.models import Q
from simple_history.models import HistoricalRecords

from inventory.models.catalogue import Location, Merchant, Variant
from inventory.models.stock import StockOperation


class CountSheetState(models.TextChoices):
    """How far a count has come."""

    OPEN = "open", "Being counted"
    APPROVED = "approved", "Approved"
    CANCELLED = "cancelled", "Cancelled"


class CountSheet(models.Model):
    """What is counted at one place; entering and approving lock this row before any level."""

    merchant = models.ForeignKey(Merchant, on_delete=models.PROTECT, related_name="+")
    location = models.ForeignKey(Location, on_delete=models.PROTECT, related_name="count_sheets")
    #: Made when the form was opened, so that sending it twice prints one sheet.
    key = models.UUIDField()
    title = models.CharField(max_length=200, blank=True)
    state = models.CharField(max_length=16, choices=CountSheetState.choices, default=CountSheetState.OPEN)
    #: Whoever counts is not shown what the ledger expects.
    is_blind = models.BooleanField(default=False)
    printed_at = models.DateTimeField()
    approved_at = models.DateTimeField(null=True, blank=True)
    #: The one operation that recorded the sheet.
    operation = models.OneToOneField(
        StockOperation, on_delete=models.PROTECT, null=True, blank=True, related_name="count_sheet"
    )
    history = HistoricalRecords()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["merchant", "key"], name="count_sheet_is_printed_once"),
            models.CheckConstraint(
                condition=Q(state="approved", operation__isnull=False)
                | ~Q(state="approved") & Q(operation__isnull=True),
                name="count_sheet_is_approved_by_one_operation",
            ),
        ]

    def __str__(self) -> str:
        return self.number

    @property
    def number(self) -> str:
        """Its name in the ledger and to people."""
        return f"CS-{self.pk}"


class CountSheetLine(models.Model):
    """One variant of a sheet: what was expected, what lay there when it was counted, and what was counted."""

    sheet = models.ForeignKey(CountSheet, on_delete=models.CASCADE, related_name="lines")
    variant = models.ForeignKey(Variant, on_delete=models.PROTECT, related_name="+")
    #: On hand when the sheet was printed.
    expected_quantity = models.BigIntegerField()
    counted_quantity = models.BigIntegerField(null=True, blank=True)
    counted_at = models.DateTimeField(null=True, blank=True)
    counted_by = models.CharField(max_length=200, blank=True)
    #: The form that entered it, so that sending it twice counts once.
    entry_key = models.UUIDField(null=True, blank=True)
    #: On hand by the ledger when it was counted, and the version of the level then.
    level_quantity = models.BigIntegerField(null=True, blank=True)
    level_version = models.BigIntegerField(null=True, blank=True)
    #: What the count before this one had found.
    previous_quantity = models.BigIntegerField(null=True, blank=True)
    is_recount_wanted = models.BooleanField(default=False)
    #: Counted less what the ledger had when it was counted.
    variance = models.GeneratedField(
        expression=models.F("counted_quantity") - models.F("level_quantity"),
        output_field=models.BigIntegerField(null=True),
        db_persist=True,
    )

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["sheet", "variant"], name="count_sheet_names_a_variant_once"),
            models.CheckConstraint(
                condition=Q(counted_quantity__isnull=True) | Q(counted_quantity__gte=0),
                name="counted_is_not_negative",
            ),
            models.CheckConstraint(
                condition=Q(
                    counted_quantity__isnull=True,
                    counted_at__isnull=True,
                    level_quantity__isnull=True,
                    level_version__isnull=True,
                )
                | Q(
                    counted_quantity__isnull=False,
                    counted_at__isnull=False,
                    level_quantity__isnull=False,
                    level_version__isnull=False,
                ),
                name="counted_knows_its_moment",
            ),
        ]
