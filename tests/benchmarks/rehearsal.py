"""How fast recorded events are replayed under other rules, beside the mere reading of them; and how much memory it takes.

A week of orders on three channels, each with the numbers that the two other channels were told because of it.
"""

import statistics
import sys
from datetime import UTC, datetime, timedelta
from time import perf_counter, process_time
from typing import Any, Final

import psutil
from django.db import connection

from channels.exposure import quantity_of
from channels.models import (
    Channel,
    ChannelLocation,
    ChannelLocationSource,
    Listing,
    ListingLevel,
    Rule,
    RuleSet,
    RuleSetVersion,
)
from channels.rehearsals.events import Period
from channels.rehearsals.replay import Replay
from channels.rehearsals.rules import rules_of
from channels.rehearsals.tally import Tally
from inventory.ledger import Context
from inventory.models import Location, Merchant, Product, StockLevel, Variant
from inventory.stock import StockLine, receive
from tests.benchmarks.report import Aim, Result, document
from tests.benchmarks.scratch import scratch_database

VARIANTS: Final = 2_000
CHANNELS: Final = 3
STOCK: Final = 1_000_000
WEEK: Final = timedelta(days=7)


def run(*, runs: int, events: int) -> dict[str, Any]:
    """Replays the week `runs` times under a draft and once under what was in force; returns the JSON document."""
    with scratch_database():
        period = _record(events)
        rule_set = RuleSet.objects.create(merchant_id=period.merchant_id, name="Benchmark")
        in_force = RuleSetVersion.objects.create(rule_set=rule_set, number=1)
        draft = RuleSetVersion.objects.create(rule_set=rule_set, number=2)
        Rule.objects.create(version=draft, buffer_units=3, buffer_percent=10, maximum=STOCK // 2)
        _measure(period, draft)
        measured = [_measure(period, draft) for _ in range(runs)]
        same = _replay(period, in_force)[0]
    tally = measured[0][2]
    notes = {
        "operations": tally.operations,
        "numbers_told": tally.told,
        "seconds_of_this_process": round(statistics.median(row[5] for row in measured), 2),
        "memory_mib_after_a_tenth": round(statistics.median(row[3] for row in measured), 1),
        "memory_mib_at_the_end": round(statistics.median(row[4] for row in measured), 1),
        "differing_under_what_was_in_force": same.differing,
    }
    seconds = statistics.median(row[0] for row in measured)
    reading = statistics.median(row[1] for row in measured)
    ratio = statistics.median(row[0] / row[1] for row in measured)
    pairs = tuple((round(row[0], 2), round(row[1], 2)) for row in measured)
    case = f"a week of {tally.operations:,} operations"
    results = [
        Result(
            case,
            "s",
            round(seconds, 2),
            "reading the events",
            round(reading, 2),
            round(ratio, 2),
            pairs,
            notes,
        )
    ]
    growth = notes["memory_mib_at_the_end"] - notes["memory_mib_after_a_tenth"]
    return document("rehearsal", runs, results, _aims(tally, same, seconds, growth))


def _aims(tally: Tally, same: Tally, seconds: float, growth: float) -> list[Aim]:
    per_100_000 = seconds * 100_000 / max(tally.operations, 1)
    return [
        Aim(
            "seconds for 100,000 operations with what was told",
            "< 60",
            round(per_100_000, 1),
            per_100_000 < 60,
        ),
        Aim("MiB more at the end than after a tenth", "< 20", round(growth, 1), growth < 20),
        Aim("numbers that differ under what was in force", "0", same.differing, same.differing == 0),
    ]


def _measure(period: Period, version: RuleSetVersion) -> tuple[float, float, Tally, float, float, float]:
    """Returns the seconds of a replay and of reading alone, its figures, the memory early and late in MiB, and CPU seconds."""
    started, worked = perf_counter(), process_time()
    tally, early, late = _replay(period, version)
    seconds, cpu = perf_counter() - started, process_time() - worked
    started = perf_counter()
    for _ in period.windows():
        pass
    reading = perf_counter() - started
    sys.stderr.write(f"{tally.events} events in {seconds:.1f} s; read alone in {reading:.1f} s\n")
    return seconds, reading, tally, early, late, cpu


def _replay(period: Period, version: RuleSetVersion) -> tuple[Tally, float, float]:
    process, seen = psutil.Process(), []

    def note(done: int, total: int) -> None:
        if done * 10 >= total:
            seen.append(process.memory_info().rss / 2**20)

    tally = Replay(period, rules_of(version, period.since), quantity_of).run(note)
    return tally, seen[0], seen[-1]


# -- the recorded week

_OPERATIONS: Final = """
INSERT INTO inventory_stockoperation
    (id, merchant_id, key, digest, verb, outcome, actor, source, document, occurred_at, recorded_at)
SELECT {base} + i, {merchant}, 'order-' || i, '', 'settle', '{{"held": [], "short": []}}', '', '', '', at, at
FROM generate_series(0, {events} - 1) i, LATERAL (SELECT {at} AS at) clock
"""
_ORDERS: Final = """
INSERT INTO channels_channelorder
    (id, channel_id, external_id, arrived_at, applied_at, number, state_key, state_digest, country, currency, is_test,
     is_deleted, fetch_wanted, fetched, fetch_error, marks)
SELECT {base} + i, ({channels})[(i / {variants}) % {count} + 1], 'order-' || i, {at}, {at}, '', '[]', '', '', '', false,
       false, 0, 0, '', '{{}}'
FROM generate_series(0, {events} - 1) i
"""
_LINES: Final = """
INSERT INTO channels_channelorderline
    (id, order_id, external_id, listing_external_id, sku, title, variant_id, quantity, cancelled, fulfilled, returned,
     restocked, applied_demand, applied_fulfilled)
SELECT {base} + i, {base} + i, '1', '', '', '', {first} + i % {variants}, 1, 0, 0, 0, 0, 1, 0
FROM generate_series(0, {events} - 1) i
"""
_RESERVATIONS: Final = """
INSERT INTO inventory_reservation
    (id, merchant_id, operation_id, level_id, variant_id, reference, quantity, open_quantity, fulfilled_quantity,
     released_quantity, confirmed_at, created_at)
SELECT {base} + i, {merchant}, {base} + i, {level} + i % {variants}, {first} + i % {variants},
       'order-line:' || ({base} + i), 1, 1, 0, 0, {at}, {at}
FROM generate_series(0, {events} - 1) i
"""
_MOVEMENTS: Final = """
INSERT INTO inventory_stockmovement
    (merchant_id, operation_id, level_id, version, kind, reason, on_hand_delta, reserved_delta, unavailable_delta,
     on_hand_after, reserved_after, unavailable_after, reservation_id, occurred_at, recorded_at)
SELECT {merchant}, {base} + i, {level} + i % {variants}, i / {variants} + 2, 'reservation', 'sale', 0, 1, 0, {stock},
       i / {variants} + 1, 0, {base} + i, {at}, {at}
FROM generate_series(0, {events} - 1) i
"""
_PUSHES: Final = """
INSERT INTO channels_push
    (channel_id, listing_level_id, wanted, target, quantity, compared_with, outcome, waterfall, tracking_id, error,
     computed_at, finished_at)
SELECT channel.id, shelf.id, 1, {stock} - i / {variants} - 1, {stock} - i / {variants} - 1, NULL, 'confirmed', '[]', '',
       '', {at} + interval '1 millisecond', {at} + interval '2 milliseconds'
FROM generate_series(0, {events} - 1) i
JOIN channels_listing listing ON listing.variant_id = {first} + i % {variants}
JOIN channels_listinglevel shelf ON shelf.listing_id = listing.id
JOIN channels_channel channel ON channel.id = listing.channel_id
WHERE channel.id <> ({channels})[(i / {variants}) % {count} + 1]
ORDER BY i, shelf.id
"""


def _record(events: int) -> Period:
    """Writes the week with set-based SQL; variants take turns, and so do the channels."""
    merchant = Merchant.objects.create(name="Benchmark", slug="benchmark")
    location = Location.objects.create(merchant=merchant, code="W1", name="Warehouse")
    product = Product.objects.create(merchant=merchant, title="Benchmark product")
    variants = Variant.objects.bulk_create(
        Variant(merchant=merchant, product=product, sku=f"SKU-{n:06d}") for n in range(VARIANTS)
    )
    receive(Context(merchant.pk, "opening"), [StockLine(each.pk, location.pk, STOCK) for each in variants])
    until = datetime.now(UTC) - timedelta(minutes=10)
    since = until - WEEK
    _backdate(since - timedelta(hours=1))
    channels = [_channel(merchant, location, variants, number) for number in range(CHANNELS)]
    step = WEEK.total_seconds() * 0.99 / events
    parts = {
        "base": 1_000_000,
        "merchant": merchant.pk,
        "events": events,
        "variants": VARIANTS,
        "first": variants[0].pk,
        "level": StockLevel.objects.order_by("id").values_list("id", flat=True)[0],
        "stock": STOCK,
        "channels": f"ARRAY[{','.join(str(channel.pk) for channel in channels)}]",
        "count": CHANNELS,
        "at": f"'{since.isoformat()}'::timestamptz + i * interval '{step:.6f} seconds'",
    }
    with connection.cursor() as cursor:
        for statement in (_OPERATIONS, _ORDERS, _LINES, _RESERVATIONS, _MOVEMENTS, _PUSHES):
            cursor.execute(statement.format(**parts))
        cursor.execute("ANALYZE")
    return Period(merchant.pk, since, until)


def _backdate(at: datetime) -> None:
    """Has everything so far recorded before the week."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE inventory_stockmovement DISABLE TRIGGER movement_is_never_changed")
        for table in ("inventory_stockmovement", "inventory_stocklevel"):
            cursor.execute(f"UPDATE {table} SET recorded_at = %s", [at])
        cursor.execute("ALTER TABLE inventory_stockmovement ENABLE TRIGGER movement_is_never_changed")


def _channel(merchant: Merchant, location: Location, variants: list[Variant], number: int) -> Channel:
    """Lists every variant on a channel, which shows the whole stock when the week begins."""
    channel = Channel.objects.create(merchant=merchant, name=f"Channel {number}", kind="shopify")
    place = ChannelLocation.objects.create(channel=channel, external_id="1")
    ChannelLocationSource.objects.create(channel_location=place, location=location)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE channels_sourcespan SET began_at = NULL")
    listings = Listing.objects.bulk_create(
        Listing(channel=channel, variant=each, external_id=each.sku, sku=each.sku) for each in variants
    )
    ListingLevel.objects.bulk_create(
        ListingLevel(channel=channel, listing=listing, channel_location=place) for listing in listings
    )
    return channel
