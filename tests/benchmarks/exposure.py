"""How fast numbers are computed: 100,000 listings recomputed, beside the bare SQL that reads what they depend on.

Every variant is on several channels and in several locations, under a rule set with tags, a category, pools, a cap
and a buffer by velocity. Ours is `channels.exposure.targets`, and `exposures` where the steps are shown; beside each stands
the statement by which it reads stock and shelves, with its rows fetched and nothing done with them, in the same process on
the same connection.
"""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.db import connection
from django.test.utils import CaptureQueriesContext

from channels.exposure import exposures, targets
from channels.exposure.loading import STATE, state_parameters
from channels.exposure.numbers import OFFERS
from channels.models import (
    Channel,
    ChannelGroup,
    ChannelLocation,
    ChannelLocationSource,
    LagDemand,
    Listing,
    ListingLevel,
    Rule,
    RuleSet,
)
from channels.rules import lifecycle
from inventory.models import Location, Merchant, Product, StockLevel, Tag, Variant, VariantTag
from tests.benchmarks.report import Aim, Result, document, paired
from tests.benchmarks.scratch import scratch_database

CHANNELS: Final = 5
LOCATIONS: Final = 2
#: Listing levels that one call is given.
AT_ONCE: Final = 10_000
#: Listings a second and process that the issue asks for.
AIM: Final = 20_000

Compute = Callable[[Sequence[int]], object]


@dataclass(frozen=True, slots=True)
class Case:
    """What is computed, and the statement that it reads stock and shelves by."""

    name: str
    compute: Compute
    statement: str

    def read(self, ids: Sequence[int]) -> list[Any]:
        """Runs the statement alone."""
        with connection.cursor() as cursor:
            cursor.execute(self.statement, state_parameters(ids))
            rows: list[Any] = cursor.fetchall()
        return rows


