"""The resident process that tells channels their numbers and polls their orders.

One thread plans: it wakes by NOTIFY or once a second, and gives each channel that has something due as many senders as the
platform allows at once. A sender works for one channel until nothing is due there, so that a slow or failing channel never
delays another. Each thread has a database connection of its own.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import structlog
from django.db import DatabaseError, InterfaceError, close_old_connections, connection
from django.utils import timezone

from channels import outcomes, polling
from channels.accounts import open_connector
from channels.connectors import connector_class
from channels.errors import ChannelError, ConnectorError, Misconfigured
from channels.feeds import ensure_feeds, lease_due_feeds
from channels.models import Channel, PollFeed
from channels.pushes import CALL_DEADLINE, WAKE, channels_due, lease
from channels.sending import send
from config import heartbeat
from config.notify import Listener

log = structlog.get_logger(__name__)

#: Seconds between sweeps: what a lost wake-up costs.
SWEEP: Final = 1.0
#: Senders and pollers at the same time, over all channels; each holds a database connection.
SENDERS: Final = 16
POLLERS: Final = 6
#: A batch is never larger than this, whatever the platform takes.
LARGEST_BATCH: Final = 250


class Pusher:
    """Plans and runs senders and pollers until it is told to stop."""

    def __init__(self) -> None:
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._sending: Counter[int] = Counter()
        self._polling: set[int] = set()
        #: Channel → monotonic instant before which it is left alone.
        self._resting: dict[int, float] = {}
        self._turns: Counter[int] = Counter()
        self._senders = ThreadPoolExecutor(SENDERS, thread_name_prefix="sender")
        self._pollers = ThreadPoolExecutor(POLLERS, thread_name_prefix="poller")

    def stop(self) -> None:
        """Has `run` end after the calls in progress; safe in a signal handler."""
        self._stopping.set()

    def run(self) -> None:
        """Works until `stop`."""
        ticker = heartbeat.Ticker()
        swept_at = 0.0
        self._plan_safely(ensure_feeds)
        with Listener(WAKE) as listener:
            while not self._stopping.is_set():
                if ticker.is_due():
                    heartbeat.beat()
                self._plan_safely(self.plan_pushes)
                if time.monotonic() - swept_at >= SWEEP:
                    swept_at = time.monotonic()
                    self._plan_safely(self.plan_polls)
                    self._plan_safely(outcomes.note_propagated)
                listener.wait(self._patience())
        self._senders.shutdown(wait=False, cancel_futures=True)
        self._pollers.shutdown(wait=False, cancel_futures=True)
        connection.close()

    def _patience(self) -> float:
        """Seconds until the next look: the sweep, or sooner when a resting channel may be called again."""
        now = time.monotonic()
        soonest = min((until - now for until in self._resting.values()), default=SWEEP)
        return min(max(soonest, 0.02), SWEEP / 2)

    def _plan_safely(self, plan: Callable[[], object]) -> None:
        try:
            plan()
        except (DatabaseError, InterfaceError) as error:
            log.warning("database_unavailable", reason=str(error))
            connection.close()
            self._stopping.wait(0.5)

    def plan_pushes(self) -> None:
        """Starts senders for channels that have something due."""
        now = time.monotonic()
        for channel_id, kind, open_until in channels_due():
            if self._resting.get(channel_id, 0.0) > now:
                continue
            self._resting.pop(channel_id, None)
            if open_until is not None and open_until > timezone.now():
                self._resting[channel_id] = now + min((open_until - timezone.now()).total_seconds(), SWEEP)
                continue
            # A probe of a breaker that was open is one call; only its success lets the others go.
            self._start_senders(channel_id, 1 if open_until is not None else _concurrency(kind))

    def _start_senders(self, channel_id: int, most: int) -> None:
        with self._lock:
            missing = most - self._sending[channel_id]
            self._sending[channel_id] += max(missing, 0)
        for _ in range(missing):
            self._senders.submit(self._send_until_done, channel_id)

    def _send_until_done(self, channel_id: int) -> None:
        try:
            close_old_connections()
            while not self._stopping.is_set() and self._send_batch(channel_id):
                pass
        except ChannelError as error:
            log.warning("channel_cannot_be_told", channel=channel_id, reason=str(error))
            self._resting[channel_id] = time.monotonic() + 5.0
        except Exception:
            log.exception("sender_failed", channel=channel_id)
            self._resting[channel_id] = time.monotonic() + 1.0
        finally:
            with self._lock:
                self._sending[channel_id] -= 1
            connection.close()

    def _send_batch(self, channel_id: int) -> bool:
        """Sends one batch; False when nothing is due or the channel wants to be left alone."""
        if self._resting.get(channel_id, 0.0) > time.monotonic():
            return False
        channel = Channel.objects.filter(pk=channel_id, is_active=True, is_paused=False).first()
        if channel is None:
            return False
        connector = open_connector(channel, deadline=CALL_DEADLINE)
        size = min(connector.capabilities.push_batch_size, LARGEST_BATCH)
        self._turns[channel_id] += 1
        leased = lease(channel_id, size=size, turn=self._turns[channel_id])
        if not leased.levels:
            return False
        pause = send(leased, connector)
        if pause:
            self._resting[channel_id] = time.monotonic() + pause
        return not pause

    def plan_polls(self) -> None:
        """Starts pollers for feeds that are due."""
        with self._lock:
            room = POLLERS - len(self._polling)
        for feed in lease_due_feeds(limit=room) if room > 0 else ():
            with self._lock:
                self._polling.add(feed.pk)
            self._pollers.submit(self._poll, feed)

    def _poll(self, feed: PollFeed) -> None:
        try:
            close_old_connections()
            polling.poll_feed(feed, open_connector(feed.channel))
        except ConnectorError as error:
            log.warning("poll_failed", channel=feed.channel_id, feed=feed.name, reason=str(error))
        except Exception:
            log.exception("poller_failed", channel=feed.channel_id, feed=feed.name)
        finally:
            with self._lock:
                self._polling.discard(feed.pk)
            connection.close()


def _concurrency(kind: str) -> int:
    try:
        return connector_class(kind).capabilities.concurrency
    except Misconfigured:
        return 0
