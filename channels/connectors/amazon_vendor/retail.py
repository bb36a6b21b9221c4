"""Retail purchase orders: Amazon buys for its own warehouses, in cases or eaches, and may change an order it placed.

What was ordered comes from the order itself; what Amazon took our word on and what it received from the order's status.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

from channels.connectors.amazon.client import NotThere, SellingPartnerApi
from channels.connectors.amazon_vendor.account import VendorAccount
from channels.connectors.amazon_vendor.identities import RETAIL, RETAIL_PLACE, order_id
from channels.connectors.amazon_vendor.quantities import eaches, unit_size
from channels.connectors.base import OrderGlimpse
from channels.connectors.messages import (
    read_decimal,
    read_id,
    read_instant,
    read_objects,
    read_part,
    read_text,
)
from channels.errors import BadMessage
from channels.events import OrderLineState, OrderState

ORDERS: Final = "/vendor/orders/v1/purchaseOrders"
STATUSES: Final = "/vendor/orders/v1/purchaseOrdersStatus"
READ_ORDERS: Final = "retail-orders"
READ_ORDER: Final = "retail-order"
READ_STATUSES: Final = "retail-statuses"
#: The order waits for our word.
NEW: Final = "New"
_CLOSED: Final = "Closed"
_CHANGES: Final = ("purchaseOrderDate", "purchaseOrderChangedDate", "purchaseOrderStateChangedDate")


def fetch_order(api: SellingPartnerApi, account: VendorAccount, number: str) -> OrderState | None:
    """Reads one order with its status; None when Amazon does not have it."""
    order = read_order(api, number)
    return order_state(order, read_status(api, number), account) if order else None


def read_order(api: SellingPartnerApi, number: str) -> Mapping[str, Any] | None:
    """Reads one order as Amazon has it; None where it has none."""
    try:
        body = api.read(f"{ORDERS}/{quote(number, safe='')}", bucket=READ_ORDER)
    except NotThere:
        return None
    return read_part(body, "payload") or None


def read_status(api: SellingPartnerApi, number: str) -> Mapping[str, Any]:
    """Reads the status of one order; empty where there is none yet."""
    parameters = {"purchaseOrderNumber": number, "limit": "1"}
    body = api.read(STATUSES, parameters, bucket=READ_STATUSES)
    found = read_objects(read_part(body, "payload"), "ordersStatus")
    return next((each for each in found if read_text(each, "purchaseOrderNumber") == number), {})


def is_new(order: Mapping[str, Any]) -> bool:
    """Tells whether an order waits for our word, so that nobody can have said or received anything of it."""
    return read_text(order, "purchaseOrderState") == NEW


def order_state(order: Mapping[str, Any], status: Mapping[str, Any], account: VendorAccount) -> OrderState:
    """Translates an order and its status. Raises `BadMessage`."""
    number = read_id(order, "purchaseOrderNumber")
    details = read_part(order, "orderDetails")
    if not details:
        raise BadMessage("The purchase order comes without its details.")
    by_number = {read_text(each, "itemSequenceNumber"): each for each in read_objects(status, "itemStatus")}
    is_closed = read_text(order, "purchaseOrderState") == _CLOSED or _is_over(status)
    items = read_objects(details, "items")
    country = read_text(read_part(read_part(details, "shipToParty"), "address"), "countryCode")
    return OrderState(
        external_id=order_id(RETAIL, number),
        updated_at=_changed_at(details, status),
        ordered_at=read_instant(details, "purchaseOrderDate"),
        lines=tuple(
            _line(item, by_number.get(read_text(item, "itemSequenceNumber"), {}), is_closed=is_closed)
            for item in items
        ),
        number=number,
        country=country if len(country) == 2 else "",
        currency=next(filter(None, (_currency(item) for item in items)), ""),
        awaits_acknowledgement=account.acknowledges_orders and is_new(order),
    )


def _changed_at(details: Mapping[str, Any], status: Mapping[str, Any]) -> datetime:
    instants = [read_instant(details, name) for name in _CHANGES if read_text(details, name)]
    if read_text(status, "lastUpdatedDate"):
        instants.append(read_instant(status, "lastUpdatedDate"))
    if not instants:
        raise BadMessage("The purchase order does not say when it was placed (purchaseOrderDate).")
    return max(instants)


def _line(item: Mapping[str, Any], status: Mapping[str, Any], *, is_closed: bool) -> OrderLineState:
    ordered = read_part(item, "orderedQuantity")
    quantity = eaches(ordered)
    rejected, received = _progress(status, usual_size=unit_size(ordered))
    fulfilled = min(received, quantity)
    # Amazon receives nothing more of an order that is closed.
    cancelled = quantity if is_closed else rejected
    return OrderLineState(
        external_id=read_id(item, "itemSequenceNumber"),
        listing_external_id=read_text(item, "amazonProductIdentifier"),
        sku=read_text(item, "vendorProductIdentifier"),
        quantity=quantity,
        cancelled=min(cancelled, quantity - fulfilled),
        fulfilled=fulfilled,
        unit_price=read_decimal(read_part(item, "netCost"), "amount"),
        location_external_id=RETAIL_PLACE,
    )


def _progress(status: Mapping[str, Any], *, usual_size: int) -> tuple[int, int]:
    """Returns the eaches that we rejected, and those that Amazon received."""
    rejected = read_part(read_part(status, "acknowledgementStatus"), "rejectedQuantity")
    received = read_part(read_part(status, "receivingStatus"), "receivedQuantity")
    return (
        eaches(rejected, usual_size=usual_size) if rejected else 0,
        eaches(received, usual_size=usual_size) if received else 0,
    )


def _currency(item: Mapping[str, Any]) -> str:
    return read_text(read_part(item, "netCost"), "currencyCode")[:3]


def _is_over(status: Mapping[str, Any]) -> bool:
    """Tells whether Amazon expects nothing more, by the status of an order."""
    return read_text(status, "purchaseOrderStatus") == "CLOSED"


def ordered(order: Mapping[str, Any]) -> OrderGlimpse:
    """Returns what an order alone says of itself: how much is ordered. Raises `BadMessage`."""
    items = read_objects(read_part(order, "orderDetails"), "items")
    lines = {
        read_id(item, "itemSequenceNumber"): (eaches(read_part(item, "orderedQuantity")), None, None)
        for item in items
    }
    return OrderGlimpse(order_id(RETAIL, read_id(order, "purchaseOrderNumber")), lines)


def glimpse(status: Mapping[str, Any]) -> OrderGlimpse:
    """Returns what a status says of an order: those that are otherwise here are fetched. Raises `BadMessage`."""
    lines = {}
    for item in read_objects(status, "itemStatus"):
        ordered = read_part(read_part(item, "orderedQuantity"), "orderedQuantity")
        quantity = eaches(ordered)
        rejected, received = _progress(item, usual_size=unit_size(ordered))
        fulfilled = min(received, quantity)
        cancelled = min(quantity if _is_over(status) else rejected, quantity - fulfilled)
        lines[read_id(item, "itemSequenceNumber")] = quantity, cancelled, fulfilled
    return OrderGlimpse(order_id(RETAIL, read_id(status, "purchaseOrderNumber")), lines)
