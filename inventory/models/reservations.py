"""Units held for somebody."""

from django.db import models
from django.db.models import F, Q

from inventory.models.bundles import Bundle
from inventory.models.catalogue import Merchant, Variant
from inventory.models.stock import StockLevel, StockOperation


class Reservation(models.Model):
    """Units of one level held for one demand; changed only under that level's lock."""

    merchant = models.ForeignKey(Merchant, on_delete=models.PROTECT, related_name="+")
    operation = models.ForeignKey(StockOperation, on_delete=models.PROTECT, related_name="reservations")
    level = models.ForeignKey(StockLevel, on_delete=models.PROTECT, related_name="reservations")
    variant = models.ForeignKey(Variant, on_delete=models.PROTECT, related_name="+")
    #: Whose demand this is, in the words of whoever asked: `order-line:42`, `cart:…`.
    reference = models.CharField(max_length=200)
    quantity = models.BigIntegerField()
    #: Units still held: part of the level's `reserved`.
    open_quantity = models.BigIntegerField()
    fulfilled_quantity = models.BigIntegerField(default=0)
    released_quantity = models.BigIntegerField(default=0)
    #: From then on the units do not count as held; empty once confirmed.
    expires_at = models.DateTimeField(null=True, blank=True)
    confirmed_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()
    #: Of units that are held as part of kits: the version that the kits are made by.
    bundle = models.ForeignKey(
        Bundle, on_delete=models.PROTECT, null=True, blank=True, related_name="reservations", db_index=False
    )
    #: Units of this reservation in one kit.
    per_bundle = models.BigIntegerField(null=True, blank=True)
    #: The first of the reservations that hold the same kits, one for each part, all at one location.
    lead = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False
    )

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(condition=Q(quantity__gt=0), name="reservation_is_positive"),
            models.CheckConstraint(
                condition=Q(
                    open_quantity__gte=0,
                    fulfilled_quantity__gte=0,
                    released_quantity__gte=0,
                ),
                name="reservation_parts_are_not_negative",
            ),
            models.CheckConstraint(
                condition=Q(quantity=F("open_quantity") + F("fulfilled_quantity") + F("released_quantity")),
                name="reservation_parts_sum_to_quantity",
            ),
            models.CheckConstraint(
                condition=Q(bundle__isnull=True, per_bundle__isnull=True, lead__isnull=True)
                | Q(bundle__isnull=False, per_bundle__isnull=False, per_bundle__gt=0, lead__isnull=False),
                name="reservation_is_part_of_kits_or_not",
            ),
            models.CheckConstraint(
                condition=Q(per_bundle__isnull=True)
                | Q(
                    open_quantity=F("open_quantity") / F("per_bundle") * F("per_bundle"),
                    fulfilled_quantity=F("fulfilled_quantity") / F("per_bundle") * F("per_bundle"),
                    released_quantity=F("released_quantity") / F("per_bundle") * F("per_bundle"),
                ),
                name="reservation_is_of_whole_kits",
            ),
        ]
        indexes = [
            models.Index(fields=["merchant", "reference"], name="reservation_by_reference"),
            models.Index(
                fields=["level", "id"],
                name="reservation_open",
                condition=Q(open_quantity__gt=0),
            ),
            models.Index(
                fields=["level", "expires_at"],
                name="reservation_expiring",
                condition=Q(open_quantity__gt=0, expires_at__isnull=False),
            ),
            models.Index(fields=["lead"], name="reservation_of_kits", condition=Q(lead__isnull=False)),
            models.Index(
                fields=["bundle"],
                name="reservation_open_by_bundle",
                condition=Q(open_quantity__gt=0, bundle__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.open_quantity} of {self.quantity} for {self.reference}"
