"""How long this process has been up."""

import time
from typing import Final

_BEGAN_AT: Final = time.monotonic()


def seconds_up() -> float:
    """Returns the seconds since this process began: that of the web server imports it before all else."""
    return time.monotonic() - _BEGAN_AT
