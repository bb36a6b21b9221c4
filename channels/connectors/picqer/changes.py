"""What happened at Picqer since we last looked: movements of stock, new orders, receipts, returns.

Webhooks say it first, and may be lost; this makes sure. Ids that only grow say how far a list was read, since Picqer's times
have no zone and are to the second.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from channels.connectors.messages import read_count, read_id, read_integer, read_objects, read_part, read_text
from channels.connectors.picqer.api import PicqerApi
from channels.connectors.warehousing import Arrival, ArrivedLine, WarehouseChanges

#: Pages of movements in one look; beyond them it is quicker to read all goods.
_MOST_PAGES: Final = 50
#: Receipts and returns are read again for so long: they grow while they are worked on.
_STAYS_OPEN: Final = timedelta(days=3)


@dataclass(slots=True)
class Place:
    """How far the lists have been read."""

    #: The newest movement and order, by id; 0 before the first look.
    movement: int = 0
    order: int = 0
    #: When the last look began, ISO 8601; empty before the first.
    at: str = ""


def fetch_changes(api: PicqerApi, cursor: str) -> WarehouseChanges:
    """Reads what happened since the cursor. The first look only notes where the lists end."""
    began_at = datetime.now(UTC)
    place = _read(cursor)
    since = datetime.fromisoformat(place.at) if place.at else began_at
    goods: set[str] = set()
    is_first = not place.at
    movements, reads_all = _movements(api, place, since, is_first=is_first)
    goods.update(movements)
    goods.update(_ordered(api, place, since))
    arrivals = tuple(_arrivals(api, since - _STAYS_OPEN))
    place.at = began_at.isoformat()
    return WarehouseChanges(
        json.dumps(asdict(place)), reads_all=reads_all, goods=frozenset(goods), arrivals=arrivals
    )


def _read(cursor: str) -> Place:
    return Place(**json.loads(cursor)) if cursor else Place()


def _movements(api: PicqerApi, place: Place, since: datetime, *, is_first: bool) -> tuple[set[str], bool]:
    """Returns the products that moved, newest first up to those we know, and whether there were too many."""
    goods: set[str] = set()
    known = newest = place.movement
    count = 0
    parameters = {} if is_first else {"sincedate": api.since(since)}
    for row in api.rows(
        "/stockhistory", "idproduct_stock_history", parameters, pages=1 if is_first else _MOST_PAGES
    ):
        identity = read_integer(row, "idproduct_stock_history")
        newest = max(newest, identity)
        count += 1
        if identity > known:
            goods.add(read_id(row, "idproduct"))
    place.movement = newest
    return (set(), False) if is_first else (goods, count >= _MOST_PAGES * 90)


def _ordered(api: PicqerApi, place: Place, since: datetime) -> Iterator[str]:
    """Yields the products of orders made since: they may have been reserved, which no movement tells of."""
    asked = {"sinceid": str(place.order)} if place.order else {"sincedate": api.since(since)}
    for row in api.rows("/orders", "idorder", asked, pages=_MOST_PAGES):
        place.order = max(place.order, read_integer(row, "idorder"))
        for line in read_objects(row, "products"):
            yield read_id(line, "idproduct")


def _arrivals(api: PicqerApi, since: datetime) -> Iterator[Arrival]:
    told = {"updated_after": api.since(since)}
    for row in api.rows("/receipts", "idreceipt", told, pages=_MOST_PAGES):
        # The first version of receipts counts otherwise, and is on its way out.
        if read_integer(row, "version", 2) >= 2:
            yield receipt_of(row)
    for row in api.rows("/returns", "idreturn", told, pages=_MOST_PAGES):
        yield return_of(row)


def receipt_of(row: Mapping[str, Any]) -> Arrival:
    """Translates a receipt; what was taken back of it has not come."""
    purchase = read_part(row, "purchaseorder")
    numbers = {read_text(purchase, name) for name in ("purchaseorderid", "supplier_orderid")}
    return Arrival(
        external_id=read_id(row, "idreceipt"),
        number=read_text(row, "receiptid") or read_id(row, "idreceipt"),
        place_external_id=read_text(row, "idwarehouse"),
        lines=tuple(
            _line(line, "idreceipt_product", 0 if line.get("reverted_at") else read_count(line, "amount", 0))
            for line in read_objects(row, "products")
        ),
        purchase_numbers=tuple(sorted(numbers - {""})),
    )


def return_of(row: Mapping[str, Any]) -> Arrival:
    """Translates a return; only what was received of it has come."""
    return Arrival(
        external_id=read_id(row, "idreturn"),
        number=read_text(row, "returnid") or read_id(row, "idreturn"),
        place_external_id=read_text(row, "idwarehouse"),
        lines=tuple(
            _line(line, "idreturn_product", read_count(line, "amount_received", 0))
            for line in read_objects(row, "returned_products")
        ),
        is_return=True,
        order_external_id=read_text(row, "idorder"),
    )


def _line(line: Mapping[str, Any], identity: str, units: int) -> ArrivedLine:
    return ArrivedLine(
        read_id(line, identity), read_id(line, "idproduct"), read_text(line, "productcode"), units
    )
