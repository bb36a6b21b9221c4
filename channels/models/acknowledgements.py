"""What platforms are told we deliver of orders that wait for our word."""

from django.db import models
from django.db.models import F, Q

from channels.models.channels import Channel
from channels.models.orders import ChannelOrder


class OrderAcknowledgement(models.Model):
    """Our word on one order. Due while `wanted > done`; said anew when the platform changes what it orders."""

    order = models.OneToOneField(ChannelOrder, on_delete=models.CASCADE, related_name="acknowledgement")
    channel = models.ForeignKey(Channel, on_delete=models.PROTECT, related_name="+", db_index=False)
    #: Counts what the platform has to hear our word on; `done` is the count it has heard it on.
    wanted = models.BigIntegerField(default=1)
    done = models.BigIntegerField(default=0)
    #: The count of the word that is on its way.
    sent = models.BigIntegerField(default=0)
    #: SHA-256 of what is ordered, as it was when it was asked last.
    about = models.CharField(max_length=64)
    #: What was said last: {line's external id: {accepted, backordered, rejected, reason}}, in units.
    lines = models.JSONField(default=dict)
    #: The platform's handle of the word that is on its way; empty where none is.
    tracking_id = models.CharField(max_length=200, blank=True)
    #: A person had it said now, whatever is short.
    is_hurried = models.BooleanField(default=False)
    #: What it waits for, in words.
    waits_for = models.TextField(blank=True)
    #: When the platform asked last.
    asked_at = models.DateTimeField()
    #: When it is to be looked at next.
    due_at = models.DateTimeField()
    lease_token = models.UUIDField(null=True, blank=True)
    leased_until = models.DateTimeField(null=True, blank=True)
    #: Refusals in a row.
    attempts = models.PositiveIntegerField(default=0)
    last_error = models.TextField(blank=True)
    #: When it was given up until a person replays it.
    dead_at = models.DateTimeField(null=True, blank=True)
    sent_at = models.DateTimeField(null=True, blank=True)
    #: When the platform said that it is in force.
    in_force_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(done__gte=0, wanted__gte=F("done")),
                name="acknowledgement_done_is_at_most_wanted",
            ),
            models.CheckConstraint(
                condition=Q(sent__gte=0, wanted__gte=F("sent")),
                name="acknowledgement_sent_is_at_most_wanted",
            ),
        ]
        indexes = [
            models.Index(
                fields=["channel", "due_at"],
                name="acknowledgement_due",
                condition=Q(wanted__gt=F("done"), dead_at__isnull=True),
            ),
        ]

    def __str__(self) -> str:
        return f"Our word on {self.order}"

    @property
    def is_due(self) -> bool:
        """Whether the platform has yet to hear our word."""
        return self.wanted > self.done

    @property
    def progress(self) -> str:
        """How far it is, in words."""
        if self.is_due:
            if self.dead_at is not None:
                return "given up"
            if self.tracking_id:
                return "on its way"
            return "waiting" if self.waits_for else "to be said"
        return "in force" if self.in_force_at else "settled elsewhere"
