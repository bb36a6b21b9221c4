"""What waits and what was given up, by channel: read from the partial indexes that hold just these rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db import connection

#: Longer queues are counted as one more than this.
MOST_COUNTED: Final = 10_000


@dataclass(frozen=True, slots=True)
class Queues:
    """The queues of one channel."""

    #: Deliveries not processed yet, and since when.
    inbound: int = 0
    inbound_since: datetime | None = None
    dead_deliveries: int = 0
    #: Orders of which only a hint came, and since when the first of them could have been fetched.
    fetches: int = 0
    fetches_since: datetime | None = None
    #: Listing levels to be told, and since when; also while the channel is paused.
    outbound: int = 0
    outbound_since: datetime | None = None
    dead_pushes: int = 0


_QUEUES: Final = """
SELECT c.id, coalesce(inbound.count, 0), inbound.since, dead_in.count, fetches.count, fetches.since,
       outbound.count, oldest.since, dead_out.count
FROM unnest(%(ids)s::bigint[]) AS c (id)
LEFT JOIN (
    SELECT channel_id, count(*), min(received_at) AS since
    FROM (
        SELECT channel_id, received_at FROM channels_webhookdelivery
        WHERE state = 'received' ORDER BY priority, id LIMIT %(most)s
    ) w
    GROUP BY channel_id
) inbound ON inbound.channel_id = c.id
CROSS JOIN LATERAL (
    SELECT count(*) FROM (
        SELECT FROM channels_webhookdelivery WHERE channel_id = c.id AND state = 'dead' LIMIT %(most)s
    ) w
) dead_in
CROSS JOIN LATERAL (
    SELECT count(*), min(next_fetch_at) AS since FROM (
        SELECT next_fetch_at FROM channels_channelorder
        WHERE channel_id = c.id AND fetch_wanted > fetched
        ORDER BY applied_at IS NOT NULL, next_fetch_at LIMIT %(most)s
    ) w
) fetches
CROSS JOIN LATERAL (
    SELECT count(*) FROM (
        SELECT FROM channels_listinglevel
        WHERE channel_id = c.id AND wanted > done AND dead_at IS NULL LIMIT %(most)s
    ) w
) outbound
CROSS JOIN LATERAL (
    SELECT min(first.due_since) AS since FROM unnest(ARRAY[0, 1, 2]) lane
    CROSS JOIN LATERAL (
        SELECT due_since FROM channels_listinglevel
        WHERE channel_id = c.id AND channels_listinglevel.lane = lane.lane AND wanted > done AND dead_at IS NULL
        ORDER BY due_since LIMIT 1
    ) first
) oldest
CROSS JOIN LATERAL (
    SELECT count(*) FROM (
        SELECT FROM channels_listinglevel WHERE channel_id = c.id AND dead_at IS NOT NULL LIMIT %(most)s
    ) w
) dead_out
"""


def queues(channel_ids: Sequence[int], *, most: int = MOST_COUNTED) -> dict[int, Queues]:
    """Returns the queues of channels by id; one statement."""
    with connection.cursor() as cursor:
        cursor.execute(_QUEUES, {"ids": list(channel_ids), "most": most + 1})
        return {channel_id: Queues(*rest) for channel_id, *rest in cursor.fetchall()}
