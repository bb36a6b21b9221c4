"""Reads what a warehouse has of goods that are due, a hundred at a time, and counts it in."""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Any, Final

from django.db import connection, transaction
from django.db.models import F, Q
from django.utils import timezone

from channels.connectors.base import Connector
from channels.connectors.warehousing import StatedGoods
from channels.models import Channel, StatedLevel
from channels.warehouses.authorities import Kept
from channels.warehouses.counting import booked, count_in
from channels.warehouses.marks import lock_stated, mark_variants

#: Goods in one call.
BATCH: Final = 100
#: Calls in one round; what is left is read in the next one, at once.
MOST_BATCHES: Final = 50
#: Seconds until goods are read again whose number had to be left alone.
_PAUSE: Final = 3.0

_KEEP: Final = """
UPDATE channels_statedlevel stated
SET free = said.free, stock = said.stock, stated_at = %s, remark = said.remark,
    done = CASE WHEN said.is_read THEN greatest(stated.done, said.wanted) ELSE stated.done END,
    next_read_at = CASE WHEN said.is_read THEN NULL ELSE clock_timestamp() + make_interval(secs => %s) END
FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::text[], %s::boolean[])
    AS said (id, wanted, free, stock, remark, is_read)
WHERE stated.id = said.id
"""


def read_due(
    channel: Channel, connector: Connector, kept: Sequence[Kept], *, on_batch: Callable[[], None]
) -> bool:
    """Reads goods that are due; False when there are more than one round takes. Raises `ConnectorError`."""
    for _ in range(MOST_BATCHES):
        due = _due(kept)
        if not due:
            return True
        _read(channel, connector, kept, due)
        on_batch()
    return False


def _due(kept: Sequence[Kept]) -> list[StatedLevel]:
    is_time = Q(next_read_at__isnull=True) | Q(next_read_at__lte=timezone.now())
    rows = StatedLevel.objects.filter(
        is_time, authority__in=[each.authority_id for each in kept], wanted__gt=F("done")
    )
    return list(rows.select_related("listing").order_by("id")[:BATCH])


def _read(channel: Channel, connector: Connector, kept: Sequence[Kept], due: Sequence[StatedLevel]) -> None:
    asked_at = timezone.now()
    answer = connector.fetch_stock(sorted({row.listing.external_id for row in due}))
    stated = {goods.external_id: goods for goods in answer}
    for each in kept:
        rows = [row for row in due if row.authority_id == each.authority_id]
        for row in rows:
            _take_up(row, stated.get(row.listing.external_id), each.place_external_id)
        if rows:
            deferred = count_in(channel, each, free_by_variant(each, rows), asked_at=asked_at)
            _keep(rows, asked_at, deferred)


def _take_up(row: StatedLevel, goods: StatedGoods | None, place: str) -> None:
    """Puts what was said into the row; no number where there is none to go by."""
    said = goods.places.get(place) if goods is not None and not goods.not_counted else None
    row.free, row.stock = (None, None) if said is None else (said.free, said.stock)
    if row.listing.variant_id is None:
        row.remark = "No variant is mapped to it."
    elif goods is None:
        row.remark = "The warehouse does not know it any more."
    else:
        row.remark = goods.not_counted or ("" if said else "The warehouse gives no number for this place.")


def free_by_variant(kept: Kept, rows: Sequence[StatedLevel]) -> dict[int, int]:
    """Returns what is free of the variants of these rows; of one with several goods the sum, if all of them are known."""
    fresh = {row.pk: (row.listing.variant_id, row.free) for row in rows}
    variants = {
        variant_id for variant_id, free in fresh.values() if variant_id is not None and free is not None
    }
    others = StatedLevel.objects.filter(
        authority=kept.authority_id, listing__variant__in=variants, listing__is_active=True
    ).exclude(pk__in=list(fresh))
    known = {pk: (owner, free) for pk, owner, free in others.values_list("id", "listing__variant_id", "free")}
    unknown = {owner for owner, free in known.values() if free is None}
    units: Counter[int] = Counter()
    for owner, free in (*fresh.values(), *known.values()):
        if owner is not None and owner in variants:
            units[owner] += free or 0
    return {variant_id: count for variant_id, count in units.items() if variant_id not in unknown}


def _keep(rows: Sequence[StatedLevel], asked_at: datetime, deferred: Collection[int]) -> None:
    columns: list[list[Any]] = [
        [row.pk for row in rows],
        [row.wanted for row in rows],
        [row.free for row in rows],
        [row.stock for row in rows],
        [row.remark[:200] for row in rows],
        [row.listing.variant_id not in deferred for row in rows],
    ]
    with transaction.atomic(), connection.cursor() as cursor:
        lock_stated([row.pk for row in rows])
        cursor.execute(_KEEP, [asked_at, _PAUSE, *columns])


def recount(
    channel: Channel, kept: Kept, variant_ids: Collection[int], *, also: Collection[int] = ()
) -> None:
    """Counts anew by what the warehouse said last, since what it holds for us is less than we thought; has it read again."""
    rows = StatedLevel.objects.filter(authority=kept.authority_id, listing__variant__in=list(variant_ids))
    free = free_by_variant(kept, list(rows.select_related("listing")))
    count_in(channel, kept, free, asked_at=None, also=also)
    mark_variants([kept.authority_id], variant_ids)


def mark_differing(channel: Channel, kept: Kept) -> int:
    """Has goods read whose level in the ledger is not what the warehouse said: somebody else wrote it. Returns how many."""
    return mark_variants([kept.authority_id], differing(channel, kept))


_SUSPECTS: Final = """
SELECT listing.variant_id, coalesce(level.on_hand, 0), sum(stated.free)::bigint
FROM channels_statedlevel stated
JOIN channels_listing listing ON listing.id = stated.listing_id AND listing.variant_id IS NOT NULL
LEFT JOIN inventory_stocklevel level ON level.variant_id = listing.variant_id AND level.location_id = %s
WHERE stated.authority_id = %s AND stated.wanted = stated.done AND stated.free IS NOT NULL
GROUP BY 1, 2
HAVING sum(stated.free) <> coalesce(level.on_hand, 0) OR listing.variant_id IN (
    SELECT line.variant_id FROM channels_warehouseorder placed
    JOIN channels_fulfilmentline line ON line.request_id = placed.request_id
    WHERE placed.channel_id = %s AND placed.ended_at IS NULL)
"""


def differing(channel: Channel, kept: Kept) -> dict[int, tuple[int, int]]:
    """Returns (on hand, what it should be) of the variants whose level contradicts what was said last."""
    with connection.cursor() as cursor:
        cursor.execute(_SUSPECTS, [kept.location_id, kept.authority_id, channel.pk])
        suspects = cursor.fetchall()
    ours = booked(channel, kept, [variant_id for variant_id, _, _ in suspects]) if suspects else {}
    wanted = {
        variant_id: (on_hand, max(free + ours.get(variant_id, 0), 0))
        for variant_id, on_hand, free in suspects
    }
    return {variant_id: pair for variant_id, pair in wanted.items() if pair[0] != pair[1]}
