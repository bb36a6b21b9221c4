"""Orders as the platforms state them, and how much of each has been applied to the ledger."""

from typing import Final

from django.db import models
from django.db.models import F, Q
from django.db.models.lookups import IsNull

from channels.models.channels import Channel, ChannelLocation
from inventory.models import Variant

#: Before an order's id: what is sent back of it.
ORDER_REFERENCE: Final = "order:"


class ChannelOrder(models.Model):
    """The newest known state of one order; applying a state locks this row."""

    channel = models.ForeignKey(Channel, on_delete=models.PROTECT, related_name="orders")
    external_id = models.CharField(max_length=200)
    #: As the merchant sees it, e.g. `#1001`.
    number = models.CharField(max_length=100, blank=True)
    #: Total order of states: version or time stamp, returned, fulfilled, cancelled, ordered, digest.
    state_key = models.JSONField(default=list)
    #: SHA-256 of the state, hexadecimal.
    state_digest = models.CharField(max_length=64, blank=True)
    ordered_at = models.DateTimeField(null=True, blank=True)
    #: The platform's time stamp of the kept state.
    updated_at = models.DateTimeField(null=True, blank=True)
    country = models.CharField(max_length=2, blank=True)
    currency = models.CharField(max_length=3, blank=True)
    is_test = models.BooleanField(default=False)
    #: Deleted at the platform: its open units are cancelled and no later state revives it.
    is_deleted = models.BooleanField(default=False)
    #: The platform did not show it when asked, which is not its word that it is deleted: a later state brings it back.
    may_return = models.BooleanField(default=False, db_default=False)
    #: Hints received; a fetch copies it to `fetched`. Due means `fetch_wanted > fetched`.
    fetch_wanted = models.BigIntegerField(default=0)
    fetched = models.BigIntegerField(default=0)
    next_fetch_at = models.DateTimeField(null=True, blank=True)
    fetch_error = models.TextField(blank=True)
    #: When the first message or poll answer with this order arrived.
    arrived_at = models.DateTimeField()
    #: What it was last routed for, as a digest: goods ordered, places and country.
    routed_for = models.CharField(max_length=64, blank=True, db_default="")
    #: When its first state was applied to the ledger.
    applied_at = models.DateTimeField(null=True, blank=True)
    #: `wanted` of every other channel's listing level that its first application marked: {level id: wanted}.
    marks = models.JSONField(default=dict)
    #: When the last of those marks was confirmed; empty while any is open.
    propagated_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["channel", "external_id"], name="order_is_unique_per_channel"),
        ]
        indexes = [
            models.Index(
                "channel",
                IsNull(F("applied_at"), False),
                "next_fetch_at",
                name="order_fetch_is_due",
                condition=Q(fetch_wanted__gt=F("fetched")),
            ),
            models.Index(
                fields=["id"],
                name="order_not_propagated",
                condition=Q(applied_at__isnull=False, propagated_at__isnull=True),
            ),
            models.Index(fields=["channel", "-arrived_at"], name="order_by_arrival"),
        ]

    def __str__(self) -> str:
        return self.number or self.external_id

    @property
    def reference(self) -> str:
        """The name under which the inventory knows what is sent back of it."""
        return f"{ORDER_REFERENCE}{self.pk}"


#: How the ledger names the demand of a line.
LINE_REFERENCE: Final = "order-line:"

#: Units that the ledger knows nothing of, for want of a variant or a place.
WAITS = Q(applied_demand=0, applied_fulfilled=0) & (Q(quantity__gt=F("cancelled")) | Q(fulfilled__gt=0))


class ChannelOrderLine(models.Model):
    """One line: what the platform says of it, and what of that the ledger already knows. All in units."""

    order = models.ForeignKey(ChannelOrder, on_delete=models.CASCADE, related_name="lines")
    external_id = models.CharField(max_length=200)
    #: The platform's id of what was sold, as in `Listing.external_id`.
    listing_external_id = models.CharField(max_length=200, blank=True)
    sku = models.CharField("SKU", max_length=200, blank=True)
    title = models.CharField(max_length=300, blank=True)
    #: Empty while the SKU is unknown; the line applies itself once mapped.
    variant = models.ForeignKey(Variant, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    #: Where the platform says it is taken from; empty when it does not say.
    channel_location = models.ForeignKey(
        ChannelLocation,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
    )
    unit_price = models.DecimalField(max_digits=18, decimal_places=4, null=True, blank=True)
    quantity = models.BigIntegerField(default=0)
    cancelled = models.BigIntegerField(default=0)
    fulfilled = models.BigIntegerField(default=0)
    #: Fulfilled units whose return has been announced.
    returned = models.BigIntegerField(default=0)
    #: Cancelled or returned units that the shop put back on its own number.
    restocked = models.BigIntegerField(default=0)
    #: The platform's id of the place that takes returned units back; empty when it does not say.
    returned_to_external_id = models.CharField(max_length=200, blank=True, db_default="")
    #: Units demanded of the ledger so far: reserved, owed or shipped.
    applied_demand = models.BigIntegerField(default=0)
    applied_fulfilled = models.BigIntegerField(default=0)
    #: Whether the order's kept state still names it; one that it names no more counts as cancelled.
    is_named = models.BooleanField(default=True, db_default=True)
    #: A person chose from where it is served; routing leaves it there.
    is_sourced_by_hand = models.BooleanField(default=False, db_default=False)

    class Meta:
        ordering = ["order_id", "id"]
        constraints = [
            models.UniqueConstraint(fields=["order", "external_id"], name="line_is_unique_per_order"),
        ]
        indexes = [
            models.Index(fields=["order"], name="line_waiting", condition=WAITS),
            models.Index(
                fields=["variant"],
                name="line_open",
                condition=Q(applied_demand__gt=F("applied_fulfilled")),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} × {self.sku}"

    @property
    def demand(self) -> int:
        """Units that the ledger should hold, owe or have shipped for this line."""
        return max(self.quantity - self.cancelled, self.fulfilled)

    @property
    def reference(self) -> str:
        """The name under which the ledger knows this line's demand."""
        return f"{LINE_REFERENCE}{self.pk}"

    @staticmethod
    def id_of(reference: str) -> int | None:
        """Returns the line's id of a reference, None for one that names no order line."""
        key = reference.removeprefix(LINE_REFERENCE)
        is_ours = key != reference and key.isdecimal() and len(key) < 19
        return int(key) if is_ours else None
