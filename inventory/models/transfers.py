"""Goods that move from one place of the merchant to another, as documents."""

from django.db import models
from django.db.models import F, Q
from simple_history.models import HistoricalRecords

from inventory.models.catalogue import Location, Merchant, Variant
from inventory.models.stock import StockOperation


class TransferState(models.TextChoices):
    """How far a transfer has come."""

    DRAFT = "draft", "Draft"
    #: Goods are on the way, some of them perhaps received.
    SENT = "sent", "On the way"
    CLOSED = "closed", "Closed"
    CANCELLED = "cancelled", "Cancelled"


class Transfer(models.Model):
    """One consignment between two places; operations on it lock this row before any level."""

    merchant = models.ForeignKey(Merchant, on_delete=models.PROTECT, related_name="+")
    source = models.ForeignKey(Location, on_delete=models.PROTECT, related_name="transfers_out")
    destination = models.ForeignKey(Location, on_delete=models.PROTECT, related_name="transfers_in")
    state = models.CharField(max_length=16, choices=TransferState.choices, default=TransferState.DRAFT)
    #: Made when the form was opened, so that sending it twice makes one transfer.
    key = models.UUIDField()
    #: What a colleague would look for: consignment note, tracking number.
    reference = models.CharField(max_length=200, blank=True)
    expected_on = models.DateField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    sent_at = models.DateTimeField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)
    #: Everything the ledger recorded of it.
    operations = models.ManyToManyField(StockOperation, related_name="+", blank=True)
    history = HistoricalRecords()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["merchant", "key"], name="transfer_is_made_once"),
            models.CheckConstraint(
                condition=~Q(source=F("destination")), name="transfer_leads_to_another_place"
            ),
        ]
        indexes = [
            models.Index(
                fields=["merchant", "destination"],
                name="transfer_on_the_way",
                condition=Q(state="sent"),
            ),
        ]

    def __str__(self) -> str:
        return self.number

    @property
    def number(self) -> str:
        """Its name in the ledger and to people."""
        return f"TR-{self.pk}"


class TransferLine(models.Model):
    """One variant of a transfer, with what became of its units; all in base units."""

    transfer = models.ForeignKey(Transfer, on_delete=models.CASCADE, related_name="lines")
    variant = models.ForeignKey(Variant, on_delete=models.PROTECT, related_name="+")
    #: Planned; 0 for goods that arrived without having been sent.
    quantity = models.BigIntegerField()
    sent_quantity = models.BigIntegerField(default=0)
    #: Arrived of what was sent.
    received_quantity = models.BigIntegerField(default=0)
    #: Sent and given up.
    missing_quantity = models.BigIntegerField(default=0)
    #: Sent and taken back to where they came from.
    recalled_quantity = models.BigIntegerField(default=0)
    #: Arrived beyond what was sent.
    surplus_quantity = models.BigIntegerField(default=0)
    #: Of those on the way: units that could not be sold where they left, and cannot when they are taken back.
    unavailable_quantity = models.BigIntegerField(default=0)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["transfer", "variant"], name="transfer_names_a_variant_once"),
            models.CheckConstraint(
                condition=Q(
                    quantity__gte=0,
                    sent_quantity__gte=0,
                    received_quantity__gte=0,
                    missing_quantity__gte=0,
                    recalled_quantity__gte=0,
                    surplus_quantity__gte=0,
                ),
                name="transfer_counts_are_not_negative",
            ),
            models.CheckConstraint(
                condition=Q(
                    sent_quantity__gte=F("received_quantity") + F("missing_quantity") + F("recalled_quantity")
                ),
                name="transfer_in_transit_is_not_negative",
            ),
            models.CheckConstraint(
                condition=Q(
                    unavailable_quantity__gte=0,
                    sent_quantity__gte=F("received_quantity")
                    + F("missing_quantity")
                    + F("recalled_quantity")
                    + F("unavailable_quantity"),
                ),
                name="transfer_unavailable_is_in_transit",
            ),
        ]

    @property
    def in_transit(self) -> int:
        """Units on the way."""
        return self.sent_quantity - self.received_quantity - self.missing_quantity - self.recalled_quantity
