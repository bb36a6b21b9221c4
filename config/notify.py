"""Wakes other processes through PostgreSQL, after commit and seldom.

NOTIFY inside a transaction makes all commits that carry one wait for each other, so that it is sent after the
commit, and at most once in `WINDOW` per channel and process. What is swallowed within the window is not lost:
a listener reports each channel at once and a second time when the window has passed, by which time everything
that was swallowed has been committed. A wake-up may still be lost (a crash between commit and NOTIFY) or come
twice; listeners sweep by themselves as well.
"""

import threading
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Final, Self

import psycopg
import structlog
from django.db import connection, transaction
from psycopg import sql

from config.database import direct_connection

#: Seconds in which a process repeats no NOTIFY on the same channel.
WINDOW: Final = 0.005

_log = structlog.get_logger(__name__)
_sent_at: dict[str, float] = {}
_sent_at_lock = threading.Lock()


def notify_after_commit(channel: str) -> None:
    """Wakes the channel's listeners once the current transaction commits; at once where none is open.

    A failure is logged and not raised, because what was committed stays committed.
    """
    # Not a partial: Django names a robust callback by its `__qualname__` when it fails.
    transaction.on_commit(lambda: _notify(channel), robust=True)


def _notify(channel: str) -> None:
    if _is_first_in_window(channel):
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_notify(%s, '')", [channel])


def _is_first_in_window(channel: str) -> bool:
    # Stamped before sending: the listener's second report then comes after everything that this stamp
    # swallows.
    with _sent_at_lock:
        now = time.monotonic()
        if now - _sent_at.get(channel, -WINDOW) < WINDOW:
            return False
        _sent_at[channel] = now
        return True


class Listener:
    """Waits for wake-ups on channels, over a connection of its own that it opens again whenever it breaks.

    It serves one thread, and must be made in the process that uses it.
    """

    def __init__(self, *channels: str) -> None:
        self._channels = channels
        self._connection: psycopg.Connection | None = None
        self._repeat_at: dict[str, float] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def wait(self, timeout: float) -> set[str]:
        """Returns the channels to look at, at the latest after `timeout` seconds, then none.

        After connecting, the first time or again, it names all channels, because wake-ups may have been
        missed. While the server cannot be reached it waits out the timeout and returns none, so that the
        caller's sweep goes on.
        """
        deadline = time.monotonic() + timeout
        try:
            if self._connection is None:
                self._connect()
                return set(self._channels)
            return self._due() or self._received(self._connection, deadline) or self._due()
        except psycopg.OperationalError as error:
            _log.warning("listener_disconnected", channels=self._channels, error=str(error))
            self.close()
            time.sleep(max(0.0, deadline - time.monotonic()))
            return set()

    def close(self) -> None:
        """Closes the connection; the next `wait` opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connect(self) -> None:
        self._connection = direct_connection()
        for channel in self._channels:
            self._connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))

    def _due(self) -> set[str]:
        now = time.monotonic()
        due = {channel for channel, at in self._repeat_at.items() if at <= now}
        for channel in due:
            del self._repeat_at[channel]
        return due

    def _received(self, connection: psycopg.Connection, deadline: float) -> set[str]:
        until = min([deadline, *self._repeat_at.values()])
        notifies = connection.notifies(timeout=max(0.0, until - time.monotonic()), stop_after=1)
        channels = {notify.channel for notify in notifies}
        self._repeat_at.update(dict.fromkeys(channels, time.monotonic() + WINDOW))
        return channels


def listen(*channels: str, timeout: float) -> Iterator[set[str]]:
    """Yields the channels to look at for ever, an empty set after each `timeout` seconds without any."""
    with Listener(*channels) as listener:
        while True:
            yield listener.wait(timeout)
