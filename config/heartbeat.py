"""Shows the supervisor that a resident process still does its work.

Under `serve` each such process is given a file in `ONECOUNT_HEARTBEAT_FILE`, and calls `beat` at least every
two seconds from the loop that does the work. Elsewhere nothing is written.
"""

import os
import time
from pathlib import Path
from typing import Final

#: Seconds between beats; the supervisor restarts a process after five missed ones.
INTERVAL: Final = 2.0

FILE_VARIABLE: Final = "ONECOUNT_HEARTBEAT_FILE"


def is_wanted() -> bool:
    """Returns whether a supervisor watches this process."""
    return FILE_VARIABLE in os.environ


def beat() -> None:
    """Sets the time of the heartbeat file to now."""
    if is_wanted():
        Path(os.environ[FILE_VARIABLE]).touch()


class Ticker:
    """Says every `INTERVAL` seconds that a beat is due, where this process is watched."""

    def __init__(self) -> None:
        self._last = -INTERVAL

    def is_due(self) -> bool:
        """Returns whether a beat is due, and takes it as done."""
        if not is_wanted() or time.monotonic() - self._last < INTERVAL:
            return False
        self._last = time.monotonic()
        return True
