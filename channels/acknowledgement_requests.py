"""Notes which orders wait for our word, in the transaction that applies their state (see `channels.acknowledgements`)."""

import hashlib
import json
from typing import Any, Final

from django.db import connection

from channels.connectors import CONNECTORS
from channels.events import OrderState
from channels.models import Channel, ChannelOrder
from config.notify import notify_after_commit

# The same order asked about again is nothing new; another one is a word of its own, also after one was given up.
_ASK: Final = """
INSERT INTO channels_orderacknowledgement AS word
    (channel_id, order_id, wanted, done, sent, about, lines, tracking_id, is_hurried, waits_for, asked_at, due_at,
     attempts, last_error)
VALUES (%(channel)s, %(order)s, 1, 0, 0, %(about)s, '{}', '', false, '', clock_timestamp(), clock_timestamp(), 0, '')
ON CONFLICT (order_id) DO UPDATE
SET wanted = word.wanted + 1,
    about = excluded.about,
    asked_at = excluded.asked_at,
    due_at = CASE WHEN word.tracking_id = '' THEN excluded.due_at ELSE word.due_at END,
    waits_for = '',
    is_hurried = false,
    attempts = 0,
    dead_at = NULL
WHERE word.about <> excluded.about
"""

_WITHDRAW: Final = """
UPDATE channels_orderacknowledgement
SET done = wanted, waits_for = '', dead_at = NULL
WHERE order_id = %s AND wanted > done AND tracking_id = ''
"""


def note_request(channel: Channel, order: ChannelOrder, state: OrderState) -> None:
    """Has our word said on an order that waits for it, and on one that does not any more forgotten; one statement.

    Nothing for channels whose orders wait for no word.
    """
    connector = CONNECTORS.get(channel.kind)
    if connector is None or not connector.capabilities.acknowledges_orders:
        return
    with connection.cursor() as cursor:
        if not state.awaits_acknowledgement:
            cursor.execute(_WITHDRAW, [order.pk])
            return
        parameters: dict[str, Any] = {"channel": channel.pk, "order": order.pk, "about": digest_of(state)}
        cursor.execute(_ASK, parameters)
        if cursor.rowcount:
            notify_after_commit("onecount_push")


def digest_of(state: OrderState) -> str:
    """Returns the SHA-256 of what is ordered: which goods, and how many."""
    lines = sorted(
        [line.external_id, line.listing_external_id, line.sku, line.quantity] for line in state.lines
    )
    return hashlib.sha256(json.dumps(lines, separators=(",", ":")).encode()).hexdigest()
