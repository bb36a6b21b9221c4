"""Units promised against goods that are still to come."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q

from inventory.models.catalogue import Merchant, Variant
from inventory.models.purchasing import PurchaseOrderLine
from inventory.models.stock import StockOperation


class Backorder(models.Model):
    """Units promised to one demand from one line of a purchase order; never part of `reserved`, and no conflict.

    Changed only under the lock of its line.
    """

    merchant = models.ForeignKey(Merchant, on_delete=models.PROTECT, related_name="+")
    operation = models.ForeignKey(StockOperation, on_delete=models.PROTECT, related_name="backorders")
    line = models.ForeignKey(PurchaseOrderLine, on_delete=models.PROTECT, related_name="backorders")
    variant = models.ForeignKey(Variant, on_delete=models.PROTECT, related_name="backorders")
    #: Whose demand it is, in the words of whoever asked; the same as the reservation's later.
    reference = models.CharField(max_length=200)
    #: Locations that may serve it, in order of preference.
    location_ids = ArrayField(models.BigIntegerField())
    quantity = models.BigIntegerField()
    #: Units still waiting: part of the line's `promised_quantity`.
    open_quantity = models.BigIntegerField()
    #: Units that arrived and are reserved since.
    filled_quantity = models.BigIntegerField(default=0)
    #: Units no longer wanted, or shipped from elsewhere.
    cancelled_quantity = models.BigIntegerField(default=0)
    #: Units whose inbound slipped or fell away; they became a conflict.
    broken_quantity = models.BigIntegerField(default=0)
    #: The day for which the goods were confirmed when they were promised.
    promised_on = models.DateField()
    #: Which rule, or who, allowed the promise.
    allowed_by = models.CharField(max_length=200)
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(condition=Q(quantity__gt=0), name="backorder_is_positive"),
            models.CheckConstraint(
                condition=Q(
                    open_quantity__gte=0,
                    filled_quantity__gte=0,
                    cancelled_quantity__gte=0,
                    broken_quantity__gte=0,
                ),
                name="backorder_parts_are_not_negative",
            ),
            models.CheckConstraint(
                condition=Q(
                    quantity=F("open_quantity")
                    + F("filled_quantity")
                    + F("cancelled_quantity")
                    + F("broken_quantity")
                ),
                name="backorder_parts_sum_to_quantity",
            ),
            models.CheckConstraint(condition=~Q(allowed_by=""), name="backorder_is_allowed_by_somebody"),
        ]
        indexes = [
            models.Index(fields=["merchant", "reference"], name="backorder_by_reference"),
            models.Index(fields=["variant", "id"], name="backorder_open", condition=Q(open_quantity__gt=0)),
            models.Index(
                fields=["line", "id"], name="backorder_open_by_line", condition=Q(open_quantity__gt=0)
            ),
            models.Index(
                fields=["promised_on"], name="backorder_open_by_day", condition=Q(open_quantity__gt=0)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.open_quantity} of {self.quantity} promised to {self.reference}"
