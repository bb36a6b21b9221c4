"""Orders at Picqer that we place for requests: written down as a concept, then processed, which reserves their goods.

Picqer takes no idempotency key. Our reference stands in the order, so that one whose making got no answer is found again;
Picqer's lists have no filter for it that we could rely on, so that those made since are looked through.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from channels.connectors.messages import read_count, read_id, read_objects, read_text
from channels.connectors.picqer.api import NotThere, PicqerApi, Refused
from channels.connectors.warehousing import OrderReport, OrderStage, Search, WarehouseRequest

_STAGES: Final[Mapping[str, OrderStage]] = {
    "concept": OrderStage.DRAFT,
    "expected": OrderStage.DRAFT,
    "processing": OrderStage.ACCEPTED,
    "paused": OrderStage.ACCEPTED,
    "completed": OrderStage.DONE,
    "cancelled": OrderStage.CANCELLED,
}


def place(api: PicqerApi, request: WarehouseRequest, *, country: str) -> OrderReport:
    """Creates an order as a concept, of a guest whose name is the number of the order."""
    name = f"Order {request.order_number}"[:255]
    body = {
        "reference": request.reference,
        "deliveryname": name,
        "deliverycountry": request.country or country,
        "invoicename": name,
        "invoicecountry": request.country or country,
        "warehouses": [int(request.place_external_id)],
        "products": [{"idproduct": int(goods), "amount": units} for goods, units in request.goods.items()],
    }
    return report_of(_object(api.write("POST", "/orders", body)))


def confirm(api: PicqerApi, external_id: str) -> None:
    """Processes a concept. One that is processed already is left as it is."""
    try:
        api.write("POST", f"{_path(external_id)}/process")
    except Refused:
        known = fetch(api, external_id)
        if known is None or known.stage in (OrderStage.DRAFT, OrderStage.CANCELLED):
            raise


def find(api: PicqerApi, search: Search) -> list[OrderReport]:
    """Reads the orders made since whose references begin with the prefix."""
    found = api.rows("/orders", "idorder", {"sincedate": api.since(search.since)})
    return [report_of(row) for row in found if read_text(row, "reference").startswith(search.prefix)]


def fetch(api: PicqerApi, external_id: str) -> OrderReport | None:
    """Reads an order with its picklists; None when there is none."""
    try:
        return report_of(_object(api.read(_path(external_id))))
    except NotThere:
        return None


def cancel(api: PicqerApi, external_id: str) -> bool:
    """Cancels an order; False where Picqer has begun to pick it, or has shipped it."""
    try:
        api.write("DELETE", _path(external_id))
    except Refused:
        known = fetch(api, external_id)
        return known is None or known.stage is OrderStage.CANCELLED
    return True


def report_of(order: Mapping[str, Any]) -> OrderReport:
    """Translates an order. What a closed picklist holds has left."""
    status = read_text(order, "status")
    stage = _STAGES.get(status, OrderStage.ACCEPTED)
    shipped, is_picked = _picked(order)
    if stage is OrderStage.ACCEPTED and is_picked:
        stage = OrderStage.PICKED
    return OrderReport(
        external_id=read_id(order, "idorder"),
        reference=read_text(order, "reference"),
        stage=stage,
        status=status,
        goods=_goods(order),
        shipped=dict(shipped),
    )


def _goods(order: Mapping[str, Any]) -> dict[str, int]:
    """Adds up the lines; parts of a composition are named beside it, and do not count."""
    units: Counter[str] = Counter()
    for line in read_objects(order, "products"):
        if not line.get("partof_idorder_product"):
            cancelled = read_count(line, "amount_cancelled", 0)
            units[read_id(line, "idproduct")] += max(read_count(line, "amount") - cancelled, 0)
    return {goods: count for goods, count in units.items() if count}


def _picked(order: Mapping[str, Any]) -> tuple[Counter[str], bool]:
    """Returns the units that left, and whether anything was picked."""
    shipped: Counter[str] = Counter()
    is_picked = False
    for picklist in read_objects(order, "picklists"):
        status = read_text(picklist, "status")
        if status == "cancelled":
            continue
        is_closed = status == "closed"
        is_picked |= is_closed or read_count(picklist, "totalpicked", 0) > 0
        for line in read_objects(picklist, "products") if is_closed else ():
            if not line.get("partof_idpicklist_product"):
                shipped[read_id(line, "idproduct")] += read_count(line, "amount", 0)
    return shipped, is_picked


def _path(external_id: str) -> str:
    return f"/orders/{quote(external_id, safe='')}"


def _object(answer: Any) -> Mapping[str, Any]:
    return answer if isinstance(answer, dict) else {}
