"""What each channel was told, when, and what it answered."""

from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import Q

from channels.models.channels import Channel
from channels.models.listings import ListingLevel


class PushOutcome(models.TextChoices):
    """How one push of one listing level ended."""

    CONFIRMED = "confirmed", "Confirmed"
    #: The shop already shows the right number; nothing was sent.
    UNCHANGED = "unchanged", "Needed no change"
    #: Accepted, not live yet; followed until the platform confirms.
    ACCEPTED = "accepted", "Accepted"
    #: Compare-and-set found another number than expected.
    STALE = "stale", "Shop had changed"
    REJECTED = "rejected", "Rejected"
    #: Time ran out; it may or may not have arrived.
    UNKNOWN = "unknown", "Unknown"
    #: The call failed before it could have an effect.
    FAILED = "failed", "Failed"


class Push(models.Model):
    """One attempt to tell one channel one number; the push log of a listing."""

    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="pushes")
    listing_level = models.ForeignKey(ListingLevel, on_delete=models.CASCADE, related_name="pushes")
    #: Idempotency key of the call; rows of one batch share it.
    call_id = models.UUIDField(null=True)
    #: The copy of `wanted` that its lease took: every change up to it is in `target`.
    wanted = models.BigIntegerField()
    #: What the exposure came to.
    target = models.BigIntegerField()
    #: What was sent: the target, netted of sales not yet imported.
    quantity = models.BigIntegerField(null=True)
    compared_with = models.BigIntegerField(null=True)
    outcome = models.CharField(max_length=12, choices=PushOutcome.choices)
    #: The steps from on hand to the target, as shown under "Why this number?".
    waterfall = models.JSONField(default=list)
    #: The platform's handle of an asynchronous change.
    tracking_id = models.CharField(max_length=200, blank=True)
    error = models.TextField(blank=True)
    #: When the number was computed; nothing committed before is missing from it.
    computed_at = models.DateTimeField()
    finished_at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "pushes"
        indexes = [
            models.Index(fields=["listing_level", "-id"], name="push_by_level"),
            models.Index(fields=["channel", "-id"], name="push_by_channel"),
            models.Index(fields=["listing_level", "-finished_at"], name="push_by_level_and_end"),
            BrinIndex(fields=["computed_at"], name="push_by_time"),
            models.Index(fields=["channel", "id"], name="push_accepted", condition=Q(outcome="accepted")),
        ]

    def __str__(self) -> str:
        return f"{self.outcome} {self.quantity}"
