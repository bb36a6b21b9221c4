"""Shows the supervisor that a resident process still does its work.

Under `serve` each such process is given a file in `ONECOUNT_HEARTBEAT_FILE`, and calls `beat` at least every two seconds from the loop that does the work.
Elsewhere nothing is written.
"""

import os
import threading
import time
from pathlib import Path
from typing import Any, Final

#: Seconds between beats; the supervisor restarts a process after five missed ones.
INTERVAL: Final = 2.0

FILE_VARIABLE: Final = "ONECOUNT_HEARTBEAT_FILE"


def beat() -> None:
    """Sets the time of the heartbeat file to now."""
    path = os.environ.get(FILE_VARIABLE)
    if path:
        Path(path).touch()


class Ticker:
    """Says every `INTERVAL` seconds that a beat is due, where this process has a heartbeat file."""

    def __init__(self) -> None:
        self._last = 0.0

    def is_due(self) -> bool:
        """Returns whether a beat is due, and takes it as done."""
        if FILE_VARIABLE not in os.environ or time.monotonic() - self._last < INTERVAL:
            return False
        self._last = time.monotonic()
        return True


class WorkerBeat:
    """Beats on behalf of a job worker that is busy with a long task.

    An idle worker proves itself by running the beats that the broker slips in between the tasks. A busy one cannot, so
    that a thread beats while a task runs; the task's own time limit ends one that hangs.
    """

    def __init__(self) -> None:
        self._is_busy = threading.Event()
        self._thread_pid = 0

    def task_starts(self, **_: Any) -> None:
        """Begins to beat; made to receive django-q2's `pre_execute`."""
        self._is_busy.set()
        if FILE_VARIABLE in os.environ and self._thread_pid != os.getpid():
            self._thread_pid = os.getpid()
            threading.Thread(target=self._run, name="heartbeat", daemon=True).start()

    def task_ends(self, **_: Any) -> None:
        """Ceases to beat; made to receive django-q2's `post_execute_in_worker`."""
        self._is_busy.clear()

    def _run(self) -> None:
        while self._is_busy.wait():
            beat()
            time.sleep(INTERVAL)
