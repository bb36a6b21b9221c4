"""How fast changes are told: a million consumed through the API, in order, while several processes write and commit late.

The sequencer runs in a thread of this process as it does in the resident one, the consumer reads page by page through Django's
handler. Everything read is checked: each level's versions must come as 1, 2, 3 … up to the level's own. The reference is the
plain insertion of the same rows into a table with the same keys, once everything is told. Then what the sequencer costs is
measured without anything to do, and with 20 operations a second.
"""

import itertools
import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from django.db import connection

from inventory.ledger import Context
from inventory.models import Location, Merchant, Product, StockLevel, Variant
from inventory.sequencer import TICK, Sequencer
from inventory.stock import StockLine, receive
from tests.benchmarks.api_caller import Caller
from tests.benchmarks.report import Aim, Result, document
from tests.benchmarks.scratch import scratch_database
from tests.benchmarks.workers import workers

WRITERS: Final = 4
#: Variants of each writer's own, and those that all share.
OWN: Final = 2_000
SHARED: Final = 20
LINES: Final = 500
PAGE: Final = 1_000
#: Operations a second, and for how many seconds, where the cost of a quiet day is measured.
PACE: Final = 20
PACED_SECONDS: Final = 10.0

_PLAIN: Final = """
CREATE TABLE plain_changes (LIKE inventory_change INCLUDING ALL);
INSERT INTO plain_changes SELECT * FROM inventory_change ORDER BY position
"""


@dataclass(slots=True)
class Mirror:
    """What a consumer makes of the feed, and what is wrong with it."""

    cursor: str
    versions: dict[int, int] = field(default_factory=dict)
    position: int = 0
    count: int = 0
    twice: int = 0
    missing: int = 0
    disordered: int = 0

    def take(self, change: dict[str, Any]) -> None:
        """Takes one change of stock."""
        self.disordered += change["id"] <= self.position
        self.position = change["id"]
        level, version = change["data"]["level_id"], change["version"]
        expected = self.versions.get(level, 0) + 1
        self.twice += version < expected
        self.missing += max(version - expected, 0)
        self.versions[level] = max(version, expected - 1)
        self.count += 1


def run(*, changes: int) -> dict[str, Any]:
    """Has so many changes told and consumed, and returns the JSON document."""
    with scratch_database():
        merchant, location, variants = _seed()
        caller = Caller(merchant)
        mirror = Mirror(_page(caller, {})["next_cursor"])
        jobs = _jobs(merchant, location, variants, changes)
        started = time.perf_counter()
        with _sequencing(), _writing(jobs):
            wrote = _consume(caller, mirror, changes, started)
        seconds = time.perf_counter() - started
        plain = _insert_plainly()
        levels = dict(StockLevel.objects.values_list("pk", "version"))
        mirror.missing += sum(version - mirror.versions.get(level, 0) for level, version in levels.items())
        consumed = Result(
            f"{changes:,} changes under {WRITERS} writers",
            "changes/s",
            round(mirror.count / seconds, 1),
            "plain insertion",
            round(mirror.count / plain, 1),
            round(plain / seconds, 3),
            (),
            {"missing": mirror.missing, "twice": mirror.twice, "disordered": mirror.disordered, **wrote},
        )
        return document(
            "changes", 1, [consumed, _quiet(merchant, location, variants)], _aims(mirror, changes)
        )


def _aims(mirror: Mirror, changes: int) -> list[Aim]:
    return [
        Aim("changes consumed", f"{changes}", mirror.count, mirror.count == changes),
        Aim("none missing", "0", mirror.missing, mirror.missing == 0),
        Aim("none twice", "0", mirror.twice, mirror.twice == 0),
        Aim("none out of order", "0", mirror.disordered, mirror.disordered == 0),
    ]


def _seed() -> tuple[Merchant, Location, list[int]]:
    merchant = Merchant.objects.create(name="Benchmark", slug="benchmark")
    product = Product.objects.create(merchant=merchant, title="Benchmark")
    location = Location.objects.create(merchant=merchant, code="W1", name="Warehouse")
    rows = [
        Variant(merchant=merchant, product=product, sku=f"SKU-{n:06}") for n in range(WRITERS * OWN + SHARED)
    ]
    variants = [variant.pk for variant in Variant.objects.bulk_create(rows, batch_size=5_000)]
    Sequencer().catch_up()
    return merchant, location, variants


