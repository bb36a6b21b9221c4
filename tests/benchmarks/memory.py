"""How much memory all processes take together, PostgreSQL's among them, at so many variants on six channels.

Six simulated shops are filled and connected. Then everything that takes memory is done at once: every channel's listings are
read again and its orders polled, all shelves are compared, the ledger is proven, pages of the back office are opened, and
customers buy meanwhile. Memory is looked at every second (PSS: what several processes share counts once). The shops are no part
of the program and stand apart; so does this process, which only watches. Beside it stands what the same processes take before
they have work.
"""

import http
import http.client
import itertools
import time
from contextlib import suppress
from threading import Event, Thread
from types import TracebackType
from typing import Any, Final, Self

from django.contrib.auth import get_user_model
from django.db import close_old_connections
from django.db.models.functions import Now
from django.test import Client

from channels.feeds import ensure_feeds
from channels.models import PollFeed
from config.notify import notify_after_commit
from reconciliation import proofs
from reconciliation import runs as comparisons
from reconciliation.models import ProofRun, ReconciliationRun
from reconciliation.models.discrepancies import RunKind, RunState
from reconciliation.models.proofs import ProofScope, ProofState
from tests.benchmarks.footprint import Watch, megabytes
from tests.benchmarks.market import Market, market, of_the_program
from tests.benchmarks.report import Aim, Result, document
from tests.benchmarks.scratch import scratch_database
from tests.benchmarks.web import HOST

#: What the issue asks for, in megabytes of a million bytes.
LIMIT: Final = 1_500.0
#: Seconds in which the processes have nothing to do before they are given everything.
QUIET: Final = 10.0
#: Seconds that reading and comparing everything may take beyond the trade.
PATIENCE: Final = 1_800.0
#: Seconds that a page may take.
_PAGE_SECONDS: Final = 60.0
#: Looks at the memory of a run that are noted.
NOTED: Final = 30
#: What is opened in the back office meanwhile.
PAGES: Final = (
    "/admin/",
    "/admin/inventory/variant/",
    "/admin/inventory/stocklevel/",
    "/admin/channels/listing/",
    "/admin/channels/listinglevel/",
    "/admin/channels/channelorder/",
    "/api/v1/openapi.json",
)


def run(*, seconds: float, variants: int, rate: float) -> dict[str, Any]:
    """Watches all processes at work for `seconds` at least, and returns the JSON document."""
    # Products in two forms are read one by one from some platforms: few of them, or connecting takes an hour.
    with scratch_database(), market(variants, in_forms=0.02) as opened:
        began = time.monotonic()
        with Watch(opened.memory_of) as memory, opened.at_work():
            opened.wait(QUIET)
            quiet = memory.looks[-1][1]
            finished = _everything(opened, seconds, rate)
            aims = opened.proofs()
        result = _result(variants, memory, quiet, seconds=time.monotonic() - began)
        peak = result.rate
        return document(
            "memory",
            1,
            [result],
            [
                Aim("peak of all processes together, in MB", f"< {LIMIT:g}", peak, peak < LIMIT),
                Aim("all was read, compared and shown meanwhile", "1", float(finished), finished),
                *aims,
            ],
        )


def _result(variants: int, memory: Watch, quiet: dict[str, int], *, seconds: float) -> Result:
    largest = memory.peak(of_the_program)
    peak, idle = of_the_program(largest), of_the_program(quiet)
    step = max(len(memory.looks) // NOTED, 1)
    notes = {
        "at_the_peak_mb": {name: megabytes(taken) for name, taken in largest.items()},
        "before_work_mb": {name: megabytes(taken) for name, taken in quiet.items()},
        "over_time": [(round(at), megabytes(of_the_program(look))) for at, look in memory.looks[::step]],
        "seconds": round(seconds),
    }
    case = f"{variants:,} variants on six channels"
    return Result(
        case, "MB", megabytes(peak), "before work", megabytes(idle), round(peak / max(idle, 1), 3), (), notes
    )


def _everything(opened: Market, seconds: float, rate: float) -> bool:
    """Has all work done at once while customers buy; returns whether it ended in time."""
    stage = opened.stage()
    ensure_feeds()
    PollFeed.objects.filter(channel__in=opened.channel_ids).update(next_poll_at=Now())
    notify_after_commit("onecount_push")
    asked = [
        comparisons.ask(channel, RunKind.FULL, asked_by="benchmark").pk
        for channel in opened.channels.values()
    ]
    proofs.start(ProofScope.FULL, asked_by="benchmark")
    with _Reader(opened.port, _session()) as reader:
        opened.buy(rate, seconds, seed=1)
        opened.wait(PATIENCE, unless=lambda: _is_done(opened, asked) and reader.opened >= len(PAGES))
    is_done = _is_done(opened, asked) and reader.opened >= len(PAGES)
    return opened.settle(stage) and is_done


def _is_done(opened: Market, asked: list[int]) -> bool:
    """Tells whether every feed was read since, every comparison has ended, and the proof, too."""
    close_old_connections()
    unread = PollFeed.objects.filter(channel__in=opened.channel_ids, leased_until__isnull=False)
    done = ReconciliationRun.objects.filter(pk__in=asked, state=RunState.DONE).count()
    proving = ProofRun.objects.filter(state=ProofState.RUNNING)
    return done == len(asked) and not unread.exists() and not proving.exists()


def _session() -> str:
    """Returns the cookie of somebody who may see everything."""
    person = get_user_model().objects.create_superuser("benchmark", "", None)
    client = Client()
    client.force_login(person)
    return f"sessionid={client.cookies['sessionid'].value}"


class _Reader:
    """Opens pages of the back office one after the other while its block runs, as somebody does who looks around."""

    def __init__(self, port: int, cookie: str) -> None:
        self._port = port
        self._cookie = cookie
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="reader", daemon=True)
        #: Pages that were shown.
        self.opened = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join(_PAGE_SECONDS)

    def _run(self) -> None:
        for page in itertools.cycle(PAGES):
            if self._stopping.wait(0.2):
                return
            # A page that takes too long is none that was opened.
            with suppress(OSError, http.client.HTTPException):
                self.opened += self._open(page) == http.HTTPStatus.OK

    def _open(self, page: str) -> int:
        connection = http.client.HTTPConnection(HOST, self._port, timeout=_PAGE_SECONDS)
        try:
            connection.request("GET", page, headers={"Cookie": self._cookie})
            answer = connection.getresponse()
            answer.read()
            return answer.status
        finally:
            connection.close()
