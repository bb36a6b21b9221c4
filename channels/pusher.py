"""The resident process that tells channels their numbers and reads their orders.

One thread plans, the others call. It wakes by NOTIFY and sweeps once a second, asks the database what is due,
and gives out one call at a time, channel by channel in turn: a slow or failing channel keeps the few threads
that its platform allows busy and delays nobody else.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from typing import Final

import structlog
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection

from channels import acknowledgements, breaker, fetching, following, heartbeats, polling
from channels.accounts import channel_of, open_connector
from channels.breaker import BreakerState
from channels.clock_steps import forget_the_future
from channels.connectors import CONNECTORS
from channels.crew import Crew
from channels.deliveries import wake_for_due
from channels.desks import Desk, Done, Job
from channels.errors import ConnectorError
from channels.fanout import fan_out
from channels.feeds import (
    KEEPING,
    LISTINGS,
    ORDERS,
    SHELVES,
    WAREHOUSE,
    ensure_feeds,
    lease_due_feed,
    postpone,
)
from channels.leases import Lease
from channels.models import Channel
from channels.models.error_log import ErrorJob
from channels.propagation import Propagation
from channels.pushes import WAKE_UP
from channels.queues import QueueReaders
from channels.sending import push_batch
from channels.shadow import following as shadows
from channels.survey import survey
from channels.warehouses import marks
from config import heartbeat
from config.notify import Listener
from inventory.errors import StockBusy

log = structlog.get_logger(__name__)

#: Seconds between sweeps: what a lost wake-up costs.
SWEEP: Final = 1.0
#: Seconds between two looks for what waits longer than anything may; by this process's own clock, which is never put back.
LOOK_AHEAD: Final = 60.0
#: Seconds between two surveys: what comes together is looked at together.
SURVEY_PAUSE: Final = 0.05
#: Seconds given to calls in progress when the process is asked to end.
PATIENCE: Final = 1.5
#: What a failure of a job is logged as.
_LOGGED: Final = {
    Job.PUSH: ErrorJob.PUSH,
    Job.POLL: ErrorJob.POLL,
    Job.FETCH: ErrorJob.FETCH,
    Job.FOLLOW: ErrorJob.FOLLOW,
    Job.ACKNOWLEDGE: ErrorJob.ACKNOWLEDGE,
}
#: Orders fetched in one turn of a channel.
_FETCHES: Final = 20


@dataclass(frozen=True, slots=True)
class _Ended:
    """A thread has ended a job."""

    desk: Desk
    job: Job
    #: How often it had been asked for when it began.
    asked: int
    done: Done


@dataclass(frozen=True, slots=True)
class _Leased:
    """A push has chosen what to send, and goes on."""

    desk: Desk
    #: Whether it took as much as one push takes, so that more may wait.
    is_full: bool


class _Tidied:
    """The orders on their way were looked at."""


class _Woken:
    """Something may be due, or it is time to stop."""


_Event = _Ended | _Leased | _Tidied | _Woken


class Pusher:
    """Plans and runs the calls to all channels until it is told to stop."""

    def __init__(self, *, threads: int | None = None) -> None:
        self._crew = Crew(threads or settings.PUSHER_THREADS)
        self._events: SimpleQueue[_Event] = SimpleQueue()
        self._stopping = threading.Event()
        self._desks: dict[int, Desk] = {}
        self._turns: deque[int] = deque()
        self._propagation = Propagation()
        self._queues = QueueReaders()
        self._is_tidying = False
        self._is_survey_due = True
        self._swept_at = -SWEEP
        self._looked_ahead_at = -LOOK_AHEAD
        self._surveyed_at = -SWEEP

    def stop(self) -> None:
        """Has `run` end; safe in a signal handler."""
        self._stopping.set()
        self._events.put(_Woken())

    def run(self) -> bool:
        """Works until `stop`; tells whether all calls had ended by then."""
        listener = threading.Thread(target=self._listen, name="listener", daemon=True)
        listener.start()
        ticker = heartbeat.Ticker()
        while not self._stopping.is_set():
            if ticker.is_due():
                heartbeat.beat()
            self._plan()
            self._wait()
        self._queues.stop()
        is_clean = self._crew.close(seconds=PATIENCE)
        connection.close()
        return is_clean

    def _listen(self) -> None:
        with Listener(WAKE_UP) as listener:
            while not self._stopping.is_set():
                if listener.wait(SWEEP):
                    self._events.put(_Woken())

    # -- planning

    def _plan(self) -> None:
        try:
            if time.monotonic() - self._swept_at >= SWEEP:
                self._swept_at = time.monotonic()
                self._sweep()
            if self._is_survey_due and self._seconds_to_survey() <= 0:
                self._is_survey_due = False
                self._survey()
        except (DatabaseError, InterfaceError) as error:
            log.warning("database_unavailable", reason=str(error))
            connection.close()
            return
        self._give_out()

    def _wait(self) -> None:
        """Waits for something to happen, a sweep to be due, or a rest to be over."""
        rests = [seconds for desk in self._desks.values() for seconds in desk.seconds_to_rest()]
        if self._is_survey_due:
            rests.append(self._seconds_to_survey())
        timeout = min([self._swept_at + SWEEP - time.monotonic(), *rests])
        try:
            self._handle(self._events.get(timeout=max(timeout, 0.001)))
            while True:
                self._handle(self._events.get_nowait())
        except Empty:
            return

    def _handle(self, event: _Event) -> None:
        match event:
            case _Woken():
                self._is_survey_due = True
            case _Tidied():
                self._is_tidying = False
            case _Leased(desk, is_full):
                desk.leased(is_full=is_full)
            case _Ended(desk, job, asked, done):
                desk.end(job, done, asked=asked)
                # A failure may have opened the breaker and a probe closed it; of two feeds one was read.
                is_probe = desk.breaker is not BreakerState.CLOSED
                if done.has_failed or is_probe or (done.count and job in (Job.POLL, Job.IMPORT)):
                    self._is_survey_due = True
                    # At once: nothing may begin by what was known before.
                    self._surveyed_at = -SWEEP

    def _sweep(self) -> None:
        self._is_survey_due = True
        heartbeats.beat(heartbeats.PUSHER)
        active = Channel.objects.filter(is_active=True).order_by("id").values_list("id", "kind")
        kinds = {identity: kind for identity, kind in active if kind in CONNECTORS}
        share = max(1, self._crew.size // max(len(kinds), 1))
        new = kinds.keys() - self._desks.keys()
        if new:
            ensure_feeds()
            self._desks |= {channel_id: Desk(channel_id) for channel_id in new}
            self._turns.extend(sorted(new))
        for channel_id, kind in kinds.items():
            able = CONNECTORS[kind].capabilities
            self._desks[channel_id].limit = min(able.concurrency, share)
        self._queues.follow(
            {each for each, kind in kinds.items() if CONNECTORS[kind].capabilities.message_queue}
        )
        if not self._is_tidying:
            self._is_tidying = True
            self._crew.submit(self._tidy)

    def _seconds_to_survey(self) -> float:
        return self._surveyed_at + SURVEY_PAUSE - time.monotonic()

    def _survey(self) -> None:
        """Turns noted changes of parts into marks, and asks what is due."""
        self._surveyed_at = time.monotonic()
        found = survey()
        if any(due.notes for due in found.values()):
            fan_out()
            found = survey()
        for channel_id, due in found.items():
            if channel_id not in self._desks:
                continue
            desk = self._desks[channel_id]
            desk.breaker = due.breaker
            asked = {
                Job.PUSH: due.pushes,
                Job.POLL: due.polls,
                Job.IMPORT: due.imports,
                Job.FETCH: due.fetches,
                Job.FOLLOW: due.follows,
                Job.ACKNOWLEDGE: due.acknowledgements,
            }
            for job, is_due in asked.items():
                if is_due:
                    desk.ask(job)

    def _give_out(self) -> None:
        """Begins jobs while there is room, one a channel and round."""
        idle = 0
        while self._crew.has_room and idle < len(self._turns):
            desk = self._desks[self._turns[0]]
            self._turns.rotate(-1)
            job = desk.next_job()
            if job is None:
                idle += 1
                continue
            idle = 0
            self._crew.submit(partial(self._run, desk, job, desk.begin(job)))

    # -- in the threads of the crew

    def _run(self, desk: Desk, job: Job, asked: int) -> None:
        done = Done(has_failed=True)
        try:
            done = self._jobs[job](self, desk)
        except StockBusy:
            log.info("stock_is_busy", channel=desk.channel_id, job=job.value)
        except ConnectorError as error:
            breaker.note_failure(desk.channel_id, error, job=_LOGGED[job])
        finally:
            self._events.put(_Ended(desk, job, asked, done))

    def _push(self, desk: Desk) -> Done:
        def leased(lease: Lease) -> None:
            self._events.put(_Leased(desk, lease.is_full))

        return push_batch(desk.channel_id, desk.turns, on_lease=leased)

    def _poll(self, desk: Desk) -> Done:
        orders = self._read(desk, ORDERS)
        return orders if orders.count else self._read(desk, KEEPING)

    def _import(self, desk: Desk) -> Done:
        for name in (LISTINGS, WAREHOUSE, SHELVES):
            done = self._read(desk, name)
            if done.count:
                return done
        return Done()

    def _read(self, desk: Desk, name: str) -> Done:
        feed = lease_due_feed(desk.channel_id, name)
        if feed is None:
            return Done()
        try:
            polling.poll_feed(feed, open_connector(feed.channel))
        except polling.LeaseLost:
            log.info("poll_lease_lost", channel=desk.channel_id, feed=feed.name)
        except ConnectorError as error:
            postpone(feed, str(error))
            raise
        return Done(1)

    def _fetch(self, desk: Desk) -> Done:
        channel = channel_of(desk.channel_id)
        if channel is None:
            return Done()
        return Done(fetching.fetch_due(channel, open_connector(channel), limit=_FETCHES))

    def _follow(self, desk: Desk) -> Done:
        channel = channel_of(desk.channel_id)
        if channel is not None:
            following.follow(desk.channel_id, open_connector(channel))
        # What is still open is asked after at the next sweep, not at once.
        return Done()

    def _acknowledge(self, desk: Desk) -> Done:
        channel = channel_of(desk.channel_id)
        if channel is None:
            return Done()
        return Done(acknowledgements.say_due(channel, open_connector(channel)))

    _jobs: Final[dict[Job, Callable[["Pusher", Desk], Done]]] = {
        Job.PUSH: _push,
        Job.POLL: _poll,
        Job.IMPORT: _import,
        Job.FETCH: _fetch,
        Job.FOLLOW: _follow,
        Job.ACKNOWLEDGE: _acknowledge,
    }

    def _tidy(self) -> None:
        try:
            self._propagation.note()
            wake_for_due()
            shadows.follow_all()
            marks.wake_for_due()
            if time.monotonic() - self._looked_ahead_at >= LOOK_AHEAD:
                self._looked_ahead_at = time.monotonic()
                forget_the_future()
        finally:
            self._events.put(_Tidied())
