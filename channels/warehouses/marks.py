"""What is due at a warehouse: goods to be read, orders to be looked at. Marks are counters, so that none is lost.

A mark raises `wanted`; whoever reads copies it first, and sets `done` to the copy.
"""

from collections.abc import Collection, Sequence
from typing import Final

from django.db import connection, transaction
from django.db.models import F

from channels.events import WarehouseChanged
from channels.feeds import KEEPING, ask_for_poll
from channels.models import Channel, PollFeed, StatedLevel, WarehouseOrder
from channels.warehouses.authorities import shipping_kinds
from config.notify import notify_after_commit

#: Seconds; every good is read at least as often, whatever was told of it.
FULL_EVERY: Final = 86_400.0
#: Seconds after which an order is looked at, whatever was told of it.
LOOK_EVERY: Final = 600.0

# Each mapped product of the channel, at each location that it has the say over.
_ADD: Final = """
INSERT INTO channels_statedlevel (authority_id, listing_id, remark, wanted, done)
SELECT authority.id, listing.id, '', 1, 0
FROM channels_authority authority
JOIN channels_channellocation place ON place.id = authority.place_id AND place.channel_id = %s
JOIN channels_listing listing ON listing.channel_id = place.channel_id AND listing.variant_id IS NOT NULL
WHERE NOT EXISTS (
    SELECT FROM channels_statedlevel stated
    WHERE stated.authority_id = authority.id AND stated.listing_id = listing.id
)
ORDER BY authority.id, listing.id
ON CONFLICT DO NOTHING
"""

_MARK_OLD: Final = """
UPDATE channels_statedlevel stated SET wanted = stated.wanted + 1
FROM channels_authority authority, channels_channellocation place
WHERE stated.authority_id = authority.id AND place.id = authority.place_id AND place.channel_id = %s
  AND stated.wanted = stated.done AND stated.stated_at < clock_timestamp() - make_interval(secs => %s)
"""

# Who asks for units, and who says that something changed, may be somebody else than who told of it: only the rows say.
# A feed that failed waits for its own time.
_WAKE: Final = """
UPDATE channels_pollfeed feed SET next_poll_at = clock_timestamp()
WHERE feed.name = %s AND feed.failures = 0 AND feed.next_poll_at > clock_timestamp()
  AND EXISTS (
    SELECT FROM channels_authority authority
    JOIN channels_channellocation place ON place.id = authority.place_id AND place.channel_id = feed.channel_id
    WHERE EXISTS (
        SELECT FROM channels_fulfilmentrequest request
        JOIN channels_channel channel ON channel.id = feed.channel_id
        WHERE NOT channel.is_paused AND channel.kind = ANY(%s::text[])
          AND request.location_id = authority.location_id AND request.wanted > request.done
          AND request.dead_at IS NULL AND coalesce(request.leased_until < clock_timestamp(), true)
          AND coalesce(request.next_attempt_at <= clock_timestamp(), true)
    ) OR EXISTS (
        SELECT FROM channels_statedlevel stated
        WHERE stated.authority_id = authority.id AND stated.wanted > stated.done
          AND coalesce(stated.next_read_at <= clock_timestamp(), true)
    )
  )
"""


def add_goods(channel: Channel) -> None:
    """Has goods read that are mapped by now and never were."""
    with connection.cursor() as cursor:
        cursor.execute(_ADD, [channel.pk])


def mark_old(channel: Channel) -> None:
    """Has goods read of which nothing was heard for a day."""
    with connection.cursor() as cursor:
        cursor.execute(_MARK_OLD, [channel.pk, FULL_EVERY])


def mark_goods(channel_id: int, external_ids: Collection[str] | None) -> int:
    """Has goods read, all of them for None; returns how many."""
    rows = StatedLevel.objects.filter(authority__place__channel=channel_id)
    if external_ids is not None:
        if not external_ids:
            return 0
        rows = rows.filter(listing__channel=channel_id, listing__external_id__in=list(external_ids))
    return _mark(list(rows.values_list("id", flat=True)))


def read_all(channel_id: int) -> int:
    """Has a warehouse asked for everything, at once; returns for how many goods."""
    count = mark_goods(channel_id, None)
    PollFeed.objects.filter(channel=channel_id, name=KEEPING).update(last_polled_at=None)
    ask_for_poll(channel_id, KEEPING)
    return count


def mark_variants(authority_ids: Collection[int], variant_ids: Collection[int]) -> int:
    """Has these variants read at these authorities; returns how many goods that are."""
    rows = StatedLevel.objects.filter(authority__in=authority_ids, listing__variant__in=variant_ids)
    return _mark(list(rows.values_list("id", flat=True)))


@transaction.atomic
def _mark(ids: Collection[int]) -> int:
    found = lock_stated(ids)
    return StatedLevel.objects.filter(pk__in=found).update(wanted=F("wanted") + 1) if found else 0


def lock_stated(ids: Collection[int]) -> list[int]:
    """Locks these rows in order of id, as everybody who changes several; returns those that are there."""
    rows = StatedLevel.objects.select_for_update(no_key=True).filter(pk__in=list(ids))
    return list(rows.order_by("id").values_list("id", flat=True))


def mark_orders(channel_id: int, external_ids: Collection[str]) -> int:
    """Has orders looked at that the warehouse keeps for us; returns how many of these it does."""
    if not external_ids:
        return 0
    rows = WarehouseOrder.objects.filter(
        channel=channel_id, external_id__in=list(external_ids), ended_at__isnull=True
    )
    return rows.update(wanted=F("wanted") + 1)


def note_changed(channel_id: int, events: Sequence[WarehouseChanged]) -> None:
    """Takes up what messages name; one that names nothing says that something came in, so that the lists are read."""
    goods = {external_id for event in events for external_id in event.goods}
    orders = {external_id for event in events for external_id in event.orders}
    marked = mark_goods(channel_id, goods) + mark_orders(channel_id, orders)
    if any(not event.goods and not event.orders for event in events):
        PollFeed.objects.filter(channel=channel_id, name=KEEPING).update(last_polled_at=None)
    elif not marked:
        return
    ask_for_poll(channel_id, KEEPING)


def wake_for_due() -> bool:
    """Has the warehouses attended to for which something is due; called every second, one statement."""
    with connection.cursor() as cursor:
        cursor.execute(_WAKE, [KEEPING, shipping_kinds()])
        is_due = bool(cursor.rowcount)
    if is_due:
        notify_after_commit("onecount_push")
    return is_due
