"""What became of our requests at a warehouse: accepted, picked, shipped, refused.

An order there is a state: it is read as a whole, and the request goes as far as it says. What is said twice, or never comes to
be said since a message was lost, makes no difference.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import timedelta
from typing import Final

from django.db import transaction
from django.db.models import F, Q, Sum
from django.utils import timezone

from channels import error_log
from channels import fulfilment_requests as outbox
from channels.connectors.base import Connector
from channels.connectors.warehousing import OrderReport, OrderStage
from channels.errors import ChannelError
from channels.models import (
    Channel,
    ChannelOrderLine,
    FulfilmentLine,
    FulfilmentRequest,
    Listing,
    WarehouseOrder,
)
from channels.models.error_log import ErrorJob
from channels.models.fulfilment import RequestState
from channels.request_states import ACCEPTED, CANCELLED, PICKED, REFUSED, SHIPPED, may_move
from channels.sourcing import locked_order, units_per_kit
from channels.warehouses.authorities import Kept
from channels.warehouses.marks import LOOK_EVERY, mark_variants
from channels.warehouses.reading import recount
from inventory.errors import StockBusy, StockError

#: Orders looked at in one round.
MOST: Final = 100
_STATES: Final[Mapping[OrderStage, RequestState]] = {
    OrderStage.ACCEPTED: ACCEPTED,
    OrderStage.PICKED: PICKED,
    # Whether anything is left to ship is seen from the units.
    OrderStage.DONE: PICKED,
}
_ENDED: Final = frozenset({OrderStage.DONE, OrderStage.CANCELLED})


def look_at_orders(
    channel: Channel, connector: Connector, kept: Sequence[Kept], *, on_batch: Callable[[], None]
) -> None:
    """Looks at orders of which something was heard, and at those of which nothing was for ten minutes.

    Raises `ConnectorError`.
    """
    by_location = {each.location_id: each for each in kept}
    for order in _due(channel, by_location):
        report = connector.fetch_request(order.external_id)
        place = by_location[order.request.location_id]
        try:
            _take_up(channel, place, order, report)
        except StockBusy:
            continue  # it stays due
        except (ChannelError, StockError) as error:
            _leave(order)
            error_log.note(channel.pk, error, job=ErrorJob.FETCH, about=order.request)
        on_batch()


def _due(channel: Channel, location_ids: Collection[int]) -> list[WarehouseOrder]:
    long_ago = timezone.now() - timedelta(seconds=LOOK_EVERY)
    is_due = Q(wanted__gt=F("done")) | Q(looked_at__isnull=True) | Q(looked_at__lt=long_ago)
    rows = WarehouseOrder.objects.filter(
        is_due,
        channel=channel,
        ended_at__isnull=True,
        placed_at__isnull=False,
        request__location__in=list(location_ids),
    )
    return list(rows.select_related("request").order_by(F("looked_at").asc(nulls_first=True), "id")[:MOST])


def _leave(order: WarehouseOrder) -> None:
    """Leaves an order that cannot be followed until it is looked at again."""
    WarehouseOrder.objects.filter(pk=order.pk).update(looked_at=timezone.now(), done=order.wanted)


@transaction.atomic
def _take_up(channel: Channel, kept: Kept, order: WarehouseOrder, report: OrderReport | None) -> None:
    """Has the request go as far as the order says, and keeps what it says, in one transaction."""
    # The order of the shop before everything else, as everybody locks.
    shop_order = locked_order(order.request.order_id)
    is_over = report is None or report.stage in _ENDED
    if report is not None:
        order.shipped = dict(report.shipped)
        order.goods = dict(report.shipped if report.stage is OrderStage.CANCELLED else report.goods)
        order.status = report.status
    else:
        order.goods, order.status = dict(order.shipped), "gone"
    WarehouseOrder.objects.filter(pk=order.pk).update(
        goods=order.goods,
        shipped=order.shipped,
        status=order.status,
        looked_at=timezone.now(),
        done=order.wanted,
    )
    request = FulfilmentRequest.objects.get(pk=order.request_id)
    _follow_units(channel, kept, request, _shipped_by_line(channel, shop_order.pk, request))
    request.refresh_from_db()
    to = _STATES.get(report.stage) if report is not None else None
    if to is not None and request.state != to and may_move(RequestState(request.state), to):
        request = outbox.answer(request.pk, to)
    if is_over:
        WarehouseOrder.objects.filter(pk=order.pk).update(ended_at=timezone.now())
        _close(channel, kept, request, order.status)


def _follow_units(
    channel: Channel, kept: Kept, request: FulfilmentRequest, shipped: Mapping[int, int]
) -> None:
    """Takes out of the ledger what left, where it is more than we knew of."""
    lines = request.lines.order_by("order_line").values_list("order_line")
    known = Counter(dict(lines.annotate(units=Sum("reported"))))
    if not any(shipped.values()) or request.state in (REFUSED, SHIPPED):
        return
    if _as_parts(request, shipped) <= known:
        return
    if request.state == CANCELLED:
        # The goods are offered to nobody since it was too late; they leave as what they are.
        variants = list(request.lines.values_list("variant", flat=True))
        recount(channel, kept, variants, also=[request.pk])
    outbox.answer(request.pk, SHIPPED, shipped=shipped)


def _as_parts(request: FulfilmentRequest, shipped: Mapping[int, int]) -> Counter[int]:
    """Returns what left by order line, in the units in which it is reported: of kits, the parts."""
    per_kit = _per_kit(request)
    total: Counter[int] = Counter()
    for line_id, location_id, variant_id, order_variant_id in _rows(request):
        factor = 1
        if variant_id != order_variant_id:
            factor = per_kit.get((line_id, location_id, variant_id), 1)
        total[line_id] += shipped.get(line_id, 0) * factor
    return total


def _rows(request: FulfilmentRequest) -> list[tuple[int, int, int, int | None]]:
    rows = request.lines.order_by("id").values_list("order_line_id", "variant_id", "order_line__variant_id")
    return [(line_id, request.location_id, variant_id, sold) for line_id, variant_id, sold in rows]


def _per_kit(request: FulfilmentRequest) -> dict[tuple[int, int, int], int]:
    of_kits = {line_id for line_id, _, variant_id, sold in _rows(request) if variant_id != sold}
    return units_per_kit(request.order, of_kits) if of_kits else {}


def _shipped_by_line(channel: Channel, order_id: int, request: FulfilmentRequest) -> dict[int, int]:
    """Returns what left of each order line, in what it sells: of kits, whole ones. Lines are served in their sequence."""
    left = _shipped_by_variant(channel, request)
    lines = list(FulfilmentLine.objects.filter(request=request).select_related("order_line").order_by("id"))
    shipped: dict[int, int] = {}
    kits: defaultdict[ChannelOrderLine, list[FulfilmentLine]] = defaultdict(list)
    for line in lines:
        if line.variant_id != line.order_line.variant_id:
            kits[line.order_line].append(line)
            continue
        units = min(max(line.quantity, line.told or 0), left[line.variant_id])
        left[line.variant_id] -= units
        shipped[line.order_line_id] = units
    per_kit = _per_kit(request)
    for order_line, parts in kits.items():
        factors = {
            part.variant_id: per_kit.get((order_line.pk, request.location_id, part.variant_id), 1)
            for part in parts
        }
        whole = min(
            min(left[part.variant_id], max(part.quantity, part.told or 0)) // factors[part.variant_id]
            for part in parts
        )
        for variant_id, factor in factors.items():
            left[variant_id] -= whole * factor
        shipped[order_line.pk] = whole
    return shipped


def _shipped_by_variant(channel: Channel, request: FulfilmentRequest) -> Counter[int]:
    goods: Counter[str] = Counter()
    for shipped in WarehouseOrder.objects.filter(request=request).values_list("shipped", flat=True):
        goods.update(shipped)
    named = Listing.objects.filter(channel=channel, external_id__in=list(goods), variant__isnull=False)
    left: Counter[int] = Counter()
    for external_id, variant_id in named.values_list("external_id", "variant_id"):
        left[variant_id or 0] += goods[external_id]
    return left


def _close(channel: Channel, kept: Kept, request: FulfilmentRequest, status: str) -> None:
    """Has others serve what the warehouse gave up: no order of it stands there any more, and units are left to ship."""
    variants = list(request.lines.values_list("variant", flat=True))
    stands = WarehouseOrder.objects.filter(request=request, ended_at__isnull=True).exists()
    is_told = request.wanted == request.done
    if not stands and is_told and may_move(RequestState(request.state), REFUSED):
        outbox.answer(request.pk, REFUSED, reason=f"The warehouse says: {status}.")
        # What it held for us is free there now, or was when it was read.
        recount(channel, kept, variants)
    mark_variants([kept.authority_id], variants)
