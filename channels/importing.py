"""Brings in what a platform knows of itself: its places and what it sells there."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from django.db import transaction

from channels.connectors.base import Connector, PlatformListing, PlatformLocation
from channels.mapping import map_by_sku
from channels.models import Channel, ChannelLocation, Listing

#: Listings written by one statement.
BATCH = 500

_FIELDS = ("parent_external_id", "sku", "gtin", "title", "data", "is_active")


@dataclass(slots=True)
class ImportReport:
    """What an import found."""

    locations: int = 0
    listings: int = 0
    mapped: int = 0
    #: Listings that the platform no longer has; they are not pushed any more.
    gone: int = 0
    #: What a person should look at, e.g. "sells below zero", one line a listing.
    warnings: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.locations} locations, {self.listings} listings, {self.mapped} newly mapped by SKU, "
            f"{self.gone} gone, {len(self.warnings)} warnings"
        )


def import_channel(channel: Channel, connector: Connector) -> ImportReport:
    """Reads the platform's places and listings, keeps what is new or changed, and maps listings by exact SKU.

    Repeating it is harmless; mappings that people made stay. Raises `ConnectorError`; what was read until then stays.
    """
    report = ImportReport()
    report.locations = _keep_locations(channel, connector.fetch_locations())
    seen: set[str] = set()
    for batch in _batches(connector.fetch_listings()):
        _keep_listings(channel, batch)
        seen.update(listing.external_id for listing in batch)
        report.warnings += [f"{b.sku or b.external_id}: {warning}" for b in batch for warning in b.warnings]
    report.listings = len(seen)
    report.gone = _retire_unseen(channel, seen)
    report.mapped = map_by_sku(channel.merchant_id)
    return report


def _keep_locations(channel: Channel, found: Sequence[PlatformLocation]) -> int:
    """A place that sells nothing online, or whose stock is somebody else's, comes in inactive."""
    for place in found:
        ChannelLocation.objects.update_or_create(
            channel=channel,
            external_id=place.external_id,
            defaults={"name": place.name},
            create_defaults={"name": place.name, "is_active": place.is_sellable and not place.is_foreign},
        )
    return len(found)


def _batches(listings: Iterator[PlatformListing]) -> Iterator[list[PlatformListing]]:
    while batch := list(islice(listings, BATCH)):
        yield batch


def _keep_listings(channel: Channel, batch: Iterable[PlatformListing]) -> None:
    rows = {
        found.external_id: Listing(
            channel=channel,
            external_id=found.external_id,
            parent_external_id=found.parent_external_id,
            sku=found.sku,
            gtin=found.gtin[:14],
            title=found.title[:300],
            data=dict(found.data),
            is_active=found.is_active,
        )
        for found in batch
    }
    Listing.objects.bulk_create(
        rows.values(),
        update_conflicts=True,
        unique_fields=["channel", "external_id"],
        update_fields=_FIELDS,
    )


@transaction.atomic
def _retire_unseen(channel: Channel, seen: set[str]) -> int:
    """Deactivates listings the platform no longer names; their history stays."""
    known = Listing.objects.filter(channel=channel, is_active=True).values_list("external_id", flat=True)
    gone = set(known) - seen
    return Listing.objects.filter(channel=channel, external_id__in=gone).update(is_active=False) if gone else 0
