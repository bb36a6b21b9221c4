"""How what a warehouse says becomes the ledger's count, netted of our orders that it has not seen.

    on hand here = free there + what it holds for our own requests, less what of these the ledger shipped

Its free stock is what it could still promise; our requests that it has seen are reserved there, and by us. A request that it
has not seen is reserved by us alone, and so comes off what we offer. What it ships changes neither its free stock nor this sum
until we hear of the shipment. Goods that it keeps for orders of others are not on hand here: they are not ours to sell.

Whoever asks and tells the same warehouse does one after the other (`channels.warehouses.rounds`), so that it is known which
requests a number knows of. A request of which that is not known, since a call got no answer, has its goods left alone. So are,
for some seconds, a rise after it was told of more and a fall after it was told of less: its free stock may follow late.
"""

import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db import connection, transaction

from channels.models import Channel
from channels.warehouses.authorities import Kept
from inventory.errors import StockBusy
from inventory.ledger import Context, domain_errors
from inventory.locking import create_missing_levels, lock_levels
from inventory.models import BundlePart
from inventory.stock import CountLine, count

#: Seconds after which a warehouse's free stock has followed what it was told.
SETTLING: Final = 5.0

# What left counts with the order that it left on, and comes off as the ledger ships it. Once a cancellation came too late the
# goods will leave all the same, and are offered to nobody.
_BOOKED: Final = """
WITH goods AS (
    SELECT listing.external_id, listing.variant_id FROM channels_listing listing
    WHERE listing.channel_id = %(channel)s AND listing.variant_id = ANY(%(variants)s::bigint[])
), live AS (
    SELECT DISTINCT placed.request_id
    FROM channels_warehouseorder placed
    JOIN channels_fulfilmentrequest request ON request.id = placed.request_id
    WHERE placed.channel_id = %(channel)s AND placed.ended_at IS NULL AND request.location_id = %(location)s
      AND (request.state IN ('new', 'sent', 'accepted', 'picked')
           OR request.state = 'cancelled' AND request.wanted > request.done
           OR request.id = ANY(%(also)s::bigint[]))
), taken AS (
    SELECT live.request_id, goods.variant_id, sum(each.value::bigint) AS units
    FROM live
    JOIN channels_warehouseorder placed ON placed.request_id = live.request_id AND placed.placed_at IS NOT NULL
    CROSS JOIN LATERAL jsonb_each_text(placed.goods) each
    JOIN goods ON goods.external_id = each.key
    GROUP BY 1, 2
)
SELECT taken.variant_id, sum(greatest(taken.units - coalesce(left_.units, 0), 0))::bigint
FROM taken
LEFT JOIN LATERAL (
    SELECT sum(line.shipped) AS units FROM channels_fulfilmentline line
    WHERE line.request_id = taken.request_id AND line.variant_id = taken.variant_id
) left_ ON true
GROUP BY 1
"""

_UNSETTLED: Final = """
SELECT line.variant_id, true, true
FROM channels_fulfilmentrequest request
JOIN channels_fulfilmentline line ON line.request_id = request.id
WHERE request.location_id = %(location)s AND request.wanted > request.done AND request.lease_token IS NOT NULL
  AND line.variant_id = ANY(%(variants)s::bigint[])
UNION ALL
SELECT line.variant_id, coalesce(placed.placed_at > recently.at, false), coalesce(placed.ended_at > recently.at, false)
FROM (SELECT %(asked_at)s::timestamptz - make_interval(secs => %(settling)s) AS at) recently
JOIN channels_warehouseorder placed ON placed.channel_id = %(channel)s
    AND (placed.placed_at > recently.at OR placed.ended_at > recently.at)
JOIN channels_fulfilmentrequest request ON request.id = placed.request_id AND request.location_id = %(location)s
JOIN channels_fulfilmentline line ON line.request_id = request.id
WHERE line.variant_id = ANY(%(variants)s::bigint[])
"""


@dataclass(frozen=True, slots=True)
class Unsettled:
    """Variants whose numbers may not know yet what the warehouse was told."""

    #: It may show more than it will, and less.
    may_be_high: frozenset[int]
    may_be_low: frozenset[int]


_SETTLED: Final = Unsettled(frozenset(), frozenset())


def booked(
    channel: Channel, kept: Kept, variant_ids: Collection[int], *, also: Collection[int] = ()
) -> dict[int, int]:
    """Returns units that the warehouse holds for our requests and the ledger has not shipped, by variant.

    `also` names requests that were cancelled too late.
    """
    with connection.cursor() as cursor:
        cursor.execute(_BOOKED, {**_named(channel, kept, variant_ids), "also": sorted(also)})
        return dict(cursor.fetchall())


def unsettled(channel: Channel, kept: Kept, variant_ids: Collection[int], *, asked_at: datetime) -> Unsettled:
    """Returns the variants of which a request is on its way, or was told a moment before they were asked for, or since."""
    named = _named(channel, kept, variant_ids)
    with connection.cursor() as cursor:
        cursor.execute(_UNSETTLED, {**named, "settling": SETTLING, "asked_at": asked_at})
        rows = cursor.fetchall()
    return Unsettled(
        frozenset(variant for variant, is_up, _ in rows if is_up),
        frozenset(variant for variant, _, is_down in rows if is_down),
    )


def _named(channel: Channel, kept: Kept, variant_ids: Collection[int]) -> dict[str, Any]:
    return {"channel": channel.pk, "location": kept.location_id, "variants": sorted(variant_ids)}


def count_in(
    channel: Channel,
    kept: Kept,
    free: Mapping[int, int],
    *,
    asked_at: datetime | None,
    also: Collection[int] = (),
) -> frozenset[int]:
    """Counts what a warehouse says is free, by variant, into the ledger; returns the variants that have to be read again.

    `asked_at`: when it was asked, by our clock; None counts whatever it was told a moment ago, since it is what it said before.
    Kits have no stock of their own and are left out.
    """
    merchant_id = channel.merchant_id
    variants = set(free) - _kits_among(free)
    if not variants:
        return frozenset()
    try:
        create_missing_levels(merchant_id, [(variant_id, kept.location_id) for variant_id in variants])
        with domain_errors(), transaction.atomic():
            levels = lock_levels(merchant_id, variants, [kept.location_id])
            ours = booked(channel, kept, variants, also=also)
            open_ = unsettled(channel, kept, variants, asked_at=asked_at) if asked_at else _SETTLED
            lines: list[CountLine] = []
            deferred: set[int] = set()
            for level in levels:
                target = max(free[level.variant_id] + ours.get(level.variant_id, 0), 0)
                waits_for = open_.may_be_high if target > level.on_hand else open_.may_be_low
                if target == level.on_hand:
                    continue
                if level.variant_id in waits_for:
                    deferred.add(level.variant_id)
                else:
                    lines.append(CountLine(level.variant_id, kept.location_id, target))
            if lines:
                count(_context(channel), lines)
    except StockBusy:
        return frozenset(variants)
    return frozenset(deferred)


def _kits_among(variant_ids: Collection[int]) -> set[int]:
    kits = BundlePart.objects.filter(bundle_variant__in=list(variant_ids), is_drawn_on=True)
    return set(kits.values_list("bundle_variant_id", flat=True))


def _context(channel: Channel) -> Context:
    key = f"keeping:{channel.pk}:{uuid.uuid4()}"
    return Context(channel.merchant_id, key, actor=channel.name, source=channel.kind)
