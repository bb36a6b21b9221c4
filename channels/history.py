"""What each channel had been told at an instant, from the push log.

Three things are apart: the number last *sent*, whether or not it had arrived by then; the number the channel had
*confirmed*; and the last time that nothing needed sending, because by all we knew the shop showed the right number.
Each is one step into an index of the listing level's pushes, however long ago the instant. A number that was right when the
shop was first read (`channels.baseline`) is in no push: it is known until the first one.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db import connection


@dataclass(frozen=True, slots=True)
class PastShelf:
    """What one listing level had been told at an instant; the ids of pushes lead to their waterfalls."""

    listing_level_id: int
    listing_id: int
    channel_id: int
    channel: str
    place: str
    sku: str
    variant_id: int | None
    #: The number last sent, and the push that sent it; None: nothing had been.
    sent: int | None
    sent_at: datetime | None
    sent_push_id: int | None
    #: False where that push was still on its way.
    has_ended: bool | None
    #: How it ended, as far as known now; empty where nothing had been sent.
    sent_outcome: str
    #: The number that the channel had last confirmed.
    confirmed: int | None
    confirmed_at: datetime | None
    confirmed_push_id: int | None
    #: When it was last found to need no change after that, and the number it showed by all we knew.
    found_right: int | None
    found_right_at: datetime | None
    found_right_push_id: int | None

    @property
    def shown(self) -> int | None:
        """The number that the shop showed when we last knew."""
        return self.confirmed if self.found_right_at is None else self.found_right


# A push of which no end is written down by the instant may have been on its way: it is the next one to end.
_SHELVES: Final = """
SELECT level.id, listing.id, channel.id, channel.name, coalesce(nullif(place.name, ''), place.external_id), listing.sku,
       listing.variant_id, sent.quantity, sent.computed_at, sent.id, sent.finished_at <= %(at)s, coalesce(sent.outcome, ''),
       coalesce(confirmed.quantity, first.published_quantity), coalesce(confirmed.finished_at, first.confirmed_at),
       confirmed.id, fine.compared_with, fine.finished_at, fine.id
FROM channels_listinglevel level
JOIN channels_listing listing ON listing.id = level.listing_id
JOIN channels_channel channel ON channel.id = level.channel_id
JOIN channels_channellocation place ON place.id = level.channel_location_id
LEFT JOIN LATERAL (
    SELECT push.* FROM (
        (SELECT * FROM channels_push
         WHERE listing_level_id = level.id AND finished_at > %(at)s AND quantity IS NOT NULL
         ORDER BY finished_at LIMIT 1)
        UNION ALL
        (SELECT * FROM channels_push
         WHERE listing_level_id = level.id AND finished_at <= %(at)s AND quantity IS NOT NULL
         ORDER BY finished_at DESC, id DESC LIMIT 1)
    ) push
    WHERE push.computed_at <= %(at)s ORDER BY push.finished_at DESC LIMIT 1
) sent ON true
LEFT JOIN LATERAL (
    SELECT * FROM channels_push
    WHERE listing_level_id = level.id AND finished_at <= %(at)s AND outcome = 'confirmed'
    ORDER BY finished_at DESC, id DESC LIMIT 1
) confirmed ON true
LEFT JOIN channels_listinglevel first ON first.id = level.id AND first.confirmed_at <= %(at)s AND NOT EXISTS (
    SELECT FROM channels_push WHERE listing_level_id = level.id AND outcome IN ('confirmed', 'unchanged')
)
LEFT JOIN LATERAL (
    SELECT * FROM channels_push
    WHERE listing_level_id = level.id AND finished_at <= %(at)s AND outcome = 'unchanged'
      AND finished_at > coalesce(confirmed.finished_at, '-infinity')
    ORDER BY finished_at DESC, id DESC LIMIT 1
) fine ON true
WHERE {chosen}
ORDER BY channel.name, level.id
"""

_BY_ID: Final = _SHELVES.format(chosen="level.id = ANY(%(ids)s::bigint[])")
#: By the mapping of today; a listing that was mapped otherwise then is found under what it is mapped to now.
_BY_VARIANT: Final = _SHELVES.format(
    chosen="channel.merchant_id = %(merchant)s AND listing.variant_id = ANY(%(ids)s::bigint[])"
)
_BY_LOCATION: Final = _SHELVES.format(
    chosen="""channel.merchant_id = %(merchant)s AND listing.variant_id IS NOT NULL AND level.channel_location_id IN (
    SELECT span.channel_location_id FROM channels_sourcespan span
    WHERE span.location_id = %(location)s AND coalesce(span.began_at <= %(at)s, true)
      AND coalesce(span.ended_at > %(at)s, true))"""
)


def shelves_as_of(listing_level_ids: Collection[int], at: datetime) -> list[PastShelf]:
    """Returns what these listing levels had been told at an instant; one statement."""
    return _shelves(_BY_ID, {"ids": sorted(listing_level_ids), "at": at})


def variant_shelves_as_of(merchant_id: int, variant_ids: Collection[int], at: datetime) -> list[PastShelf]:
    """Returns what every channel had been told of these variants at an instant; one statement."""
    return _shelves(_BY_VARIANT, {"merchant": merchant_id, "ids": sorted(variant_ids), "at": at})


def location_shelves_as_of(merchant_id: int, location_id: int, at: datetime) -> list[PastShelf]:
    """Returns what all shelves had been told that drew on a location at an instant; one statement."""
    return _shelves(_BY_LOCATION, {"merchant": merchant_id, "location": location_id, "at": at})


def _shelves(sql: str, parameters: dict[str, Any]) -> list[PastShelf]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return [PastShelf(*row) for row in cursor.fetchall()]
