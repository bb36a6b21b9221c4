"""What is bought: suppliers, purchase orders, their lines, and what became of them."""

from typing import Any

from django.db import models
from django.db.models import F, Q
from simple_history.models import HistoricalRecords

from inventory.models.catalogue import Location, Merchant, Variant
from inventory.models.stock import AppendOnlyQuerySet, StockOperation


class Supplier(models.Model):
    """Whom the merchant buys from."""

    merchant = models.ForeignKey(Merchant, on_delete=models.PROTECT, related_name="suppliers")
    code = models.CharField(max_length=64)
    name = models.CharField(max_length=200)
    email = models.EmailField("e-mail", blank=True)
    #: Days from order to arrival as a rule; proposes when an order is expected.
    lead_time_days = models.PositiveSmallIntegerField("lead time in days", default=14)
    is_active = models.BooleanField(default=True)
    history = HistoricalRecords()

    class Meta:
        ordering = ["code"]
        constraints = [
            models.UniqueConstraint(fields=["merchant", "code"], name="supplier_code_is_unique_per_merchant"),
            models.CheckConstraint(condition=~Q(code=""), name="supplier_code_is_not_empty"),
        ]

    def __str__(self) -> str:
        return self.code


class PurchaseOrderState(models.TextChoices):
    """How far an order is; after `DRAFT` it follows from its lines."""

    #: Being written; nobody counts on it.
    DRAFT = "draft", "Draft"
    #: Sent to the supplier, who has not confirmed all of it.
    ORDERED = "ordered", "Ordered"
    #: Everything still to come is confirmed.
    CONFIRMED = "confirmed", "Confirmed"
    #: Some of it has arrived, more is to come.
    PARTIAL = "partial", "Partly received"
    #: Nothing more is to come, and something came.
    RECEIVED = "received", "Received"
    CANCELLED = "cancelled", "Cancelled"


class PurchaseOrder(models.Model):
    """Goods ordered from one supplier for one location."""

    merchant = models.ForeignKey(Merchant, on_delete=models.PROTECT, related_name="purchase_orders")
    supplier = models.ForeignKey(Supplier, on_delete=models.PROTECT, related_name="orders")
    #: As it stands on the paper; unique within the merchant.
    number = models.CharField(max_length=100)
    #: Where the goods are delivered; fixed once the order is placed.
    location = models.ForeignKey(Location, on_delete=models.PROTECT, related_name="purchase_orders")
    state = models.CharField(
        max_length=16, choices=PurchaseOrderState.choices, default=PurchaseOrderState.DRAFT
    )
    ordered_on = models.DateField(null=True, blank=True)
    note = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    history = HistoricalRecords()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["merchant", "number"], name="purchase_order_number_is_unique_per_merchant"
            ),
            models.CheckConstraint(condition=~Q(number=""), name="purchase_order_number_is_not_empty"),
        ]

    def __str__(self) -> str:
        return self.number

    @property
    def is_draft(self) -> bool:
        """Whether its lines may still be edited."""
        return self.state == PurchaseOrderState.DRAFT


