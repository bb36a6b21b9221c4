"""Forgets alerts that have long been over, with the messages that told of them, and what merchants' systems were told."""

from datetime import timedelta
from typing import Any, Final

from django.conf import settings
from django.db import connection
from django.utils import timezone

from reconciliation.models import Alert, AlertDelivery, WatchGap

#: Rows deleted at once.
PIECE: Final = 1000


def forget_old_alerts() -> dict[str, int]:
    """Deletes what was over before `ONECOUNT_KEEP_ALERTS_DAYS`, and tests and gaps as old; returns how many of each."""
    before = timezone.now() - timedelta(days=settings.KEEP_ALERTS_DAYS)
    count = 0
    while ids := list(Alert.objects.filter(resolved_at__lt=before).values_list("pk", flat=True)[:PIECE]):
        Alert.objects.filter(pk__in=ids).delete()
        count += len(ids)
    tests, _ = AlertDelivery.objects.filter(alert__isnull=True, created_at__lt=before).delete()
    gaps, _ = WatchGap.objects.filter(ended_at__lt=before).delete()
    return {"alerts": count, "tests": tests, "gaps": gaps}


# Messages first, then the events that nobody is told of any more. Ids grow with time, so that only the oldest are read.
_FORGET_MESSAGES: Final = """
DELETE FROM reconciliation_webhookmessage message USING (
    SELECT id FROM reconciliation_webhookmessage ORDER BY id LIMIT %s
) oldest
WHERE message.id = oldest.id AND message.created_at < %s AND message.wanted_at < %s
"""
_FORGET_EVENTS: Final = """
DELETE FROM reconciliation_webhookevent event USING (
    SELECT id FROM reconciliation_webhookevent ORDER BY id LIMIT %s
) oldest
WHERE event.id = oldest.id AND event.occurred_at < %s
  AND NOT EXISTS (SELECT FROM reconciliation_webhookmessage message WHERE message.event_id = event.id)
"""


def forget_old_webhooks() -> dict[str, int]:
    """Deletes what merchants' systems were told before `ONECOUNT_KEEP_WEBHOOKS_DAYS`; returns how many of each."""
    before = timezone.now() - timedelta(days=settings.KEEP_WEBHOOKS_DAYS)
    return {
        "webhook_messages": _in_pieces(_FORGET_MESSAGES, [PIECE, before, before]),
        "webhook_events": _in_pieces(_FORGET_EVENTS, [PIECE, before]),
    }


def _in_pieces(sql: str, parameters: list[Any]) -> int:
    count = 0
    while True:
        with connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            gone = int(cursor.rowcount)
        count += gone
        if not gone:
            return count
