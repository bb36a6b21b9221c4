"""What the merchants' own systems are told: to whom, of what, and what became of it."""

import uuid

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.functions import RandomUUID
from django.db import models
from django.db.models import Q
from simple_history.models import HistoricalRecords

from channels.credentials import EncryptedJSONField
from inventory.models import Merchant


class WebhookSubscription(models.Model):
    """An address of a merchant's own that is told of some events."""

    merchant = models.ForeignKey(Merchant, on_delete=models.PROTECT, related_name="webhook_subscriptions")
    #: https address that messages are posted to.
    url = models.CharField("address", max_length=500)
    #: Whose it is, for people.
    description = models.CharField(max_length=200, blank=True)
    #: What it is told: names of events, `order.*` for all of a family, `*` for all.
    events = ArrayField(models.CharField(max_length=40), default=list)
    is_active = models.BooleanField(default=True)
    #: Why it is told nothing; empty while it is active.
    disabled_because = models.TextField(blank=True)
    disabled_at = models.DateTimeField(null=True, blank=True)
    #: It took nothing for a day, or said that it wants no more: nobody switched it off.
    gave_up = models.BooleanField(default=False)
    #: Encrypted: what messages are signed with, newest first; an older one signs along until its `valid_until`.
    secrets = EncryptedJSONField(default=list, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.CharField(max_length=200, blank=True)
    #: How often in a row it took nothing, since when, and until when it is left alone.
    failures = models.PositiveIntegerField(default=0)
    failing_since = models.DateTimeField(null=True, blank=True)
    paused_until = models.DateTimeField(null=True, blank=True)
    history = HistoricalRecords(excluded_fields=["secrets", "failures", "failing_since", "paused_until"])

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(condition=~Q(url=""), name="webhook_has_an_address"),
            models.CheckConstraint(condition=Q(events__len__gt=0), name="webhook_is_told_something"),
            models.CheckConstraint(
                condition=Q(is_active=True, disabled_at__isnull=True, gave_up=False)
                | Q(is_active=False, disabled_at__isnull=False),
                name="webhook_is_active_or_says_since_when_not",
            ),
            models.CheckConstraint(
                condition=Q(failures=0, failing_since__isnull=True, paused_until__isnull=True)
                | Q(failures__gt=0, failing_since__isnull=False),
                name="webhook_that_fails_says_since_when",
            ),
        ]
        indexes = [
            models.Index(fields=["merchant", "-id"], name="webhook_by_merchant"),
            models.Index(fields=["merchant"], name="webhook_active", condition=Q(is_active=True)),
        ]

    def __str__(self) -> str:
        return self.description or self.url


class WebhookEvent(models.Model):
    """Something that happened and that somebody wants to be told of; without a subscription there is none.

    Written in the transaction in which it happened, or from the feed of changes. Its messages are made afterwards, once.
    """

    merchant = models.ForeignKey(Merchant, on_delete=models.PROTECT, related_name="+")
    #: The same in every message and attempt, so that a receiver can tell a repeat.
    event_id = models.UUIDField(default=uuid.uuid4, db_default=RandomUUID(), unique=True, editable=False)
    type = models.CharField(max_length=40)
    #: What it is about, as in `order:42`.
    subject = models.CharField(max_length=80)
    #: Grows with every event about the same subject: the larger one tells the later state.
    version = models.BigIntegerField()
    #: What was noted of it when it happened.
    facts = models.JSONField(default=dict)
    #: What is told; empty until its messages are made.
    data = models.JSONField(null=True, blank=True)
    occurred_at = models.DateTimeField()
    #: When its messages were made.
    made_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(made_at__isnull=True) | Q(data__isnull=False), name="made_event_says_something"
            ),
        ]
        indexes = [
            models.Index(fields=["id"], name="webhook_event_unmade", condition=Q(made_at__isnull=True)),
            models.Index(fields=["merchant", "-id"], name="webhook_event_by_merchant"),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.subject}"


class WebhookMessage(models.Model):
    """One event for one subscription, sent until it has arrived or a day is over."""

    merchant = models.ForeignKey(Merchant, on_delete=models.PROTECT, related_name="+")
    event = models.ForeignKey(WebhookEvent, on_delete=models.CASCADE, related_name="messages")
    subscription = models.ForeignKey(
        WebhookSubscription, on_delete=models.CASCADE, related_name="messages", db_index=False
    )
    created_at = models.DateTimeField()
    #: From when on a day is counted; sent again by hand it begins anew.
    wanted_at = models.DateTimeField()
    attempts = models.PositiveIntegerField(default=0)
    #: Not before this instant; while it is sent, the end of its lease. Empty: it is over.
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    #: Whoever sends it; what it reports counts only under this token.
    lease_token = models.UUIDField(null=True, blank=True, editable=False)
    arrived_at = models.DateTimeField(null=True, blank=True)
    given_up_at = models.DateTimeField(null=True, blank=True)
    #: What the receiver answered last, 0 where it did not.
    status = models.PositiveSmallIntegerField(default=0)
    error = models.TextField(blank=True)
    #: The latest attempts: when, how long in milliseconds, status, and what went wrong.
    log = models.JSONField(default=list)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["subscription", "event"], name="webhook_message_is_made_once"),
            models.CheckConstraint(
                condition=Q(next_attempt_at__isnull=False, arrived_at__isnull=True, given_up_at__isnull=True)
                | Q(next_attempt_at__isnull=True, arrived_at__isnull=False, given_up_at__isnull=True)
                | Q(next_attempt_at__isnull=True, arrived_at__isnull=True, given_up_at__isnull=False),
                name="webhook_message_waits_arrived_or_was_given_up",
            ),
            models.CheckConstraint(
                condition=Q(lease_token__isnull=True) | Q(next_attempt_at__isnull=False),
                name="leased_webhook_message_waits",
            ),
        ]
        indexes = [
            models.Index(
                fields=["subscription", "next_attempt_at", "id"],
                name="webhook_message_due",
                condition=Q(next_attempt_at__isnull=False),
            ),
            models.Index(fields=["merchant", "-id"], name="webhook_message_by_merchant"),
            models.Index(fields=["subscription", "-id"], name="webhook_message_by_receiver"),
        ]

    def __str__(self) -> str:
        return f"{self.event_id} for {self.subscription_id}"

    @property
    def state(self) -> str:
        """Returns `arrived`, `given_up` or `waiting`."""
        if self.arrived_at is not None:
            return "arrived"
        return "waiting" if self.given_up_at is None else "given_up"


class WebhookCursor(models.Model):
    """How far a merchant's changes of stock have become events; there is one while somebody wants to hear of them."""

    merchant = models.OneToOneField(
        Merchant, on_delete=models.CASCADE, primary_key=True, related_name="webhook_cursor"
    )
    #: The position of the last change that was read.
    position = models.BigIntegerField()
    moved_at = models.DateTimeField()

    class Meta:
        ordering = ["merchant_id"]

    def __str__(self) -> str:
        return f"position {self.position}"
