"""Mirrors what a platform's own warehouse holds of our goods: the platform counts, our ledger follows.

A place of the platform's own has a location of ours behind it, of the kind *channel-owned*, which serves no other
channel. Orders that the platform ships draw on it; everything else that happens there is only seen in its numbers. Units
that are held for orders are never counted away: an order is shipped there a moment before we hear of it, and that would
look like a unit that somebody is owed.
"""

import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction

from channels.connectors.base import Connector, WarehouseCount
from channels.models import Channel, ChannelLocation, ChannelLocationSource, Listing, PollFeed
from inventory.ledger import Context, domain_errors
from inventory.locking import create_missing_levels, lock_levels
from inventory.models import BundlePart, Location, Variant
from inventory.models.catalogue import LocationKind
from inventory.stock import CountLine, count

#: Goods counted in one operation.
BATCH: Final = 500
#: So often all of it is read, and not only what changed.
FULL_EVERY: Final = timedelta(days=1)
#: What changed so long before the last reading may have been missed by it.
OVERLAP: Final = timedelta(minutes=5)


def last_mirror(feed: PollFeed) -> datetime | None:
    """Returns since when changes are to be read; None where all of it is."""
    if not feed.cursor or not feed.polls:
        return None
    began_at = datetime.fromisoformat(feed.cursor)
    # Once a day the first reading of the day is a full one.
    if feed.covered_until is None or feed.covered_until.date() != datetime.now(began_at.tzinfo).date():
        return None
    return began_at - OVERLAP


def mirror(
    channel: Channel,
    connector: Connector,
    *,
    since: datetime | None = None,
    on_batch: Callable[[], None] = lambda: None,
) -> int:
    """Reads what the platform's warehouse holds and counts it at the location behind its place; returns how many goods.

    Goods that are not mapped and goods sold by their parts are left out. Raises `ConnectorError`.
    """
    counted: dict[str, dict[str, WarehouseCount]] = {}
    for number, row in enumerate(connector.fetch_warehouse(since), 1):
        counted.setdefault(row.location_external_id, {})[row.sku] = row
        if number % BATCH == 0:
            on_batch()
    return sum(_mirror_place(channel, external_id, rows, on_batch) for external_id, rows in counted.items())


def _mirror_place(
    channel: Channel, external_id: str, rows: Mapping[str, WarehouseCount], on_batch: Callable[[], None]
) -> int:
    units = _by_variant(channel, list(rows.values()))
    location_id = _location_behind(channel, external_id)
    variants = sorted(units)
    for start in range(0, len(variants), BATCH):
        part = variants[start : start + BATCH]
        _count(channel, location_id, {variant_id: units[variant_id] for variant_id in part})
        on_batch()
    return len(units)


def _by_variant(channel: Channel, rows: Sequence[WarehouseCount]) -> Counter[int]:
    """Adds up the units of each variant: by the listing's mapping, else by exact SKU."""
    mapped = dict(
        Listing.objects.filter(
            channel=channel,
            external_id__in=[row.listing_external_id for row in rows],
            variant__isnull=False,
        ).values_list("external_id", "variant_id")
    )
    named = dict(
        Variant.objects.filter(
            merchant_id=channel.merchant_id, sku__in=[row.sku for row in rows]
        ).values_list("sku", "id")
    )
    units: Counter[int] = Counter()
    for row in rows:
        variant_id = mapped.get(row.listing_external_id) or named.get(row.sku)
        if variant_id is not None:
            units[variant_id] += row.quantity
    kits = BundlePart.objects.filter(bundle_variant__in=list(units), is_drawn_on=True)
    for kit_id in set(kits.values_list("bundle_variant_id", flat=True)):
        del units[kit_id]
    return units


@transaction.atomic
def _location_behind(channel: Channel, external_id: str) -> int:
    """Returns the location behind a place of the platform's own; makes place and location where they are missing."""
    place, _ = ChannelLocation.objects.get_or_create(
        channel=channel, external_id=external_id, defaults={"name": external_id, "is_active": False}
    )
    locked = ChannelLocation.objects.select_for_update().get(pk=place.pk)
    source = ChannelLocationSource.objects.filter(channel_location=locked).order_by("priority", "id").first()
    if source is not None:
        return source.location_id
    location, _ = Location.objects.get_or_create(
        merchant_id=channel.merchant_id,
        code=f"{external_id}-{channel.pk}"[:64],
        defaults={
            "name": f"{channel.name}: {locked.name or external_id}"[:200],
            "kind": LocationKind.CHANNEL_OWNED,
        },
    )
    ChannelLocationSource.objects.create(channel_location=locked, location=location)
    return location.pk


def _count(channel: Channel, location_id: int, units: Mapping[int, int]) -> None:
    """Counts what differs, under the locks under which it was compared."""
    merchant_id = channel.merchant_id
    create_missing_levels(merchant_id, [(variant_id, location_id) for variant_id in units])
    with domain_errors(), transaction.atomic():
        lines = [
            CountLine(level.variant_id, location_id, counted)
            for level in lock_levels(merchant_id, units, [location_id])
            if (counted := max(units[level.variant_id], level.reserved + level.unavailable)) != level.on_hand
        ]
        if lines:
            key = f"mirror:{channel.pk}:{uuid.uuid4()}"
            count(Context(merchant_id, key, actor=channel.name, source=channel.kind), lines)
