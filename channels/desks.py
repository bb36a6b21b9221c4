"""What the pusher knows of one channel: what is wanted there, what is going on, and what may begin next."""

import time
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from channels.breaker import BreakerState
from channels.leases import Turns


class Job(Enum):
    """What a thread does for a channel."""

    PUSH = "push"
    POLL = "poll"
    FETCH = "fetch"
    FOLLOW = "follow"
    #: Tells what we deliver of orders that wait for our word.
    ACKNOWLEDGE = "acknowledge"
    #: Reads all listings, which may take an hour.
    IMPORT = "import"


#: Seconds until the next push after one that took all there was: what comes meanwhile goes together.
_GATHERING: Final = 0.1
#: Seconds after a job that could not even begin.
_REST_AFTER_FAILURE: Final = 0.5
#: Which can only go on once at a time.
_SINGLE: Final = frozenset({Job.FOLLOW, Job.POLL, Job.ACKNOWLEDGE, Job.IMPORT})
#: Which go first when a push is running already.
_OTHERS: Final = (Job.FOLLOW, Job.FETCH, Job.POLL, Job.ACKNOWLEDGE, Job.IMPORT)


@dataclass(frozen=True, slots=True)
class Done:
    """What one job came to."""

    #: Listing levels, feeds or orders it dealt with; 0: there was nothing to do.
    count: int = 0
    #: Seconds for which the platform asked to be left alone.
    rest: float = 0.0
    #: Whether the channel itself failed; its breaker may be open now.
    has_failed: bool = False


@dataclass(slots=True)
class Desk:
    """One channel. Only the planning thread touches it."""

    channel_id: int
    #: Calls at the same time.
    limit: int = 1
    breaker: BreakerState = BreakerState.CLOSED
    turns: Turns = field(default_factory=Turns)
    running: dict[Job, int] = field(default_factory=lambda: dict.fromkeys(Job, 0))
    #: What is known to be due. Raised by each survey, so that a job that found nothing does not deny a later one.
    wanted: dict[Job, int] = field(default_factory=lambda: dict.fromkeys(Job, 0))
    #: A push is choosing what to send: a second one waits until it is known whether more is left.
    is_leasing: bool = False
    #: Until this monotonic instant no job of the kind begins.
    rests_until: dict[Job, float] = field(default_factory=lambda: dict.fromkeys(Job, 0.0))
    last: Job = Job.POLL
    #: In which sequence jobs of each kind were begun last.
    begun: dict[Job, int] = field(default_factory=lambda: dict.fromkeys(Job, 0))

    @property
    def calls(self) -> int:
        """How many calls are going on; an import, which takes long, takes nobody's place."""
        return sum(self.running.values()) - self.running[Job.IMPORT]

    def next_job(self) -> Job | None:
        """Returns what may begin now: a push before all else, then one of each other kind, then more pushes."""
        if self.breaker is BreakerState.OPEN:
            return None
        if self.calls >= (1 if self.breaker is BreakerState.HALF_OPEN else self.limit):
            return None
        others = [job for job in _OTHERS if self._may_begin(job) and self.running[job] < self._most(job)]
        if self._is_single:
            others.sort(key=self.begun.__getitem__)
        pushes = [Job.PUSH] if self._may_begin(Job.PUSH) and not self.is_leasing else []
        is_pushes_turn = not self.running[Job.PUSH] and not (self._is_single and self.last is Job.PUSH)
        return next(iter(pushes + others if is_pushes_turn else others + pushes), None)

    @property
    def _is_single(self) -> bool:
        """Whether calls go one at a time: the kinds of jobs then take turns, so that one that fails holds up no other."""
        return self.limit == 1 or self.breaker is BreakerState.HALF_OPEN

    def _may_begin(self, job: Job) -> bool:
        if job is Job.IMPORT and self.breaker is BreakerState.HALF_OPEN:
            return False
        return bool(self.wanted[job]) and self.rests_until[job] <= time.monotonic()

    def _most(self, job: Job) -> int:
        """Returns how many of a kind may go on: half of all calls are left to pushes."""
        return 1 if job in _SINGLE else max(1, self.limit // 2)

    def begin(self, job: Job) -> int:
        """Notes that a job begins; returns how often it had been asked for, for its `end`."""
        self.running[job] += 1
        self.is_leasing = self.is_leasing or job is Job.PUSH
        self.begun[job] = max(self.begun.values()) + 1
        if job is not Job.IMPORT:
            self.last = job
        return self.wanted[job]

    def leased(self, *, is_full: bool) -> None:
        """Notes that a push has chosen what to send; the next one gathers for a moment unless more is waiting."""
        self.is_leasing = False
        if not is_full:
            self.rests_until[Job.PUSH] = max(self.rests_until[Job.PUSH], time.monotonic() + _GATHERING)

    def end(self, job: Job, done: Done, *, asked: int) -> None:
        """Notes what a job came to. One that found nothing forgets what was asked before it began, and no more."""
        self.running[job] -= 1
        if job is Job.PUSH:
            self.is_leasing = False
        rest = done.rest or (_REST_AFTER_FAILURE if done.has_failed and not done.count else 0.0)
        if rest:
            self.rests_until[job] = max(self.rests_until[job], time.monotonic() + rest)
        if not done.count and self.wanted[job] == asked:
            self.wanted[job] = 0

    def ask(self, job: Job) -> None:
        """Notes that something of this kind is due."""
        self.wanted[job] += 1

    def seconds_to_rest(self) -> list[float]:
        """Returns how much longer each wanted kind of job rests."""
        now = time.monotonic()
        return [until - now for job, until in self.rests_until.items() if until > now and self.wanted[job]]
