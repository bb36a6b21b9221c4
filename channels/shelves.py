"""What an order does to the numbers that shops show: its own shop's, and the others'."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from django.db import connection
from django.db.models import F

from channels.connectors import connector_class
from channels.connectors.base import Convention
from channels.errors import Misconfigured
from channels.models import Channel, ListingLevel
from channels.order_lines import LineChange
from channels.places import Places

# Locked in id order, as everything that touches listing levels.
_LOWER_EXPECTED: Final = """
WITH sold AS (
    SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[]) AS t (listing_id, place_id, units)
), shelf AS (
    SELECT level.id, sold.units
    FROM channels_listinglevel level
    JOIN sold ON sold.listing_id = level.listing_id AND sold.place_id = level.channel_location_id
    ORDER BY level.id
    FOR UPDATE OF level
)
UPDATE channels_listinglevel level
SET expected = level.expected - shelf.units
FROM shelf
WHERE level.id = shelf.id
RETURNING level.id
"""


def lower_expected(channel: Channel, changes: Iterable[LineChange], places: Places) -> list[int]:
    """Takes what the shop sold off the numbers we expect on its shelves; returns those listing levels.

    Units that it put back raise them again; a line that turns out to be taken from another place counts
    there. Where the platform names no place and the channel has several, nobody knows which shelf it was, and
    nothing is changed. A platform that leaves its number alone and subtracts its open orders when showing it
    is left alone here as well.
    """
    if not _decrements_itself(channel):
        return []
    units: Counter[tuple[int, int]] = Counter()
    only = places.only_active_id()
    for change in changes:
        place_id = change.line.channel_location_id or only
        if change.listing is not None and place_id is not None:
            units[change.listing.pk, place_id] += change.off_the_shelf
        was_at = change.was_at or only
        if change.was_listing is not None and was_at is not None:
            units[change.was_listing.pk, was_at] -= change.was_off_the_shelf
    sold = [(listing_id, place_id, count) for (listing_id, place_id), count in units.items() if count]
    return _lower(sold) if sold else []


def _lower(sold: Sequence[tuple[int, int, int]]) -> list[int]:
    columns = [list(column) for column in zip(*sold, strict=True)]
    with connection.cursor() as cursor:
        cursor.execute(_LOWER_EXPECTED, columns)
        return [identity for (identity,) in cursor.fetchall()]


def _decrements_itself(channel: Channel) -> bool:
    try:
        convention = connector_class(channel.kind).capabilities.convention
    except Misconfigured:
        return False
    return convention is Convention.EXCLUDES_OPEN_ORDERS


def marks_elsewhere(channel: Channel, variant_ids: Iterable[int]) -> dict[str, int]:
    """Returns what the other channels have yet to be told of these variants: {level id: `wanted`}."""
    levels = ListingLevel.objects.filter(
        listing__variant_id__in=set(variant_ids),
        listing__is_active=True,
        channel__is_active=True,
        channel__is_paused=False,
        channel_location__is_active=True,
        wanted__gt=F("done"),
        dead_at__isnull=True,
    ).exclude(channel=channel)
    return {str(identity): wanted for identity, wanted in levels.values_list("id", "wanted")}
