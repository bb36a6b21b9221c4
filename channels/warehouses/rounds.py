"""One round with a warehouse: tell it, hear of it, read it. Never two at a time for one channel.

That everything goes one after the other, under the lease of the channel's feed, is what the count relies on: between a number
that is read and the ledger's count nothing is told.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from django.utils import timezone

from channels.connectors.base import Connector
from channels.feeds import poll_interval
from channels.models import Channel
from channels.warehouses import marks, reading
from channels.warehouses.arrivals import take_arrivals
from channels.warehouses.authorities import kept_by
from channels.warehouses.following import look_at_orders
from channels.warehouses.telling import MOST, tell_due

#: Lists are due a moment before the feed is, so that no turn is missed.
_EARLY: Final = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class Round:
    """What a round came to."""

    cursor: str
    #: Nothing is left to do at once.
    is_finished: bool


def attend(
    channel: Channel,
    connector: Connector,
    cursor: str,
    *,
    reads_lists: bool = False,
    on_batch: Callable[[], None] = lambda: None,
) -> Round:
    """Does everything that is due between us and who has the say over locations of ours.

    Lists of what happened are read as often as the channel is polled, and with `reads_lists`. `on_batch` is called between
    calls, since a round may take long. Raises `ConnectorError`, after which what was done stays done.
    """
    kept = kept_by(channel)
    if not kept:
        return Round(cursor, is_finished=True)
    tell = partial(tell_due, channel, connector, kept, on_batch=on_batch)
    told = tell()
    marks.add_goods(channel)
    if reads_lists or _are_due(channel, cursor):
        cursor = _read_lists(channel, connector, cursor)
    look_at_orders(channel, connector, kept, on_batch=on_batch)

    def between() -> None:
        on_batch()
        tell()

    is_read = reading.read_due(channel, connector, kept, on_batch=between)
    return Round(cursor, is_finished=is_read and told < MOST)


def _are_due(channel: Channel, cursor: str) -> bool:
    if not cursor:
        return True
    last = datetime.fromisoformat(json.loads(cursor)["at"])
    return timezone.now() - last >= poll_interval(channel) - _EARLY


def _read_lists(channel: Channel, connector: Connector, cursor: str) -> str:
    """Takes up what the warehouse lists since the last time; returns where to go on."""
    began_at = timezone.now()
    place = json.loads(cursor)["place"] if cursor else ""
    changes = connector.fetch_changes(place)
    marks.mark_goods(channel.pk, None if changes.reads_all else changes.goods)
    marks.mark_orders(channel.pk, changes.orders)
    marks.mark_old(channel)
    kept = kept_by(channel)
    for each in kept:
        reading.mark_differing(channel, each)
    take_arrivals(channel, connector, kept, changes.arrivals, is_first=not cursor)
    return json.dumps({"at": began_at.isoformat(), "place": changes.cursor})
