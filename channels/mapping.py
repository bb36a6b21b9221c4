"""Links what a channel sells to our variants, and applies what waited for that."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from django.db import connection, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from channels import fuse
from channels.models import Channel, ChannelLocationSource, ChannelOrder, ChannelOrderLine, Listing
from channels.models.listings import Lane
from channels.models.mutations import MutationKind, MutationState
from channels.models.orders import WAITS
from channels.orders import apply_waiting
from channels.places import places_of
from channels.pushes import mark_listing_levels
from channels.rules.ranks import refresh_standings
from config.jobs import wake
from inventory.models import Variant

# A SKU that two listings of one channel carry is left to a person: it is not clear which of them is the
# variant. So is what a person has rolled back.
_FIND_BY_SKU: Final = """
SELECT listing.id
FROM channels_listing listing
JOIN channels_channel channel ON channel.id = listing.channel_id
JOIN inventory_variant variant ON variant.merchant_id = channel.merchant_id AND variant.sku = listing.sku
WHERE channel.merchant_id = %(merchant)s
  AND listing.variant_id IS NULL
  AND listing.is_active
  AND listing.sku <> ''
  AND NOT EXISTS (
      SELECT FROM channels_listing twin
      WHERE twin.channel_id = listing.channel_id AND twin.sku = listing.sku AND twin.id <> listing.id
        AND twin.is_active
  )
  AND listing.id NOT IN (
      SELECT unnest(listing_ids) FROM channels_mutation
      WHERE merchant_id = %(merchant)s AND kind = 'mapping' AND state = 'refused'
  )
ORDER BY listing.id
"""

_MAP_BY_SKU: Final = """
WITH found AS (
    SELECT listing.id, variant.id AS variant_id
    FROM channels_listing listing
    JOIN channels_channel channel ON channel.id = listing.channel_id
    JOIN inventory_variant variant ON variant.merchant_id = channel.merchant_id AND variant.sku = listing.sku
    WHERE channel.merchant_id = %s AND listing.id = ANY(%s::bigint[]) AND listing.variant_id IS NULL
    ORDER BY listing.id
    FOR UPDATE OF listing
)
UPDATE channels_listing listing
SET variant_id = found.variant_id
FROM found
WHERE listing.id = found.id
RETURNING listing.id, listing.variant_id
"""

# One level for each listing and each place of its channel that has stock of ours behind it.
_ADD_LEVELS: Final = """
INSERT INTO channels_listinglevel
    (channel_id, listing_id, channel_location_id, wanted, done, lane, is_outcome_unknown, attempts,
     last_error)
SELECT listing.channel_id, listing.id, place.id, 0, 0, %s, false, 0, ''
FROM channels_listing listing
JOIN channels_channellocation place ON place.channel_id = listing.channel_id
WHERE listing.id = ANY(%s)
  AND place.is_active
  AND EXISTS (SELECT FROM channels_channellocationsource source WHERE source.channel_location_id = place.id)
ORDER BY listing.id, place.id
ON CONFLICT (listing_id, channel_location_id) DO NOTHING
RETURNING id
"""


class UnfitVariant(ValueError):
    """The variant belongs to another merchant than the listing."""


def map_listing(listing: Listing, variant: Variant) -> None:
    """Links a listing to a variant, has its number pushed, and has the orders applied that waited for it.

    Units that the ledger took for an earlier mapping stay where they are. Raises `UnfitVariant` across
    merchants.
    """
    if variant.merchant_id != listing.channel.merchant_id:
        raise UnfitVariant(UnfitVariant.__doc__)
    merchant_id = variant.merchant_id
    with transaction.atomic():
        text = f"{listing.sku or listing.external_id} is mapped to {variant}"
        fuse.note(fuse.Change(merchant_id, MutationKind.MAPPING, [listing.pk], text))
        before = listing.variant_id
        listing.variant = variant
        listing.save(update_fields=["variant"])
        add_levels([listing.pk])
        mark_listing_levels(_level_ids([listing.pk]), lane=Lane.DECREASE)
        refresh_standings(merchant_id, {variant.pk, before} - {None})  # type: ignore[arg-type]
        wake("channels.tasks.apply_mapped", merchant_id)


def map_by_sku(merchant_id: int) -> int:
    """Links the merchant's unmapped listings to variants of exactly the same SKU; returns how many.

    Constant number of statements. Called when variants or listings appear, and by a sweep. Very many at once
    wait for a person (`channels.fuse`), and none is linked until then.
    """
    if not _find_by_sku(merchant_id):
        return 0
    with transaction.atomic():
        # Found anew under the lock: what somebody else has mapped and told since would count as about to change.
        fuse.lock(merchant_id)
        ids = _find_by_sku(merchant_id)
        change = fuse.Change(merchant_id, MutationKind.MAPPING, ids, f"{len(ids)} listings are mapped by SKU")
        if not ids or fuse.admit(change).state == MutationState.WAITING:
            return 0
        return map_these(merchant_id, ids)


def _find_by_sku(merchant_id: int) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(_FIND_BY_SKU, {"merchant": merchant_id})
        return [identity for (identity,) in cursor.fetchall()]


def map_these(merchant_id: int, listing_ids: Sequence[int]) -> int:
    """Links those of these listings that are unmapped to the variants of their SKU; returns how many."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(_MAP_BY_SKU, [merchant_id, list(listing_ids)])
            mapped: dict[int, int] = dict(cursor.fetchall())
        if mapped:
            follow_mapping(merchant_id, mapped)
    return len(mapped)


