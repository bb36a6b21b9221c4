"""Reads a channel's feeds page by page: what webhooks promise, polling makes sure of.

A feed is a row with a cursor that only the connector understands. The cursor moves after its page has been
applied, and only under the lease's token, so that a poll that dies is repeated from where it was and one that
lost its lease stops.
"""

import random
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import structlog
from django.db import DatabaseError, InterfaceError, OperationalError
from django.db.models import Exists, F, OuterRef, QuerySet, Value
from django.db.models.functions import Mod
from django.utils import timezone

from channels import breaker, error_log, retry_queue
from channels.baseline import has_first_contact, read_shelves
from channels.connectors.base import Connector, OrderGlimpse, OrderPage
from channels.errors import BadMessage, ConnectorError, PermanentError, TransientError
from channels.events import OrderState
from channels.feeds import (
    KEEPING,
    LEASE,
    LISTINGS,
    SHELVES,
    WAREHOUSE,
    ask_for_poll,
    ensure_feeds,
    poll_interval,
)
from channels.importing import import_channel
from channels.mirroring import last_mirror, mirror
from channels.models import Channel, ChannelHealth, ChannelOrder, ChannelOrderLine, PollFeed
from channels.models.error_log import ErrorJob
from channels.order_rows import known_orders
from channels.orders import apply_state, hint, is_old_news
from channels.retry_queue import Work
from channels.shadow import reading
from channels.warehouses.rounds import attend
from config.logs import redact_text
from inventory.errors import StockBusy, StockError

__all__ = ["LeaseLost", "ask_for_poll", "ensure_feeds", "poll_feed", "poll_interval", "recheck_open_orders"]

log = structlog.get_logger(__name__)

#: Listings change seldom; new ones also announce themselves where the platform has webhooks for it.
LISTINGS_INTERVAL: Final = timedelta(days=1)
#: What a platform's own warehouse holds; it also announces changes.
WAREHOUSE_INTERVAL: Final = timedelta(minutes=15)
#: Shelves of a channel in shadow, some of them each time.
SHELVES_INTERVAL: Final = timedelta(minutes=1)
#: Feed → how often it is read; orders are read as the channel says.
_INTERVALS: Final = {LISTINGS: LISTINGS_INTERVAL, WAREHOUSE: WAREHOUSE_INTERVAL, SHELVES: SHELVES_INTERVAL}
#: Pages of one poll; what is left is read by the next one, at once.
LARGEST_POLL: Final = 50
_FIRST_PAUSE: Final = timedelta(seconds=5)
_LONGEST_PAUSE: Final = timedelta(minutes=15)
_BUSY_TRIES: Final = 5
#: Open orders older than this are looked up now and then.
RECHECK_AFTER: Final = timedelta(days=1)


class LeaseLost(Exception):
    """Somebody else reads this feed now."""


def poll_feed(feed: PollFeed, connector: Connector) -> None:
    """Reads a leased feed to its end, applies what is in it, and plans the next poll.

    A failure of the platform is noted on the feed and the breaker, and not raised. Raises `LeaseLost`.
    """
    started_at = timezone.now()
    try:
        if feed.name == LISTINGS:
            report = import_channel(feed.channel, connector, on_batch=partial(_renew, feed))
            if has_first_contact(feed.channel):
                read_shelves(feed.channel, connector, shown=report.shown)
            is_finished = True
        elif feed.name == SHELVES:
            reading.read_some(feed.channel, connector)
            is_finished = True
        elif feed.name == WAREHOUSE:
            # From when it began: what changes while it is read is read again.
            mirror(feed.channel, connector, since=last_mirror(feed), on_batch=partial(_renew, feed))
            _leased(feed).update(cursor=started_at.isoformat())
            is_finished = True
        elif feed.name == KEEPING:
            kept = attend(
                feed.channel,
                connector,
                feed.cursor,
                reads_lists=feed.last_polled_at is None,
                on_batch=partial(_renew, feed),
            )
            _leased(feed).update(cursor=kept.cursor)
            is_finished = kept.is_finished
        else:
            is_finished = _read_orders(feed, connector)
    except ConnectorError as error:
        _note_failure(feed, error)
    except (LeaseLost, OperationalError, InterfaceError):
        raise
    except Exception as error:  # the outermost loop: what is wrong must be seen
        log.exception("feed_failed", channel=feed.channel_id, feed=feed.name)
        _leave(feed, str(error) or type(error).__name__, _LONGEST_PAUSE)
        error_log.note(feed.channel_id, error, job=ErrorJob.POLL, about=feed)
    else:
        _note_success(feed, started_at, is_finished=is_finished)


