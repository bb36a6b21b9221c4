"""The resident process that compares: shelves as shops announce them, within seconds, and whole channels by schedule.

It is a process of its own because reading a channel takes minutes of waiting for its platform, for which a job is no place.
A thread of it gives changes of the stock their positions, another one tells the merchants' own systems what happened: they
sleep most of the time, and have connections of their own.
"""

import threading
import time
from functools import partial
from typing import Final

import structlog
from django.db import DatabaseError, InterfaceError, connection

from channels import heartbeats, observations
from channels.crew import Crew
from config import heartbeat
from inventory.errors import StockBusy
from inventory.sequencer import Sequencer
from reconciliation import discrepancies, observing, runs, schedules, staging
from reconciliation.models import ReconciliationSchedule
from reconciliation.models.discrepancies import RunState
from reconciliation.outgoing.messenger import Messenger
from reconciliation.standing_in import StandIn

log = structlog.get_logger(__name__)

#: Seconds between two looks at what is to be done.
SWEEP: Final = 1.0
#: Sweeps between two looks at what changes seldom.
_SELDOM: Final = 60
#: Channels compared at the same time.
THREADS: Final = 4
PATIENCE: Final = 1.5


class Reconciler:
    """Compares until it is told to stop."""

    def __init__(self, *, threads: int = THREADS) -> None:
        self._crew = Crew(threads)
        self._stand_in = StandIn()
        self._stopping = threading.Event()
        self._going_on: set[int] = set()
        self._sweeps = 0

    def stop(self) -> None:
        """Has `run` end; safe in a signal handler."""
        self._stopping.set()

    def run(self) -> bool:
        """Works until `stop`; tells whether all runs had ended by then."""
        sequencing = threading.Thread(
            target=Sequencer().run, args=[self._stopping], name="sequencer", daemon=True
        )
        sequencing.start()
        messenger = threading.Thread(
            target=Messenger().run, args=(self._stopping,), name="messenger", daemon=True
        )
        messenger.start()
        while not self._stopping.is_set():
            began = time.monotonic()
            # Without one of its threads the process falls silent, and is started anew.
            if sequencing.is_alive() and messenger.is_alive():
                heartbeat.beat()
            self._sweep()
            self._stopping.wait(max(SWEEP - (time.monotonic() - began), 0.05))
        is_clean = self._crew.close(seconds=PATIENCE) and self._stand_in.close(seconds=PATIENCE / 3)
        sequencing.join(PATIENCE)
        messenger.join(PATIENCE)
        connection.close()
        return is_clean and not messenger.is_alive()

    def _sweep(self) -> None:
        try:
            self.sweep()
        except StockBusy:
            log.info("stock_is_busy")
        except (DatabaseError, InterfaceError) as error:
            log.warning("database_unavailable", reason=str(error))
            connection.close()

    def sweep(self) -> None:
        """Takes up what shops announced, follows corrections, begins the runs that are due, and sees that somebody watches."""
        if self._sweeps % _SELDOM == 0:
            schedules.ensure_schedules()
            runs.release_abandoned()
            staging.drop_abandoned()
        self._sweeps += 1
        heartbeats.beat(heartbeats.RECONCILER)
        self._stand_in.look_after()
        observations.judge_open()
        observing.take_up_observations()
        discrepancies.follow()
        schedules.ask_for_due()
        for run in runs.open_runs().exclude(pk__in=self._going_on)[:THREADS]:
            if self._crew.has_room:
                self._going_on.add(run.pk)
                self._crew.submit(partial(self._perform, run.pk, run.schedule_id))

    def _perform(self, run_id: int, schedule_id: int | None) -> None:
        try:
            run = runs.perform(run_id)
            if run is None or schedule_id is None:
                return
            schedule = ReconciliationSchedule.objects.filter(pk=schedule_id).first()
            if schedule is not None:
                schedules.note_end(schedule, has_failed=run.state == RunState.FAILED)
        finally:
            self._going_on.discard(run_id)
