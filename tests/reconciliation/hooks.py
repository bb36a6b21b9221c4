"""Somebody who subscribes, and what they are told."""

import json
from datetime import datetime
from typing import Any

from django.utils import timezone

from inventory.models import Merchant
from reconciliation.models import WebhookEvent, WebhookMessage, WebhookSubscription
from reconciliation.outgoing.description import CONTENTS
from reconciliation.outgoing.subscriptions import Wish, subscribe
from tests.reconciliation.receiver import Received

#: An address of nobody.
NOWHERE = "https://erp.example/hooks"


def hook(merchant: Merchant, *events: str, url: str = NOWHERE) -> WebhookSubscription:
    """Subscribes to events, all of them where none is named."""
    return subscribe(merchant, Wish(url, events or ("*",)), by="tests")[0]


def told(subscription: WebhookSubscription) -> list[tuple[str, dict[str, Any]]]:
    """Returns what messages were made for a subscription, in order: type and data."""
    rows = WebhookMessage.objects.filter(subscription=subscription).order_by("pk")
    return [(each.event.type, said(each.event)) for each in rows.select_related("event")]


def said(event: WebhookEvent) -> dict[str, Any]:
    """Returns what an event says, once its messages are made."""
    assert event.data is not None
    described = CONTENTS[event.type.partition(".")[0]]
    assert "$ref" in described or set(described["properties"]) == set(event.data), event.type
    return dict(event.data)


def types(subscription: WebhookSubscription) -> list[str]:
    """Returns the types of what it was told, in order."""
    return [event_type for event_type, _ in told(subscription)]


def bodies(received: Received) -> list[dict[str, Any]]:
    """Returns what a receiver got, as JSON."""
    return [json.loads(body) for _, body in received]


def make_due(**changes: Any) -> None:
    """Has all that waits sent now, and nobody rest any more."""
    now = timezone.now()
    WebhookMessage.objects.filter(next_attempt_at__isnull=False).update(next_attempt_at=now, **changes)
    WebhookSubscription.objects.update(paused_until=None)


def wanted_since(instant: datetime) -> None:
    """Has all that waits wait since an instant."""
    make_due(wanted_at=instant)