def _read_orders(feed: PollFeed, connector: Connector) -> bool:
    """Applies page after page; False when there is more to read than one poll takes."""
    for _ in range(LARGEST_POLL):
        page = connector.fetch_orders(feed.cursor)
        _apply_page(feed.channel, page)
        _store_cursor(feed, page)
        if not page.has_more:
            return True
    return False


def _apply_page(channel: Channel, page: OrderPage) -> None:
    arrived_at = timezone.now()
    # Pages overlap: most of what they hold is known.
    known = known_orders(channel, [state.external_id for state in page.orders]) if page.orders else {}
    for state in page.orders:
        if not is_old_news(state, known.get(state.external_id)):
            _apply(channel, state, arrived_at)
    for external_id in (*page.hints, *_news(channel, page.glimpses)):
        hint(channel, external_id, arrived_at=arrived_at)


def _news(channel: Channel, glimpses: Sequence[OrderGlimpse]) -> list[str]:
    """Returns the orders that are not as we know them."""
    if not glimpses:
        return []
    lines = ChannelOrderLine.objects.filter(
        order__channel=channel, order__external_id__in=[glimpse.external_id for glimpse in glimpses]
    ).values_list("order__external_id", "external_id", "quantity", "cancelled", "fulfilled")
    known = {(order_id, line_id): tuple(counts) for order_id, line_id, *counts in lines}
    return [
        glimpse.external_id
        for glimpse in glimpses
        if not glimpse.lines
        or any(
            not _agree(known.get((glimpse.external_id, line)), counts)
            for line, counts in glimpse.lines.items()
        )
    ]


def _agree(known: Sequence[int] | None, seen: Sequence[int | None]) -> bool:
    """Tells whether a line is as it is known, as far as a list says how it is."""
    return known is not None and all(
        count is None or count == kept for kept, count in zip(known, seen, strict=True)
    )


def _apply(channel: Channel, state: OrderState, arrived_at: datetime) -> None:
    """Applies one order; one that cannot be applied is marked for a fetch and does not hold up the others."""
    reason = ""
    for attempt in range(_BUSY_TRIES):
        try:
            apply_state(channel, state, arrived_at=arrived_at)
        except StockBusy as error:
            reason = error.reason
            time.sleep(0.05 * 2**attempt * random.uniform(0.5, 1.5))  # noqa: S311
        except (OperationalError, InterfaceError):
            raise  # the database is gone; the page is read again
        except (BadMessage, StockError, DatabaseError) as error:
            log.warning("polled_order_failed", channel=channel.pk, order=state.external_id, exc_info=True)
            _park(channel, state.external_id, error, arrived_at)
            return
        else:
            return
    _put_off(channel, state.external_id, reason, arrived_at)


def _put_off(channel: Channel, external_id: str, reason: str, arrived_at: datetime) -> None:
    """Leaves an order that others were in the way of to be fetched in a moment."""
    pause = retry_queue.postpone(Work.of_order(channel, external_id), reason)
    hint(channel, external_id, arrived_at=arrived_at)
    ChannelOrder.objects.filter(channel=channel, external_id=external_id).update(
        fetch_error=str(StockBusy()), next_fetch_at=timezone.now() + (pause or _LONGEST_PAUSE)
    )


