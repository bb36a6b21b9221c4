"""How long the listings of bundles take to be marked when a part of them changes, beside the plain update of the same rows.

A part stands in so many bundles, each sold on six channels. One movement of it notes the change; measured is the one statement
that turns the note into marks, to its durable commit. The reference knows the rows beforehand and updates them by their ids.
"""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.db import connection

from channels.fanout import fan_out
from channels.models import (
    BundleChange,
    Channel,
    ChannelLocation,
    ChannelLocationSource,
    Listing,
    ListingLevel,
)
from inventory.bundles import Component, define
from inventory.ledger import Context
from inventory.models import (
    Bundle,
    BundleComponent,
    BundleKind,
    BundlePart,
    Location,
    Merchant,
    Product,
    Variant,
)
from inventory.models.stock import Reason
from inventory.stock import StockLine, receive
from tests.benchmarks.report import Aim, Result, document, paired
from tests.benchmarks.scratch import scratch_database
from tests.benchmarks.tidying import tidy

CHANNELS: Final = 6
#: Bundles that contain the part that changes, a part for each case.
SIZES: Final = (125, 250, 500, 1_000)
#: The case that the aim speaks of, and its limit in milliseconds.
AIMED: Final = 500
LIMIT: Final = 100.0

# The reference: no joins, no notes, the rows named by their key.
_PLAIN: Final = """
UPDATE channels_listinglevel
SET wanted = wanted + 1, lane = 1, due_since = coalesce(due_since, clock_timestamp())
WHERE id = ANY(%s::bigint[])
"""

_TELL_ALL: Final = "UPDATE channels_listinglevel SET done = wanted, due_since = NULL WHERE wanted > done"


@dataclass(frozen=True, slots=True)
class Part:
    """A variant and the listing levels of all bundles that contain it."""

    variant_id: int
    bundles: int
    level_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Seed:
    """What the benchmark's merchant has."""

    merchant_id: int
    location_id: int
    parts: tuple[Part, ...]


def run(*, runs: int) -> dict[str, Any]:
    """Measures every size in `runs` pairs of one change each, and returns the JSON document."""
    with scratch_database():
        seed = _seed()
        results = [_measure(seed, part, runs) for part in seed.parts]
        return document("fanout", runs, results, _aims(results))


def _seed() -> Seed:
    merchant = Merchant.objects.create(name="Benchmark", slug="benchmark")
    location = Location.objects.create(merchant=merchant, code="W1", name="Warehouse")
    product = Product.objects.create(merchant=merchant, title="Benchmark product")
    places = [_channel(merchant, location, number) for number in range(CHANNELS)]
    parts = tuple(_part(merchant, product, places, size) for size in SIZES)
    lines = [StockLine(part.variant_id, location.pk, 1_000_000) for part in parts]
    receive(Context(merchant.pk, "opening"), lines, reason=Reason.OPENING)
    fan_out()
    _settle_down()
    return Seed(merchant.pk, location.pk, parts)


def _channel(merchant: Merchant, location: Location, number: int) -> ChannelLocation:
    channel = Channel.objects.create(merchant=merchant, name=f"Channel {number}", kind="shopify")
    place = ChannelLocation.objects.create(channel=channel, external_id="1")
    ChannelLocationSource.objects.create(channel_location=place, location=location)
    return place


def _part(merchant: Merchant, product: Product, places: Sequence[ChannelLocation], size: int) -> Part:
    """Creates a part, the bundles that contain it with a second part of their own, and lists them on every channel."""
    new = Variant.objects.bulk_create(
        Variant(merchant=merchant, product=product, sku=f"{name}-{size}-{number}")
        for name, count in (("PART", 1), ("OWN", size), ("KIT", size))
        for number in range(count)
    )
    part, own, kits = new[0], new[1 : size + 1], new[size + 1 :]
    operation_id = define(
        Context(merchant.pk, f"first of {size}"),
        kits[0].pk,
        BundleKind.KIT,
        [Component(part.pk, 1), Component(own[0].pk, 2)],
    ).operation_id
    _bundle_the_rest(merchant, part, kits[1:], own[1:], operation_id)
    level_ids = [level_id for place in places for level_id in _list(place, kits)]
    return Part(part.pk, size, tuple(level_ids))


