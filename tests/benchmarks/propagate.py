"""How long a sale in one shop takes to reach the shelves of all others, with the whole program at work on six simulated shops.

First one change of a variant is told to all six, channel after channel and all at once, by the code of the pusher in this
process. Then customers buy for a few runs; each order is one sample, from its commit in the shop to the confirmation by the
last other shelf that it touches. Beside it stands what it takes by itself: how late the webhook of the same order came, and one
call to a shop. At last a burst, and how long it takes to drain.
"""

import itertools
import math
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from django.db import connection

from channels.demo.figures import Sale, Stage
from channels.desks import Done
from channels.leases import Turns
from channels.models import Channel, Push
from channels.models.outbound import PushOutcome
from channels.sending import push_batch
from inventory.ledger import Context
from inventory.models import Location, Variant
from inventory.stock import StockLine, receive
from tests.benchmarks.footprint import Watch, megabytes
from tests.benchmarks.market import Market, market, of_the_program
from tests.benchmarks.report import Aim, Result, document, paired
from tests.benchmarks.scratch import scratch_database

#: What the issue asks for, in milliseconds and seconds.
P95: Final = 1_000.0
P99: Final = 2_000.0
DRAIN: Final = 30.0
#: Seconds in which the orders of the burst are placed.
BURST_SECONDS: Final = 10.0
#: Seconds of trade before anything is measured: every process plans its statements once.
WARM: Final = 5.0
#: Seconds between two looks at the memory of all processes: each look takes a tenth of a second of a core.
LOOK: Final = 10.0
#: Changes told in one run, in parallel and in sequence.
CHANGES: Final = 5


def run(*, runs: int, seconds: float, variants: int, rate: float, burst: int) -> dict[str, Any]:
    """Measures `runs` windows of `seconds` at so many orders a second, then a burst; returns the JSON document."""
    with scratch_database(), market(variants) as opened:
        told = _told_to_all(opened, runs)
        with opened.at_work(), Watch(opened.memory_of, every=LOOK) as memory:
            opened.buy(rate, WARM, seed=1)
            steady, steady_aims = _steady(opened, runs, seconds, rate, told.rate)
            drained, drain_aims = _burst(opened, burst)
            aims = [*steady_aims, *drain_aims, *opened.proofs()]
        peak = memory.peak(of_the_program)
        steady.notes["peak_memory_mb"] = {name: megabytes(taken) for name, taken in peak.items()}
        return document("propagate", runs, [told, steady, drained], aims)


# -- one change, told to all


def _told_to_all(opened: Market, runs: int) -> Result:
    """Tells changes of one variant each to all channels, one channel after the other and all at once."""
    channels = list(opened.channels.values())
    _all_at_once(channels)
    change = _changes(opened)
    pairs = []
    for number in range(runs + 1):
        sides = {"parallel": _all_at_once, "sequential": _one_by_one}
        order = sides if number % 2 == 0 else dict(reversed(sides.items()))
        spans = {name: _median_of(change, tell, channels) for name, tell in order.items()}
        if number:
            pairs.append((spans["parallel"], spans["sequential"]))
            sys.stderr.write(
                f"parallel {spans['parallel']:.0f} ms, sequential {spans['sequential']:.0f} ms\n"
            )
    return paired(f"one change told to {len(channels)} channels", "ms", "one after the other", pairs)


def _changes(opened: Market) -> Callable[[], None]:
    """Returns what moves one variant after another."""
    location_id = Location.objects.filter(merchant=opened.merchant).earliest("id").pk
    goods = Variant.objects.filter(merchant=opened.merchant).order_by("id")
    variants = list(goods.values_list("id", flat=True))
    numbers = itertools.count()

    def change() -> None:
        number = next(numbers)
        line = StockLine(variants[number % len(variants)], location_id, 1)
        receive(Context(opened.merchant.pk, f"told to all: {number}"), [line])

    return change


def _median_of(
    change: Callable[[], None], tell: Callable[[Sequence[Channel]], None], channels: Sequence[Channel]
) -> float:
    spans = []
    for _ in range(CHANGES):
        change()
        began = time.perf_counter()
        tell(channels)
        spans.append((time.perf_counter() - began) * 1000)
    return statistics.median(spans)


def _one_by_one(channels: Sequence[Channel]) -> None:
    for channel in channels:
        _tell(channel)


def _all_at_once(channels: Sequence[Channel]) -> None:
    def tell(channel: Channel) -> None:
        try:
            _tell(channel)
        finally:
            connection.close()

    with ThreadPoolExecutor(len(channels)) as pool:
        list(pool.map(tell, channels))


