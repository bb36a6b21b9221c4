"""Tells a warehouse what it is to ship: one order there for each request, made once.

    find what an interrupted attempt left → take back what differs → write down what is missing → make it binding → note it

Each step is kept as soon as it is known, so that whoever goes on after a crash begins where it ended. What a call without an
answer did is found again by our reference before another order is made.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Final

from django.db.models import F
from django.utils import timezone

from channels import error_log
from channels import fulfilment_requests as outbox
from channels.connectors.base import Connector
from channels.connectors.warehousing import OrderReport, OrderStage, Search, WarehouseRequest
from channels.errors import ConnectorError, OutcomeUnknown, Rejected
from channels.fulfilment_requests import LEASE_SECONDS, LeasedRequest
from channels.models import Channel, FulfilmentRequest, Listing, WarehouseOrder
from channels.models.error_log import ErrorJob
from channels.request_states import REFUSED, may_move
from channels.warehouses.authorities import Kept
from channels.warehouses.marks import mark_variants
from inventory.errors import StockError

#: Requests told in one round.
MOST: Final = 100
#: Seconds for all calls about one request; less than half of its lease.
_BUDGET: Final = LEASE_SECONDS / 2 - 5
#: Clocks of ours and theirs may differ by so much.
_CLOCKS: Final = timedelta(hours=1)
_TOO_LATE: Final = "Too late: the warehouse had begun to pick it, and ships what it was told before."


def tell_due(
    channel: Channel, connector: Connector, kept: Sequence[Kept], *, on_batch: Callable[[], None]
) -> int:
    """Tells the warehouse the requests that are due; returns how many. Raises `ConnectorError` when it does not answer.

    A paused channel is told nothing.
    """
    is_told = Channel.objects.filter(pk=channel.pk, is_paused=False, is_active=True).exists()
    if not (is_told and connector.capabilities.takes_requests):
        return 0
    by_location = {each.location_id: each for each in kept}
    for count in range(MOST):
        leased = outbox.lease(list(by_location), size=1)
        if not leased:
            return count
        _tell(channel, connector, by_location[leased[0].location_id], leased[0])
        on_batch()
    return MOST


def _tell(channel: Channel, connector: Connector, kept: Kept, leased: LeasedRequest) -> None:
    """Tells one request, and notes what became of it."""
    try:
        goods, unknown = goods_of(channel, leased)
        if unknown and _refuse(leased, unknown):
            return
        with connector.client.budget(_BUDGET):
            order, is_too_late = _bring(channel, connector, kept, leased, goods)
    except Rejected as error:
        outbox.note_failed(leased, str(error))
        request = FulfilmentRequest.objects.filter(pk=leased.request_id).first()
        error_log.note(channel.pk, error, job=ErrorJob.PUSH, about=request)
    except ConnectorError as error:
        outbox.put_back(leased, str(error), is_unknown=isinstance(error, OutcomeUnknown))
        raise
    else:
        external_id = order.external_id if order else ""
        remark = _TOO_LATE if is_too_late else ""
        outbox.note_told(leased, external_id=external_id, is_too_late=is_too_late, remark=remark)
        mark_variants([kept.authority_id], [line.variant_id for line in leased.lines])


def goods_of(channel: Channel, leased: LeasedRequest) -> tuple[dict[str, int], list[str]]:
    """Returns units by the warehouse's id of the goods, and the SKUs that it does not have."""
    wanted = [line for line in leased.lines if line.quantity > 0]
    listings = Listing.objects.filter(
        channel=channel, variant__in={line.variant_id for line in wanted}, is_active=True
    )
    named: dict[int, str] = {}
    for variant_id, external_id in listings.order_by("id").values_list("variant_id", "external_id"):
        named.setdefault(variant_id or 0, external_id)
    goods: Counter[str] = Counter()
    for line in wanted:
        if line.variant_id in named:
            goods[named[line.variant_id]] += line.quantity
    return dict(goods), sorted({line.sku for line in wanted if line.variant_id not in named})


