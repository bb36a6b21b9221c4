"""What somebody has to know of, whom it is told, and what became of telling them."""

import uuid

from django.db import models
from django.db.models import F, Q
from simple_history.models import HistoricalRecords

from channels.credentials import EncryptedJSONField
from channels.models import Channel
from inventory.models import Merchant


class Severity(models.IntegerChoices):
    """How bad it is."""

    WARNING = 1, "Warning"
    #: Stock or sales suffer now.
    CRITICAL = 2, "Critical"
    #: The truth of the ledger itself is in doubt.
    EMERGENCY = 3, "Emergency"


#: Alerts that are not over.
IS_OPEN = Q(resolved_at__isnull=True)


class Alert(models.Model):
    """One thing that is wrong, from the moment it was noticed until it is over. Open once for each thing."""

    #: Whose it is; empty where it concerns the installation.
    merchant = models.ForeignKey(
        Merchant, on_delete=models.CASCADE, null=True, blank=True, related_name="alerts"
    )
    channel = models.ForeignKey(
        Channel, on_delete=models.CASCADE, null=True, blank=True, related_name="alerts"
    )
    #: What kind of thing is wrong: small letters and underscores.
    kind = models.CharField(max_length=40)
    #: Which of several things of the kind, such as a limit's name; empty where there is one a channel.
    subject = models.CharField(max_length=200, blank=True)
    severity = models.PositiveSmallIntegerField(choices=Severity.choices)
    title = models.CharField(max_length=300)
    detail = models.TextField(blank=True)
    remedy = models.TextField(blank=True)
    #: Address of the page that shows more, within this site.
    link = models.CharField(max_length=500, blank=True)
    evidence = models.JSONField(default=dict, blank=True)
    opened_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    #: How often it was noticed.
    occurrences = models.PositiveIntegerField(default=1)
    #: When it becomes worse by itself, unless somebody has acknowledged it; empty: it does not.
    escalates_at = models.DateTimeField(null=True, blank=True)
    escalated_at = models.DateTimeField(null=True, blank=True)
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    acknowledged_by = models.CharField(max_length=200, blank=True)
    acknowledged_because = models.TextField(blank=True)
    #: Nobody is told until then, also when it is over and comes again.
    muted_until = models.DateTimeField(null=True, blank=True)
    muted_by = models.CharField(max_length=200, blank=True)
    muted_because = models.TextField(blank=True)
    resolved_at = models.DateTimeField(null=True, blank=True)
    #: Empty where it was over by itself.
    resolved_by = models.CharField(max_length=200, blank=True)
    resolved_because = models.TextField(blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["merchant", "channel", "kind", "subject"],
                condition=IS_OPEN,
                nulls_distinct=False,
                name="alert_is_open_once",
            ),
            models.CheckConstraint(condition=Q(severity__in=Severity.values), name="alert_severity_is_known"),
            models.CheckConstraint(condition=~Q(kind=""), name="alert_has_a_kind"),
            models.CheckConstraint(
                condition=Q(acknowledged_at__isnull=True) | ~Q(acknowledged_because=""),
                name="alert_is_acknowledged_for_a_reason",
            ),
            models.CheckConstraint(
                condition=Q(muted_until__isnull=True) | ~Q(muted_because=""),
                name="alert_is_muted_for_a_reason",
            ),
            models.CheckConstraint(
                condition=Q(resolved_at__isnull=True) | Q(resolved_at__gte=F("opened_at")),
                name="alert_is_over_after_it_began",
            ),
        ]
        indexes = [
            models.Index(fields=["-severity", "opened_at"], name="alert_open", condition=IS_OPEN),
            models.Index(fields=["channel", "kind", "-id"], name="alert_by_channel"),
            models.Index(fields=["resolved_at"], name="alert_over", condition=~IS_OPEN),
        ]

    def __str__(self) -> str:
        return self.title


class RecipientKind(models.TextChoices):
    """How somebody is told."""

    EMAIL = "email", "E-mail"
    #: Posted and signed by the rules of Standard Webhooks.
    WEBHOOK = "webhook", "Webhook"


class AlertRecipient(models.Model):
    """Somebody who is told of alerts."""

    #: Told of this merchant's alerts alone; empty: of all, and of those of the installation.
    merchant = models.ForeignKey(Merchant, on_delete=models.CASCADE, null=True, blank=True, related_name="+")
    kind = models.CharField(max_length=8, choices=RecipientKind.choices)
    #: E-mail address, or https address.
    address = models.CharField(max_length=500)
    #: Told of alerts that are at least so bad.
    minimum_severity = models.PositiveSmallIntegerField(choices=Severity.choices, default=Severity.WARNING)
    is_active = models.BooleanField(default=True)
    #: Encrypted: what webhooks are signed with, newest first; an older one signs along until its `valid_until`.
    secrets = EncryptedJSONField(default=list, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    history = HistoricalRecords(excluded_fields=["secrets"])

    class Meta:
        ordering = ["kind", "address"]
        constraints = [
            models.UniqueConstraint(
                fields=["merchant", "kind", "address"], nulls_distinct=False, name="recipient_is_there_once"
            ),
            models.CheckConstraint(
                condition=Q(kind__in=RecipientKind.values), name="recipient_kind_is_known"
            ),
            models.CheckConstraint(condition=~Q(address=""), name="recipient_has_an_address"),
        ]

    def __str__(self) -> str:
        return self.address


class AlertEvent(models.TextChoices):
    """What somebody is told of an alert."""

    OPENED = "alert.opened", "Opened"
    ESCALATED = "alert.escalated", "Escalated"
    RESOLVED = "alert.resolved", "Over"
    #: Sent by hand, to see whether it arrives.
    TEST = "alert.test", "Test"


class AlertDelivery(models.Model):
    """One message to one recipient, written with the change it tells of, and sent until it has arrived."""

    #: Empty for a test.
    alert = models.ForeignKey(
        Alert, on_delete=models.CASCADE, null=True, blank=True, related_name="deliveries"
    )
    recipient = models.ForeignKey(AlertRecipient, on_delete=models.CASCADE, related_name="deliveries")
    event = models.CharField(max_length=16, choices=AlertEvent.choices)
    #: The same in every attempt, so that a receiver can tell a repeat.
    message_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    #: What is told, as it was when it happened.
    payload = models.JSONField(default=dict)
    created_at = models.DateTimeField()
    attempts = models.PositiveSmallIntegerField(default=0)
    #: Not before this instant; while it is sent, the end of its lease.
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    sent_at = models.DateTimeField(null=True, blank=True)
    #: When it was given up until a person sends it again.
    dead_at = models.DateTimeField(null=True, blank=True)
    error = models.TextField(blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "alert deliveries"
        constraints = [
            models.CheckConstraint(
                condition=Q(sent_at__isnull=True) | Q(next_attempt_at__isnull=True),
                name="alert_delivery_that_arrived_is_not_due",
            ),
        ]
        indexes = [
            models.Index(
                fields=["next_attempt_at"],
                name="alert_delivery_due",
                condition=Q(next_attempt_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.event} to {self.recipient_id}"
