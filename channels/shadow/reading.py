"""Reads what the shelves of a channel in shadow show: those first that would be told another number, then the longest unread.

Platforms with inventory webhooks say of most changes themselves; reading finds the rest. What it may cost is bounded, so that a
large catalogue is read in turn.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

from django.db import connection
from django.utils import timezone

from channels.accounts import open_connector
from channels.connectors.base import Address, Connector
from channels.models import Channel, ShadowRun
from channels.shadow.spans import Number, note_shown, open_run

#: Calls of one reading, at least so many shelves, and at most.
CALLS: Final = 8
FEWEST: Final = 100
MOST: Final = 1_000

# Half of them shelves that differ, as far as there are so many.
_CHOOSE: Final = """
WITH shelf AS (
    SELECT level.id, listing.external_id, listing.parent_external_id, place.external_id AS place, listing.data,
        coalesce(span.would <> span.shown, false) AS differs, span.said_at
    FROM channels_listinglevel level
    JOIN channels_listing listing ON listing.id = level.listing_id
    JOIN channels_channellocation place ON place.id = level.channel_location_id
    LEFT JOIN channels_shadowspan span
        ON span.run_id = %(run)s AND span.listing_level_id = level.id AND span.ended_at IS NULL
    WHERE level.channel_id = %(channel)s AND listing.is_active AND listing.variant_id IS NOT NULL AND place.is_active
), ranked AS (
    SELECT *, row_number() OVER (PARTITION BY differs ORDER BY said_at NULLS FIRST, id) AS position FROM shelf
)
SELECT id, external_id, parent_external_id, place, data FROM ranked
ORDER BY differs AND position <= %(limit)s / 2 DESC, said_at NULLS FIRST, id
LIMIT %(limit)s
"""


def read_some(channel: Channel, connector: Connector) -> int:
    """Reads as many shelves of a channel in shadow as one reading may; returns how many. Raises `ConnectorError`."""
    run = ShadowRun.objects.filter(channel=channel.pk, ended_at__isnull=True).first()
    if run is None:
        return 0
    size = connector.capabilities.push_batch_size
    # What is only looked at leaves half of each limit to orders.
    careful = open_connector(channel, is_background=True)
    addresses = _addresses(run, limit=min(max(CALLS * size, FEWEST), MOST))
    for start in range(0, len(addresses), size):
        _keep(run, addresses[start : start + size], careful)
    return len(addresses)


def _keep(run: ShadowRun, addresses: Sequence[Address], connector: Connector) -> None:
    """Reads some shelves and notes what they show, as of before the question: what changed since says so itself."""
    asked_at = timezone.now()
    ids = {(each.listing_external_id, each.location_external_id): each.listing_level_id for each in addresses}
    shown = {
        ids[key]: Number(shelf.quantity, asked_at)
        for shelf in connector.read_levels(addresses)
        if (key := (shelf.listing_external_id, shelf.location_external_id)) in ids
    }
    # What the platform said nothing of shows nothing, and is not asked for again at once.
    unsaid = {level_id: Number(None, asked_at) for level_id in ids.values() if level_id not in shown}
    with open_run(run.pk) as held:
        if held is not None:
            note_shown(held, shown | unsaid)


def _addresses(run: ShadowRun, *, limit: int) -> list[Address]:
    with connection.cursor() as cursor:
        cursor.execute(_CHOOSE, {"run": run.pk, "channel": run.channel_id, "limit": limit})
        return list(_found(cursor.fetchall()))


def _found(rows: Sequence[tuple[Any, ...]]) -> Iterator[Address]:
    for level_id, listing, parent, place, data in rows:
        # A cursor of its own hands JSON over as text.
        yield Address(level_id, listing, parent, place, json.loads(data) if isinstance(data, str) else data)
