"""Warehouses and ERPs that have the say over what lies at our locations: who they are, what they say, what they were asked."""

from django.db import models
from django.db.models import F, Q
from simple_history.models import HistoricalRecords

from channels.models.channels import Channel, ChannelLocation
from channels.models.fulfilment import FulfilmentRequest
from channels.models.listings import Listing
from inventory.models import Location


class Authority(models.Model):
    """Gives a channel the say over what lies at one of our locations: its free stock drives the ledger there."""

    location = models.OneToOneField(Location, on_delete=models.PROTECT, related_name="authority")
    #: The place, as the channel knows it, whose numbers count; of one place only one location of ours.
    place = models.OneToOneField(ChannelLocation, on_delete=models.PROTECT, related_name="authority")
    began_at = models.DateTimeField(auto_now_add=True)
    history = HistoricalRecords()

    class Meta:
        ordering = ["location__code"]
        verbose_name_plural = "authorities"

    def __str__(self) -> str:
        return f"{self.place} for {self.location}"


class StatedLevel(models.Model):
    """What a warehouse last said of goods at a location that it has the say over. Due to be read while `wanted > done`."""

    authority = models.ForeignKey(Authority, on_delete=models.CASCADE, related_name="stated")
    listing = models.ForeignKey(Listing, on_delete=models.CASCADE, related_name="+")
    #: Units that it could still promise; below 0 where it promised more than it has. Empty: it gave no number.
    free = models.BigIntegerField(null=True, blank=True)
    #: Units that lie there by its count, promised ones included.
    stock = models.BigIntegerField(null=True, blank=True)
    #: When it was asked, by our clock.
    stated_at = models.DateTimeField(null=True, blank=True)
    #: Why its number is not counted; empty where it is.
    remark = models.CharField(max_length=200, blank=True)
    wanted = models.BigIntegerField(default=1)
    done = models.BigIntegerField(default=0)
    #: Not read before then: something on its way has to settle first.
    next_read_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["authority_id", "id"]
        constraints = [
            models.UniqueConstraint(fields=["authority", "listing"], name="stated_level_is_unique"),
            models.CheckConstraint(
                condition=Q(done__gte=0, wanted__gte=F("done")), name="stated_done_is_at_most_wanted"
            ),
        ]
        indexes = [
            models.Index(fields=["authority", "id"], name="stated_due", condition=Q(wanted__gt=F("done"))),
            models.Index(fields=["authority", "stated_at"], name="stated_by_age"),
        ]

    def __str__(self) -> str:
        return f"{self.listing_id}: {self.free} free"


class WarehouseOrder(models.Model):
    """An order that a warehouse keeps for one of our requests. Due to be looked at while `wanted > done`."""

    channel = models.ForeignKey(Channel, on_delete=models.PROTECT, related_name="+")
    request = models.ForeignKey(FulfilmentRequest, on_delete=models.CASCADE, related_name="warehouse_orders")
    external_id = models.CharField(max_length=200)
    #: Our own name for it, by which it is found again.
    reference = models.CharField(max_length=100)
    #: Units by the warehouse's id of the goods: what it will ship and has shipped, and what left.
    goods = models.JSONField(default=dict)
    shipped = models.JSONField(default=dict)
    #: The warehouse's word for its state.
    status = models.CharField(max_length=50, blank=True)
    #: When it was binding for the warehouse; empty: it is a draft.
    placed_at = models.DateTimeField(null=True, blank=True)
    #: When it was done or cancelled.
    ended_at = models.DateTimeField(null=True, blank=True)
    wanted = models.BigIntegerField(default=0)
    done = models.BigIntegerField(default=0)
    looked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["channel", "external_id"], name="warehouse_order_is_unique_per_channel"
            ),
            models.CheckConstraint(
                condition=Q(done__gte=0, wanted__gte=F("done")), name="warehouse_order_done_is_at_most_wanted"
            ),
        ]
        indexes = [
            models.Index(
                fields=["channel", "looked_at"],
                name="warehouse_order_standing",
                condition=Q(ended_at__isnull=True),
            ),
        ]

    def __str__(self) -> str:
        return self.reference


class ArrivalKind(models.TextChoices):
    """What brought goods to a warehouse."""

    RECEIPT = "receipt", "Receipt"
    RETURN = "return", "Return"


class WarehouseArrival(models.Model):
    """Units of one line of a warehouse's receipt or return that the ledger knows of."""

    channel = models.ForeignKey(Channel, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=8, choices=ArrivalKind.choices)
    #: As the warehouse names its document, and its own id of the line.
    document = models.CharField(max_length=100)
    external_id = models.CharField(max_length=200)
    units = models.BigIntegerField()
    recorded_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["channel", "kind", "external_id"], name="warehouse_arrival_is_recorded_once"
            ),
            models.CheckConstraint(condition=Q(units__gte=0), name="arrived_units_are_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.document}: {self.units}"
