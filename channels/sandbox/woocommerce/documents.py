"""How WooCommerce shows things: ids, times, and the JSON of products, orders and refunds (REST API v3)."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final

from channels.sandbox.book import Book, Item, Line, Order, Refund

#: Posts share one space of ids.
FIRST_ITEM: Final = 1_000
FIRST_PARENT: Final = 5_000_000
FIRST_ORDER: Final = 7_000_000
FIRST_REFUND: Final = 9_000_000
#: The shop's own clock is an hour ahead of UTC, so that bare dates are not UTC by chance.
SHOP_ZONE: Final = timezone(timedelta(hours=1))
VERSION: Final = "11.0.1"


def gmt(at: float | None) -> str | None:
    """An instant in UTC without a zone, whole seconds."""
    return None if at is None else datetime.fromtimestamp(int(at), UTC).strftime("%Y-%m-%dT%H:%M:%S")


def local(at: float | None) -> str | None:
    """The same by the shop's clock."""
    return None if at is None else datetime.fromtimestamp(int(at), SHOP_ZONE).strftime("%Y-%m-%dT%H:%M:%S")


def instant(text: str, *, is_gmt: bool) -> float:
    """Reads a date of a query; a bare one is by the shop's clock unless said otherwise. Raises `ValueError`."""
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        found = found.replace(tzinfo=UTC if is_gmt else SHOP_ZONE)
    return found.timestamp()


def _dates(created_at: float, modified_at: float) -> dict[str, Any]:
    return {
        "date_created": local(created_at),
        "date_created_gmt": gmt(created_at),
        "date_modified": local(modified_at),
        "date_modified_gmt": gmt(modified_at),
    }


def _stock(item: Item) -> dict[str, Any]:
    source = item.source
    if not source.is_tracked:
        return {"manage_stock": False, "stock_quantity": None, "stock_status": "instock", **_backorders(item)}
    return {
        "manage_stock": "parent" if source.shares_parent_stock else True,
        "stock_quantity": item.available,
        "stock_status": stock_status(item),
        **_backorders(item),
    }


def stock_status(item: Item) -> str:
    """What Woo makes of a managed number."""
    if item.available > 0:
        return "instock"
    return "onbackorder" if item.source.sells_beyond_stock else "outofstock"


def _backorders(item: Item) -> dict[str, Any]:
    word = "yes" if item.source.sells_beyond_stock else "no"
    return {
        "backorders": word,
        "backorders_allowed": word == "yes",
        "backordered": item.available < 0,
        "low_stock_amount": None,
    }


def item_id(item: Item) -> int:
    """The post id of a simple product or a variation."""
    return FIRST_ITEM + item.number


def item_document(item: Item, opened_at: float) -> dict[str, Any]:
    """A simple product or a variation."""
    source = item.source
    is_variation = bool(item.parent_number)
    return {
        "id": item_id(item),
        "name": source.title,
        "type": "variation" if is_variation else "simple",
        "status": "publish",
        "sku": source.sku,
        "global_unique_id": source.gtin,
        "price": f"{source.price:.2f}",
        "regular_price": f"{source.price:.2f}",
        "purchasable": True,
        "virtual": False,
        **_stock(item),
        "parent_id": FIRST_PARENT + item.parent_number if is_variation else 0,
        "variations": [],
        "attributes": [{"id": 0, "name": "Option", "option": source.title}] if is_variation else [],
        "meta_data": [],
        **_dates(opened_at, item.updated_at),
    }


