"""Who is served first when stock is scarce: ranks that people enter or import, else what sells best.

Where every shelf stands is kept in `ListingStanding`, by one statement, and only for merchants whose rules in
force ask for it.
"""

import csv
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from django.db import connection, transaction
from simple_history.utils import bulk_create_with_history, bulk_update_with_history

from channels import fuse
from channels.errors import RuleRefused
from channels.models import Listing, ListingRank
from channels.models.measures import RankSource
from channels.models.rules import LARGEST_COUNT
from channels.rules.marking import mark, picture, shelves_of

#: Days of sales by which listings without a rank are compared.
SOLD_DAYS: Final = 28

#: More are not read: Python refuses very many.
_MOST_DIGITS: Final = 12

_ASKED_FOR: Final = """
SELECT EXISTS (
    SELECT FROM channels_rule rule
    JOIN channels_rulesetversion version ON version.id = rule.version_id AND version.state = 'active'
    JOIN channels_ruleset rule_set ON rule_set.id = version.rule_set_id
    WHERE rule_set.merchant_id = %s AND (rule.scarce_below > 0 OR rule.channel_cap IS NOT NULL)
)
"""

_REFRESH: Final = """
WITH shelf AS MATERIALIZED (
    SELECT level.id, level.listing_id, level.channel_id, listing.variant_id, rank.rank
    FROM channels_listinglevel level
    JOIN channels_listing listing
        ON listing.id = level.listing_id AND listing.is_active AND listing.variant_id IS NOT NULL
    JOIN channels_channel channel
        ON channel.id = level.channel_id AND channel.merchant_id = %(merchant)s AND channel.is_active
    JOIN channels_channellocation place ON place.id = level.channel_location_id AND place.is_active
    LEFT JOIN channels_listingrank rank ON rank.listing_id = listing.id
    WHERE %(variants)s::bigint[] IS NULL OR listing.variant_id = ANY(%(variants)s::bigint[])
), sale AS MATERIALIZED (
    SELECT placed.channel_id, line.variant_id, sum(line.applied_demand)::bigint AS units
    FROM channels_channelorderline line
    JOIN channels_channelorder placed
        ON placed.id = line.order_id AND placed.arrived_at > clock_timestamp() - make_interval(days => %(days)s)
    JOIN channels_channel channel ON channel.id = placed.channel_id AND channel.merchant_id = %(merchant)s
    WHERE line.applied_demand > 0
      AND (%(variants)s::bigint[] IS NULL OR line.variant_id = ANY(%(variants)s::bigint[]))
    GROUP BY placed.channel_id, line.variant_id
), ordered AS (
    SELECT shelf.*, coalesce(sale.units, 0) AS sold,
        dense_rank() OVER (
            PARTITION BY shelf.variant_id
            ORDER BY shelf.rank NULLS LAST, coalesce(sale.units, 0) DESC, shelf.listing_id
        ) AS position,
        row_number() OVER (
            PARTITION BY shelf.variant_id, shelf.channel_id
            ORDER BY shelf.rank NULLS LAST, coalesce(sale.units, 0) DESC, shelf.listing_id, shelf.id
        ) AS place,
        count(*) OVER (PARTITION BY shelf.variant_id, shelf.channel_id) AS places
    FROM shelf
    LEFT JOIN sale ON sale.channel_id = shelf.channel_id AND sale.variant_id = shelf.variant_id
), counted AS (
    SELECT *, max(position) OVER (PARTITION BY variant_id) AS listings FROM ordered
), gone AS (
    DELETE FROM channels_listingstanding standing
    USING channels_listinglevel level, channels_listing listing, channels_channel channel
    WHERE level.id = standing.listing_level_id AND listing.id = level.listing_id
      AND channel.id = level.channel_id AND channel.merchant_id = %(merchant)s
      AND (%(variants)s::bigint[] IS NULL OR listing.variant_id = ANY(%(variants)s::bigint[]))
      AND NOT EXISTS (SELECT FROM shelf WHERE shelf.id = standing.listing_level_id)
    RETURNING standing.listing_level_id
), kept AS (
    INSERT INTO channels_listingstanding AS standing
        (listing_level_id, position, listings, shelf, shelves, sold)
    SELECT id, position, listings, place, places, sold FROM counted ORDER BY id
    ON CONFLICT (listing_level_id) DO UPDATE
    SET position = excluded.position, listings = excluded.listings, shelf = excluded.shelf,
        shelves = excluded.shelves, sold = excluded.sold
    WHERE (standing.position, standing.listings, standing.shelf, standing.shelves)
        IS DISTINCT FROM (excluded.position, excluded.listings, excluded.shelf, excluded.shelves)
    RETURNING standing.listing_level_id
)
SELECT listing_level_id FROM kept UNION ALL SELECT listing_level_id FROM gone
"""


