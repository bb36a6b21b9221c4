"""One channel with very many listings, its shelves staged and compared, beside the bare COPY and join of the same rows.

Ours takes shelves one by one, as a connector yields them, and ends with the shelves that differ. The time that making the
shelves takes by itself, which is the connector's, is measured in each run and left out. The reference is handed the finished
text of the same rows, copies it in one go, and joins it with listings and levels by nothing but their keys.
"""

import resource
import sys
import time
from collections.abc import Iterator
from typing import Any, Final

from django.db import connection

from channels.connectors.base import ShelfNumber
from channels.models import Channel, ChannelLocation
from inventory.models import Merchant, Product, Variant
from reconciliation.staging import Diff, staged
from tests.benchmarks.report import Aim, Result, document, paired
from tests.benchmarks.scratch import scratch_database
from tests.benchmarks.tidying import tidy

#: Every so many shelves one shows a unit too many.
EVERY: Final = 1_000
#: What each shelf should show.
SHOULD: Final = 7
#: The limits of the issue: times the reference, and mebibytes of this process.
RATIO: Final = 3.0
MEMORY: Final = 300.0
_VARIANTS: Final = 1_000

_SEED_LISTINGS: Final = """
INSERT INTO channels_listing
    (channel_id, variant_id, external_id, parent_external_id, sku, gtin, title, data, is_active, created_at)
SELECT %s, %s::bigint + n %% %s, (40000000000000 + n)::text, '', 'SKU-' || n, '', '', '{}', true, clock_timestamp()
FROM generate_series(0, %s::bigint - 1) AS n
"""

_SEED_LEVELS: Final = """
INSERT INTO channels_listinglevel
    (channel_id, listing_id, channel_location_id, wanted, done, lane, sent_quantity, sent_at, published_quantity,
     confirmed_at, expected, is_outcome_unknown, attempts, last_error)
SELECT listing.channel_id, listing.id, %s, 1, 1, 2, %s, clock_timestamp(), %s, clock_timestamp(), %s, false, 0, ''
FROM channels_listing listing WHERE listing.channel_id = %s
"""

_RAW_TABLE: Final = (
    "CREATE UNLOGGED TABLE raw_stage (listing text NOT NULL, place text NOT NULL, quantity bigint)"
)

_RAW_JOIN: Final = """
SELECT count(*)
FROM raw_stage stage
JOIN channels_listing listing ON listing.channel_id = %s AND listing.external_id = stage.listing
JOIN channels_listinglevel level ON level.listing_id = listing.id
WHERE stage.quantity <> level.expected
"""


def run(*, runs: int, listings: int) -> dict[str, Any]:
    """Stages and compares so many listings in `runs` pairs, and returns the JSON document."""
    with scratch_database():
        channel_id = _seed(listings)
        result = _measure(channel_id, listings, runs)
        return document("reconcile", runs, [result], _aims(result))


def _seed(listings: int) -> int:
    merchant = Merchant.objects.create(name="Benchmark", slug="benchmark")
    product = Product.objects.create(merchant=merchant, title="Benchmark product")
    variants = Variant.objects.bulk_create(
        Variant(merchant=merchant, product=product, sku=f"V-{number}") for number in range(_VARIANTS)
    )
    channel = Channel.objects.create(merchant=merchant, name="Channel", kind="bol")
    place = ChannelLocation.objects.create(channel=channel, external_id="")
    with connection.cursor() as cursor:
        cursor.execute(_SEED_LISTINGS, [channel.pk, variants[0].pk, _VARIANTS, listings])
        cursor.execute(_SEED_LEVELS, [place.pk, SHOULD, SHOULD, SHOULD, channel.pk])
    tidy("channels_listing", "channels_listinglevel")
    with connection.cursor() as cursor:
        cursor.execute("CHECKPOINT")
    return channel.pk


def _shelves(listings: int) -> Iterator[ShelfNumber]:
    """Yields shelves as a connector does."""
    for number in range(listings):
        quantity = SHOULD + 1 if number % EVERY == 0 else SHOULD
        yield ShelfNumber(str(40000000000000 + number), "", quantity)


def _text(listings: int) -> str:
    return "".join(
        f"{40000000000000 + number}\t\t{SHOULD + 1 if number % EVERY == 0 else SHOULD}\n"
        for number in range(listings)
    )


def _measure(channel_id: int, listings: int, runs: int) -> Result:
    """Measures ours and the reference in turn, changing who goes first; the first pair only warms up."""
    pairs: list[tuple[float, float]] = []
    # The text of the reference is made after ours has shown how much memory it takes.
    _ours(channel_id, listings)
    peak = _peak_mb()
    text = _text(listings)
    for number in range(runs + 1):
        sides = {
            "ours": lambda: _ours(channel_id, listings),
            "theirs": lambda: _theirs(channel_id, text, listings),
        }
        order = ("ours", "theirs") if number % 2 == 0 else ("theirs", "ours")
        times = {side: sides[side]() for side in order}
        if number:
            pairs.append((times["ours"], times["theirs"]))
            sys.stderr.write(f"{listings:,} listings: {times['ours']:.0f} ms, raw {times['theirs']:.0f} ms\n")
    name = f"{listings:,} listings staged and compared"
    return paired(name, "ms", "raw COPY and join", pairs, peak_mb=peak, differences=-(-listings // EVERY))


def _ours(channel_id: int, listings: int) -> float:
    making = _time_to_make(listings)
    began = time.perf_counter()
    with staged(channel_id, 1) as stage:
        for _ in stage.fill(_shelves(listings)):
            pass
        diff = stage.compare()
        took = (time.perf_counter() - began) * 1000
    _check(channel_id, diff, listings)
    return took - making


def _time_to_make(listings: int) -> float:
    began = time.perf_counter()
    for _ in _shelves(listings):
        pass
    return (time.perf_counter() - began) * 1000


def _check(channel_id: int, diff: Diff, listings: int) -> None:
    """Demands exactly the seeded differences."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT level.id FROM channels_listinglevel level JOIN channels_listing listing"
            " ON listing.id = level.listing_id WHERE listing.channel_id = %s"
            " AND (listing.external_id::bigint - 40000000000000) %% %s = 0",
            [channel_id, EVERY],
        )
        seeded = {identity for (identity,) in cursor.fetchall()}
    found = {suspect.listing_level_id for suspect in diff.suspects}
    if found != seeded or diff.differing != len(seeded) or diff.compared != listings:
        raise RuntimeError(
            f"{diff.differing} of {diff.compared} differ, seeded were {len(seeded)} of {listings}."
        )


def _theirs(channel_id: int, text: str, listings: int) -> float:
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS raw_stage")
        began = time.perf_counter()
        cursor.execute(_RAW_TABLE)
        with cursor.copy("COPY raw_stage FROM STDIN") as copy:
            copy.write(text)
        cursor.execute("ANALYZE raw_stage")
        cursor.execute(_RAW_JOIN, [channel_id])
        (differing,) = cursor.fetchone()
        took = (time.perf_counter() - began) * 1000
        cursor.execute("DROP TABLE raw_stage")
    if differing != -(-listings // EVERY):
        raise RuntimeError(f"The reference found {differing} differences.")
    return took


def _peak_mb() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def _aims(result: Result) -> list[Aim]:
    peak = float(result.notes["peak_mb"])
    return [
        Aim("times the raw COPY and join", f"<= {RATIO:g}", result.ratio, result.ratio <= RATIO),
        Aim("memory in MB", f"< {MEMORY:g}", peak, peak < MEMORY),
    ]