def _park(channel: Channel, external_id: str, error: Exception, arrived_at: datetime) -> None:
    """Leaves an order that could not be applied with its reason, to be fetched later."""
    if not external_id or len(external_id) > 200 or "\x00" in external_id:
        error_log.note(channel.pk, error, job=ErrorJob.POLL)
        return
    hint(channel, external_id, arrived_at=arrived_at)
    order = ChannelOrder.objects.filter(channel=channel, external_id=external_id)
    order.update(fetch_error=str(error)[:2000], next_fetch_at=timezone.now() + _LONGEST_PAUSE)
    error_log.note(channel.pk, error, job=ErrorJob.POLL, about=order.first())


def _store_cursor(feed: PollFeed, page: OrderPage) -> None:
    """Moves the cursor past an applied page and renews the lease. Raises `LeaseLost`."""
    leased_until = timezone.now() + LEASE
    if not _leased(feed).update(cursor=page.cursor, leased_until=leased_until):
        raise LeaseLost
    feed.cursor = page.cursor


def _renew(feed: PollFeed) -> None:
    """Renews the lease of a feed that takes long to read. Raises `LeaseLost`."""
    if not _leased(feed).update(leased_until=timezone.now() + LEASE):
        raise LeaseLost


def _leased(feed: PollFeed) -> QuerySet[PollFeed]:
    return PollFeed.objects.filter(pk=feed.pk, lease_token=feed.lease_token)


def _note_success(feed: PollFeed, started_at: datetime, *, is_finished: bool) -> None:
    now = timezone.now()
    interval = _INTERVALS.get(feed.name) or poll_interval(feed.channel)
    next_poll_at = started_at + interval if is_finished else now
    finished = {"last_polled_at": now, "polls": F("polls") + 1, "failures": 0, "last_error": ""}
    if is_finished:
        finished["covered_until"] = started_at
    # Who asked for a poll while this one ran is not forgotten.
    _leased(feed).filter(next_poll_at__lte=started_at).update(next_poll_at=max(next_poll_at, now))
    _leased(feed).update(**finished, lease_token=None, leased_until=None)
    ChannelHealth.objects.update_or_create(channel_id=feed.channel_id, defaults={"last_poll_at": now})
    breaker.note_success(feed.channel_id)


def _note_failure(feed: PollFeed, error: ConnectorError) -> None:
    _leave(feed, str(error), _pause(error, feed.failures))
    breaker.note_failure(feed.channel_id, error, job=ErrorJob.POLL, about=feed)


def _leave(feed: PollFeed, reason: str, pause: timedelta) -> None:
    """Ends a reading that failed; the feed is due again after about this pause."""
    _leased(feed).update(
        failures=F("failures") + 1,
        last_error=redact_text(reason)[:2000],
        next_poll_at=timezone.now() + pause * random.uniform(0.75, 1.25),  # noqa: S311
        lease_token=None,
        leased_until=None,
    )


def _pause(error: ConnectorError, failures: int) -> timedelta:
    """Returns how long to wait: what the platform asked for within reason, else longer with each failure."""
    if isinstance(error, TransientError) and error.retry_after is not None:
        return min(timedelta(seconds=max(error.retry_after, 0.5)), _LONGEST_PAUSE)
    if isinstance(error, PermanentError):
        return _LONGEST_PAUSE
    return min(_FIRST_PAUSE * (1 << min(failures, 10)), _LONGEST_PAUSE)


def recheck_open_orders() -> int:
    """Marks open orders for a fetch, each once a week: deltas and webhooks can both miss a deletion.

    Called daily; returns how many it marked.
    """
    open_lines = ChannelOrderLine.objects.filter(
        order=OuterRef("pk"), applied_demand__gt=F("applied_fulfilled")
    )
    todays = ChannelOrder.objects.annotate(slot=Mod("pk", Value(7))).filter(
        slot=timezone.now().toordinal() % 7
    )
    orders = todays.filter(
        Exists(open_lines),
        is_deleted=False,
        channel__is_active=True,
        fetch_wanted__lte=F("fetched"),
        updated_at__lt=timezone.now() - RECHECK_AFTER,
    )
    count = 0
    for order in orders.select_related("channel").iterator(chunk_size=500):
        hint(order.channel, order.external_id)
        count += 1
    return count
