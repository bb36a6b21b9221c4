"""Shadow mode: a channel that is read and told nothing, and what it would have been told meanwhile."""

from django.db import models
from django.db.models import F, Q

from channels.models.channels import Channel
from channels.models.listings import ListingLevel


class ShadowOutcome(models.TextChoices):
    """How a shadow run ended."""

    LIVE = "live", "Went live"
    STOPPED = "stopped", "Stopped"


class ShadowRun(models.Model):
    """A span in which a channel is in shadow; what was seen in it stays after its end."""

    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="shadow_runs")
    #: A person allowed the one thing that may be written at the platform: where its webhooks are sent.
    may_subscribe = models.BooleanField(default=False)
    began_at = models.DateTimeField()
    began_by = models.CharField(max_length=200, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_by = models.CharField(max_length=200, blank=True)
    outcome = models.CharField(max_length=8, choices=ShadowOutcome.choices, blank=True)
    #: The newest observation of a shelf that was taken in.
    observed_id = models.BigIntegerField(default=0)
    #: The first push as a person last saw it, see `channels.shadow.going_live`.
    first_push = models.JSONField(null=True, blank=True)
    seen_at = models.DateTimeField(null=True, blank=True)
    seen_by = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["channel"],
                condition=Q(ended_at__isnull=True),
                name="one_shadow_run_is_open_per_channel",
            ),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True, outcome="") | (Q(ended_at__isnull=False) & ~Q(outcome="")),
                name="shadow_run_ends_with_an_outcome",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.channel_id} in shadow since {self.began_at:%Y-%m-%d %H:%M}"


class ShadowSpan(models.Model):
    """A span in which a shelf showed one number while we would have shown one; the open one is how it stands."""

    run = models.ForeignKey(ShadowRun, on_delete=models.CASCADE, related_name="spans")
    listing_level = models.ForeignKey(ListingLevel, on_delete=models.CASCADE, related_name="+")
    #: What we would have told; empty while not computed.
    would = models.BigIntegerField(null=True, blank=True)
    #: What the platform said that it shows; empty while not read, or where it tracks no number.
    shown = models.BigIntegerField(null=True, blank=True)
    began_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    #: When that happened for which `would` became another number with this span; empty where it did not.
    caused_at = models.DateTimeField(null=True, blank=True)
    #: When the platform last said what it shows.
    said_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["run", "listing_level"],
                condition=Q(ended_at__isnull=True),
                name="one_shadow_span_is_open_per_shelf",
            ),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True) | Q(ended_at__gte=F("began_at")),
                name="shadow_span_ends_after_it_begins",
            ),
        ]
        indexes = [
            models.Index(fields=["run", "listing_level", "began_at"], name="shadow_span_by_shelf"),
            models.Index(
                fields=["run", "said_at"], name="shadow_span_open", condition=Q(ended_at__isnull=True)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.listing_level_id} shows {self.shown}, would show {self.would}"
