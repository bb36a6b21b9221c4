"""First contact: reads what a shop shows already, so that only the numbers that are wrong have to be told.

A channel with a hundred thousand listings is usually right about most of them on the day it is connected, and a
platform that takes one number a call would need an hour to hear them all again.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final

from django.db import connection

from channels.connectors.base import Connector, ShelfNumber
from channels.exposure import targets
from channels.models import Channel, ListingLevel

#: Shelves looked up together.
BATCH: Final = 500

_FIND: Final = """
SELECT level.id, level.wanted, shown.quantity
FROM unnest(%s::text[], %s::text[], %s::bigint[]) AS shown (listing, place, quantity)
JOIN channels_listing listing ON listing.channel_id = %s AND listing.external_id = shown.listing
JOIN channels_channellocation place ON place.channel_id = listing.channel_id AND place.external_id = shown.place
JOIN channels_listinglevel level ON level.listing_id = listing.id AND level.channel_location_id = place.id
WHERE level.confirmed_at IS NULL AND listing.variant_id IS NOT NULL
"""

# What was marked since the number was looked up stays due, and so does what somebody is telling now.
_SETTLE: Final = """
WITH held AS (
    SELECT level.id, right_already.wanted, right_already.quantity
    FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[]) AS right_already (id, wanted, quantity)
    JOIN channels_listinglevel level ON level.id = right_already.id
    WHERE level.confirmed_at IS NULL AND level.lease_token IS NULL
    ORDER BY level.id
    FOR NO KEY UPDATE OF level
)
UPDATE channels_listinglevel level
SET published_quantity = held.quantity,
    expected = held.quantity,
    confirmed_at = clock_timestamp(),
    done = greatest(level.done, held.wanted),
    due_since = CASE WHEN level.wanted > held.wanted THEN clock_timestamp() END
FROM held
WHERE level.id = held.id
"""


def has_first_contact(channel: Channel) -> bool:
    """Tells whether the channel has shelves of which we have never known what they show; not while it is in shadow."""
    return (
        not channel.in_shadow
        and ListingLevel.objects.filter(
            channel=channel,
            confirmed_at__isnull=True,
            listing__variant__isnull=False,
            listing__is_active=True,
        ).exists()
    )


def read_shelves(channel: Channel, connector: Connector, *, shown: Sequence[ShelfNumber] = ()) -> int:
    """Takes those shelves off what is due that show the right number already; returns how many.

    `shown` is what the listings said of them, where they did: nothing is read then. A platform that compares is left to
    the pushes, which read it in large batches anyway. Raises what the connector raises; what was read until then counts.
    """
    if connector.capabilities.compare_and_set:
        return 0
    shelves = (shelf for shelf in shown or connector.fetch_levels() if shelf.quantity is not None)
    return sum(_settle(channel, batch) for batch in _batches(shelves))


def _settle(channel: Channel, shelves: Sequence[ShelfNumber]) -> int:
    columns: list[Any] = [
        [shelf.listing_external_id for shelf in shelves],
        [shelf.location_external_id for shelf in shelves],
        [shelf.quantity for shelf in shelves],
    ]
    with connection.cursor() as cursor:
        cursor.execute(_FIND, [*columns, channel.pk])
        found = cursor.fetchall()
    wanted = targets([level_id for level_id, _, _ in found])
    right = [row for row in found if wanted.get(row[0]) == row[2]]
    if not right:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(_SETTLE, [list(column) for column in zip(*right, strict=True)])
        return int(cursor.rowcount)


def _batches(shelves: Iterable[ShelfNumber]) -> Iterator[list[ShelfNumber]]:
    iterator = iter(shelves)
    while batch := list(islice(iterator, BATCH)):
        yield batch
