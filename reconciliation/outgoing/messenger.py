"""Sends the messages: one thread plans and is alone with the database, the others post.

A subscription that fails or is slow is told one message at a time, and all of those together keep at most half of the threads
busy; so is one that was not told anything yet, and all of those keep a quarter. Whoever answers quickly never waits for whoever
does not.
"""

import threading
import time
from collections import Counter
from enum import Enum
from functools import partial
from queue import Empty, SimpleQueue
from typing import Final

import structlog
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.utils import timezone

from channels import heartbeats
from channels.crew import Crew
from reconciliation.outgoing import following, making
from reconciliation.outgoing.leasing import Leased, Outcome, lease, receivers, record
from reconciliation.signed_posts import NotSent, post

log = structlog.get_logger(__name__)

#: Seconds between two looks at what happened: what changes of a level in between is one event.
WINDOW: Final = 1.0
#: Seconds in which answers are gathered, to be written together.
_GATHERING: Final = 0.02
#: Rounds of making events before messages are sent again.
_ROUNDS: Final = 20
#: Seconds from which on an answer is slow.
_SLOW: Final = 1.0
#: The share of the threads that one subscription may keep busy.
_SHARE: Final = 8
#: Seconds given to calls in progress at the end.
PATIENCE: Final = 1.0


class _Lane(Enum):
    """How subscriptions have answered so far; the value is the share of the threads that all of a lane may keep busy."""

    NEW = 0.25
    SLOW = 0.5
    QUICK = 1.0


class Messenger:
    """Makes events and sends their messages until it is told to stop."""

    def __init__(self, *, threads: int | None = None) -> None:
        self._crew = Crew(threads or settings.WEBHOOK_THREADS)
        self._outcomes: SimpleQueue[Outcome] = SimpleQueue()
        #: Subscription → messages on their way, and the seconds of its last answer.
        self._in_flight: Counter[int] = Counter()
        self._seconds: dict[int, float] = {}
        self._looked_at = -WINDOW

    def run(self, stopping: threading.Event) -> bool:
        """Works until `stopping` is set; tells whether all calls had ended by then."""
        while not stopping.is_set():
            try:
                heartbeats.beat(heartbeats.WEBHOOKS)
                self._turn()
            except (DatabaseError, InterfaceError) as error:
                log.warning("database_unavailable", reason=str(error))
                connection.close()
                stopping.wait(WINDOW)
            except Exception:
                log.exception("messenger_failed")
                connection.close()
                stopping.wait(WINDOW)
        is_clean = self._crew.close(seconds=PATIENCE)
        self._end()
        return is_clean

    def _end(self) -> None:
        try:
            self._record()
        except (DatabaseError, InterfaceError) as error:
            # Sent again, under the same id.
            log.warning("database_unavailable", reason=str(error))
        connection.close()

    def _turn(self) -> None:
        if time.monotonic() - self._looked_at >= WINDOW:
            self._looked_at = time.monotonic()
            make_events()
        self._record()
        self.send_due()
        self._wait()

    def _wait(self) -> None:
        """Waits for an answer, and a moment longer for more, or until it is time to look again."""
        left = self._looked_at + WINDOW - time.monotonic()
        try:
            self._outcomes.put(self._outcomes.get(timeout=max(left, _GATHERING)))
        except Empty:
            return
        time.sleep(_GATHERING)

    # -- planning

    def send_due(self) -> int:
        """Begins to send what is due and there is room for; returns how many messages."""
        if self._free <= 0:
            return 0
        lanes: dict[_Lane, dict[int, int]] = {lane: {} for lane in _Lane}
        for pk, is_failing in receivers().items():
            lane = self._lane_of(pk, is_failing=is_failing)
            lanes[lane][pk] = self._in_flight[pk]
        return sum(self._send_along(lane, busy) for lane, busy in lanes.items())

    def _lane_of(self, pk: int, *, is_failing: bool) -> _Lane:
        seconds = self._seconds.get(pk)
        if is_failing or (seconds is not None and seconds >= _SLOW):
            return _Lane.SLOW
        return _Lane.NEW if seconds is None else _Lane.QUICK

    def _send_along(self, lane: _Lane, busy: dict[int, int]) -> int:
        """Begins to send to subscriptions of one lane, given how many messages are on their way to each."""
        at_once = max(1, self._crew.size // _SHARE) if lane is _Lane.QUICK else 1
        room = {pk: at_once - count for pk, count in busy.items() if count < at_once}
        limit = max(1, round(self._crew.size * lane.value)) - sum(busy.values())
        leased = lease(room, limit=min(limit, self._free))
        for message in leased:
            self._in_flight[message.subscription_id] += 1
            self._crew.submit(partial(self._send, message))
        return len(leased)

    @property
    def _free(self) -> int:
        return self._crew.size - self._in_flight.total()

    def _record(self) -> None:
        outcomes = []
        while True:
            try:
                outcomes.append(self._outcomes.get_nowait())
            except Empty:
                break
        for each in outcomes:
            self._in_flight[each.message.subscription_id] -= 1
            self._seconds[each.message.subscription_id] = each.milliseconds / 1000
        record(outcomes)

    def finish(self) -> None:
        """Waits for all messages that are on their way, and writes what became of them."""
        while self._in_flight.total() > 0:
            self._outcomes.put(self._outcomes.get())
            self._record()

    # -- in the threads of the crew, which know no database

    def _send(self, message: Leased) -> None:
        began_at, started = timezone.now(), time.monotonic()
        error, status, is_gone = "It could not be sent; the server's log says why.", 0, False
        try:
            if message.problem:
                raise NotSent(message.problem)
            status, error = post(message.letter), ""
        except NotSent as failure:
            error, status, is_gone = str(failure), failure.status, failure.is_gone
        finally:
            milliseconds = round((time.monotonic() - started) * 1000)
            self._outcomes.put(Outcome(message, status, error, began_at, milliseconds, is_gone))


def make_events() -> int:
    """Makes events and messages of all that happened; returns how many changes and notes that were."""
    count = 0
    for _ in range(_ROUNDS):
        made = following.follow() + making.make_noted()
        count += made
        if not made:
            break
    return count


def send_all(*, threads: int = 8) -> int:
    """Makes what happened into messages and sends all that are due now, without a resident; returns how many it began."""
    messenger = Messenger(threads=threads)
    make_events()
    count = 0
    while sent := messenger.send_due():
        count += sent
        messenger.finish()
    return count
