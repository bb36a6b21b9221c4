"""Receipts and returns at a warehouse, written into the ledger as what they are, beside its count.

The warehouse's number counts all of it already, or will: so what arrived is received, under its document, and the goods are
counted again by a number read after it, in the same transaction. Either nothing is left to count, or what had been counted
before the document was known comes off again.
"""

import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from django.db import transaction
from django.utils import timezone

from channels.connectors.base import Connector
from channels.connectors.warehousing import Arrival, ArrivedLine
from channels.models import Channel, Listing, StatedLevel, WarehouseArrival, WarehouseOrder
from channels.models.warehouses import ArrivalKind
from channels.warehouses.authorities import Kept
from channels.warehouses.counting import count_in
from channels.warehouses.reading import free_by_variant
from inventory.errors import StockError
from inventory.ledger import Context
from inventory.models import BundlePart, CustomerReturn, PurchaseOrderLine
from inventory.models.purchasing import PurchaseOrderState
from inventory.purchasing import LineReceipt, receive_lines
from inventory.returns import ReturnUnits, Verdict, inspect_return, receive_return
from inventory.stock import StockLine, receive

#: Goods of one document that are read in one call.
_MOST_GOODS: Final = 100


class _NotNow(Exception):
    """The goods cannot be counted yet; the document is taken up later."""


def take_arrivals(
    channel: Channel,
    connector: Connector,
    kept: Sequence[Kept],
    arrivals: Sequence[Arrival],
    *,
    is_first: bool,
) -> int:
    """Writes what came in since it was looked at last; returns how many documents were news. Raises `ConnectorError`.

    What came before the first look is in the number that the warehouse said then, and only noted.
    """
    count = 0
    for arrival in arrivals:
        place = _place_of(channel, kept, arrival)
        if place is None:
            continue
        if is_first:
            _note(channel, arrival, arrival.lines)
        elif news := _news(channel, arrival):
            count += _take(channel, connector, place, arrival, news)
    return count


def _place_of(channel: Channel, kept: Sequence[Kept], arrival: Arrival) -> Kept | None:
    """Returns where the goods are; a return that names no warehouse went back to where the order left from."""
    for each in kept:
        if each.place_external_id == arrival.place_external_id:
            return each
    if arrival.place_external_id:
        return None
    left_from = WarehouseOrder.objects.filter(channel=channel, external_id=arrival.order_external_id)
    location_id = left_from.values_list("request__location", flat=True).first()
    found = [each for each in kept if each.location_id == location_id]
    return found[0] if found else (kept[0] if len(kept) == 1 else None)


def _kind(arrival: Arrival) -> ArrivalKind:
    return ArrivalKind.RETURN if arrival.is_return else ArrivalKind.RECEIPT


def _known(channel: Channel, arrival: Arrival) -> dict[str, int]:
    rows = WarehouseArrival.objects.filter(
        channel=channel, kind=_kind(arrival), external_id__in=[line.external_id for line in arrival.lines]
    )
    return dict(rows.values_list("external_id", "units"))


def _news(channel: Channel, arrival: Arrival) -> list[ArrivedLine]:
    """Returns the lines of which another number came than we know of."""
    known = _known(channel, arrival)
    return [line for line in arrival.lines if line.units != known.get(line.external_id, 0)]


def _take(
    channel: Channel, connector: Connector, kept: Kept, arrival: Arrival, news: Sequence[ArrivedLine]
) -> bool:
    goods = sorted({line.goods_external_id for line in news})[:_MOST_GOODS]
    news = [line for line in news if line.goods_external_id in goods]
    asked_at = timezone.now()
    stated = {each.external_id: each for each in connector.fetch_stock(goods)}
    rows = list(
        StatedLevel.objects.filter(
            authority=kept.authority_id, listing__external_id__in=goods, listing__variant__isnull=False
        ).select_related("listing")
    )
    for row in rows:
        answer = stated.get(row.listing.external_id)
        stock = answer.places.get(kept.place_external_id) if answer and not answer.not_counted else None
        row.free = stock.free if stock else None
    free = free_by_variant(kept, rows)
    try:
        with transaction.atomic():
            units = _units(channel, arrival, news)
            _note(channel, arrival, news)
            counted = {variant_id: count for variant_id, count in units.items() if variant_id in free}
            if counted:
                _record(channel, kept, arrival, counted)
                said = {variant_id: free[variant_id] for variant_id in counted}
                if count_in(channel, kept, said, asked_at=asked_at):
                    raise _NotNow
    except (_NotNow, StockError):
        return False
    return True