def _jobs(merchant: Merchant, location: Location, variants: list[int], changes: int) -> list[dict[str, Any]]:
    shared, own = variants[:SHARED], variants[SHARED:]
    shares = [changes // WRITERS + (number < changes % WRITERS) for number in range(WRITERS)]
    return [
        {
            "writer": number,
            "merchant_id": merchant.pk,
            "location_id": location.pk,
            "own": own[number * OWN : (number + 1) * OWN],
            "shared": shared,
            "movements": share,
            "lines": LINES,
        }
        for number, share in enumerate(shares)
    ]


@contextmanager
def _sequencing() -> Iterator[None]:
    stopping = threading.Event()
    resident = threading.Thread(target=Sequencer().run, args=[stopping])
    resident.start()
    try:
        yield
    finally:
        stopping.set()
        resident.join()


@contextmanager
def _writing(jobs: list[dict[str, Any]]) -> Iterator[None]:
    with workers(len(jobs), "tests.benchmarks.changes_loop:work") as writers:
        for writer, job in zip(writers, jobs, strict=True):
            writer.begin(job)
        yield
        for writer in writers:
            writer.wait()


def _consume(caller: Caller, mirror: Mirror, changes: int, started: float) -> dict[str, Any]:
    """Reads until everything is there, or nothing has come for a minute; tells how the time went."""
    pages, waits, came_at = 0, 0, time.perf_counter()
    while mirror.count < changes and time.perf_counter() - came_at < 60:
        page = _page(caller, {"cursor": mirror.cursor, "limit": PAGE, "kind": "stock.changed"})
        for change in page["data"]:
            mirror.take(change)
        mirror.cursor = page["next_cursor"]
        pages += 1
        if page["data"]:
            came_at = time.perf_counter()
        if not page["has_more"]:
            waits += 1
            time.sleep(TICK)
        if pages % 100 == 0:
            rate = mirror.count / (time.perf_counter() - started)
            sys.stderr.write(f"{mirror.count:,} changes, {rate:,.0f}/s\n")
    return {"pages": pages, "times_up_to_date": waits}


def _page(caller: Caller, query: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(caller.get("/api/v1/changes", query))
    return found


def _insert_plainly() -> float:
    started = time.perf_counter()
    with connection.cursor() as cursor:
        for statement in _PLAIN.split(";"):
            cursor.execute(statement)
    return time.perf_counter() - started


def _quiet(merchant: Merchant, location: Location, variants: list[int]) -> Result:
    """Returns how much of a core this process spends on sequencing at 20 operations a second; the reference: at none."""
    idle = _cost(itertools.repeat(None))
    context = (Context(merchant.pk, f"paced {number}") for number in itertools.count())
    paced = _cost(context, [StockLine(variants[0], location.pk, 1)])
    return Result(
        f"{PACE} operations a second",
        "ms/s",
        round(paced["ms_per_second"], 2),
        "nothing to do",
        round(idle["ms_per_second"], 2),
        round(paced["ms_per_second"] / max(idle["ms_per_second"], 0.001), 1),
        (),
        {"look_ms": round(paced["look_ms"], 2), "idle_look_ms": round(idle["look_ms"], 2)},
    )


def _cost(contexts: Iterator[Context | None], lines: list[StockLine] | None = None) -> dict[str, float]:
    """Looks as often as the resident does, and works as fast as it is paced in between; times the looks alone."""
    resident, spent, looks = Sequencer(), 0.0, 0
    for _ in range(3):
        resident.catch_up()
    for _ in range(int(PACED_SECONDS / TICK)):
        for _ in range(int(PACE * TICK)):
            context = next(contexts)
            if context is not None and lines is not None:
                receive(context, lines)
        started = time.perf_counter()
        resident.catch_up()
        spent, looks = spent + time.perf_counter() - started, looks + 1
    return {"ms_per_second": spent * 1000 / (looks * TICK), "look_ms": spent * 1000 / looks}