@transaction.atomic
def refresh_standings(merchant_id: int, variant_ids: Collection[int] | None = None) -> int:
    """Brings up to date where the shelves of a merchant, or of some variants, stand; returns how many moved.

    Marks those whose numbers may change with it. Does nothing while no rule in force asks for standings.
    """
    fuse.lock(merchant_id)
    with connection.cursor() as cursor:
        cursor.execute(_ASKED_FOR, [merchant_id])
        if not cursor.fetchone()[0]:
            return 0
        variants = None if variant_ids is None else list(variant_ids)
        cursor.execute(_REFRESH, {"merchant": merchant_id, "variants": variants, "days": SOLD_DAYS})
        moved = {identity for (identity,) in cursor.fetchall()}
    if moved:
        shelves = [shelf for shelf in shelves_of(merchant_id, variant_ids) if shelf.id in moved]
        asking = picture(merchant_id, shelves).where(
            lambda _, rules: bool(rules.scarce_below) or rules.channel_cap is not None
        )
        mark(asking)
    return len(moved)


def enter_rank(listing: Listing, rank: int | None) -> None:
    """Ranks a listing by hand, the smallest number first; None: what it sells ranks it again."""
    if rank is not None and rank < 1:
        raise RuleRefused("rank", "Ranks begin at 1. Leave it empty to rank by what sells.")
    if rank is not None and rank > LARGEST_COUNT:
        raise RuleRefused("rank", f"Ranks end at {LARGEST_COUNT:,}. Enter a smaller one.")
    _rank(listing.channel.merchant_id, {listing.pk: rank}, RankSource.ENTERED)


def import_ranks(merchant_id: int, lines: Iterable[str]) -> int:
    """Ranks listings by a CSV file with the columns channel, sku and rank; returns how many it ranked.

    The whole file or nothing. Raises `RuleRefused` with the number of the first line that cannot be used.
    """
    rows = _read(lines)
    known = _listings_by_name(merchant_id, {sku for _, sku, _ in rows})
    ranks: dict[int, int | None] = {}
    for number, (channel, sku, rank) in enumerate(rows, start=2):
        if (channel, sku) not in known:
            raise RuleRefused("file", f"Line {number}: {channel} lists no {sku}. Correct channel or SKU.")
        if not (rank.isdecimal() and len(rank) <= _MOST_DIGITS and 1 <= int(rank) <= LARGEST_COUNT):
            raise RuleRefused(
                "file", f"Line {number}: the rank {rank[:40]!r} is no number from 1 to {LARGEST_COUNT:,}."
            )
        for listing_id in known[channel, sku]:
            ranks[listing_id] = int(rank)
    _rank(merchant_id, ranks, RankSource.IMPORTED)
    return len(ranks)


def _read(lines: Iterable[str]) -> list[tuple[str, str, str]]:
    """Returns channel, SKU and rank of each line after the first."""
    reader = csv.DictReader(lines)
    try:
        missing = {"channel", "sku", "rank"} - set(reader.fieldnames or ())
        if missing:
            raise RuleRefused(
                "file", f"The first line must name the columns channel, sku and rank; {missing} is missing."
            )
        rows = [(row["channel"] or "", row["sku"] or "", row["rank"] or "") for row in reader]
    except csv.Error as error:
        raise RuleRefused("file", f"Line {reader.line_num}: {error}. Save it as plain CSV.") from error
    for number, (_, sku, _) in enumerate(rows, start=2):
        if "\0" in sku:
            raise RuleRefused("file", f"Line {number}: a SKU holds a NUL character. Save it as plain CSV.")
    return rows


def _listings_by_name(merchant_id: int, skus: Collection[str]) -> dict[tuple[str, str], list[int]]:
    found: dict[tuple[str, str], list[int]] = {}
    listings = Listing.objects.filter(channel__merchant=merchant_id, is_active=True, sku__in=skus)
    for channel, sku, identity in listings.values_list("channel__name", "sku", "id"):
        found.setdefault((channel, sku), []).append(identity)
    return found


@transaction.atomic
def _rank(merchant_id: int, ranks: Mapping[int, int | None], source: RankSource) -> None:
    """Writes ranks with their history, and brings up to date who stands where."""
    fuse.lock(merchant_id)
    known = {each.listing_id: each for each in ListingRank.objects.filter(listing__in=list(ranks))}
    for listing_id in [each for each, rank in ranks.items() if rank is None and each in known]:
        known[listing_id].delete()
    new, changed = [], []
    for listing_id, rank in ranks.items():
        if rank is None:
            continue
        row = known.get(listing_id)
        if row is None:
            new.append(ListingRank(listing_id=listing_id, rank=rank, source=source))
        elif (row.rank, row.source) != (rank, source):
            row.rank, row.source = rank, source
            changed.append(row)
    bulk_create_with_history(new, ListingRank)
    if changed:
        bulk_update_with_history(changed, ListingRank, ["rank", "source"])
    variants = Listing.objects.filter(pk__in=list(ranks), variant__isnull=False)
    refresh_standings(merchant_id, set(variants.values_list("variant_id", flat=True)))