def _units(channel: Channel, arrival: Arrival, news: Sequence[ArrivedLine]) -> Counter[int]:
    """Returns what came beyond what we know of, by variant. What was taken back is left to the count."""
    known = _known(channel, arrival)
    listings = Listing.objects.filter(
        channel=channel, external_id__in={line.goods_external_id for line in news}, variant__isnull=False
    )
    named = dict(listings.values_list("external_id", "variant_id"))
    kits = set(
        BundlePart.objects.filter(
            bundle_variant__in=[each for each in named.values() if each], is_drawn_on=True
        ).values_list("bundle_variant_id", flat=True)
    )
    units: Counter[int] = Counter()
    for line in news:
        variant_id = named.get(line.goods_external_id)
        more = line.units - known.get(line.external_id, 0)
        if variant_id is not None and variant_id not in kits and more > 0:
            units[variant_id] += more
    return units


def _note(channel: Channel, arrival: Arrival, lines: Sequence[ArrivedLine]) -> None:
    rows = [
        WarehouseArrival(
            channel=channel,
            kind=_kind(arrival),
            document=arrival.number[:100],
            external_id=line.external_id,
            units=line.units,
        )
        for line in lines
    ]
    WarehouseArrival.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["channel", "kind", "external_id"],
        update_fields=["units", "recorded_at"],
    )


def _record(channel: Channel, kept: Kept, arrival: Arrival, units: Mapping[int, int]) -> None:
    if arrival.is_return:
        _take_back(channel, kept, arrival, units)
        return
    rest = _receive_ordered(channel, kept, arrival, units)
    lines = [StockLine(variant_id, kept.location_id, count) for variant_id, count in rest.items() if count]
    if lines:
        receive(_context(channel, arrival), lines)


def _receive_ordered(
    channel: Channel, kept: Kept, arrival: Arrival, units: Mapping[int, int]
) -> dict[int, int]:
    """Receives goods on our own purchase orders of these numbers; returns what none of them waits for."""
    rest = dict(units)
    waiting = PurchaseOrderLine.objects.filter(
        order__merchant=channel.merchant_id,
        order__number__in=arrival.purchase_numbers,
        location=kept.location_id,
        variant__in=list(units),
    ).exclude(order__state=PurchaseOrderState.DRAFT)
    receipts = []
    for line in waiting.order_by("id"):
        count = min(rest[line.variant_id], line.outstanding)
        if count > 0:
            rest[line.variant_id] -= count
            receipts.append(LineReceipt(line.pk, count))
    if receipts:
        receive_lines(_context(channel, arrival), receipts)
    return rest


def _take_back(channel: Channel, kept: Kept, arrival: Arrival, units: Mapping[int, int]) -> None:
    """Receives what a customer sent back. Whether it can be sold is the warehouse's to say, by its free stock."""
    placed = WarehouseOrder.objects.filter(channel=channel, external_id=arrival.order_external_id)
    order = placed.select_related("request__order").first() if arrival.order_external_id else None
    reference = order.request.order.reference if order else f"{channel.kind}:{arrival.number}"[:200]
    lines = [ReturnUnits(variant_id, kept.location_id, count) for variant_id, count in units.items()]
    receive_return(_context(channel, arrival), reference, lines)
    document = CustomerReturn.objects.get(merchant=channel.merchant_id, reference=reference)
    verdicts = [Verdict(variant_id, kept.location_id, released=count) for variant_id, count in units.items()]
    inspect_return(_context(channel, arrival), document.pk, verdicts)


def _context(channel: Channel, arrival: Arrival) -> Context:
    key = f"arrival:{channel.pk}:{uuid.uuid4()}"
    return Context(
        channel.merchant_id, key, actor=channel.name, source=channel.kind, document=arrival.number[:200]
    )
