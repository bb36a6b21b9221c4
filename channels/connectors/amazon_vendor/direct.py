"""Orders of direct fulfilment: Amazon's customer buys, and the vendor ships from a warehouse of its own.

Such an order has no time of its last change. It goes one way, from new through accepted to shipped, or to cancelled, always
as a whole; so what counts more is later.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

from channels.connectors.amazon.client import NotThere, SellingPartnerApi
from channels.connectors.amazon_vendor.account import VendorAccount
from channels.connectors.amazon_vendor.identities import DIRECT, order_id
from channels.connectors.amazon_vendor.quantities import eaches
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

ORDERS: Final = "/vendor/directFulfillment/orders/2021-12-28/purchaseOrders"
READ_ORDERS: Final = "direct-orders"
READ_ORDER: Final = "direct-order"
NEW: Final = "NEW"
SHIPPED: Final = "SHIPPED"
CANCELLED: Final = "CANCELLED"
_HAS_ZONE: Final = re.compile(r"(Z|[+-]\d\d:?\d\d)$", re.ASCII)
_KNOWN: Final = frozenset({NEW, "ACCEPTED", SHIPPED, CANCELLED})


def fetch_order(api: SellingPartnerApi, account: VendorAccount, number: str) -> OrderState | None:
    """Reads one order; None when Amazon does not have it."""
    order = read_order(api, number)
    return order_state(order, account) if order else None


def read_order(api: SellingPartnerApi, number: str) -> Mapping[str, Any] | None:
    """Reads one order as Amazon has it; None where it has none."""
    try:
        return api.read(f"{ORDERS}/{quote(number, safe='')}", bucket=READ_ORDER) or None
    except NotThere:
        return None


def status_of(order: Mapping[str, Any]) -> str:
    """Returns how far an order is. Raises `BadMessage` where it does not say."""
    status = read_text(read_part(order, "orderDetails"), "orderStatus")
    if status not in _KNOWN:
        raise BadMessage(f"The order does not say how far it is (orderStatus: {status or 'missing'}).")
    return status


def is_ours(order: Mapping[str, Any], account: VendorAccount) -> bool:
    """Tells whether an order is for this vendor code; those of the vendor's other codes are other channels'."""
    vendor = read_text(read_part(read_part(order, "orderDetails"), "sellingParty"), "partyId")
    return vendor in ("", account.vendor_code)


def order_state(order: Mapping[str, Any], account: VendorAccount) -> OrderState:
    """Translates an order. Raises `BadMessage`."""
    number = read_id(order, "purchaseOrderNumber")
    details = read_part(order, "orderDetails")
    status = status_of(order)
    ordered_at = _instant(details, "orderDate")
    country = read_text(read_part(details, "shipToParty"), "countryCode")
    warehouse = read_text(read_part(details, "shipFromParty"), "partyId")
    items = read_objects(details, "items")
    return OrderState(
        external_id=order_id(DIRECT, number),
        updated_at=ordered_at,
        ordered_at=ordered_at,
        lines=tuple(_line(item, status, warehouse) for item in items),
        number=number,
        country=country if len(country) == 2 else "",
        currency=next((read_text(read_part(item, "netPrice"), "currencyCode")[:3] for item in items), ""),
        awaits_acknowledgement=account.acknowledges_orders and status == NEW,
    )


def _instant(details: Mapping[str, Any], name: str) -> datetime:
    """Reads an instant; one without a time zone is in UTC."""
    text = read_text(details, name)
    return read_instant({name: text if _HAS_ZONE.search(text) else f"{text}Z"}, name)


def _line(item: Mapping[str, Any], status: str, warehouse: str) -> OrderLineState:
    quantity = eaches(read_part(item, "orderedQuantity"))
    return OrderLineState(
        external_id=read_id(item, "itemSequenceNumber"),
        listing_external_id=read_text(item, "buyerProductIdentifier"),
        sku=read_text(item, "vendorProductIdentifier"),
        quantity=quantity,
        cancelled=quantity if status == CANCELLED else 0,
        fulfilled=quantity if status == SHIPPED else 0,
        title=read_text(item, "title"),
        unit_price=read_decimal(read_part(item, "netPrice"), "amount"),
        location_external_id=warehouse,
    )
