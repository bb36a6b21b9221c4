"""Makes messages of events: one for each subscription that is active and wants them, in the transaction of the event.

Events of the feed are written with their messages. Those that triggers note are found by not having been made, so that one
whose transaction commits late is made late and never skipped.
"""

import json
from collections.abc import Sequence
from typing import Final

from django.db import connection, transaction

from reconciliation.models import WebhookEvent
from reconciliation.outgoing.contents import contents_of

#: Events made in one transaction.
PIECE: Final = 500
#: One process makes events at a time: later events of a subject then never tell an earlier state than those before.
_LOCK: Final = 4_020_601

#: As the triggers have it (`reconciliation_tell`).
_MESSAGES: Final = """
INSERT INTO reconciliation_webhookmessage
    (merchant_id, event_id, subscription_id, created_at, wanted_at, attempts, next_attempt_at, status, error, log)
SELECT event.merchant_id, event.id, subscription.id, clock.now, clock.now, 0, clock.now, 0, '', '[]'
FROM (SELECT clock_timestamp() AS now) AS clock, reconciliation_webhookevent event
JOIN reconciliation_webhooksubscription subscription
    ON subscription.merchant_id = event.merchant_id AND subscription.is_active
    AND subscription.events && ARRAY['*', split_part(event.type, '.', 1) || '.*', event.type]::varchar[]
WHERE event.id = ANY(%s::bigint[])
ON CONFLICT (subscription_id, event_id) DO NOTHING
"""

_NOTE: Final = """
UPDATE reconciliation_webhookevent event SET data = told.data, made_at = clock_timestamp()
FROM unnest(%s::bigint[], %s::jsonb[]) AS told (id, data)
WHERE event.id = told.id
"""


def is_mine_to_make() -> bool:
    """Takes the lock of whoever makes events, until the transaction ends; tells whether it could be had."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK])
        (is_mine,) = cursor.fetchone()
    return bool(is_mine)


def make_messages(event_ids: Sequence[int]) -> int:
    """Writes the messages of events, in the caller's transaction; returns how many."""
    with connection.cursor() as cursor:
        cursor.execute(_MESSAGES, [list(event_ids)])
        return int(cursor.rowcount)


def make_noted(*, limit: int = PIECE) -> int:
    """Makes the messages of events that were noted and not made yet; returns how many events that were."""
    noted = WebhookEvent.objects.filter(made_at__isnull=True)
    if not noted.exists():
        return 0
    with transaction.atomic():
        if not is_mine_to_make():
            return 0
        events = list(noted.order_by("pk")[:limit])
        _make(events)
    return len(events)


def _make(events: Sequence[WebhookEvent]) -> None:
    told = contents_of(events)
    if told:
        data = [json.dumps(each, default=str) for each in told.values()]
        with connection.cursor() as cursor:
            cursor.execute(_NOTE, [list(told), data])
        make_messages(list(told))
    # What nobody is to hear of any more.
    WebhookEvent.objects.filter(pk__in=[event.pk for event in events if event.pk not in told]).delete()
