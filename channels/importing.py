"""Brings in what a platform knows of itself: its places and what it sells there."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Final

from django.db import transaction
from django.db.models import F

from channels import fuse
from channels.connectors.base import Connector, PlatformListing, PlatformLocation, ShelfNumber
from channels.mapping import add_levels, map_by_sku
from channels.models import Channel, ChannelLocation, Listing, ListingLevel
from channels.models.listings import Lane
from channels.models.mutations import MutationKind, MutationState
from channels.pushes import mark_listing_levels
from channels.rules.ranks import refresh_standings
from config.jobs import wake

#: Listings written by one statement.
BATCH: Final = 500

#: Longer than any SKU of ours, so that one cut to it is mapped to nothing.
_LONGEST_SKU: Final = 200

_FIELDS: Final = ("parent_external_id", "sku", "gtin", "title", "data", "is_active")


@dataclass(slots=True)
class ImportReport:
    """What an import found."""

    locations: int = 0
    listings: int = 0
    mapped: int = 0
    #: Listings that the platform no longer has; they are not pushed any more.
    gone: int = 0
    #: Listings that the platform no longer names, and that a person has to confirm first: there are too many.
    held: int = 0
    #: What a person should look at, e.g. "sells below zero", one line a listing.
    warnings: list[str] = field(default_factory=list)
    #: What shelves showed, where the platform says so together with its listings.
    shown: list[ShelfNumber] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.locations} locations, {self.listings} listings, {self.mapped} newly mapped by SKU, "
            f"{self.gone} gone, {self.held} missing and held, {len(self.warnings)} warnings"
        )


def _match_later(merchant_id: int) -> None:
    wake("channels.tasks.find_matches", merchant_id)


def import_channel(
    channel: Channel,
    connector: Connector,
    *,
    on_batch: Callable[[], None] = lambda: None,
    match: Callable[[int], object] = _match_later,
) -> ImportReport:
    """Reads the platform's places and listings, keeps what is new or changed, and maps listings by exact SKU.

    `on_batch` is called after each batch of listings: reading all of them may take long. `match` looks for variants of what
    nobody knows, usually in a job of its own. Repeating it is harmless;
    mappings that people made stay. Raises `ConnectorError`; what was read until then stays.
    """
    report = ImportReport()
    report.locations = keep_locations(channel, connector.fetch_locations())
    seen: set[str] = set()
    for batch in _batches(connector.fetch_listings()):
        _keep_listings(channel, batch)
        seen.update(listing.external_id for listing in batch)
        on_batch()
        report.shown += [ShelfNumber(b.external_id, "", b.shown) for b in batch if b.shown is not None]
        report.warnings += [f"{b.sku or b.external_id}: {warning}" for b in batch for warning in b.warnings]
    report.listings = len(seen)
    _retire_unseen(channel, report, seen)
    report.mapped = map_by_sku(channel.merchant_id)
    if Listing.objects.filter(channel=channel, variant__isnull=True, is_active=True).exists():
        match(channel.merchant_id)
    return report


def keep_locations(channel: Channel, found: Sequence[PlatformLocation]) -> int:
    """Keeps the places of a platform; returns how many.

    One that sells nothing online, or whose stock is somebody else's, comes in inactive.
    """
    for place in found:
        ChannelLocation.objects.update_or_create(
            channel=channel,
            external_id=place.external_id,
            defaults={"name": place.name},
            create_defaults={"name": place.name, "is_active": place.is_sellable and not place.is_foreign},
        )
    return len(found)


def _batches(listings: Iterator[PlatformListing]) -> Iterator[list[PlatformListing]]:
    while batch := [_cleaned(listing) for listing in islice(listings, BATCH)]:
        yield batch


def _cleaned(listing: PlatformListing) -> PlatformListing:
    """Returns the listing without characters that PostgreSQL does not hold: one odd title must not stop an import."""
    return replace(
        listing, sku=_storable(listing.sku), gtin=_storable(listing.gtin), title=_storable(listing.title)
    )


def _storable(text: str) -> str:
    return text.replace("\x00", "").encode("utf-8", "replace").decode()


@transaction.atomic
def _keep_listings(channel: Channel, batch: Iterable[PlatformListing]) -> None:
    rows = {
        found.external_id: Listing(
            channel=channel,
            external_id=found.external_id,
            parent_external_id=found.parent_external_id,
            sku=found.sku[:_LONGEST_SKU],
            gtin=found.gtin[:14],
            title=found.title[:300],
            data=dict(found.data),
            is_active=found.is_active,
        )
        for found in batch
    }
    back = _returning(channel, rows)
    if back:
        # Before any listing level is locked.
        fuse.lock(channel.merchant_id)
    Listing.objects.bulk_create(
        rows.values(),
        update_conflicts=True,
        unique_fields=["channel", "external_id"],
        update_fields=_FIELDS,
    )
    if back:
        _bring_back(channel.merchant_id, back)


def _bring_back(merchant_id: int, listing_ids: Sequence[int]) -> None:
    """Has listings told again that were not active: nobody knows what they show after their absence."""
    add_levels(listing_ids)
    levels = ListingLevel.objects.filter(listing__in=listing_ids).values_list("id", flat=True)
    mark_listing_levels(list(levels), lane=Lane.DECREASE)
    returned = Listing.objects.filter(pk__in=listing_ids).values_list("variant_id", flat=True)
    refresh_standings(merchant_id, {variant_id for variant_id in returned if variant_id})


@transaction.atomic
def follow_switch(listing: Listing) -> None:
    """Stops pushing a listing that a person switched off, or begins again."""
    merchant_id = listing.channel.merchant_id
    if listing.is_switched_off:
        retire(merchant_id, [listing.pk])
        return
    fuse.lock(merchant_id)
    Listing.objects.filter(pk=listing.pk).update(is_active=True)
    _bring_back(merchant_id, [listing.pk])


def _returning(channel: Channel, rows: Mapping[str, Listing]) -> list[int]:
    """Returns the mapped listings that were inactive and are sold again; leaves off what a person switched off."""
    active = [external_id for external_id, row in rows.items() if row.is_active]
    retired = Listing.objects.filter(channel=channel, external_id__in=active, is_active=False)
    back = []
    for pk, external_id, variant_id, is_off in retired.values_list(
        "id", "external_id", "variant_id", "is_switched_off"
    ):
        rows[external_id].is_active = not is_off
        if variant_id and not is_off:
            back.append(pk)
    return back


@transaction.atomic
def _retire_unseen(channel: Channel, report: ImportReport, seen: set[str]) -> None:
    """Deactivates listings the platform no longer names; their history stays.

    Very many at once, or an answer without any listing, is more likely a fault of the platform: they stay until a
    person confirms (`channels.fuse`).
    """
    known = Listing.objects.filter(channel=channel, is_active=True)
    gone = sorted(pk for pk, external_id in known.values_list("id", "external_id") if external_id not in seen)
    change = fuse.Change(
        channel.merchant_id,
        MutationKind.IMPORT,
        gone,
        f"{channel} no longer lists {len(gone)} of its listings"
        + ("" if seen else ": it answered with none"),
        actor=channel.name,
        channel_id=channel.pk,
    )
    if gone and fuse.admit(change, is_suspicious=not seen).state == MutationState.WAITING:
        report.held = len(gone)
        return
    fuse.withdraw(change)
    report.gone = len(gone)
    retire(channel.merchant_id, gone)


@transaction.atomic
def retire(merchant_id: int, listing_ids: Sequence[int]) -> None:
    """Stops pushing listings, and leaves none of their shelves due; those that share what is scarce with them move up."""
    variants: set[int] = set()
    for start in range(0, len(listing_ids), BATCH):
        batch = Listing.objects.filter(
            channel__merchant=merchant_id, pk__in=listing_ids[start : start + BATCH]
        )
        variants.update(batch.filter(variant__isnull=False).values_list("variant_id", flat=True))
        batch.update(is_active=False)
        shelves = ListingLevel.objects.filter(
            listing__in=listing_ids[start : start + BATCH], wanted__gt=F("done")
        )
        due = list(
            shelves.select_for_update(no_key=True, of=("self",)).order_by("id").values_list("id", flat=True)
        )
        ListingLevel.objects.filter(pk__in=due).update(done=F("wanted"), due_since=None, next_attempt_at=None)
    if variants:
        refresh_standings(merchant_id, variants)
