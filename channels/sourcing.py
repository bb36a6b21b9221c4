"""From where a channel's orders are served: its routing, what locations have been asked already, and moves by hand.

Which location may serve a channel is one rule, `ChannelLocationSource`: what the channel is told (`channels.exposure`) and
what its orders are taken from (`channels.places`) obey it alike. Strategies are in `inventory.routing`; they are asked by
the ledger, under its locks.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from django.db import connection, transaction

from channels.models import Channel, ChannelOrder, ChannelOrderLine
from channels.models.fulfilment import OPEN_STATES, RequestState
from channels.places import Places, places_of
from inventory.errors import InvalidStockRequest
from inventory.ledger import Context, Outcome, domain_errors
from inventory.models import Reservation
from inventory.resourcing import Resourcing, resource
from inventory.routing import Routing, Usage

# Requests are counted as soon as they are made; one that was cancelled or refused takes no capacity. A day is a day in UTC.
_USAGE: Final = """
SELECT location_id, count(DISTINCT order_id), coalesce(sum(units), 0)::bigint
FROM channels_fulfilmentrequest
WHERE location_id = ANY(%s::bigint[]) AND order_id <> %s AND state NOT IN ('cancelled', 'refused')
  AND created_at >= date_trunc('day', clock_timestamp(), 'UTC')
GROUP BY location_id
"""


_STANDING: Final = """
SELECT asked.order_line_id, line.variant_id, asked.variant_id, asked.reported, asked.shipped, request.location_id,
       request.state, request.asked_at
FROM channels_fulfilmentrequest request
JOIN channels_fulfilmentline asked ON asked.request_id = request.id
JOIN channels_channelorderline line ON line.id = asked.order_line_id
WHERE request.order_id = %s
ORDER BY asked.id
"""


def routing_of(channel: Channel, order: ChannelOrder, places: Places) -> Routing:
    """Returns how the channel wants this order to be served."""
    return Routing(
        channel.routing, order.country, channel.may_split, places.sites, partial(_usage, order_id=order.pk)
    )


def _usage(location_ids: Collection[int], *, order_id: int) -> dict[int, Usage]:
    """Returns what other orders have been given to these locations today."""
    with connection.cursor() as cursor:
        cursor.execute(_USAGE, [sorted(location_ids), order_id])
        return {location_id: Usage(orders, units) for location_id, orders, units in cursor.fetchall()}


@dataclass(frozen=True, slots=True)
class Standing:
    """What locations have been asked of one order, and what they answered; all by id."""

    #: Order line → locations that know of its units there: they stay.
    told: Mapping[int, set[int]] = field(default_factory=dict)
    #: Locations that refused: they serve the order no more.
    refused: frozenset[int] = frozenset()
    #: Order line → units that warehouses say they shipped.
    reported: Mapping[int, int] = field(default_factory=dict)
    #: Order line → a location that says it shipped more units than the ledger took there.
    left_from: Mapping[int, int] = field(default_factory=dict)


NOTHING_ASKED: Final = Standing()


def standing_of(order: ChannelOrder) -> Standing:
    """Reads what the order's requests say; under the order's lock."""
    with connection.cursor() as cursor:
        cursor.execute(_STANDING, [order.pk])
        rows = cursor.fetchall()
    told: dict[int, set[int]] = {}
    reported: Counter[int] = Counter()
    left_from: dict[int, int] = {}
    parts: defaultdict[tuple[int, int], Counter[int]] = defaultdict(Counter)
    refused = set()
    for line_id, sold_id, variant_id, units, shipped, location_id, state, asked_at in rows:
        if state == RequestState.REFUSED:
            refused.add(location_id)
        elif state in OPEN_STATES and (asked_at is not None or state != RequestState.NEW):
            told.setdefault(line_id, set()).add(location_id)
        if sold_id == variant_id:
            reported[line_id] += units
        else:
            parts[line_id, location_id][variant_id] += units
        if units > shipped:
            left_from.setdefault(line_id, location_id)
    if any(any(units.values()) for units in parts.values()):
        reported += _reported_kits(order, parts)
    return Standing(told, frozenset(refused), reported, left_from)


def _reported_kits(order: ChannelOrder, parts: Mapping[tuple[int, int], Mapping[int, int]]) -> Counter[int]:
    """Returns how many whole kits the parts are that warehouses say they shipped, by order line."""
    per_kit = units_per_kit(order, {line_id for line_id, _ in parts})
    kits: Counter[int] = Counter()
    for (line_id, place), units in parts.items():
        counted = [each // per_kit.get((line_id, place, part), 1) for part, each in units.items()]
        kits[line_id] += min(counted, default=0)
    return kits


def units_per_kit(order: ChannelOrder, line_ids: Collection[int]) -> dict[tuple[int, int, int], int]:
    """Returns how much of a part one kit takes, by order line, location and part; only of what is or was held as kits."""
    lines = {ChannelOrderLine(pk=line_id).reference: line_id for line_id in line_ids}
    held = Reservation.objects.filter(
        merchant_id=order.channel.merchant_id, reference__in=lines, per_bundle__gt=0
    ).values_list("reference", "level__location_id", "variant_id", "per_bundle")
    return {
        (lines[reference], place, part): per_kit or 1
        for reference, place, part, per_kit in held.order_by("id")
    }


def serving_ids(channel: Channel) -> tuple[int, ...]:
    """Returns our locations that may serve the channel at any of its places, in order of preference."""
    return places_of(channel).location_ids(None)


def resource_line(
    line: ChannelOrderLine,
    *,
    to_location_id: int,
    from_location_id: int | None = None,
    quantity: int | None = None,
    key: str,
    actor: str = "",
) -> Outcome:
    """Has another location serve units of an order line; they stay there, whatever routing would choose.

    Moves what is held at `from_location_id`, or fills (None) what is owed. The same key moves once. Raises
    `InvalidStockRequest` for a location that may not serve the channel, and what `inventory.resourcing` raises.
    """
    move = Resourcing(line.reference, line.variant_id or 0, to_location_id, from_location_id, quantity)
    with domain_errors(), transaction.atomic():
        order = locked_order(line.order_id)
        channel = order.channel
        _check(channel, line, to_location_id)
        outcome = resource(_context(channel, order, key, actor), [move])
        ChannelOrderLine.objects.filter(pk=line.pk).update(is_sourced_by_hand=True)
    return outcome


def locked_order(order_id: int) -> ChannelOrder:
    """Returns an order under its lock, with its channel and without that one's credentials."""
    rows = ChannelOrder.objects.select_for_update(of=("self",)).select_related("channel")
    return rows.defer("channel__credentials").get(pk=order_id)


def _check(channel: Channel, line: ChannelOrderLine, to_location_id: int) -> None:
    if line.variant_id is None:
        raise InvalidStockRequest("line", "its SKU is not known yet; map it first.")
    if to_location_id not in serving_ids(channel):
        raise InvalidStockRequest(
            "to_location_id", f"does not serve {channel}; put it behind one of its places first."
        )


def _context(channel: Channel, order: ChannelOrder, key: str, actor: str) -> Context:
    details: dict[str, Any] = {"actor": actor or channel.name, "document": str(order)[:200]}
    return Context(channel.merchant_id, f"resource:{key}", source="back office", **details)
