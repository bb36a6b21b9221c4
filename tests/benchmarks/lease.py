"""How fast the pusher leases what is due, in a channel of a million listing levels beside one of a tenth of that.

Everything is due, in all three lanes. Each size has a database and a process of its own, and they take turns: ours leases again
and again and has what it leased told, which is not timed; the partner of each run is the plain update of as many rows by their
ids, in the same process on the same connection.
"""

import statistics
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Final

from django.db import connection

from tests.benchmarks.report import Aim, Result, document, paired
from tests.benchmarks.scratch import scratch_database
from tests.benchmarks.seeding import lay_out, list_on
from tests.benchmarks.tidying import tidy
from tests.benchmarks.workers import Worker, workers

#: The smaller channel is so many times smaller.
SHARE: Final = 10
#: Listing levels in one lease.
SIZE: Final = 50
#: What the issue asks for: the rate of the larger one, of that of the smaller one.
FLAT: Final = 0.8

# Due for up to an hour, a tenth of it towards zero, six tenths lower.
_MAKE_DUE: Final = """
UPDATE channels_listinglevel
SET wanted = done + 1, lane = CASE WHEN id %% 10 = 0 THEN 0 WHEN id %% 10 < 7 THEN 1 ELSE 2 END,
    due_since = clock_timestamp() - make_interval(secs => (id * 7919) %% 3600)
WHERE channel_id = %s
"""


@dataclass(frozen=True, slots=True)
class Size:
    """A channel of so many listing levels, with the process that leases there."""

    levels: int
    worker: Worker
    job: dict[str, Any]

    def measure(self, seconds: float, *, is_ours_first: bool) -> dict[str, float]:
        """Returns leases of listing levels a second, ours and plain, and what one lease of ours takes."""
        answer: dict[str, float] = self.worker.do(
            self.job | {"seconds": seconds, "is_ours_first": is_ours_first}
        )
        return answer


def run(*, runs: int, seconds: float, levels: int) -> dict[str, Any]:
    """Measures both sizes in `runs` rounds of `seconds` each, and returns the JSON document."""
    with ExitStack() as stack:
        sizes = [stack.enter_context(_size(count)) for count in (max(levels // SHARE, 1), levels)]
        for size in sizes:
            size.measure(min(seconds, 1.0), is_ours_first=True)
        rounds = [
            [size.measure(seconds, is_ours_first=number % 2 == 0) for size in sizes] for number in range(runs)
        ]
    results = [_result(size, [each[place] for each in rounds]) for place, size in enumerate(sizes)]
    flat = statistics.median(large["ours"] / small["ours"] for small, large in rounds)
    return document("lease", runs, results, [_aim(sizes, flat)])


def _aim(sizes: Sequence[Size], flat: float) -> Aim:
    small, large = sizes
    name = f"rate at {large.levels:,} listing levels, of that at {small.levels:,}"
    return Aim(name, f">= {FLAT}", round(flat, 3), flat >= FLAT)


def _result(size: Size, rounds: Sequence[dict[str, float]]) -> Result:
    notes = {
        name: round(statistics.median(each[name] for each in rounds), 2) for name in ("p50_ms", "p99_ms")
    }
    pairs = [(each["ours"], each["plain"]) for each in rounds]
    case = f"{size.levels:,} listing levels, {SIZE} a lease"
    result = paired(case, "levels/s", "plain update by id", pairs, **notes)
    sys.stderr.write(f"{case}: {result.rate:.0f}/s, plain {result.reference_rate:.0f}/s\n")
    return result


@contextmanager
def _size(levels: int) -> Iterator[Size]:
    with scratch_database(f"_{levels}"):
        merchant = lay_out(levels)
        channel = list_on(merchant, "Channel")
        with connection.cursor() as cursor:
            cursor.execute(_MAKE_DUE, [channel.pk])
        tidy()
        with connection.cursor() as cursor:
            cursor.execute("SELECT min(id) FROM channels_listinglevel")
            (first,) = cursor.fetchone()
        sys.stderr.write(f"{levels:,} listing levels are due\n")
        with workers(1, "tests.benchmarks.lease_loop:work") as (worker,):
            job = {"channel_id": channel.pk, "size": SIZE, "levels": levels, "first": first}
            yield Size(levels, worker, job)