def _bundle_the_rest(
    merchant: Merchant, part: Variant, kits: Sequence[Variant], own: Sequence[Variant], operation_id: int
) -> None:
    """Writes what `define` writes, for many bundles at once."""
    first = Bundle.objects.get(operation_id=operation_id)
    bundles = Bundle.objects.bulk_create(
        Bundle(
            merchant=merchant,
            variant=kit,
            version=1,
            kind=BundleKind.KIT,
            operation_id=operation_id,
            part_count=2,
            created_at=first.created_at,
        )
        for kit in kits
    )
    amounts = [
        (bundle, variant, quantity)
        for bundle, extra in zip(bundles, own, strict=True)
        for variant, quantity in ((part, 1), (extra, 2))
    ]
    BundleComponent.objects.bulk_create(
        BundleComponent(bundle=b, variant=v, quantity=q) for b, v, q in amounts
    )
    BundlePart.objects.bulk_create(
        BundlePart(bundle=b, bundle_variant=b.variant, variant=v, quantity=q, is_drawn_on=True)
        for b, v, q in amounts
    )


def _list(place: ChannelLocation, kits: Sequence[Variant]) -> list[int]:
    listings = Listing.objects.bulk_create(
        Listing(channel=place.channel, variant=kit, external_id=kit.sku, sku=kit.sku) for kit in kits
    )
    levels = ListingLevel.objects.bulk_create(
        ListingLevel(channel=place.channel, listing=listing, channel_location=place) for listing in listings
    )
    return [level.pk for level in levels]


def _measure(seed: Seed, part: Part, runs: int) -> Result:
    """Measures ours and the plain update in turn, changing who goes first; the first pair only warms up."""
    pairs: list[tuple[float, float]] = []
    notes: list[float] = []
    for number in range(runs + 1):
        sides = {"ours": lambda: _ours(seed, part, notes), "theirs": lambda: _theirs(part)}
        order = ("ours", "theirs") if number % 2 == 0 else ("theirs", "ours")
        times = {side: sides[side]() for side in order}
        if number:
            pairs.append((times["ours"], times["theirs"]))
            sys.stderr.write(
                f"{part.bundles} bundles: {times['ours']:.1f} ms, plain {times['theirs']:.1f} ms\n"
            )
    name = f"{part.bundles} bundles, {len(part.level_ids)} listings"
    measured = paired(name, "ms", "plain update by id", pairs, listings=len(part.level_ids))
    measured.notes["us_per_listing"] = round(measured.rate * 1000 / len(part.level_ids), 2)
    measured.notes["movement_ms"] = round(min(notes), 2)
    return measured


def _ours(seed: Seed, part: Part, movements: list[float]) -> float:
    """Moves the part once and marks what that touches; returns the milliseconds of the marking."""
    began = time.perf_counter()
    context = Context(seed.merchant_id, f"change:{part.variant_id}:{time.monotonic_ns()}")
    receive(context, [StockLine(part.variant_id, seed.location_id, 1)])
    movements.append((time.perf_counter() - began) * 1000)
    began = time.perf_counter()
    marked = fan_out()
    took = (time.perf_counter() - began) * 1000
    _check(part, marked)
    _settle_down()
    return took


def _check(part: Part, marked: int) -> None:
    due = ListingLevel.objects.filter(pk__in=part.level_ids, due_since__isnull=False).count()
    if marked != due or due != len(part.level_ids) or BundleChange.objects.exists():
        raise RuntimeError(f"{marked} listing levels were marked, {due} are due, of {len(part.level_ids)}.")


def _theirs(part: Part) -> float:
    ids = list(part.level_ids)
    began = time.perf_counter()
    with connection.cursor() as cursor:
        cursor.execute(_PLAIN, [ids])
    took = (time.perf_counter() - began) * 1000
    _settle_down()
    return took


def _settle_down() -> None:
    """Has everything told, and the space of old rows free again, so that no run pays for the one before."""
    with connection.cursor() as cursor:
        cursor.execute(_TELL_ALL)
    tidy("channels_listinglevel", "channels_bundlechange")


def _aims(results: Sequence[Result]) -> list[Aim]:
    by_size = dict(zip(SIZES, results, strict=True))
    aimed = by_size[AIMED]
    growth = round(by_size[SIZES[-1]].notes["us_per_listing"] / by_size[SIZES[1]].notes["us_per_listing"], 3)
    return [
        Aim(f"{aimed.case}: milliseconds", f"< {LIMIT:g}", aimed.rate, aimed.rate < LIMIT),
        Aim(
            f"time of a listing at {SIZES[-1]} bundles, of that at {SIZES[1]}",
            "<= 1.5",
            growth,
            growth <= 1.5,
        ),
    ]
