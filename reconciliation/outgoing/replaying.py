"""Sends messages again, and test messages: always under the event's own id, so that a receiver can tell a repeat."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from reconciliation.errors import Refused
from reconciliation.models import WebhookEvent, WebhookMessage, WebhookSubscription
from reconciliation.outgoing.event_types import TEST

#: Events replayed by one request.
MOST: Final = 100_000


def replay(ids: Sequence[int]) -> int:
    """Has messages of active subscriptions sent again, whatever became of them; returns how many."""
    now = timezone.now()
    rows = WebhookMessage.objects.filter(pk__in=ids, subscription__is_active=True)
    return rows.update(
        wanted_at=now,
        next_attempt_at=now,
        attempts=0,
        lease_token=None,
        arrived_at=None,
        given_up_at=None,
    )


# Events that nobody wanted when they happened were not kept; what another subscription was told can be had.
_REPLAY: Final = """
WITH chosen AS MATERIALIZED (
    SELECT event.id FROM reconciliation_webhookevent event
    WHERE event.merchant_id = %(merchant)s AND event.occurred_at >= %(since)s AND event.made_at IS NOT NULL
      AND ARRAY['*', split_part(event.type, '.', 1) || '.*', event.type]::varchar[] && %(events)s::varchar[]
    ORDER BY event.id LIMIT %(most)s
)
INSERT INTO reconciliation_webhookmessage AS message
    (merchant_id, event_id, subscription_id, created_at, wanted_at, attempts, next_attempt_at, status, error, log)
SELECT %(merchant)s, chosen.id, %(subscription)s, %(now)s, %(now)s, 0, %(now)s, 0, '', '[]' FROM chosen
ORDER BY chosen.id
ON CONFLICT (subscription_id, event_id) DO UPDATE
SET wanted_at = excluded.wanted_at, next_attempt_at = excluded.next_attempt_at, attempts = 0, lease_token = NULL,
    arrived_at = NULL, given_up_at = NULL
WHERE message.given_up_at IS NOT NULL OR NOT %(only_missing)s
"""


def replay_since(subscription: WebhookSubscription, since: datetime, *, only_missing: bool = False) -> int:
    """Has a subscription told again what happened since an instant and it names; returns how many messages.

    With `only_missing` those that arrived or are on their way are left alone. Raises `Refused`.
    """
    if not subscription.is_active:
        raise Refused("id", "The subscription is switched off. Enable it first.")
    if since > timezone.now():
        raise Refused("since", "It lies in the future. Name an earlier instant.")
    named: dict[str, Any] = {
        "merchant": subscription.merchant_id,
        "subscription": subscription.pk,
        "events": list(subscription.events),
        "since": since,
        "now": timezone.now(),
        "most": MOST,
        "only_missing": only_missing,
    }
    with connection.cursor() as cursor:
        cursor.execute(_REPLAY, named)
        return int(cursor.rowcount)


@transaction.atomic
def send_test(subscription: WebhookSubscription) -> WebhookMessage:
    """Has a subscription told that this is a test. Raises `Refused`."""
    if not subscription.is_active:
        raise Refused("id", "The subscription is switched off. Enable it first.")
    now = timezone.now()
    event = WebhookEvent.objects.create(
        merchant_id=subscription.merchant_id,
        type=TEST,
        subject=f"subscription:{subscription.pk}",
        version=0,
        data={"message": "This is a test of OneCount's webhooks.", "server": settings.PUBLIC_URL},
        occurred_at=now,
        made_at=now,
    )
    return WebhookMessage.objects.create(
        merchant_id=subscription.merchant_id,
        event=event,
        subscription=subscription,
        created_at=now,
        wanted_at=now,
        next_attempt_at=now,
    )
