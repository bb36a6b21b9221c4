"""Watches in place of the jobs when they stand still: whatever they do not tell of has to be told by somebody else.

The watch of each minute is a job. Where no worker runs, nothing would look, open an alert or send a message, least of all that
no worker runs. The resident process that compares channels therefore sees when the last watch was.
"""

from time import monotonic
from typing import Final

import structlog
from django.utils import timezone

from channels.crew import Crew
from channels.models import Heartbeat
from reconciliation import tasks
from reconciliation.checks.installation import WATCH

log = structlog.get_logger(__name__)

#: Seconds without a watch after which somebody stands in; long enough for a restart, and for a busy minute.
AFTER: Final = 130.0
#: Seconds from one watch to the next while it does.
EVERY: Final = 60.0
#: Seconds between two looks at the last watch.
_LOOK: Final = 5.0


class StandIn:
    """Watches while nobody else does, in a thread of its own: sending messages takes its time."""

    def __init__(self) -> None:
        self._crew = Crew(1)
        self._began = self._looked = monotonic()
        #: The last watch was this one's.
        self._own: float | None = None

    def look_after(self) -> bool:
        """Watches where the jobs have not done so in time; tells whether it does. To be called every second or so."""
        now = monotonic()
        if now - self._looked < _LOOK or not self._crew.has_room:
            return False
        self._looked = now
        silent = self._silence()
        if self._own is not None and silent < now - self._own - _LOOK:
            log.info("jobs_watch_again")
            self._own = None
        if min(silent, now - self._began) < AFTER if self._own is None else now - self._own < EVERY:
            return False
        if self._own is None:
            log.error("jobs_do_not_watch", silent_seconds=round(min(silent, now - self._began)))
        self._own = now
        self._crew.submit(self._watch)
        return True

    def close(self, *, seconds: float) -> bool:
        """Ends the thread; False when it was still at it after that time."""
        return self._crew.close(seconds=seconds)

    def _silence(self) -> float:
        beat_at = Heartbeat.objects.filter(name=WATCH).values_list("beat_at", flat=True).first()
        return (timezone.now() - beat_at).total_seconds() if beat_at else float("inf")

    def _watch(self) -> None:
        tasks.watch()
