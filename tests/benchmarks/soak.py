"""Whether anything grows while the program runs for long: memory, and how old what waits is.

Six simulated shops sell at an even rate for an hour, or as long as wanted. Every few seconds it is noted how much memory all
processes take (PSS, PostgreSQL's among them, the shops' not) and how long the oldest message and the oldest shelf to be told
have been waiting. The partner of the second half is the first half of the same run, window by window. What grows by itself
shows as a slope; PostgreSQL's buffers fill at first and are shown apart.
"""

import statistics
import sys
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final, Self

from django.db import connection

from tests.benchmarks.footprint import Watch
from tests.benchmarks.market import SERVER, market, of_the_program
from tests.benchmarks.report import Aim, Result, document, paired
from tests.benchmarks.scratch import scratch_database

#: Windows of each half.
WINDOWS: Final = 5
#: Seconds between two looks at the queues, and at the memory.
EVERY: Final = 2.0
#: The share of the run that is left out at its beginning: processes load what they need, and buffers fill.
WARM: Final = 0.2
#: What counts as flat: growth over the run as a share of the median, and seconds.
MEMORY_GROWTH: Final = 0.05
QUEUE_GROWTH: Final = 1.0

_OLDEST: Final = """
SELECT greatest(
    extract(epoch FROM clock_timestamp() - (SELECT min(received_at) FROM channels_webhookdelivery
        WHERE state = 'received' AND priority = 0)),
    extract(epoch FROM clock_timestamp() - (SELECT min(due_since) FROM channels_listinglevel
        WHERE wanted > done AND dead_at IS NULL)),
    0)::float8
"""

#: (seconds since the start, what was seen).
Points = Sequence[tuple[float, float]]


def run(*, minutes: float, variants: int, rate: float) -> dict[str, Any]:
    """Has customers buy for so long, and returns the JSON document."""
    seconds = minutes * 60
    with scratch_database(), market(variants) as opened:
        stage = opened.stage()
        with opened.at_work():
            with Watch(opened.memory_of, every=EVERY) as memory, _Ages() as ages:
                began = time.monotonic()
                opened.buy(rate, seconds, seed=1)
                lasted = time.monotonic() - began
            quiet = opened.settle(stage)
            aims = [Aim("all that was sold was told", "1", float(quiet), quiet), *opened.proofs()]
        sold = len(opened.sales(stage))
    server = [(at, float(look[SERVER])) for at, look in memory.looks]
    own = [(at, float(of_the_program(look) - look[SERVER])) for at, look in memory.looks]
    return _document(own, server, ages.looks, lasted, sold, aims)


def _document(
    own: Points, server: Points, ages: Points, lasted: float, sold: int, aims: list[Aim]
) -> dict[str, Any]:
    memory = [(at, taken / 1e6) for at, taken in _settled_points(own)]
    buffers = [(at, taken / 1e6) for at, taken in _settled_points(server)]
    waited = _settled_points(ages)
    grown = _slope(memory) * lasted * (1 - WARM) / max(statistics.median(y for _, y in memory), 1.0)
    aged = _slope(waited) * lasted * (1 - WARM)
    results = [
        _halves("memory of the program's processes", "MB", memory, orders=sold),
        _halves("memory of PostgreSQL, its buffers among it", "MB", buffers),
        _halves("age of the oldest that waits", "s", waited),
    ]
    return document(
        "soak",
        WINDOWS,
        results,
        [
            Aim(
                "growth of memory over the run, of its median",
                f"<= {MEMORY_GROWTH}",
                round(grown, 4),
                grown <= MEMORY_GROWTH,
            ),
            Aim(
                "growth of the queues' age over the run, in seconds",
                f"<= {QUEUE_GROWTH:g}",
                round(aged, 3),
                aged <= QUEUE_GROWTH,
            ),
            *aims,
        ],
    )


def _settled_points(points: Points) -> list[tuple[float, float]]:
    """Leaves out the beginning."""
    last = points[-1][0]
    return [(at, value) for at, value in points if at >= last * WARM]


def _halves(case: str, unit: str, points: Points, **notes: Any) -> Result:
    """Sets the windows of the second half beside those of the first."""
    size = max(len(points) // (2 * WINDOWS), 1)
    means = [
        statistics.fmean(value for _, value in points[start : start + size])
        for start in range(0, len(points), size)
    ]
    half = max(min(len(means) // 2, WINDOWS), 1)
    # An empty queue has the age 0.
    first = [max(value, 0.001) for value in means[:half]]
    pairs = list(zip(means[-half:], first, strict=True))
    return paired(
        case,
        unit,
        "first half",
        pairs,
        slope_per_hour=round(_slope(points) * 3600, 3),
        largest=round(max(value for _, value in points), 3),
        **notes,
    )


def _slope(points: Points) -> float:
    """Returns the growth a second, by least squares."""
    if len({at for at, _ in points}) < 2:
        return 0.0
    ats, values = zip(*points, strict=True)
    return statistics.linear_regression(ats, values).slope


class _Ages:
    """Looks at what waits, in a thread with a connection of its own, while its block runs."""

    def __init__(self) -> None:
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ages", daemon=True)
        self._started = time.monotonic()
        self.looks: list[tuple[float, float]] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join(30)

    def _run(self) -> None:
        try:
            while True:
                with connection.cursor() as cursor:
                    cursor.execute(_OLDEST)
                    (age,) = cursor.fetchone()
                at = time.monotonic() - self._started
                self.looks.append((at, age))
                if int(at) % 60 < EVERY:
                    sys.stderr.write(f"{at / 60:.0f} min: the oldest waits for {age:.2f} s\n")
                if self._stopping.wait(EVERY):
                    return
        finally:
            connection.close()
