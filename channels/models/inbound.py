"""What platforms sent, and how far we have read them."""

from django.db import models
from django.db.models import Q

from channels.models.channels import Channel
from channels.models.listings import ListingLevel


class DeliveryState(models.TextChoices):
    """What has become of a delivery."""

    RECEIVED = "received", "Received"
    PROCESSED = "processed", "Processed"
    #: Authentic, but of a kind that the connector does not know; kept and shown.
    UNKNOWN = "unknown", "Unknown event"
    #: Gave up after repeated failures; a person replays it.
    DEAD = "dead", "Dead letter"


class DeliveryPriority(models.IntegerChoices):
    """Who is processed first: every sale comes before news of shelves and products, however many there are."""

    ORDER = 0, "Order"
    NOTICE = 1, "Notice"


class WebhookDelivery(models.Model):
    """One authentic message of a platform, reduced to the fields we use, stored before it is answered."""

    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="deliveries")
    #: The platform's event id where it has a usable one, else a digest of what identifies the state.
    dedupe_key = models.CharField(max_length=200)
    topic = models.CharField(max_length=100)
    #: The reduced body: allow-listed fields only, no customer data.
    payload = models.JSONField(default=dict)
    state = models.CharField(max_length=12, choices=DeliveryState.choices, default=DeliveryState.RECEIVED)
    priority = models.PositiveSmallIntegerField(
        choices=DeliveryPriority.choices, default=DeliveryPriority.ORDER
    )
    received_at = models.DateTimeField()
    processed_at = models.DateTimeField(null=True, blank=True)
    #: How many times the same message came again.
    repeats = models.PositiveIntegerField(default=0)
    #: Times that it failed.
    attempts = models.PositiveSmallIntegerField(default=0)
    #: Times that it was taken since it last came to an end, good or bad: more than one, and whoever took it died.
    takes = models.PositiveSmallIntegerField(default=0, db_default=0)
    #: Before this instant nobody takes it: somebody else has, or it is tried again only then.
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    error = models.TextField(blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "webhook deliveries"
        constraints = [
            models.UniqueConstraint(fields=["channel", "dedupe_key"], name="delivery_is_stored_once"),
        ]
        indexes = [
            models.Index(fields=["priority", "id"], name="delivery_waiting", condition=Q(state="received")),
            models.Index(fields=["channel", "-received_at"], name="delivery_by_channel"),
            models.Index(
                fields=["channel", "id"],
                name="delivery_dead",
                condition=Q(state="dead"),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.topic} {self.dedupe_key}"


class PollFeed(models.Model):
    """How far one feed of a channel has been read, and when it is read next."""

    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="feeds")
    #: `orders` for now; connectors may declare more.
    name = models.CharField(max_length=32)
    #: Opaque to all but the connector.
    cursor = models.TextField(blank=True)
    next_poll_at = models.DateTimeField()
    leased_until = models.DateTimeField(null=True, blank=True)
    lease_token = models.UUIDField(null=True, blank=True)
    last_polled_at = models.DateTimeField(null=True, blank=True)
    #: When the last complete poll began: what happened before is imported.
    covered_until = models.DateTimeField(null=True, blank=True)
    #: Polls completed so far.
    polls = models.BigIntegerField(default=0)
    failures = models.PositiveIntegerField(default=0)
    last_error = models.TextField(blank=True)

    class Meta:
        ordering = ["channel_id", "name"]
        constraints = [
            models.UniqueConstraint(fields=["channel", "name"], name="feed_is_unique_per_channel"),
        ]
        indexes = [models.Index(fields=["next_poll_at"], name="feed_by_next_poll")]

    def __str__(self) -> str:
        return f"{self.channel_id} {self.name}"


class ObservationVerdict(models.TextChoices):
    """What an observation of a shelf turned out to be."""

    #: The number we sent or expect there.
    ECHO = "echo", "Echo of our own push"
    #: Waiting for a push in flight or an order not yet imported to explain it.
    OPEN = "open", "Not explained yet"
    #: Explained by what happened since.
    EXPLAINED = "explained", "Explained"
    #: Somebody else wrote this number.
    FOREIGN = "foreign", "Foreign edit"
    #: The channel is in shadow: whoever writes there does so rightly.
    SHADOW = "shadow", "Their own number"


class ShelfObservation(models.Model):
    """A number that a platform says it shows; compared with what it should show."""

    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="observations")
    listing_level = models.ForeignKey(ListingLevel, on_delete=models.CASCADE, related_name="observations")
    quantity = models.BigIntegerField()
    expected = models.BigIntegerField(null=True, blank=True)
    verdict = models.CharField(
        max_length=12,
        choices=ObservationVerdict.choices,
        default=ObservationVerdict.OPEN,
    )
    #: The platform's own time stamp.
    observed_at = models.DateTimeField()
    received_at = models.DateTimeField()
    judged_at = models.DateTimeField(null=True, blank=True)
    #: Nothing explains it, and reconciliation has yet to take it up.
    awaits_reconciliation = models.BooleanField(default=False, db_default=False)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["listing_level", "-id"], name="observation_by_level"),
            models.Index(
                fields=["id"],
                name="observation_not_taken_up",
                condition=Q(awaits_reconciliation=True),
            ),
            models.Index(
                fields=["received_at"],
                name="observation_open",
                condition=Q(verdict="open"),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.listing_level_id} shows {self.quantity}"
