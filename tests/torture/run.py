"""One run: build the world, let everything happen and everything go wrong, wait until it is quiet, judge."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Final

from django.db import DatabaseError, InterfaceError, close_old_connections, connection
from django.utils import timezone

from channels.demo.stage import work_left
from channels.polling import ask_for_poll
from config.residents import RESIDENT_COMMANDS
from inventory.models import Reservation
from inventory.reservations import expire
from tests.torture import faults
from tests.torture.faults.blows import Act, timetable
from tests.torture.goods import assortment
from tests.torture.invariants import AFTER, WITHOUT_REST, Found, judge
from tests.torture.invariants.evidence import Evidence, checksums_of_movements, levels
from tests.torture.invariants.shelves import differing
from tests.torture.plan import Event, Kind, Plan, rushes_in
from tests.torture.sabotage import SABOTAGES
from tests.torture.street import Weather
from tests.torture.verdict import Verdict, Violation, version_of_checkout, violated
from tests.torture.world import Setting, World, opened

#: Events a second where no duration is asked for.
RATE: Final = 25.0
#: Events that happen at the same time.
_HANDS: Final = 32
#: Seconds between two looks at what must hold at any moment.
_LOOK_EVERY: Final = 1.0
#: Seconds in which everything has to agree after the last fault: many times what is aimed at, since machines are busy.
_LONGEST_WAIT: Final = 240.0
#: Seconds in which it has to show that a safeguard is off, where that shows at once.
_NOTICED_WITHIN: Final = 30.0
#: With nothing on its way any more for so long, what still differs will differ for ever.
_STUCK_AFTER: Final = 12.0
#: The same where something is known to be broken, and only the proof of it is waited for.
_STUCK_SOON: Final = 4.0
_QUIET_FOR: Final = 1.5
#: Children of one `serve`.
_CHILDREN: Final = len(RESIDENT_COMMANDS) + 1
_TICK: Final = 0.25


@dataclass(frozen=True, slots=True)
class Options:
    """What a run is to do."""

    seed: int
    events: int
    faults: Sequence[str]
    kinds: Sequence[str]
    workers: int = 2
    #: Seconds in which the events happen; None: as many as they take at the usual rate.
    seconds: float | None = None
    sabotage: str | None = None
    #: Seconds after the last fault within which every shop has to show the ledger.
    within: float = 30.0
    #: Whether the data stay until the next run.
    is_kept: bool = False


def torture(options: Options, *, report: Callable[[str], None] = lambda line: None) -> Verdict:
    """Runs once and returns the verdict."""
    began = time.monotonic()
    report(f"seed {options.seed}, OneCount {version_of_checkout()}")
    goods = assortment(options.events, rushes_in(options.events))
    setting = Setting(options.seed, options.kinds, options.workers, goods, options.sabotage, options.is_kept)
    with opened(setting) as world:
        report(f"The world stands after {time.monotonic() - began:.0f} s, in {world.directory}.")
        run = _Run(world, options, report)
        run.play()
        violations = run.notice()
        convergence = None if violations else run.settle()
        evidence = run.gather(convergence)
        violations = violations or [*run.found.violations.values(), *judge(evidence)]
        return Verdict(
            seed=options.seed,
            version=version_of_checkout(),
            events=options.events,
            faults=dict(sorted((run.done + world.street.record.done + run.shapes()).items())),
            violations=_once(violations),
            convergence_seconds=convergence,
            restarts=world.restarts + run.started_again(),
            kills=world.kills,
            wall_seconds=round(time.monotonic() - began, 1),
            sabotage=options.sabotage,
            counts=run.counts(evidence),
        )


def _once(violations: Sequence[Violation]) -> list[Violation]:
    """Returns each of the violations once: what was found while it went on is found at the end again."""
    return [each for position, each in enumerate(violations) if each not in violations[:position]]


class _Run:
    """A run in progress."""

    def __init__(self, world: World, options: Options, report: Callable[[str], None]) -> None:
        self._world = world
        self._options = options
        self._report = report
        self._seconds = options.seconds or max(options.events / RATE, 4.0)
        self._over = threading.Event()
        self._failures: list[BaseException] = []
        self._early: dict[int, str] = {}
        self._changed: list[Violation] = []
        self._kinds: Counter[str] = Counter()
        self.done: Counter[str] = Counter()
        self.found = Found({})
        self._off = SABOTAGES[options.sabotage] if options.sabotage else None
        self._stuck_after = _STUCK_AFTER if self._off is None else _STUCK_SOON

    # -- while it goes on

    def play(self) -> None:
        """Lets all events and all faults happen. Raises the first failure of the harness itself."""
        options, world = self._options, self._world
        plan = Plan(
            options.seed,
            events=options.events,
            seconds=self._seconds,
            channels=len(world.channels),
            faults=options.faults,
            goods=world.goods,
        )
        acts = timetable(
            options.seed, faults.BLOWS, options.faults, seconds=self._seconds, channels=len(world.channels)
        )
        world.street.weather = faults.weather_of(options.faults, events=options.events)
        started = time.monotonic()
        helpers = [
            threading.Thread(target=self._guarded, args=(self._strike_all, acts, started), name="blows"),
            threading.Thread(target=self._guarded, args=(self._watch, started), name="watch"),
        ]
        for helper in helpers:
            helper.start()
        self._happen(plan, started)
        helpers[0].join()
        self._over.set()
        helpers[1].join()
        self._calm()
        if self._failures:
            raise self._failures[0]

    def _guarded(self, work: Callable[..., None], *args: object) -> None:
        try:
            work(*args)
        except BaseException as error:  # noqa: BLE001 - raised again by who waits for this thread
            self._failures.append(error)
        finally:
            connection.close()

    def _happen(self, plan: Plan, started: float) -> None:
        """Has every event carried out at its moment; one that is late is carried out at once."""
        open_ended: list[Future[None]] = []
        with ThreadPoolExecutor(_HANDS, thread_name_prefix="hands") as hands:
            for event in plan:
                time.sleep(max(started + event.at - time.monotonic(), 0.0))
                self._kinds[event.kind.value] += 1
                open_ended.append(hands.submit(self._guarded, self._carry_out, event))
                if event.number % 500 == 0:
                    self._report(f"{event.number} of {plan.events} events, {sum(self.done.values())} blows")
                    open_ended = [each for each in open_ended if not each.done()]

    def _carry_out(self, event: Event) -> None:
        is_told = event.kind in (Kind.RECEIVE, Kind.HOLD)
        (self._world.clerk if is_told else self._world.customers).carry_out(event)

    def _strike_all(self, acts: Sequence[Act], started: float) -> None:
        """Strikes at the moments of the timetable, and ends what lasts a while."""
        moments = [(act.at, 0, act) for act in acts]
        moments += [(act.at + faults.BLOWS[act.blow].lasts, 1, act) for act in acts]
        for at, is_end, act in sorted(moments, key=lambda moment: moment[:2]):
            time.sleep(max(started + at - time.monotonic(), 0.0))
            blow = faults.BLOWS[act.blow]
            _insist(partial(blow.end if is_end else blow.strike, self._world, act))
            self.done[act.blow] += not is_end

    def _watch(self, started: float) -> None:
        """Looks again and again at what must hold at any moment, also while the database comes and goes."""
        while not self._over.wait(_LOOK_EVERY):
            try:
                self.found.look()
                if not self._early and time.monotonic() - started > self._seconds / 2:
                    self._early = checksums_of_movements()
            except (DatabaseError, InterfaceError):
                connection.close()

    def _calm(self) -> None:
        """Ends whatever still goes wrong."""
        world = self._world
        world.street.weather = Weather()
        for position in range(len(world.shops)):
            world.calm(position)
        while world.hoard:
            world.hoard.pop().close()
        world.put_out()
        world.server.revive()
        world.program.wait_until_up()

    # -- when it is over

    def notice(self) -> list[Violation]:
        """Returns how a safeguard that is switched off is missed, as soon as it is; nothing where that shows only at rest."""
        names = set(self._off.breaks if self._off else ()) & WITHOUT_REST
        until = time.monotonic() + _NOTICED_WITHIN
        while names and time.monotonic() < until:
            if self._is_still():
                evidence = self.gather()
                found = [violation for name in sorted(names) for violation in AFTER[name][1](evidence)]
                if found:
                    return found
            time.sleep(_TICK)
        return []

    def _is_still(self) -> bool:
        """Whether no webhook is on its way."""
        world = self._world
        return all(shop.client.is_idle() for shop in world.shops) and world.street.is_idle()

    def settle(self) -> float | None:
        """Waits until all is quiet and every shop shows its number; then lets come what was kept back."""
        convergence = self._agree()
        if convergence is not None:
            _insist(_end_carts)
            self._changed = self._let_the_late_come()
        return convergence

    def _let_the_late_come(self) -> list[Violation]:
        before = levels()
        self._world.street.let_the_late_come()
        self._agree()
        moved = [
            f"level {key}: {before.get(key)} before, {now} after"
            for key, now in levels().items()
            if before.get(key) != now
        ]
        return violated("late-messages-change-nothing", "{count} levels moved", moved)

    def _agree(self) -> float | None:
        """Returns the seconds until everything agreed, and stayed so; None where it never did."""
        world, began = self._world, time.monotonic()
        asked_at = timezone.now()
        for channel_id in world.channel_ids:
            _insist(partial(ask_for_poll, channel_id))
        agreed_at = stuck_since = None
        last: list[str] = []
        while (now := time.monotonic()) - began < _LONGEST_WAIT:
            try:
                close_old_connections()
                is_still = self._is_still()
                left = work_left(world.channel_ids, polled_after=asked_at)
                wrong = differing(world) if is_still and not left else last
            except (DatabaseError, InterfaceError):
                connection.close()
                continue
            is_at_rest = is_still and not left
            if is_at_rest and not wrong:
                agreed_at = agreed_at or now
                if now - agreed_at >= _QUIET_FOR:
                    return round(agreed_at - began, 1)
            else:
                agreed_at = None
            stuck_since = (stuck_since or now) if is_at_rest and wrong and wrong == last else None
            if stuck_since is not None and now - stuck_since > self._stuck_after:
                return None
            last = wrong
            time.sleep(_TICK)
        self._report(f"Not quiet after {_LONGEST_WAIT:.0f} s: {left}")
        return None

    def gather(self, convergence: float | None = None) -> Evidence:
        """Brings together what is judged."""
        world, options = self._world, self._options
        return Evidence(
            world,
            [shop.client.book() for shop in world.shops],
            self._early,
            self._changed,
            self._seconds,
            options.events,
            convergence,
            options.within,
            work_left(world.channel_ids) if convergence is None else {},
        )

    def shapes(self) -> Counter[str]:
        """Returns the shapes that the plan had in it."""
        return Counter(name for name in faults.SHAPES if name in self._options.faults)

    def started_again(self) -> int:
        """Returns how often a child was started again, and the program as a whole."""
        log = self._world.program.log.read_text(encoding="utf-8", errors="replace")
        return max(log.count("child_started") - _CHILDREN, 0)

    def counts(self, evidence: Evidence) -> dict[str, int]:
        """Returns what else a reader may want to know."""
        world = self._world
        street = world.street.record
        return {
            **dict(self._kinds),
            "orders": sum(len(book["orders"]) for book in evidence.books),
            "refused": world.customers.done["refused"],
            "webhooks": sum(street.statuses.values()),
            "calls_of_the_api": sum(world.clerk.account.statuses.values()),
            "calls_to_shops": sum(sum(book["requests"].values()) for book in evidence.books),
        }


def _end_carts() -> None:
    """Has every cart end that was not confirmed, as the sweeper does every minute."""
    while Reservation.objects.filter(open_quantity__gt=0, expires_at__isnull=False).exists():
        if not expire():
            time.sleep(0.2)


def _insist(work: Callable[[], object]) -> None:
    """Does something in the database, again where it is gone just now."""
    deadline = time.monotonic() + _LONGEST_WAIT
    while True:
        try:
            work()
        except (DatabaseError, InterfaceError):
            connection.close()
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return
