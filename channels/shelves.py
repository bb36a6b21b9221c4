"""What an order does to the numbers that its own shop shows."""

from collections import Counter
from collections.abc import Iterable

from channels.connectors import connector_class
from channels.connectors.base import Convention
from channels.errors import Misconfigured
from channels.models import Channel
from channels.order_lines import LineChange
from channels.places import Places
from channels.pushes import note_own_sales


def lower_expected(channel: Channel, changes: Iterable[LineChange], places: Places) -> None:
    """Takes what the shop sold off the numbers we expect on its shelves, and marks those.

    Units that it put back raise them again. Where we learn of both at once, our own number may have gone over the
    sale, and is then too large by what was put back: that shelf is told again. A line that turns out to be taken
    from another place counts there. Where the platform names no place and the channel has several, nobody knows
    which shelf it was, and nothing is changed. A platform that leaves its number alone and subtracts its open
    orders when showing it is left alone here as well.
    """
    if not _decrements_itself(channel):
        return
    units: Counter[tuple[int, int]] = Counter()
    written_over: set[tuple[int, int]] = set()
    only = places.only_active_id()
    for change in changes:
        place_id = change.line.channel_location_id or only
        if change.listing is not None and place_id is not None:
            units[change.listing.id, place_id] += change.off_the_shelf
            if change.is_put_back_unseen:
                written_over.add((change.listing.id, place_id))
        was_at = change.was_at or only
        if change.was_listing is not None and was_at is not None:
            units[change.was_listing.id, was_at] -= change.was_off_the_shelf
    note_own_sales([(*shelf, count) for shelf, count in units.items() if count or shelf in written_over])


def _decrements_itself(channel: Channel) -> bool:
    try:
        convention = connector_class(channel.kind).capabilities.convention
    except Misconfigured:
        return False
    return convention is Convention.EXCLUDES_OPEN_ORDERS
