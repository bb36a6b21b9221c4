"""What the process of one channel does in the lease benchmark."""

import itertools
import random
import time
from functools import cache
from typing import Any, Final

from django.db import connection

from channels.leases import Lease, Turns, lease
from config.database import NEED_NOT_LAST, plan_once
from tests.benchmarks.tidying import tidy

_TELL: Final = f"""
UPDATE channels_listinglevel
SET done = wanted, due_since = NULL, lease_token = NULL, leased_until = NULL
WHERE id = ANY(%s::bigint[]) AND {NEED_NOT_LAST}
"""

# As durable as a lease, which is not: a crash of the server gives it back.
_PLAIN: Final = f"""
UPDATE channels_listinglevel
SET lease_token = gen_random_uuid(), leased_until = clock_timestamp() - interval '1 second'
WHERE id = ANY(%s::bigint[]) AND {NEED_NOT_LAST}
"""

_MAKE_DUE: Final = f"""
UPDATE channels_listinglevel SET wanted = wanted + 1, due_since = clock_timestamp()
WHERE id = ANY(%s::bigint[]) AND {NEED_NOT_LAST}
"""

_told: list[int] = []
#: Once: statements are planned as the pusher has them planned.
_plan_as_the_pusher = cache(plan_once)


def work(job: dict[str, Any]) -> dict[str, Any]:
    """Leases for the job's seconds, and updates plainly for as long."""
    _plan_as_the_pusher()
    spans: list[float] = []

    def ours() -> float:
        spans.extend(_lease(job))
        return float(len(spans) * job["size"] / sum(spans))

    sides = [("ours", ours), ("plain", lambda: _update(job))]
    rates = {name: side() for name, side in (sides if job["is_ours_first"] else reversed(sides))}
    _bring_back()
    ordered = sorted(spans)
    return rates | {
        "p50_ms": ordered[len(ordered) // 2] * 1000,
        "p99_ms": ordered[int(len(ordered) * 0.99)] * 1000,
    }


def _lease(job: dict[str, Any]) -> list[float]:
    """Leases until the time is over; returns the seconds that each lease took."""
    turns, spans = Turns(), list[float]()
    until = time.perf_counter() + job["seconds"]
    while time.perf_counter() < until or not spans:
        oldest_first = turns.is_oldest_first()
        started = time.perf_counter()
        leased = lease(job["channel_id"], size=job["size"], oldest_first=oldest_first)
        taken = time.perf_counter() - started
        if leased is None:
            _bring_back()
            continue
        turns.count(len(leased.levels), oldest_first=oldest_first)
        spans.append(taken * job["size"] / len(leased.levels))
        _tell(leased)
    return spans


def _tell(leased: Lease) -> None:
    ids = [level.id for level in leased.levels]
    with connection.cursor() as cursor:
        cursor.execute(_TELL, [ids])
    _told.extend(ids)


def _update(job: dict[str, Any]) -> float:
    """Updates as many rows at a time, anywhere in the table; returns rows a second."""
    source, done = random.Random(1), 0
    started = time.perf_counter()
    with connection.cursor() as cursor:
        for number in itertools.count(1):
            ids = [job["first"] + source.randrange(job["levels"]) for _ in range(job["size"])]
            cursor.execute(_PLAIN, [ids])
            done = number * job["size"]
            if time.perf_counter() - started > job["seconds"]:
                break
    return done / (time.perf_counter() - started)


def _bring_back() -> None:
    """Has everything due again that was told, so that no run finds less than the one before."""
    with connection.cursor() as cursor:
        cursor.execute(_MAKE_DUE, [_told])
    tidy("channels_listinglevel")
    _told.clear()