def _tell(channel: Channel) -> None:
    done = Done(count=1)
    while done.count and not done.has_failed:
        done = push_batch(channel.pk, Turns())


# -- customers


def _steady(opened: Market, runs: int, seconds: float, rate: float, call: float) -> tuple[Result, list[Aim]]:
    """Has customers buy at an even rate; `call` is what one call to all shops at once takes, in milliseconds."""
    stage = opened.stage()
    opened.buy(rate, runs * seconds, seed=100)
    opened.settle(stage)
    found = opened.sales(stage)
    began = stage.began_at.timestamp()
    windows = [
        [each for each in found if began + n * seconds <= each.committed_at < began + (n + 1) * seconds]
        for n in range(runs)
    ]
    pairs = [
        (_share(_seconds(window), 0.95), _share(_arrival(window), 0.95) + call)
        for window in windows
        if window
    ]
    spans = _seconds(found)
    notes = {f"{name}_ms": _share(spans, share) for name, share in _SHARES.items()}
    notes |= {f"arrival_{name}_ms": _share(_arrival(found), share) for name, share in _SHARES.items()}
    unfinished = sum(math.isinf(each) for each in spans)
    result = paired(
        f"p95 at {rate:g} orders/s on {len(opened.shops)} channels",
        "ms",
        "its webhook's way and one call",
        pairs,
        samples=len(found),
        unfinished=unfinished,
        orders_per_second=round(len(found) / (runs * seconds), 1),
        **notes,
    )
    sys.stderr.write(f"{len(found)} orders, p95 {notes['p95_ms']:.0f} ms, p99 {notes['p99_ms']:.0f} ms\n")
    return result, [
        Aim(
            "p95 from sale to every other shelf, in ms", f"< {P95:g}", notes["p95_ms"], notes["p95_ms"] < P95
        ),
        Aim(
            "p99 from sale to every other shelf, in ms", f"< {P99:g}", notes["p99_ms"], notes["p99_ms"] < P99
        ),
        Aim("orders that did not reach every shelf", "0", unfinished, unfinished == 0),
    ]


_SHARES: Final = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
#: What stands for an order that did not get there, in milliseconds: JSON knows no infinity.
NEVER: Final = 1e9


def _seconds(found: Sequence[Sale]) -> list[float]:
    return [each.seconds for each in found]


def _arrival(found: Sequence[Sale]) -> list[float]:
    return [
        each.arrival.arrived_at.timestamp() - each.committed_at if each.arrival else math.inf
        for each in found
    ]


def _share(seconds: Sequence[float], share: float) -> float:
    """Returns a percentile in milliseconds, by nearest rank."""
    if not seconds:
        return NEVER
    value = sorted(seconds)[max(math.ceil(share * len(seconds)) - 1, 0)]
    return NEVER if math.isinf(value) else round(value * 1000, 1)


# -- a burst


def _burst(opened: Market, orders: int) -> tuple[Result, list[Aim]]:
    """Has so many orders placed at once, and waits until the last shelf has been told."""
    stage, before = opened.stage(), opened.changes()
    opened.buy(orders / BURST_SECONDS, BURST_SECONDS, seed=200)
    opened.settle(stage)
    found = opened.sales(stage)
    drain = _drain(found)
    changes, calls = opened.changes() - before, _calls(stage)
    sys.stderr.write(
        f"burst of {len(found)}: drained in {drain:.1f} s, {calls} calls for {changes} changes\n"
    )
    result = Result(
        f"burst of {len(found)} orders in {BURST_SECONDS:g} s",
        "calls",
        float(calls),
        "changes",
        float(changes),
        round(calls / max(changes, 1), 3),
        (),
        {"drain_seconds": drain, "orders": len(found)},
    )
    return result, [
        Aim("seconds from the last order to the last shelf", f"< {DRAIN:g}", drain, drain < DRAIN),
        Aim("calls for each change of a shelf", "< 1", result.ratio, result.ratio < 1),
    ]


def _drain(found: Sequence[Sale]) -> float:
    """Returns the seconds from the last sale until every shelf had been told of all of them."""
    ends = [each.committed_at + each.seconds for each in found]
    drained = max(ends) - max(each.committed_at for each in found) if ends else 0.0
    return NEVER if math.isinf(drained) else round(drained, 2)


def _calls(stage: Stage) -> int:
    pushes = Push.objects.filter(channel_id__in=stage.channel_ids, computed_at__gte=stage.began_at)
    return pushes.exclude(outcome=PushOutcome.UNCHANGED).values("call_id").distinct().count()
