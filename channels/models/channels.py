"""An account at a platform, the places it knows, and what its calls may spend."""

import secrets

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Q
from simple_history.models import HistoricalRecords

from channels.credentials import EncryptedJSONField
from inventory.models import Location, Merchant
from inventory.routing import STRATEGIES

#: The longest way to a customer that makes sense to enter.
MOST_DELIVERY_DAYS = 365


def make_public_id() -> str:
    """Returns an unguessable id for webhook addresses: 32 URL-safe characters, 192 bits."""
    return secrets.token_urlsafe(24)


def routing_choices() -> list[tuple[str, str]]:
    """Returns the names and labels of all routing strategies."""
    return [(name, strategy.label) for name, strategy in STRATEGIES.items()]


class Channel(models.Model):
    """One account at one platform."""

    merchant = models.ForeignKey(Merchant, on_delete=models.PROTECT, related_name="channels")
    name = models.CharField(max_length=200)
    #: The connector that speaks for this account; a retired kind stays readable.
    kind = models.CharField(max_length=32)
    #: Stands in the webhook address; unguessable, never shown in logs.
    public_id = models.CharField(max_length=64, unique=True, default=make_public_id, editable=False)
    #: Checked by the connector's `Settings`.
    settings = models.JSONField(default=dict, blank=True)
    #: Encrypted; written through forms, never shown again, never in the history.
    credentials = EncryptedJSONField(default=dict, blank=True)
    #: The day on which the first of them ends, as the person who made them at the platform knows; empty: not known to end.
    credentials_expire_on = models.DateField(null=True, blank=True)
    #: A channel that is not active neither receives, polls nor pushes.
    is_active = models.BooleanField(default=True)
    #: A paused channel still receives orders; it is told nothing until resumed.
    is_paused = models.BooleanField(default=False)
    #: A paused channel that is only watched: its transport refuses every write (`channels.writing`).
    in_shadow = models.BooleanField(default=False, db_default=False, editable=False)
    #: Units withheld from this channel, of each listing.
    buffer_units = models.PositiveIntegerField(default=0)
    #: Percent of each listing's units withheld, rounded up to whole units.
    buffer_percent = models.PositiveSmallIntegerField(default=0)
    #: Below this many units the channel shows none.
    minimum_exposure = models.PositiveIntegerField(default=0)
    #: Never shows more than this many units.
    maximum_exposure = models.PositiveIntegerField(null=True, blank=True)
    #: How locations are chosen for its orders; a name of `inventory.routing.STRATEGIES`.
    routing = models.CharField(
        max_length=32, choices=routing_choices, default="priority", db_default="priority"
    )
    #: Whether one order may leave from several locations.
    may_split = models.BooleanField(default=True, db_default=True)
    #: Days from goods in stock to goods at the customer, from the shortest to the longest; both or neither.
    delivery_days_from = models.PositiveSmallIntegerField(null=True, blank=True)
    delivery_days_to = models.PositiveSmallIntegerField(null=True, blank=True)
    #: Overrides the connector's own poll cadence.
    poll_interval = models.DurationField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    history = HistoricalRecords(excluded_fields=["credentials"])

    class Meta:
        ordering = ["name", "id"]
        constraints = [
            models.UniqueConstraint(fields=["merchant", "name"], name="channel_name_is_unique_per_merchant"),
            models.CheckConstraint(
                condition=Q(in_shadow=False) | Q(is_paused=True), name="channel_in_shadow_is_paused"
            ),
            models.CheckConstraint(
                condition=Q(buffer_percent__lte=100),
                name="buffer_percent_is_at_most_100",
            ),
            models.CheckConstraint(
                condition=Q(maximum_exposure__isnull=True) | Q(maximum_exposure__gte=F("minimum_exposure")),
                name="minimum_exposure_is_at_most_maximum",
            ),
            models.CheckConstraint(
                condition=Q(delivery_days_from__isnull=True, delivery_days_to__isnull=True)
                | Q(
                    delivery_days_from__isnull=False,
                    delivery_days_to__isnull=False,
                    delivery_days_from__lte=F("delivery_days_to"),
                ),
                name="delivery_days_are_a_span",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Refuses delivery days that are no span."""
        shortest, longest = self.delivery_days_from, self.delivery_days_to
        if (shortest is None) != (longest is None):
            missing = "delivery_days_from" if shortest is None else "delivery_days_to"
            raise ValidationError({missing: "Enter both days, or neither."})
        if shortest is None or longest is None:
            return
        if longest > MOST_DELIVERY_DAYS:
            raise ValidationError({"delivery_days_to": f"At most {MOST_DELIVERY_DAYS} days."})
        if shortest > longest:
            raise ValidationError({"delivery_days_to": f"Must be at least the shortest, {shortest}."})


class ChannelHealth(models.Model):
    """What a channel's last contacts showed; written often, so it stands apart from what people edit."""

    channel = models.OneToOneField(Channel, on_delete=models.CASCADE, primary_key=True, related_name="health")
    last_webhook_at = models.DateTimeField(null=True, blank=True)
    last_poll_at = models.DateTimeField(null=True, blank=True)
    last_push_at = models.DateTimeField(null=True, blank=True)
    last_success_at = models.DateTimeField(null=True, blank=True)
    last_error_at = models.DateTimeField(null=True, blank=True)
    last_error = models.TextField(blank=True)
    #: Failures of the whole channel in a row; success sets it to 0.
    consecutive_failures = models.PositiveIntegerField(default=0)
    #: While in the future the breaker is open and nothing goes out; once it is past, one call at a time.
    breaker_open_until = models.DateTimeField(null=True, blank=True)
    breaker_reason = models.TextField(blank=True)
    #: What the last subscription audit found wrong; empty when all is well.
    subscription_problems = models.JSONField(default=list, blank=True)
    subscriptions_audited_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"health of {self.channel_id}"


class ChannelLocation(models.Model):
    """A place as the platform knows it, mapped to one or more of ours."""

    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="locations")
    #: The platform's id of the place; empty where the platform has no places.
    external_id = models.CharField(max_length=200, blank=True)
    name = models.CharField(max_length=200, blank=True)
    #: Our locations behind it, in the order in which they are drawn on.
    locations = models.ManyToManyField(
        Location, through="ChannelLocationSource", related_name="channel_locations"
    )
    is_active = models.BooleanField(default=True)

    class Meta:
        ordering = ["channel_id", "external_id"]
        constraints = [
            models.UniqueConstraint(
                fields=["channel", "external_id"],
                name="channel_location_is_unique_per_channel",
            ),
        ]

    def __str__(self) -> str:
        return self.name or self.external_id or f"{self.channel}"


class ChannelLocationSource(models.Model):
    """One of our locations behind a channel location: it may serve the channel there, if it is active.

    What the channel is told and what its orders are taken from obey this rule alike.
    """

    channel_location = models.ForeignKey(ChannelLocation, on_delete=models.CASCADE, related_name="sources")
    location = models.ForeignKey(Location, on_delete=models.PROTECT, related_name="+")
    #: Lower is drawn on first.
    priority = models.PositiveSmallIntegerField(default=0)
    #: Off: neither offered nor drawn on for this channel, until it is switched on again.
    is_active = models.BooleanField(default=True, db_default=True)

    class Meta:
        ordering = ["priority", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["channel_location", "location"],
                name="channel_location_source_is_unique",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.channel_location} ← {self.location}"


class AccessToken(models.Model):
    """A platform's short-lived token, shared by all processes; refreshed under this row's lock."""

    channel = models.OneToOneField(
        Channel, on_delete=models.CASCADE, primary_key=True, related_name="access_token"
    )
    token = EncryptedJSONField(default=dict)
    expires_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"access token of {self.channel_id}"


class RateBucket(models.Model):
    """A token bucket that every process spends from; the platform's answers correct it."""

    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="buckets")
    #: Which of the platform's limits this is, e.g. `graphql`, `orders-list`.
    name = models.CharField(max_length=64)
    #: Largest number of tokens it holds.
    capacity = models.FloatField()
    #: Tokens that come back each second.
    refill_per_second = models.FloatField()
    tokens = models.FloatField()
    updated_at = models.DateTimeField()
    #: The platform said to stay away until then.
    blocked_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["channel_id", "name"]
        constraints = [
            models.UniqueConstraint(fields=["channel", "name"], name="bucket_name_is_unique_per_channel"),
        ]

    def __str__(self) -> str:
        return f"{self.channel_id} {self.name}"