class PurchaseOrderLine(models.Model):
    """Units of one variant on an order. Once placed, changed only by `inventory.purchasing` and `inventory.backorders`.

    Units are ordered, then each is received or cancelled; of those still to come, some are confirmed for a date, and of
    the confirmed ones, some are promised to backorders.
    """

    merchant = models.ForeignKey(Merchant, on_delete=models.PROTECT, related_name="+")
    order = models.ForeignKey(PurchaseOrder, on_delete=models.CASCADE, related_name="lines")
    variant = models.ForeignKey(Variant, on_delete=models.PROTECT, related_name="inbound_lines")
    #: Where the goods will be; empty until the order is placed.
    location = models.ForeignKey(Location, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    #: Units ordered, in the variant's base unit.
    quantity = models.BigIntegerField()
    #: When the merchant hopes for them. Nothing is promised by it.
    expected_on = models.DateField(null=True, blank=True)
    #: Units still to come that the supplier confirmed for `confirmed_on`.
    confirmed_quantity = models.BigIntegerField(default=0)
    confirmed_on = models.DateField(null=True, blank=True)
    #: Units received; more than ordered after an over-delivery.
    received_quantity = models.BigIntegerField(default=0)
    #: Units that will not come any more.
    cancelled_quantity = models.BigIntegerField(default=0)
    #: Confirmed units promised to open backorders.
    promised_quantity = models.BigIntegerField(default=0)
    history = HistoricalRecords()

    class Meta:
        ordering = ["order_id", "id"]
        constraints = [
            models.CheckConstraint(condition=Q(quantity__gt=0), name="ordered_quantity_is_positive"),
            models.CheckConstraint(
                condition=Q(received_quantity__gte=0, promised_quantity__gte=0, confirmed_quantity__gte=0),
                name="order_line_parts_are_not_negative",
            ),
            models.CheckConstraint(
                condition=Q(cancelled_quantity__gte=0, cancelled_quantity__lte=F("quantity")),
                name="no_more_is_cancelled_than_ordered",
            ),
            models.CheckConstraint(
                condition=Q(confirmed_quantity=0)
                | Q(
                    confirmed_on__isnull=False,
                    location__isnull=False,
                    confirmed_quantity__lte=F("quantity") - F("received_quantity") - F("cancelled_quantity"),
                ),
                name="confirmed_units_have_a_date_and_are_to_come",
            ),
            models.CheckConstraint(
                condition=Q(promised_quantity__lte=F("confirmed_quantity")),
                name="no_more_is_promised_than_confirmed",
            ),
        ]
        indexes = [
            models.Index(
                fields=["variant", "confirmed_on"],
                name="inbound_confirmed",
                condition=Q(confirmed_quantity__gt=0),
            ),
            models.Index(
                fields=["variant", "id"],
                name="inbound_open",
                condition=Q(quantity__gt=F("received_quantity") + F("cancelled_quantity")),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} × {self.variant}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Saves the line under its order's merchant."""
        self.merchant_id = self.order.merchant_id
        super().save(*args, **kwargs)

    @property
    def outstanding(self) -> int:
        """Units still to come."""
        return max(self.quantity - self.received_quantity - self.cancelled_quantity, 0)

    @property
    def over_delivered(self) -> int:
        """Units that came beyond what was ordered and not cancelled."""
        return max(self.received_quantity + self.cancelled_quantity - self.quantity, 0)

    @property
    def promisable(self) -> int:
        """Confirmed units that are promised to nobody."""
        return self.confirmed_quantity - self.promised_quantity


class InboundEventKind(models.TextChoices):
    """What happened to a line of an order."""

    CONFIRMATION = "confirmation", "Confirmed"
    RECEIPT = "receipt", "Received"
    CANCELLATION = "cancellation", "Cancelled"
    EXPECTATION = "expectation", "Expected anew"


class InboundEvent(models.Model):
    """One thing that happened to a placed line: confirmed, received, cancelled. Never changed."""

    merchant = models.ForeignKey(Merchant, on_delete=models.PROTECT, related_name="+")
    operation = models.ForeignKey(StockOperation, on_delete=models.PROTECT, related_name="inbound_events")
    line = models.ForeignKey(PurchaseOrderLine, on_delete=models.PROTECT, related_name="events")
    kind = models.CharField(max_length=16, choices=InboundEventKind.choices)
    #: Units received or cancelled by it; for a confirmation, all units that are confirmed from then on.
    quantity = models.BigIntegerField()
    #: The date that was confirmed or is expected.
    date = models.DateField(null=True, blank=True)
    recorded_at = models.DateTimeField()
    objects = AppendOnlyQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(condition=Q(quantity__gte=0), name="inbound_event_is_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.quantity}"