def run(*, runs: int, listings: int) -> dict[str, Any]:
    """Measures in `runs` pairs and returns the JSON document."""
    with scratch_database():
        merchant = _seed(listings // CHANNELS)
        ids = list(ListingLevel.objects.order_by("id").values_list("id", flat=True))
        results = [_measure(Case("numbers, no rules", targets, OFFERS), ids, runs)]
        _put_rules_in_force(merchant)
        results.append(_measure(Case("numbers, under rules", targets, OFFERS), ids, runs))
        results.append(_measure(Case("numbers with their steps, under rules", exposures, STATE), ids, runs))
        counts = [_statements(ids[:count]) for count in (10, 1_000, AT_ONCE)]
    return document("exposure", runs, results, _aims(results, counts, len(ids)))


def _seed(variants: int) -> Merchant:
    merchant = Merchant.objects.create(name="Benchmark", slug="benchmark")
    places = [
        Location.objects.create(merchant=merchant, code=f"W{n}", name=f"Warehouse {n}")
        for n in range(LOCATIONS)
    ]
    products = [
        Product.objects.create(merchant=merchant, title=f"Product {n}", category=f"Category {n % 5}")
        for n in range(50)
    ]
    goods = Variant.objects.bulk_create(
        (Variant(merchant=merchant, product=products[n % 50], sku=f"SKU-{n:06d}") for n in range(variants)),
        batch_size=5_000,
    )
    _stock(merchant, goods, places)
    for number in range(CHANNELS):
        _list_on(
            Channel.objects.create(merchant=merchant, name=f"Channel {number}", kind="shopify"), goods, places
        )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return merchant


def _stock(merchant: Merchant, goods: Sequence[Variant], places: Sequence[Location]) -> None:
    """Fills levels directly: what is measured reads them, and needs no history."""
    levels = (
        StockLevel(merchant=merchant, variant=each, location=place, on_hand=n % 90 + 2, reserved=n % 3)
        for n, each in enumerate(goods)
        for place in places
    )
    StockLevel.objects.bulk_create(levels, batch_size=5_000)


def _list_on(channel: Channel, goods: Sequence[Variant], places: Sequence[Location]) -> None:
    shop = ChannelLocation.objects.create(channel=channel, external_id="1")
    for priority, place in enumerate(places):
        ChannelLocationSource.objects.create(channel_location=shop, location=place, priority=priority)
    listings = Listing.objects.bulk_create(
        (Listing(channel=channel, variant=each, external_id=each.sku, sku=each.sku) for each in goods),
        batch_size=5_000,
    )
    levels = (
        ListingLevel(channel=channel, listing=each, channel_location=shop, expected=3) for each in listings
    )
    ListingLevel.objects.bulk_create(levels, batch_size=5_000)


def _put_rules_in_force(merchant: Merchant) -> None:
    """A set as a merchant of this size has it: all kinds of scopes, and rules for a thousand single variants."""
    goods = list(Variant.objects.filter(merchant=merchant).order_by("id"))
    channels = list(Channel.objects.filter(merchant=merchant).order_by("id"))
    fast = Tag.objects.create(merchant=merchant, name="fast seller")
    VariantTag.objects.bulk_create(
        (VariantTag(tag=fast, variant=each) for each in goods[::10]), batch_size=5_000
    )
    demands = (
        LagDemand(channel=channel, variant=each, q90=1, q95=2, q99=3)
        for each in goods[::10]
        for channel in channels
    )
    LagDemand.objects.bulk_create(demands, batch_size=5_000)
    wholesale = ChannelGroup.objects.create(merchant=merchant, name="B2B")
    wholesale.channels.set(channels[:1])
    marketplaces = ChannelGroup.objects.create(merchant=merchant, name="Marketplaces")
    marketplaces.channels.set(channels[3:])
    rule_set = RuleSet.objects.create(merchant=merchant, name="Benchmark")
    version = lifecycle.draw_up(rule_set, actor="benchmark")
    Rule.objects.bulk_create(
        [
            Rule(version=version, position=1, buffer_percent=5, minimum=1),
            Rule(
                version=version, position=2, tag=fast, velocity_quantile=95, velocity_least=1, velocity_most=3
            ),
            Rule(version=version, position=3, group=marketplaces, maximum=5, daily_increases=6),
            Rule(version=version, position=4, category="Category 1", scarce_below=4),
            Rule(version=version, position=5, pool=wholesale, pool_units=5, category="Category 2"),
            Rule(version=version, position=6, pool=marketplaces, pool_percent=30, tag=fast),
            *(
                Rule(version=version, position=7, variant=each, maximum=9)
                for each in goods[: len(goods) // 20]
            ),
        ]
    )
    lifecycle.approve(version.pk, actor="benchmark", because="measured")
    lifecycle.activate(version.pk, actor="benchmark", because="measured", is_confirmed=True)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def _measure(case: Case, ids: Sequence[int], runs: int) -> Result:
    pairs = []
    case.compute(ids[:AT_ONCE])
    case.read(ids[:AT_ONCE])
    for number in range(runs):
        sides = {"ours": case.compute, "theirs": case.read}
        order = ("ours", "theirs") if number % 2 == 0 else ("theirs", "ours")
        rates = {side: _rate(sides[side], ids) for side in order}
        pairs.append((rates["ours"], rates["theirs"]))
        sys.stderr.write(f"{case.name}: ours {rates['ours']:.0f}/s, bare SQL {rates['theirs']:.0f}/s\n")
    return paired(case.name, "listings/s", "the SQL that reads stock and shelves, rows fetched", pairs)


def _rate(compute: Compute, ids: Sequence[int]) -> float:
    started = time.perf_counter()
    for start in range(0, len(ids), AT_ONCE):
        compute(ids[start : start + AT_ONCE])
    return len(ids) / (time.perf_counter() - started)


def _statements(ids: Sequence[int]) -> int:
    with CaptureQueriesContext(connection) as captured:
        targets(ids)
    return len(captured)


def _aims(results: Sequence[Result], counts: Sequence[int], listings: int) -> list[Aim]:
    under_rules = results[1].rate
    return [
        Aim("listings that were recomputed", "100000", listings, listings >= 100_000),
        Aim("listings/s a process, under rules", f">= {AIM}", under_rules, under_rules >= AIM),
        Aim(
            "statements are as many for 10 listings as for 10,000",
            "0 more",
            max(counts) - min(counts),
            len(set(counts)) == 1,
        ),
    ]
