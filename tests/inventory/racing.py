"""Threads with database connections of their own, and a way to see one of them wait."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

from django.db import connection

#: Long enough for any machine; nothing waits this long unless the test fails.
PATIENCE = 20.0


def _in_own_connection(action: Callable[[], Any]) -> Any:
    try:
        return action()
    finally:
        connection.close()


@contextmanager
def meanwhile(action: Callable[[], Any]) -> Iterator[Future[Any]]:
    """Runs the action in a thread with its own connection; leaving the block waits for it."""
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(_in_own_connection, action)
        yield future
        future.exception(PATIENCE)


def race(actions: Sequence[Callable[[], Any]]) -> list[Any]:
    """Starts all actions at once, each on its own connection; returns results or errors in order."""
    start = threading.Barrier(len(actions))

    def run(action: Callable[[], Any]) -> Any:
        connection.ensure_connection()
        start.wait(PATIENCE)
        return action()

    with ThreadPoolExecutor(len(actions)) as pool:
        futures = [pool.submit(_in_own_connection, partial(run, action)) for action in actions]
        return [future.exception(PATIENCE) or future.result() for future in futures]


def wait_until_blocked(connections: int = 1) -> None:
    """Returns once that many connections of this database wait for a lock."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        with connection.cursor() as cursor:
            # Inside a transaction the activity is as old as its first reading.
            cursor.execute("SELECT pg_stat_clear_snapshot()")
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            if cursor.fetchone()[0] >= connections:
                return
        time.sleep(0.01)
    raise AssertionError("nobody waits for a lock")
