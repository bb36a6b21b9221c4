"""What our locations are asked to ship: one request an order and location, and how far it is."""

import uuid
from typing import Final

from django.db import models
from django.db.models import F, Q

from channels.models.channels import Channel
from channels.models.orders import ChannelOrder, ChannelOrderLine
from inventory.models import Location, Variant


class RequestState(models.TextChoices):
    """How far a request is."""

    NEW = "new", "To be sent"
    SENT = "sent", "Sent"
    ACCEPTED = "accepted", "Accepted"
    PICKED = "picked", "Picked"
    SHIPPED = "shipped", "Shipped"
    REFUSED = "refused", "Refused"
    CANCELLED = "cancelled", "Cancelled"


#: States in which units may still be added, taken away or shipped.
OPEN_STATES: Final = (RequestState.NEW, RequestState.SENT, RequestState.ACCEPTED, RequestState.PICKED)
IS_OPEN: Final = Q(state__in=[state.value for state in OPEN_STATES])


class FulfilmentRequest(models.Model):
    """What one location is to ship for one order. Due to be told while `wanted > done`."""

    order = models.ForeignKey(ChannelOrder, on_delete=models.CASCADE, related_name="requests")
    location = models.ForeignKey(Location, on_delete=models.PROTECT, related_name="+")
    channel = models.ForeignKey(Channel, on_delete=models.PROTECT, related_name="+")
    #: 1 for the order's first request at this location; another one follows where the last is closed.
    number = models.PositiveSmallIntegerField(default=1)
    #: How the warehouse knows it; the same in every message about it.
    key = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    #: The warehouse's own name for it, where it gave one.
    external_id = models.CharField(max_length=200, blank=True)
    state = models.CharField(max_length=16, choices=RequestState.choices, default=RequestState.NEW)
    #: Why it was refused, in the warehouse's words.
    reason = models.TextField(blank=True)
    #: Units of all lines, those that left included; and those that left.
    units = models.BigIntegerField(default=0)
    shipped_units = models.BigIntegerField(default=0)
    #: Counts what the warehouse has to be told; `done` is the count it was told last.
    wanted = models.BigIntegerField(default=0)
    done = models.BigIntegerField(default=0)
    due_since = models.DateTimeField(null=True, blank=True)
    lease_token = models.UUIDField(null=True, blank=True)
    leased_until = models.DateTimeField(null=True, blank=True)
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    #: Failures in a row.
    attempts = models.PositiveIntegerField(default=0)
    last_error = models.TextField(blank=True)
    #: When it was given up until a person replays it.
    dead_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()
    #: When a message about it was first on its way: from then on the warehouse may know of it.
    asked_at = models.DateTimeField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["order", "location", "number"], name="request_number_is_unique_per_location"
            ),
            models.UniqueConstraint(
                fields=["order", "location"], condition=IS_OPEN, name="request_is_open_once_per_location"
            ),
            models.CheckConstraint(
                condition=Q(done__gte=0, wanted__gte=F("done")), name="request_done_is_at_most_wanted"
            ),
            models.CheckConstraint(
                condition=Q(shipped_units__gte=0, units__gte=F("shipped_units")),
                name="request_shipped_is_at_most_units",
            ),
            models.CheckConstraint(condition=Q(state__in=RequestState.values), name="request_state_is_known"),
        ]
        indexes = [
            models.Index(
                fields=["location", "due_since"],
                name="request_due",
                condition=Q(wanted__gt=F("done"), dead_at__isnull=True),
            ),
            models.Index(fields=["location", "created_at"], name="request_by_day"),
        ]

    def __str__(self) -> str:
        number = f" ({self.number})" if self.number > 1 else ""
        return f"{self.order} from {self.location}{number}"

    @property
    def is_open(self) -> bool:
        """Whether units may still be added, taken away or shipped."""
        return self.state in OPEN_STATES

    @property
    def is_due(self) -> bool:
        """Whether the warehouse has to be told something."""
        return self.wanted > self.done and self.dead_at is None


class FulfilmentLine(models.Model):
    """Units of one order line in a request."""

    request = models.ForeignKey(FulfilmentRequest, on_delete=models.CASCADE, related_name="lines")
    order_line = models.ForeignKey(ChannelOrderLine, on_delete=models.CASCADE, related_name="requested")
    variant = models.ForeignKey(Variant, on_delete=models.PROTECT, related_name="+")
    #: Units that the location is to ship under this request, those that left included; 0 once cancelled.
    quantity = models.BigIntegerField(default=0)
    #: Units that left, by the ledger.
    shipped = models.BigIntegerField(default=0)
    #: Units that the warehouse was last told; empty before the first time.
    told = models.BigIntegerField(null=True, blank=True)
    #: Units that the warehouse says it shipped.
    reported = models.BigIntegerField(default=0)

    class Meta:
        ordering = ["request_id", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["request", "order_line", "variant"], name="request_line_is_unique"
            ),
            models.CheckConstraint(
                condition=Q(shipped__gte=0, quantity__gte=F("shipped")),
                name="request_line_shipped_is_at_most_quantity",
            ),
            models.CheckConstraint(
                condition=Q(reported__gte=0), name="request_line_reported_is_not_negative"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} × {self.variant}"
