"""What an order costs as the catalogue grows, from ten thousand variants to a million, each listed on several channels.

An order of two lines is all that the program does for it, without HTTP: applied, held in the ledger, every listing marked; then
for each channel the lease, the numbers, what is noted before and after a call. The call itself is answered at once, by a
platform of a few lines. Each size has a database and a process of its own, and they take turns. Beside each stands the plain
update of as many rows as an order touches, by their ids, anywhere in the same tables, with one durable commit.
"""

import statistics
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Final

from django.db import connection

from inventory.proof import prove
from tests.benchmarks.report import Aim, Result, document, paired
from tests.benchmarks.scale_loop import LINES
from tests.benchmarks.scratch import scratch_database, use_database
from tests.benchmarks.seeding import lay_out, list_on
from tests.benchmarks.tidying import tidy
from tests.benchmarks.workers import Worker, workers

#: Channels that sell everything.
CHANNELS: Final = 3
#: What the issue asks for: the cost at a size, of that at the smallest.
GROWTH: Final = 1.2


@dataclass(frozen=True, slots=True)
class Size:
    """A catalogue of so many variants, with the process that takes orders there."""

    variants: int
    database: str
    worker: Worker
    job: dict[str, Any]

    def measure(self, *, is_ours_first: bool) -> dict[str, float]:
        """Returns milliseconds an order, ours and plain."""
        answer: dict[str, float] = self.worker.do(self.job | {"is_ours_first": is_ours_first})
        return answer


def run(*, runs: int, orders: int, sizes: Sequence[int]) -> dict[str, Any]:
    """Measures all sizes in `runs` rounds of so many orders each, and returns the JSON document."""
    ordered = sorted(set(sizes))
    with ExitStack() as stack:
        opened = [stack.enter_context(_size(variants, orders)) for variants in ordered]
        for size in opened:
            size.measure(is_ours_first=True)
        rounds = [[size.measure(is_ours_first=number % 2 == 0) for size in opened] for number in range(runs)]
        ledger_ok = all(_is_proven(size.database) for size in opened)
    results = [_result(size, [each[place] for each in rounds]) for place, size in enumerate(opened)]
    return document("scale", runs, results, [*_growth(opened, rounds), _holds(ledger_ok)])


def _growth(opened: Sequence[Size], rounds: Sequence[Sequence[dict[str, float]]]) -> list[Aim]:
    aims = []
    for place, size in list(enumerate(opened))[1:]:
        grown = statistics.median(each[place]["ours"] / each[0]["ours"] for each in rounds)
        name = f"cost of an order at {size.variants:,} variants, of that at {opened[0].variants:,}"
        aims.append(Aim(name, f"< {GROWTH}", round(grown, 3), grown < GROWTH))
    return aims


def _holds(ledger_ok: bool) -> Aim:
    return Aim("the ledgers replay to the live levels", "1", float(ledger_ok), ledger_ok)


def _result(size: Size, rounds: Sequence[dict[str, float]]) -> Result:
    pairs = [(each["ours"], each["plain"]) for each in rounds]
    case = f"{size.variants:,} variants on {CHANNELS} channels"
    result = paired(case, "ms/order", "plain update by id", pairs)
    sys.stderr.write(f"{case}: {result.rate} ms an order, plain {result.reference_rate} ms\n")
    return result


def _is_proven(database: str) -> bool:
    usual = connection.settings_dict["NAME"]
    use_database(database)
    try:
        return all(proof.is_ok for proof in prove())
    finally:
        use_database(usual)


@contextmanager
def _size(variants: int, orders: int) -> Iterator[Size]:
    with scratch_database(f"_{variants}") as name:
        merchant = lay_out(variants)
        channels = [list_on(merchant, f"Channel {number}").pk for number in range(CHANNELS)]
        tidy()
        with connection.cursor() as cursor:
            cursor.execute("SELECT min(id) FROM inventory_stocklevel")
            (first_level,) = cursor.fetchone()
            cursor.execute("SELECT min(id) FROM channels_listinglevel")
            (first_shelf,) = cursor.fetchone()
        sys.stderr.write(f"{variants:,} variants are listed on {CHANNELS} channels\n")
        job = {
            "channels": channels,
            "variants": variants,
            "orders": orders,
            "first_level": first_level,
            "first_shelf": first_shelf,
            "shelves": LINES * CHANNELS,
        }
        with workers(1, "tests.benchmarks.scale_loop:work") as (worker,):
            yield Size(variants, name, worker, job)
