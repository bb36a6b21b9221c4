"""Orders of wholesale buyers: a message, an answer and a request hold the whole order as it is, in one form."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

from channels.connectors.base import OrderPage
from channels.connectors.messages import (
    Fields,
    read_count,
    read_decimal,
    read_id,
    read_instant,
    read_objects,
    read_part,
    read_text,
)
from channels.connectors.wholesale.api import BuyersApi, NotThere
from channels.errors import BadMessage
from channels.events import OrderLineState, OrderState

#: Polls read this much of the past again.
OVERLAP: Final = timedelta(minutes=5)
PAGE_SIZE: Final = 100

#: What is kept of an order: nothing of whoever buys but the country that it goes to.
FIELDS: Final[Fields] = {
    "external_id": None,
    "number": None,
    "ordered_at": None,
    "updated_at": None,
    "country": None,
    "currency": None,
    "is_test": None,
    "lines": {
        "external_id": None,
        "item_id": None,
        "sku": None,
        "title": None,
        "quantity": None,
        "cancelled": None,
        "fulfilled": None,
        "returned": None,
        "unit_price": None,
    },
}


def order_state(order: Mapping[str, Any]) -> OrderState:
    """Translates an order. Raises `BadMessage`."""
    return OrderState(
        external_id=read_id(order, "external_id"),
        updated_at=read_instant(order, "updated_at"),
        ordered_at=read_instant(order, "ordered_at"),
        lines=tuple(map(_line, read_objects(order, "lines"))),
        number=read_text(order, "number"),
        country=read_text(order, "country"),
        currency=read_text(order, "currency"),
        is_test=order.get("is_test") is True,
    )


def _line(line: Mapping[str, Any]) -> OrderLineState:
    return OrderLineState(
        external_id=read_id(line, "external_id"),
        listing_external_id=read_text(line, "item_id"),
        sku=read_text(line, "sku"),
        quantity=read_count(line, "quantity"),
        cancelled=read_count(line, "cancelled", 0),
        fulfilled=read_count(line, "fulfilled", 0),
        returned=read_count(line, "returned", 0),
        title=read_text(line, "title"),
        unit_price=read_decimal(line, "unit_price"),
    )


def fetch_orders(api: BuyersApi, cursor: str) -> OrderPage:
    """Reads the next page of changed orders; those that cannot be read as they are come as hints.

    The cursor is the buyers' own once they gave one. Theirs has to lead on from where a list ended, with what changes later.
    """
    since = (datetime.now(UTC) - OVERLAP).isoformat()
    place = {"cursor": cursor} if cursor else {"updated_since": since}
    page = api.read("/orders", {**place, "limit": str(PAGE_SIZE)})
    found = read_objects(page, "orders")
    states, hints = [], []
    for order in found:
        try:
            states.append(order_state(order))
        except BadMessage:
            hints.append(read_id(order, "external_id"))
    next_cursor = read_text(page, "next_cursor") or cursor
    return OrderPage(tuple(states), tuple(hints), next_cursor, has_more=page.get("has_more") is True)


def fetch_order(api: BuyersApi, order_id: str) -> OrderState | None:
    """Reads one order; None when the buyers' side does not have it (any more)."""
    try:
        return order_state(read_part(api.read(f"/orders/{quote(order_id, safe='')}"), "order"))
    except NotThere:
        return None
