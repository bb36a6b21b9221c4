"""What workers are woken for; it may be called at any time: what there is to do lies in rows."""

import time
from typing import Final

from channels.retry_queue import insist
from reconciliation import cancelling, causes, policies

#: A task ends well before django-q's timeout; what is left is found by the next one.
_LONGEST_RUN: Final = 45.0


def look_after_conflicts() -> dict[str, int]:
    """Judges new conflicts, applies the policies, and sees what became of cancellations; returns how many of each."""
    return {
        "examined": insist("conflicts", causes.examine_new),
        "resolved": insist("conflict policies", policies.apply_policies),
        "told": tell_platforms(),
    }


def tell_platforms() -> int:
    """Tells platforms the cancellations that are due, and ends those that their orders show; returns how many were told."""
    started, count = time.monotonic(), 0
    while time.monotonic() - started < _LONGEST_RUN and cancelling.tell_next():
        count += 1
    insist("cancelled orders", cancelling.follow_orders)
    return count
