"""Second looks: a difference counts once the shelf shows it again after all orders until the first look are imported.

A sale that is on its way to us explains itself in between; a shelf that is told or sells meanwhile shows another pair of
numbers and is looked at again.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Final

from django.db import connection
from django.utils import timezone

from channels.connectors.base import Address, Connector
from channels.models import Channel, ListingLevel
from channels.observations import LIST_LAG
from reconciliation.catching_up import catch_up
from reconciliation.staging import MOVING, Suspect

#: Looks after the first; what keeps changing that long is left to the next run.
LOOKS: Final = 3

_NOW: Final = f"""
SELECT level.id, level.expected, {MOVING.format(since="%s::timestamptz")}, level.dead_at IS NOT NULL
FROM channels_listinglevel level
WHERE level.id = ANY(%s::bigint[])
"""  # noqa: S608  # constants only


def confirm(
    channel: Channel,
    connector: Connector,
    suspects: Sequence[Suspect],
    *,
    still_ours: Callable[[], None] = lambda: None,
) -> tuple[list[Suspect], int]:
    """Returns the suspects that differ for certain, and how many could not be settled.

    Raises what the connector raises, and `OrdersUnread`.
    """
    certain: list[Suspect] = []
    open_ones = list(suspects)
    for _ in range(LOOKS):
        if not open_ones:
            break
        catch_up(channel, connector, timezone.now() + LIST_LAG, still_ours=still_ours)
        same, open_ones = _look_again(connector, open_ones, still_ours)
        certain += same
    return certain, len(open_ones)


def _look_again(
    connector: Connector, suspects: Sequence[Suspect], still_ours: Callable[[], None]
) -> tuple[list[Suspect], list[Suspect]]:
    """Returns those that show the same pair of numbers as before, and those that show another wrong pair."""
    same: list[Suspect] = []
    other: list[Suspect] = []
    for batch in _batches(suspects, connector.capabilities.push_batch_size):
        still_ours()
        before = {suspect.listing_level_id: suspect for suspect in batch}
        for suspect in _read(connector, list(before)):
            is_same = suspect == before[suspect.listing_level_id]
            (same if is_same else other).append(suspect)
    return same, other


def _read(connector: Connector, level_ids: Sequence[int]) -> list[Suspect]:
    """Reads shelves, then what they should show; leaves out what moves and what is right."""
    began = timezone.now()
    addresses = _addresses(level_ids)
    ids = {(each.listing_external_id, each.location_external_id): each.listing_level_id for each in addresses}
    shown = {
        ids[key]: shelf.quantity
        for shelf in connector.read_levels(addresses)
        if (key := (shelf.listing_external_id, shelf.location_external_id)) in ids
        and shelf.quantity is not None
    }
    with connection.cursor() as cursor:
        cursor.execute(_NOW, [began, list(shown)])
        states = cursor.fetchall()
    return [
        Suspect(identity, shown[identity], expected)
        for identity, expected, is_moving, is_dead in states
        if not is_moving and (is_dead or shown[identity] != expected)
    ]


def _addresses(level_ids: Sequence[int]) -> list[Address]:
    levels = ListingLevel.objects.filter(pk__in=list(level_ids)).order_by("id")
    return [
        Address(
            level.pk,
            level.listing.external_id,
            level.listing.parent_external_id,
            level.channel_location.external_id,
            level.listing.data,
        )
        for level in levels.select_related("listing", "channel_location")
    ]


def _batches(suspects: Sequence[Suspect], size: int) -> Iterator[list[Suspect]]:
    source = iter(suspects)
    while batch := list(islice(source, size)):
        yield batch