def _refuse(leased: LeasedRequest, skus: Sequence[str]) -> bool:
    """Has others serve a request of goods that the warehouse does not know, unless it has a part of it already."""
    reason = f"The warehouse does not know {', '.join(skus)[:500]}."
    if leased.is_cancelled or WarehouseOrder.objects.filter(request=leased.request_id).exists():
        raise Rejected(reason)
    if not may_move(leased.state, REFUSED):
        raise Rejected(reason)
    try:
        outbox.answer(leased.request_id, REFUSED, reason=reason)
    except StockError as error:
        outbox.put_back(leased, str(error))
        return True
    outbox.note_told(leased, is_too_late=True)
    return True


def _bring(
    channel: Channel, connector: Connector, kept: Kept, leased: LeasedRequest, goods: Mapping[str, int]
) -> tuple[WarehouseOrder | None, bool]:
    """Brings the warehouse to have these goods on order for the request; returns the order, and whether it was too late."""
    if leased.interrupted_since is not None:
        _find(channel, connector, leased)
    orders = list(WarehouseOrder.objects.filter(request=leased.request_id).order_by("id"))
    if _on_order(orders) != Counter(goods):
        for order in orders:
            if order.ended_at is None:
                _take_back(connector, order)
    has = _on_order(orders)
    missing = {each: units - has[each] for each, units in goods.items() if units > has[each]}
    if missing:
        orders.append(_write_down(channel, connector, kept, leased, missing))
    for order in orders:
        if order.ended_at is None and order.placed_at is None:
            connector.confirm_request(order.external_id)
            order.placed_at = timezone.now()
            order.save(update_fields=["placed_at"])
    standing = [order for order in orders if order.ended_at is None]
    return (standing[-1] if standing else None), bool(has - Counter(goods))


def _on_order(orders: Sequence[WarehouseOrder]) -> Counter[str]:
    """Returns what the warehouse ships for a request in all, what has left included."""
    total: Counter[str] = Counter()
    for order in orders:
        total.update(order.goods)
    return +total


def prefix_of(leased: LeasedRequest) -> str:
    """Returns what all our references to a request begin with."""
    return f"OC-{leased.key.hex[:12]}-"


def _find(channel: Channel, connector: Connector, leased: LeasedRequest) -> None:
    """Takes up the orders that earlier attempts made and nobody noted."""
    since = leased.interrupted_since or timezone.now()
    known = set(
        WarehouseOrder.objects.filter(channel=channel, request=leased.request_id).values_list(
            "external_id", flat=True
        )
    )
    for report in connector.find_requests(Search(prefix_of(leased), since - _CLOCKS)):
        if report.external_id not in known and report.stage is not OrderStage.CANCELLED:
            keep_order(channel, leased.request_id, report)


def _write_down(
    channel: Channel, connector: Connector, kept: Kept, leased: LeasedRequest, goods: Mapping[str, int]
) -> WarehouseOrder:
    made = connector.place_request(
        WarehouseRequest(
            reference=f"{prefix_of(leased)}{leased.wanted}",
            place_external_id=kept.place_external_id,
            goods=goods,
            order_number=leased.order_number,
            country=leased.country,
        )
    )
    return keep_order(channel, leased.request_id, made)


def keep_order(channel: Channel, request_id: int, report: OrderReport) -> WarehouseOrder:
    """Keeps an order that the warehouse has for a request."""
    is_binding = report.stage is not OrderStage.DRAFT
    order, _ = WarehouseOrder.objects.get_or_create(
        channel=channel,
        external_id=report.external_id,
        defaults={
            "request_id": request_id,
            "reference": report.reference,
            "goods": dict(report.goods),
            "status": report.status,
            "placed_at": timezone.now() if is_binding else None,
            # What became of it meanwhile is to be found out.
            "wanted": int(is_binding),
        },
    )
    return order


def _take_back(connector: Connector, order: WarehouseOrder) -> None:
    """Cancels an order, if it is not too late; what has left of it stays counted."""
    if not connector.cancel_request(order.external_id):
        WarehouseOrder.objects.filter(pk=order.pk).update(wanted=F("wanted") + 1)
        return
    report = connector.fetch_request(order.external_id)
    order.shipped = dict(report.shipped) if report else {}
    order.goods = dict(order.shipped)
    order.status = report.status if report else order.status
    order.ended_at = timezone.now()
    order.save(update_fields=["shipped", "goods", "status", "ended_at"])