def parent_document(book: Book, number: int, opened_at: float) -> dict[str, Any]:
    """A variable product; it manages stock when its variations share its pool."""
    items = book.parent_items[number]
    pool = next((item for item in items if item.source.shares_parent_stock), None)
    stock = (
        {**_stock(pool), "manage_stock": True} if pool else {"manage_stock": False, "stock_quantity": None}
    )
    is_in_stock = any(stock_status(item) != "outofstock" for item in items)
    return {
        "id": FIRST_PARENT + number,
        "name": book.parent_titles[number],
        "type": "variable",
        "status": "publish",
        "sku": "",
        "global_unique_id": "",
        "price": f"{items[0].source.price:.2f}" if items else "",
        "regular_price": "",
        "stock_status": "instock" if is_in_stock else "outofstock",
        "backorders": "no",
        "low_stock_amount": None,
        **stock,
        "parent_id": 0,
        "variations": [item_id(item) for item in items],
        "attributes": [
            {"id": 0, "name": "Option", "variation": True, "options": [i.source.title for i in items]}
        ],
        "meta_data": [],
        **_dates(opened_at, max((item.updated_at for item in items), default=opened_at)),
    }


def _person(order: Order) -> dict[str, str]:
    customer = order.customer
    return {
        "first_name": customer.first_name,
        "last_name": customer.last_name,
        "company": "",
        "address_1": f"{customer.street} {customer.house_number}",
        "address_2": "",
        "city": customer.city,
        "state": "",
        "postcode": customer.postcode,
        "country": order.country,
        "phone": customer.phone,
    }


def order_document(order: Order) -> dict[str, Any]:
    """An order with its customer."""
    paid_at = None if order.status == "pending" else order.committed_at
    return {
        "id": FIRST_ORDER + order.number,
        "parent_id": 0,
        "number": str(FIRST_ORDER + order.number),
        "order_key": f"wc_order_{order.number:08x}",
        "status": order.status,
        "currency": order.currency,
        "version": VERSION,
        "prices_include_tax": True,
        **_dates(order.committed_at, order.updated_at),
        "total": f"{order.total:.2f}",
        "customer_id": 0,
        "customer_ip_address": "192.0.2.1",
        "customer_note": "",
        "billing": {**_person(order), "email": order.customer.email},
        "shipping": _person(order),
        "payment_method": "bacs",
        "date_paid_gmt": gmt(paid_at),
        "date_completed_gmt": gmt(order.completed_at),
        "meta_data": [],
        "line_items": [line_document(line) for line in order.lines if line.quantity > line.edited_away],
        "refunds": [
            {"id": FIRST_REFUND + each.number, "reason": each.reason, "total": f"-{_refund_total(each):.2f}"}
            for each in order.refunds
        ],
    }


def line_document(line: Line) -> dict[str, Any]:
    """A line; its quantity is what is left after edits, refunds are told apart."""
    item = line.item
    quantity = line.quantity - line.edited_away
    is_variation = item is not None and item.parent_number
    return {
        "id": line.number,
        "name": item.source.title if item else "",
        "product_id": (FIRST_PARENT + item.parent_number if is_variation else item_id(item)) if item else 0,
        "variation_id": item_id(item) if item and is_variation else 0,
        "quantity": quantity,
        "subtotal": f"{line.price * quantity:.2f}",
        "total": f"{line.price * quantity:.2f}",
        "sku": line.sku,
        "price": float(line.price),
        "meta_data": [{"id": line.number, "key": "_reduced_stock", "value": str(line.taken)}]
        if line.taken
        else [],
    }


def _refund_total(refund: Refund) -> Any:
    return sum((part.line.price * part.quantity for part in refund.lines), start=0)


def refund_document(refund: Refund) -> dict[str, Any]:
    """A refund: its lines have negative quantities and name the line they take back."""
    return {
        "id": FIRST_REFUND + refund.number,
        "date_created": local(refund.created_at),
        "date_created_gmt": gmt(refund.created_at),
        "amount": f"{_refund_total(refund):.2f}",
        "reason": refund.reason,
        "refunded_payment": False,
        "line_items": [
            {
                **line_document(part.line),
                "id": part.number,
                "quantity": -part.quantity,
                "meta_data": [
                    {"id": part.number, "key": "_refunded_item_id", "value": str(part.line.number)},
                ],
            }
            for part in refund.lines
        ],
    }
