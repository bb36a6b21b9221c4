"""Fetches orders of which only a hint came, one call for all the hints received until then."""

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog
from django.db import DatabaseError, InterfaceError, OperationalError, connection
from django.utils import timezone

from channels import breaker, error_log, retry_queue
from channels.connectors.base import Connector
from channels.errors import BadMessage, ConnectorError, PermanentError, Rejected, TransientError
from channels.models import Channel, ChannelOrder
from channels.models.error_log import ErrorJob
from channels.orders import apply_missing, record_state
from channels.retry_queue import Work
from inventory.errors import StockBusy, StockError

log = structlog.get_logger(__name__)

#: Longer than any call may take; a fetch whose worker died is due again then.
LEASE: Final = timedelta(seconds=60)
#: After a failure that may pass; after one that a person has to mend.
SOON: Final = timedelta(seconds=15)
LATER: Final = timedelta(minutes=10)

#: Orders of which the ledger knows nothing yet come first: a poll that mentions hundreds of known ones must not hold up a sale.
_LEASE: Final = """
WITH due AS (
    SELECT id FROM channels_channelorder
    WHERE channel_id = %s AND fetch_wanted > fetched AND next_fetch_at <= clock_timestamp()
    ORDER BY applied_at IS NOT NULL, next_fetch_at
    LIMIT 1
    FOR UPDATE SKIP LOCKED
)
UPDATE channels_channelorder kept
SET next_fetch_at = clock_timestamp() + make_interval(secs => %s)
FROM due
WHERE kept.id = due.id
RETURNING kept.id, kept.external_id, kept.fetch_wanted, kept.next_fetch_at, kept.fetch_error <> ''
"""

_DONE: Final = """
UPDATE channels_channelorder
SET fetched = greatest(fetched, %(wanted)s),
    fetch_error = '',
    next_fetch_at = CASE WHEN fetch_wanted > greatest(fetched, %(wanted)s) THEN clock_timestamp() END
WHERE id = %(id)s
"""


@dataclass(frozen=True, slots=True)
class _Fetch:
    """One order on its way; `wanted` are the hints that this fetch answers."""

    order_id: int
    external_id: str
    wanted: int
    leased_until: datetime
    #: Whether the last fetch failed, or was put off.
    has_failed: bool


def fetch_due(channel: Channel, connector: Connector, *, limit: int = 200) -> int:
    """Fetches and applies orders of the channel that are due, oldest first; returns how many calls were made.

    Stops when the channel itself fails. An order whose stock could not be had in time is due again in a moment.
    """
    for count in range(limit):
        fetch = _lease(channel)
        if fetch is None:
            return count
        if not _fetch(channel, connector, fetch):
            return count + 1
    return limit


def _lease(channel: Channel) -> _Fetch | None:
    with connection.cursor() as cursor:
        cursor.execute(_LEASE, [channel.pk, LEASE.total_seconds()])
        row = cursor.fetchone()
    return _Fetch(*row) if row else None


def _fetch(channel: Channel, connector: Connector, fetch: _Fetch) -> bool:
    """Fetches one order and applies it; False when the channel itself does not work."""
    try:
        fetch_now(channel, connector, fetch.external_id)
    except StockBusy as error:
        pause = retry_queue.postpone(Work.of_order(channel, fetch.external_id), error.reason)
        _postpone(fetch, str(error), LATER if pause is None else pause)
        return True
    except (OperationalError, InterfaceError):
        raise  # the database is gone: nothing is wrong with this order
    except (Rejected, BadMessage, StockError, DatabaseError) as error:
        log.warning("fetched_order_failed", channel=channel.pk, order=fetch.external_id, exc_info=True)
        _postpone(fetch, str(error), LATER)
        error_log.note(channel.pk, error, job=ErrorJob.FETCH, about=ChannelOrder(pk=fetch.order_id))
        return True
    except ConnectorError as error:
        _postpone(fetch, str(error), _pause(error))
        breaker.note_failure(channel.pk, error, job=ErrorJob.FETCH, about=ChannelOrder(pk=fetch.order_id))
        return False
    breaker.note_success(channel.pk)
    if fetch.has_failed:
        retry_queue.settle(Work.of_order(channel, fetch.external_id))
    with connection.cursor() as cursor:
        cursor.execute(_DONE, {"id": fetch.order_id, "wanted": fetch.wanted})
    return True


def fetch_now(channel: Channel, connector: Connector, external_id: str) -> None:
    """Reads an order and applies it as it is now. Raises what the connector and the ledger raise."""
    state = connector.fetch_order(external_id)
    arrived_at = timezone.now()
    if state is None:
        if not apply_missing(channel, external_id, arrived_at=arrived_at):
            raise Rejected("The platform does not show this order, of which it spoke; it is asked again.")
    else:
        # The answer may contradict what a webhook said of the same second; asking again would bring the same
        # answer.
        record_state(channel, state, arrived_at=arrived_at)


def _postpone(fetch: _Fetch, error: str, pause: timedelta) -> None:
    jittered = pause * random.uniform(0.75, 1.25)  # noqa: S311  # spreads retries, hides nothing
    ChannelOrder.objects.filter(pk=fetch.order_id, next_fetch_at=fetch.leased_until).update(
        fetch_error=error[:2000], next_fetch_at=timezone.now() + jittered
    )


def _pause(error: ConnectorError) -> timedelta:
    if isinstance(error, PermanentError):
        return LATER
    if isinstance(error, TransientError) and error.retry_after is not None:
        return timedelta(seconds=min(max(error.retry_after, 0.5), LATER.total_seconds()))
    return SOON
