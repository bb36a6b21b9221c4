"""Threads that make the calls of the pusher, each with a database connection of its own."""

import threading
import time
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Final

import structlog
from django.db import close_old_connections, connection

log = structlog.get_logger(__name__)

#: Seconds after which a thread's connection is tested before its next job; after a failure it is at once.
_TEST_AFTER: Final = 2.0

_Job = Callable[[], None]


class Crew:
    """Up to `size` threads, started as they are needed; the process does not wait for them when it ends.

    The thread that became free last gets the next job: its connection has planned its statements already, and so few
    connections as the work needs have to.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._hands: list[_Hand] = []
        self._free: list[_Hand] = []
        #: Jobs that were submitted although there was no room.
        self._waiting: deque[_Job] = deque()
        self._busy = 0
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        """How many jobs it does at the same time."""
        return self._size

    @property
    def has_room(self) -> bool:
        """Whether a job would begin at once."""
        return self._busy < self._size

    def submit(self, job: _Job) -> None:
        """Has a thread do the job; what it raises is logged."""
        with self._lock:
            self._busy += 1
            if self._free:
                self._free.pop().jobs.put(job)
            elif len(self._hands) < self._size:
                hand = _Hand(f"crew-{len(self._hands)}", self._next)
                self._hands.append(hand)
                hand.jobs.put(job)
                hand.start()
            else:
                self._waiting.append(job)

    def close(self, *, seconds: float) -> bool:
        """Ends the threads once their job is done; False when some were still at it after that time."""
        with self._lock:
            self._waiting.clear()
            for hand in self._hands:
                hand.jobs.put(None)
        until = time.monotonic() + seconds
        for hand in self._hands:
            hand.join(max(0.0, until - time.monotonic()))
        return not any(hand.is_alive() for hand in self._hands)

    def _next(self, hand: "_Hand") -> None:
        """Gives a thread that has done its job another one, or none for now."""
        with self._lock:
            self._busy -= 1
            if self._waiting:
                hand.jobs.put(self._waiting.popleft())
            else:
                self._free.append(hand)


class _Hand(threading.Thread):
    """One of the threads, with its own queue."""

    def __init__(self, name: str, when_done: Callable[["_Hand"], None]) -> None:
        super().__init__(name=name, daemon=True)
        self.jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._when_done = when_done

    def run(self) -> None:
        """Does jobs until there are no more."""
        tested_at = 0.0
        while (job := self.jobs.get()) is not None:
            try:
                if time.monotonic() - tested_at > _TEST_AFTER:
                    close_old_connections()
                    tested_at = time.monotonic()
                job()
            except Exception:
                log.exception("crew_job_failed")
                tested_at = 0.0
            finally:
                self._when_done(self)
        connection.close()
