"""More was sold or sent than there is."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from inventory.models.catalogue import Merchant, Variant
from inventory.models.stock import StockOperation


class ConflictCause(models.TextChoices):
    """How the shortage came about."""

    #: A sale that the stock could not cover.
    SHORTAGE = "shortage", "Sold more than there is"
    #: A reservation that a count, loss or damage took the goods from.
    BROKEN = "broken", "Reserved goods went missing"
    #: Inbound that was promised slipped, was cancelled or came short.
    INBOUND = "inbound", "Promised inbound will not come in time"
    #: What was held was given to a demand that is more urgent.
    GIVEN = "given", "Given to a more urgent demand"
    #: Goods left that the ledger did not know of.
    BEYOND_RECORD = "beyond_record", "Shipped beyond record"


class Conflict(models.Model):
    """Units that are owed but not there, or that left without being known."""

    merchant = models.ForeignKey(Merchant, on_delete=models.PROTECT, related_name="+")
    variant = models.ForeignKey(Variant, on_delete=models.PROTECT, related_name="conflicts")
    operation = models.ForeignKey(StockOperation, on_delete=models.PROTECT, related_name="conflicts")
    cause = models.CharField(max_length=16, choices=ConflictCause.choices)
    #: Whose demand is short, in the words of whoever asked; the same as the reservation's.
    reference = models.CharField(max_length=200)
    #: Locations that may serve it, in order of preference.
    location_ids = ArrayField(models.BigIntegerField())
    quantity = models.BigIntegerField()
    open_quantity = models.BigIntegerField()
    opened_at = models.DateTimeField()
    resolved_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["merchant", "reference", "variant", "cause"],
                condition=Q(open_quantity__gt=0),
                name="conflict_is_open_once",
            ),
            models.CheckConstraint(condition=Q(open_quantity__gte=0), name="conflict_open_is_not_negative"),
            models.CheckConstraint(
                condition=Q(quantity__gte=models.F("open_quantity")),
                name="conflict_open_is_at_most_quantity",
            ),
        ]
        indexes = [
            models.Index(
                fields=["variant", "opened_at", "id"],
                name="conflict_open",
                condition=Q(open_quantity__gt=0),
            ),
            models.Index(fields=["merchant", "reference"], name="conflict_by_reference"),
        ]

    def __str__(self) -> str:
        return f"{self.open_quantity} of {self.quantity} owed to {self.reference}"
