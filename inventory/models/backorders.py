"""Units, and whole kits, promised against goods that are still to come."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q

from inventory.models.bundles import Bundle
from inventory.models.catalogue import Location, Merchant, Variant
from inventory.models.purchasing import PurchaseOrderLine
from inventory.models.stock import StockOperation


class Promise(models.Model):
    """What was promised to one demand, and what has become of it; in units, or in kits."""

    merchant = models.ForeignKey(Merchant, on_delete=models.PROTECT, related_name="+")
    #: Whose demand it is, in the words of whoever asked; the same as the reservation's later.
    reference = models.CharField(max_length=200)
    #: Locations that may serve it, in order of preference.
    location_ids = ArrayField(models.BigIntegerField())
    quantity = models.BigIntegerField()
    #: Still waiting.
    open_quantity = models.BigIntegerField()
    #: Arrived, and reserved since.
    filled_quantity = models.BigIntegerField(default=0)
    #: No longer wanted, or shipped from elsewhere.
    cancelled_quantity = models.BigIntegerField(default=0)
    #: Those whose inbound slipped or fell away; they became a conflict.
    broken_quantity = models.BigIntegerField(default=0)
    #: The day for which the goods were confirmed when they were promised; of kits, the last of their parts.
    promised_on = models.DateField()
    #: Which rule, or who, allowed the promise.
    allowed_by = models.CharField(max_length=200)
    created_at = models.DateTimeField()

    class Meta:
        abstract = True
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(condition=Q(quantity__gt=0), name="%(class)s_is_positive"),
            models.CheckConstraint(
                condition=Q(
                    open_quantity__gte=0,
                    filled_quantity__gte=0,
                    cancelled_quantity__gte=0,
                    broken_quantity__gte=0,
                ),
                name="%(class)s_parts_are_not_negative",
            ),
            models.CheckConstraint(
                condition=Q(
                    quantity=F("open_quantity")
                    + F("filled_quantity")
                    + F("cancelled_quantity")
                    + F("broken_quantity")
                ),
                name="%(class)s_parts_sum_to_quantity",
            ),
            models.CheckConstraint(condition=~Q(allowed_by=""), name="%(class)s_is_allowed_by_somebody"),
        ]

    def __str__(self) -> str:
        return f"{self.open_quantity} of {self.quantity} promised to {self.reference}"


class KitBackorder(Promise):
    """Whole kits promised to one demand, of which a part is still to come; counted in kits, all at one place.

    What is there of its parts is reserved under its own name (`inventory.references.reference_of_kits`), the rest is promised
    by `Backorder` rows that name it. Changed only under the locks of the levels of all its parts.
    """

    operation = models.ForeignKey(StockOperation, on_delete=models.PROTECT, related_name="kit_backorders")
    #: The kit.
    variant = models.ForeignKey(Variant, on_delete=models.PROTECT, related_name="kit_backorders")
    #: What it was made of when it was promised.
    bundle = models.ForeignKey(Bundle, on_delete=models.PROTECT, related_name="+", db_index=False)
    #: Where its parts are held, and arrive.
    location = models.ForeignKey(Location, on_delete=models.PROTECT, related_name="+", db_index=False)

    class Meta(Promise.Meta):
        indexes = [
            models.Index(fields=["merchant", "reference"], name="kit_backorder_by_reference"),
        ]


class Backorder(Promise):
    """Units promised to one demand from one line of a purchase order; never part of `reserved`, and no conflict.

    Changed only under the lock of its line.
    """

    operation = models.ForeignKey(StockOperation, on_delete=models.PROTECT, related_name="backorders")
    line = models.ForeignKey(PurchaseOrderLine, on_delete=models.PROTECT, related_name="backorders")
    variant = models.ForeignKey(Variant, on_delete=models.PROTECT, related_name="backorders")
    #: The kits that the units are a part of, where kits are promised.
    kit = models.ForeignKey(
        KitBackorder, on_delete=models.PROTECT, null=True, blank=True, related_name="parts", db_index=False
    )

    class Meta(Promise.Meta):
        indexes = [
            models.Index(fields=["merchant", "reference"], name="backorder_by_reference"),
            models.Index(fields=["variant", "id"], name="backorder_open", condition=Q(open_quantity__gt=0)),
            models.Index(
                fields=["line", "id"], name="backorder_open_by_line", condition=Q(open_quantity__gt=0)
            ),
            models.Index(
                fields=["promised_on"], name="backorder_open_by_day", condition=Q(open_quantity__gt=0)
            ),
            models.Index(fields=["kit"], name="backorder_by_kit", condition=Q(kit__isnull=False)),
        ]
