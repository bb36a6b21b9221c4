"""Threads that make the calls of the pusher, each with a database connection of its own."""

import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Final

import structlog
from django.db import close_old_connections, connection

log = structlog.get_logger(__name__)

#: Seconds after which a thread's connection is tested before its next job; after a failure it is at once.
_TEST_AFTER: Final = 2.0


class Crew:
    """Up to `size` threads, started as they are needed; the process does not wait for them when it ends."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
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

    def submit(self, job: Callable[[], None]) -> None:
        """Has a thread do the job; what it raises is logged."""
        with self._lock:
            self._busy += 1
            is_short = self._busy > len(self._threads) and len(self._threads) < self._size
        if is_short:
            thread = threading.Thread(target=self._work, name=f"crew-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()
        self._jobs.put(job)

    def close(self, *, seconds: float) -> bool:
        """Ends the threads once their job is done; False when some were still at it after that time."""
        for _ in self._threads:
            self._jobs.put(None)
        until = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _work(self) -> None:
        tested_at = 0.0
        while (job := self._jobs.get()) is not None:
            try:
                if time.monotonic() - tested_at > _TEST_AFTER:
                    close_old_connections()
                    tested_at = time.monotonic()
                job()
            except Exception:
                log.exception("crew_job_failed")
                tested_at = 0.0
            finally:
                with self._lock:
                    self._busy -= 1
        connection.close()
