"""Whom an alert is told, and the words: rows that commit with the alert and are sent afterwards."""

from typing import Any, Final

from django.conf import settings
from django.db.models import Q, QuerySet
from django.urls import reverse
from django.utils import timezone

from channels.models import Channel
from config.jobs import wake
from reconciliation.models import Alert, AlertDelivery, AlertRecipient
from reconciliation.models.alerts import AlertEvent

SEND: Final = "reconciliation.tasks.send_alerts"


def announce(alert: Alert, event: AlertEvent) -> int:
    """Has recipients told of what happened to an alert, in the caller's transaction; returns how many.

    Nobody hears of a muted one. Its end is told to those who heard of it.
    """
    now = timezone.now()
    if alert.muted_until is not None and alert.muted_until > now:
        return 0
    recipients = list(_recipients(alert, event))
    if recipients:
        told = {
            "event": event,
            "payload": payload_of(alert, event),
            "created_at": now,
            "next_attempt_at": now,
        }
        AlertDelivery.objects.bulk_create(
            [AlertDelivery(alert=alert, recipient=each, **told) for each in recipients]
        )
        wake(SEND)
    return len(recipients)


def _recipients(alert: Alert, event: AlertEvent) -> QuerySet[AlertRecipient]:
    active = AlertRecipient.objects.filter(is_active=True).defer("secrets").order_by("pk")
    if event is AlertEvent.RESOLVED:
        return active.filter(deliveries__alert=alert).distinct()
    concerned = Q(merchant__isnull=True) | Q(merchant=alert.merchant_id, merchant__isnull=False)
    return active.filter(concerned, minimum_severity__lte=alert.severity)


def payload_of(alert: Alert, event: AlertEvent) -> dict[str, Any]:
    """Returns what is told of an alert, as Standard Webhooks has it: type, time stamp and data."""
    return {
        "type": event.value,
        "timestamp": timezone.now().isoformat(),
        "data": {
            "id": alert.pk,
            "kind": alert.kind,
            "severity": alert.get_severity_display().lower(),
            "title": alert.title,
            "detail": alert.detail,
            "remedy": alert.remedy,
            "merchant": alert.merchant.slug if alert.merchant else None,
            # By name alone: a channel's row brings its credentials along, which may not open.
            "channel": _channel_name(alert.channel_id) if alert.channel_id else None,
            "subject": alert.subject,
            "evidence": alert.evidence,
            "opened_at": alert.opened_at.isoformat(),
            "resolved_at": alert.resolved_at.isoformat() if alert.resolved_at else None,
            "url": page_address(alert),
        },
    }


def _channel_name(channel_id: int) -> str | None:
    return Channel.objects.filter(pk=channel_id).values_list("name", flat=True).first()


def page_address(alert: Alert) -> str:
    """Returns the absolute address of an alert's own page."""
    return f"{settings.PUBLIC_URL}{reverse('admin:reconciliation_alert_change', args=[alert.pk])}"


def send_test(recipient: AlertRecipient) -> AlertDelivery:
    """Has a test message sent to one recipient."""
    now = timezone.now()
    delivery = AlertDelivery.objects.create(
        recipient=recipient,
        event=AlertEvent.TEST,
        payload={
            "type": AlertEvent.TEST.value,
            "timestamp": now.isoformat(),
            "data": {"title": "This is a test of OneCount's alerts.", "url": settings.PUBLIC_URL},
        },
        created_at=now,
        next_attempt_at=now,
    )
    wake(SEND)
    return delivery
