"""The feeds of a channel as rows: which there are, how often they are read, and reading one at once."""

import uuid
from datetime import timedelta
from typing import Final

from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from channels.connectors import CONNECTORS
from channels.models import Channel, PollFeed
from config.notify import notify_after_commit

ORDERS: Final = "orders"
LISTINGS: Final = "listings"
#: What the platform's own warehouse holds, where it has one.
WAREHOUSE: Final = "warehouse"
#: What its shelves show, while it is in shadow (`channels.shadow`).
SHELVES: Final = "shelves"
#: Everything between us and who has the say over locations of ours (`channels.warehouses`).
KEEPING: Final = "keeping"
#: Each page renews the lease by this.
LEASE: Final = timedelta(seconds=90)


def ensure_feeds() -> None:
    """Adds the feeds that active channels lack; they are due at once."""
    now = timezone.now()
    channels = Channel.objects.filter(is_active=True, kind__in=list(CONNECTORS)).values_list("id", "kind")
    feeds = [
        PollFeed(channel_id=channel_id, name=name, next_poll_at=now)
        for channel_id, kind in channels
        for name in names_of(kind)
    ]
    PollFeed.objects.bulk_create(feeds, ignore_conflicts=True)


def names_of(kind: str) -> tuple[str, ...]:
    """Returns which feeds a channel of this kind has."""
    able = CONNECTORS[kind].capabilities
    if able.keeps_stock:
        return (LISTINGS, KEEPING)
    return (ORDERS, LISTINGS, WAREHOUSE) if able.own_warehouse else (ORDERS, LISTINGS)


def ask_for_poll(channel_id: int, name: str = ORDERS) -> None:
    """Has the channel's orders, or another feed, polled at once: something changed that we have not seen.

    Who keeps stock and has no orders of its own is looked at as a whole.
    """
    names = (ORDERS, KEEPING) if name == ORDERS else (name,)
    # Now, and not when it was due before: a poll that runs already began before whatever was seen.
    if PollFeed.objects.filter(channel_id=channel_id, name__in=names).update(next_poll_at=Now()):
        notify_after_commit("onecount_push")


def _due_feeds() -> QuerySet[PollFeed]:
    """Feeds of active channels to be read now; a channel whose breaker is open waits."""
    now = timezone.now()
    is_free = Q(leased_until__isnull=True) | Q(leased_until__lt=now)
    open_until = "channel__health__breaker_open_until"
    is_spoken_to = Q(**{f"{open_until}__isnull": True}) | Q(**{f"{open_until}__lte": now})
    return PollFeed.objects.filter(is_free, is_spoken_to, channel__is_active=True, next_poll_at__lte=now)


def lease_due_feed(channel_id: int, name: str = ORDERS) -> PollFeed | None:
    """Leases this feed of the channel; None when it is not due, or somebody else reads it."""
    with transaction.atomic():
        due = _due_feeds().filter(channel_id=channel_id, name=name)
        feed = due.select_for_update(of=("self",), skip_locked=True, no_key=True).first()
        if feed is None:
            return None
        feed.lease_token = uuid.uuid4()
        feed.leased_until = timezone.now() + LEASE
        feed.save(update_fields=["lease_token", "leased_until"])
        return feed


def postpone(feed: PollFeed, reason: str) -> None:
    """Ends the lease of a feed that cannot be read until somebody mends the channel."""
    leased = PollFeed.objects.filter(pk=feed.pk, lease_token=feed.lease_token)
    next_poll_at = timezone.now() + timedelta(minutes=1)
    leased.update(lease_token=None, leased_until=None, last_error=reason[:2000], next_poll_at=next_poll_at)


def poll_interval(channel: Channel) -> timedelta:
    """Returns how often the channel's orders are polled: its own setting, else the connector's cadence."""
    return channel.poll_interval or CONNECTORS[channel.kind].capabilities.poll_interval
