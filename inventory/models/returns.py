"""Goods that customers send back, as documents."""

from django.db import models
from django.db.models import F, Q
from simple_history.models import HistoricalRecords

from inventory.models.catalogue import Location, Merchant, Variant
from inventory.models.stock import StockOperation


class ReturnState(models.TextChoices):
    """How far a return has come."""

    #: Goods are expected, and nothing waits for inspection.
    ANNOUNCED = "announced", "Announced"
    #: Goods are here that nobody has judged yet.
    RECEIVED = "received", "To be inspected"
    #: Nothing is expected and nothing waits.
    CLOSED = "closed", "Closed"


class CustomerReturn(models.Model):
    """What one customer sends back, known by its RMA number; operations on it lock this row before any level."""

    merchant = models.ForeignKey(Merchant, on_delete=models.PROTECT, related_name="+")
    #: RMA number or, for an order of a channel, the order's reference; unique within the merchant.
    reference = models.CharField(max_length=200)
    state = models.CharField(max_length=16, choices=ReturnState.choices, default=ReturnState.ANNOUNCED)
    created_at = models.DateTimeField(auto_now_add=True)
    #: From then on what has not come is not expected any more.
    given_up_at = models.DateTimeField(null=True, blank=True)
    #: Everything the ledger recorded of it.
    operations = models.ManyToManyField(StockOperation, related_name="+", blank=True)
    history = HistoricalRecords()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["merchant", "reference"], name="return_reference_is_unique_per_merchant"
            ),
            models.CheckConstraint(condition=~Q(reference=""), name="return_reference_is_not_empty"),
        ]
        indexes = [
            models.Index(fields=["merchant", "state"], name="return_open", condition=~Q(state="closed"))
        ]

    def __str__(self) -> str:
        return self.reference


class ReturnLine(models.Model):
    """One variant of a return at the place where it is expected or arrived; all in base units."""

    customer_return = models.ForeignKey(CustomerReturn, on_delete=models.CASCADE, related_name="lines")
    variant = models.ForeignKey(Variant, on_delete=models.PROTECT, related_name="+")
    location = models.ForeignKey(Location, on_delete=models.PROTECT, related_name="+")
    #: 0 for goods that came without having been announced.
    announced_quantity = models.BigIntegerField(default=0)
    received_quantity = models.BigIntegerField(default=0)
    #: Found fit for sale.
    released_quantity = models.BigIntegerField(default=0)
    written_off_quantity = models.BigIntegerField(default=0)
    #: Put back or scrapped without an inspection; known when the return is closed.
    elsewhere_quantity = models.BigIntegerField(default=0)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["customer_return", "variant", "location"],
                name="return_names_a_variant_once_per_place",
            ),
            models.CheckConstraint(
                condition=Q(
                    announced_quantity__gte=0,
                    received_quantity__gte=0,
                    released_quantity__gte=0,
                    written_off_quantity__gte=0,
                    elsewhere_quantity__gte=0,
                ),
                name="return_counts_are_not_negative",
            ),
            models.CheckConstraint(
                condition=Q(
                    received_quantity__gte=F("released_quantity")
                    + F("written_off_quantity")
                    + F("elsewhere_quantity")
                ),
                name="return_inspects_what_was_received",
            ),
        ]

    @property
    def to_inspect(self) -> int:
        """Units that arrived and were not judged yet."""
        judged = self.released_quantity + self.written_off_quantity + self.elsewhere_quantity
        return self.received_quantity - judged
