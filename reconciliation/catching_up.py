"""Brings in whatever a shop sold until an instant, so that what its shelves show after it needs no other explanation.

Polls, messages and hints are the same rows that the resident processes work on; whoever comes first does the work.
"""

import time
from collections.abc import Callable
from datetime import datetime
from typing import Final

from django.db.models import Exists, F, OuterRef, Q, Value
from django.db.models.functions import Concat
from django.utils import timezone

from channels import deliveries, fetching, polling
from channels.connectors.base import Connector
from channels.feeds import ORDERS, ask_for_poll, ensure_feeds, lease_due_feed
from channels.models import Channel, ChannelOrder, PollFeed, Retry, WebhookDelivery
from channels.models.inbound import DeliveryPriority, DeliveryState
from channels.models.retry_queue import RetryKind, RetryState
from reconciliation.errors import OrdersUnread

#: Seconds after which a comparison is given up whose orders cannot be had.
PATIENCE: Final = 90.0
_PAUSE: Final = 0.1
_AT_ONCE: Final = 200


def catch_up(
    channel: Channel,
    connector: Connector,
    until: datetime,
    *,
    still_ours: Callable[[], None] = lambda: None,
) -> None:
    """Returns once every order until then is imported, as far as the platform and its messages say.

    What failed by itself (a message that cannot be processed, an order that cannot be fetched) is not waited for: it is
    evidence. Raises `OrdersUnread` where the orders cannot be polled in time.
    """
    ensure_feeds()
    gives_up_at = time.monotonic() + PATIENCE + max((until - timezone.now()).total_seconds(), 0.0)
    while not (is_covered(channel.pk, until) and not _messages_left(channel, until)):
        still_ours()
        if time.monotonic() > gives_up_at:
            raise OrdersUnread(_why(channel))
        if timezone.now() >= until and not is_covered(channel.pk, until):
            _poll(channel, connector)
        deliveries.process_due(_AT_ONCE)
        fetching.fetch_due(channel, connector, limit=_AT_ONCE)
        time.sleep(_PAUSE)


def is_covered(channel_id: int, until: datetime) -> bool:
    """Tells whether a complete poll of the channel's orders began at that instant or later."""
    feed = PollFeed.objects.filter(channel_id=channel_id, name=ORDERS)
    return feed.filter(covered_until__gte=until).exists()


def _poll(channel: Channel, connector: Connector) -> None:
    ask_for_poll(channel.pk)
    feed = lease_due_feed(channel.pk, ORDERS)
    if feed is None:
        return  # somebody polls already, or the breaker is open
    try:
        polling.poll_feed(feed, connector)
    except polling.LeaseLost:
        return
    feed.refresh_from_db()
    if feed.failures:
        raise OrdersUnread(_why(channel))


def _messages_left(channel: Channel, until: datetime) -> bool:
    unread = WebhookDelivery.objects.filter(
        channel=channel,
        state=DeliveryState.RECEIVED,
        priority=DeliveryPriority.ORDER,
        received_at__lte=until,
        attempts=0,
    )
    # A hint is due from the moment it came; while its fetch goes on, it is due some time later.
    is_early_or_going_on = Q(next_fetch_at__lte=until) | Q(next_fetch_at__gt=timezone.now())
    hinted = ChannelOrder.objects.filter(is_early_or_going_on, channel=channel, fetch_wanted__gt=F("fetched"))
    # One that others were in the way of has not failed: it is applied within a moment.
    put_off = Retry.objects.filter(
        channel=channel,
        kind=RetryKind.ORDER,
        state=RetryState.WAITING,
        key=Concat(Value(f"{channel.pk}:"), OuterRef("external_id")),
    )
    on_its_way = hinted.filter(Q(fetch_error="") | Exists(put_off))
    return unread.exists() or on_its_way.exists()


def _why(channel: Channel) -> str:
    feed = PollFeed.objects.filter(channel=channel, name=ORDERS).first()
    reason = feed.last_error if feed else ""
    return f"The orders of {channel} could not be read first: {reason or 'they were not complete in time'}."
