"""The feeds of a channel as rows: which there are, how often they are read, and reading one at once."""

from datetime import timedelta
from typing import Any, Final

from django.db import connection
from django.db.models.functions import Least, Now
from django.utils import timezone

from channels.connectors import CONNECTORS
from channels.models import Channel, PollFeed
from config.notify import notify_after_commit

ORDERS: Final = "orders"
LISTINGS: Final = "listings"
#: Each page renews the lease by this.
LEASE: Final = timedelta(seconds=90)


def ensure_feeds() -> None:
    """Adds the feeds that active channels lack; they are due at once."""
    now = timezone.now()
    channels = Channel.objects.filter(is_active=True, kind__in=list(CONNECTORS)).values_list("id", flat=True)
    feeds = [
        PollFeed(channel_id=channel_id, name=name, next_poll_at=now)
        for channel_id in channels
        for name in (ORDERS, LISTINGS)
    ]
    PollFeed.objects.bulk_create(feeds, ignore_conflicts=True)


def ask_for_poll(channel_id: int) -> None:
    """Has the channel's orders polled at once: something was sold that we have not seen."""
    feed = PollFeed.objects.filter(channel_id=channel_id, name=ORDERS)
    if feed.update(next_poll_at=Least("next_poll_at", Now())):
        notify_after_commit("onecount_push")


_LEASE: Final = """
WITH due AS (
    SELECT feed.id FROM channels_pollfeed feed
    JOIN channels_channel channel ON channel.id = feed.channel_id AND channel.is_active
    LEFT JOIN channels_channelhealth health ON health.channel_id = channel.id
    WHERE feed.next_poll_at <= clock_timestamp()
      AND (feed.leased_until IS NULL OR feed.leased_until < clock_timestamp())
      AND (health.breaker_open_until IS NULL OR health.breaker_open_until <= clock_timestamp())
    ORDER BY feed.next_poll_at LIMIT %s
    FOR UPDATE OF feed SKIP LOCKED
)
UPDATE channels_pollfeed feed SET lease_token = gen_random_uuid(), leased_until = clock_timestamp() + %s
FROM due WHERE feed.id = due.id
RETURNING feed.id
"""


def lease_due_feeds(*, limit: int) -> list[PollFeed]:
    """Leases feeds of active channels that are due, longest overdue first; a channel whose breaker is open waits."""
    with connection.cursor() as cursor:
        parameters: list[Any] = [limit, LEASE]
        cursor.execute(_LEASE, parameters)
        ids = [identity for (identity,) in cursor.fetchall()]
    return list(PollFeed.objects.filter(pk__in=ids).select_related("channel")) if ids else []


def poll_interval(channel: Channel) -> timedelta:
    """Returns how often the channel's orders are polled: its own setting, else the connector's cadence."""
    return channel.poll_interval or CONNECTORS[channel.kind].capabilities.poll_interval
