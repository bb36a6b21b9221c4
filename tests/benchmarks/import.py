"""A large Shopify catalogue imported, mapped and matched, beside the bare fetching of the same file and COPY of its rows.

The simulated shop runs in this process; what imports is a process of its own, whose memory is looked at in the end. Nine of ten
listings have a variant of their SKU; of the others half are found by their GTIN, so that all three ways of matching take part.
"""

import sys
from collections.abc import Iterator
from typing import Any, Final

from django.db import connection

from channels.models import Channel, ChannelLocation, ChannelLocationSource, Listing, ListingMatch
from channels.sandbox import INSTANT, CatalogueItem, ShopifySandbox
from inventory.models import Location, Merchant, Product, Variant
from tests.benchmarks.report import Aim, Result, document, paired
from tests.benchmarks.scratch import scratch_database
from tests.benchmarks.tidying import tidy
from tests.benchmarks.workers import workers

#: The limit of the issue, in megabytes of a million bytes.
LIMIT: Final = 300.0
#: Every so many listings one has a SKU that nobody knows, and every so many of all a GTIN beside it.
UNKNOWN: Final = 10
BY_GTIN: Final = 20
_AT_ONCE: Final = 5_000


def run(*, runs: int, listings: int) -> dict[str, Any]:
    """Imports so many listings in `runs` pairs, each into a channel of its own, and returns the JSON document."""
    with scratch_database(), ShopifySandbox(profile=INSTANT, limits="true", name="Benchmark") as shop:
        shop.add_location("W1", "Warehouse")
        shop.load_catalogue(_item(number) for number in range(listings))
        merchant, location = _seed(listings)
        result = _measure(shop, merchant, location, runs, listings)
        return document("import", runs, [result], _aims(result, listings))


def _item(number: int) -> CatalogueItem:
    sku = f"SKU-{number:07d}" if number % UNKNOWN else f"ELSE-{number:07d}"
    return CatalogueItem(sku, f"Article {number} of the benchmark", gtin=_gtin(number), quantities={"W1": 7})


def _gtin(number: int) -> str:
    if number % BY_GTIN:
        return ""
    digits = f"40{number:010d}"
    total = sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(digits))
    return f"{digits}{-total % 10}"


def _seed(listings: int) -> tuple[Merchant, Location]:
    merchant = Merchant.objects.create(name="Benchmark", slug="benchmark")
    location = Location.objects.create(merchant=merchant, code="W1", name="Warehouse")
    product = Product.objects.create(merchant=merchant, title="Wares")
    Variant.objects.bulk_create(_variants(merchant, product, listings), batch_size=_AT_ONCE)
    tidy("inventory_variant")
    return merchant, location


def _variants(merchant: Merchant, product: Product, listings: int) -> Iterator[Variant]:
    for number in range(listings):
        yield Variant(merchant=merchant, product=product, sku=f"SKU-{number:07d}", gtin=_gtin(number))


def _measure(
    shop: ShopifySandbox, merchant: Merchant, location: Location, runs: int, listings: int
) -> Result:
    pairs: list[tuple[float, float]] = []
    peaks, seconds = [], []
    for number in range(runs):
        channel = _channel(shop, merchant, location, number)
        ours = _do(channel, "import")
        theirs = _do(channel, "copy")
        _check(channel, listings)
        pairs.append((listings / ours["seconds"], listings / theirs["seconds"]))
        peaks.append(ours["peak_mb"])
        seconds.append(round(ours["seconds"], 1))
        sys.stderr.write(
            f"{listings:,} listings: {ours['seconds']:.1f} s, {ours['peak_mb']:.0f} MB; bare {theirs['seconds']:.1f} s\n"
        )
    name = f"{listings:,} listings imported from Shopify in bulk"
    notes = {"seconds": seconds, "peak_mb": max(peaks), "before_mb": ours["before_mb"]}
    return paired(name, "listings/s", "bare file and COPY", pairs, **notes)


def _channel(shop: ShopifySandbox, merchant: Merchant, location: Location, number: int) -> Channel:
    """Connects the shop anew: nothing of it is known."""
    credentials: Any = shop.credentials()
    channel = Channel.objects.create(
        merchant=merchant,
        name=f"Shop {number}",
        kind="shopify",
        settings=shop.settings(),
        credentials=credentials,
        is_paused=True,
    )
    place = ChannelLocation.objects.create(channel=channel, external_id=shop.location_id("W1"))
    ChannelLocationSource.objects.create(channel_location=place, location=location)
    return channel


def _do(channel: Channel, what: str) -> dict[str, Any]:
    """Has a process of its own do it, so that its memory is nobody else's."""
    with workers(1, "tests.benchmarks.import_loop:work") as (worker,):
        return worker.do({"channel": channel.pk, "what": what})


def _check(channel: Channel, listings: int) -> None:
    """Demands that all of it is there, mapped and matched as it was laid out."""
    unknown, by_gtin = -(-listings // UNKNOWN), -(-listings // BY_GTIN)
    own = Listing.objects.filter(channel=channel)
    found = (own.count(), own.filter(variant__isnull=False).count(), _matched(channel))
    if found != (listings, listings - unknown, by_gtin):
        raise RuntimeError(
            f"{found} instead of {(listings, listings - unknown, by_gtin)} were read, mapped and matched."
        )
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM raw_listings")
        (copied,) = cursor.fetchone()
        cursor.execute("DROP TABLE raw_listings")
    if copied != listings:
        raise RuntimeError(f"The reference copied {copied} of {listings}.")
    # Or the next run would match these as well.
    own.update(is_active=False)


def _matched(channel: Channel) -> int:
    return ListingMatch.objects.filter(listing__channel=channel, basis="gtin").count()


def _aims(result: Result, listings: int) -> list[Aim]:
    peak = float(result.notes["peak_mb"])
    return [
        Aim(
            f"memory of the process that imports {listings:,} listings, in MB",
            f"< {LIMIT:g}",
            peak,
            peak < LIMIT,
        )
    ]