def follow_mapping(merchant_id: int, mapped: Mapping[int, int]) -> None:
    """Has listings (id → variant) told that were mapped in this transaction."""
    add_levels(list(mapped))
    mark_listing_levels(_level_ids(mapped), lane=Lane.INCREASE)
    refresh_standings(merchant_id, set(mapped.values()))


def add_levels(listing_ids: Sequence[int]) -> list[int]:
    """Adds the missing listing levels of these listings; returns the new ones' ids, not due yet."""
    with connection.cursor() as cursor:
        cursor.execute(_ADD_LEVELS, [Lane.INCREASE, list(listing_ids)])
        return [identity for (identity,) in cursor.fetchall()]


def _level_ids(listing_ids: Iterable[int]) -> list[int]:
    levels = Listing.objects.filter(pk__in=list(listing_ids), levels__isnull=False)
    return sorted(levels.values_list("levels__id", flat=True))


def waiting_lines() -> QuerySet[ChannelOrderLine]:
    """Returns lines that the ledger knows nothing of, because they lack a variant or a place."""
    return ChannelOrderLine.objects.filter(WAITS, order__is_test=False).exclude(
        order__is_deleted=True, fulfilled=0
    )


def apply_waiting_lines(merchant_id: int) -> int:
    """Applies the merchant's lines whose SKU or place has become known; returns how many orders.

    Raises `StockBusy`; what was applied until then stays applied.
    """
    orders = ChannelOrder.objects.filter(
        channel__merchant_id=merchant_id, lines__in=_applicable_lines(merchant_id)
    )
    found = orders.select_related("channel").distinct().order_by("id")
    count = 0
    for order in found.iterator(chunk_size=200):
        apply_waiting(order.channel, order.pk)
        count += 1
    return count


def _applicable_lines(merchant_id: int) -> QuerySet[ChannelOrderLine]:
    """Returns waiting lines that have both a variant and a place by now."""
    variants = Variant.objects.filter(merchant_id=merchant_id, sku=OuterRef("sku"))
    listings = Listing.objects.filter(
        channel=OuterRef("order__channel"),
        external_id=OuterRef("listing_external_id"),
        variant__isnull=False,
    )
    sources = ChannelLocationSource.objects.filter(is_active=True, location__is_active=True)
    any_place = sources.filter(
        channel_location__channel=OuterRef("order__channel"), channel_location__is_active=True
    )
    own_place = sources.filter(channel_location=OuterRef("channel_location"))
    return waiting_lines().filter(
        Exists(variants) | Exists(listings),
        Q(channel_location__isnull=True) & Exists(any_place) | Exists(own_place),
        order__channel__merchant_id=merchant_id,
    )


def waiting_reason(line: ChannelOrderLine) -> str:
    """Says why a line waits, and what ends that; empty for a line that does not wait."""
    if not waiting_lines().filter(pk=line.pk).exists():
        return ""
    if line.variant_id is None:
        return f"The SKU {line.sku or '(none)'} is not known; map the listing or add the variant."
    channel: Channel = line.order.channel
    places = places_of(channel)
    if places.location_ids(line.channel_location_id):
        return "Waiting to be applied."
    if line.channel_location_id is not None:
        return f"The place {line.channel_location} of {channel} has no location of yours behind it; map it."
    return f"{channel} has no place with a location of yours behind it; map one."
