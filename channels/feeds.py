"""The feeds of a channel as rows: which there are, how often they are read, and reading one at once."""

from datetime import timedelta
from typing import Final

from django.db.models.functions import Least, Now
from django.utils import timezone

from channels.connectors import CONNECTORS
from channels.models import Channel, PollFeed
from config.notify import notify_after_commit

ORDERS: Final = "orders"
LISTINGS: Final = "listings"


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


def poll_interval(channel: Channel) -> timedelta:
    """Returns how often the channel's orders are polled: its own setting, else the connector's cadence."""
    return channel.poll_interval or CONNECTORS[channel.kind].capabilities.poll_interval
