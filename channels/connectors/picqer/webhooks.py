"""Picqer's webhooks: signed with the secret of the hook, repeated for hours, and then out of sequence.

A message holds a resource as it was when something happened, to the second and without a zone, and may be seventeen hours
old when it comes. It is therefore a hint: what it names is read anew.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from channels.connectors.base import InboundMessage, InboundRequest
from channels.connectors.messages import (
    Fields,
    check_hmac,
    digest_of,
    read_id,
    read_object,
    read_part,
    read_text,
    reduce_fields,
)
from channels.events import ChannelEvent, Ignored, ListingChanged, UnknownEvent, WarehouseChanged

_DATA: Final[Fields] = {
    "idproduct": None,
    "productcode": None,
    "idorder": None,
    "idpicklist": None,
    "idreceipt": None,
    "idreturn": None,
    "idpurchaseorder": None,
    "idwarehouse": None,
    "status": None,
    "products": {"idproduct": None},
}
_MESSAGE: Final[Fields] = {
    "idhook": None,
    "event": None,
    "event_triggered_at": None,
    "data": _DATA,
}
#: What names the resource of a message, the most telling first.
_IDENTITIES: Final = ("idpicklist", "idreceipt", "idreturn", "idorder", "idproduct", "idpurchaseorder")


def verify(request: InboundRequest, secrets: tuple[str, ...]) -> None:
    """Checks the signature. Raises `BadSignature`, also where there is none: Picqer signs only with a secret."""
    check_hmac(request.body, request.headers.get("x-picqer-signature", ""), secrets)


def receive(request: InboundRequest) -> InboundMessage:
    """Reads and reduces a message; nothing in it names a delivery, so that its contents do. Raises `BadMessage`."""
    payload = reduce_fields(read_object(request), _MESSAGE)
    event, data = read_text(payload, "event"), read_part(payload, "data")
    identity = next((read_text(data, name) for name in _IDENTITIES if data.get(name)), "")
    key = digest_of(
        read_text(payload, "idhook"), event, identity, read_text(payload, "event_triggered_at"), request.body
    )
    return InboundMessage(event[:100] or "unnamed", key, payload)


def parse(topic: str, payload: Mapping[str, Any]) -> list[ChannelEvent]:
    """Translates a reduced message. Raises `BadMessage`."""
    read = READERS.get(topic)
    return read(read_part(payload, "data")) if read else [UnknownEvent(topic)]


def _stock(data: Mapping[str, Any]) -> list[ChannelEvent]:
    return [WarehouseChanged(goods=(read_id(data, "idproduct"),))]


def _product(data: Mapping[str, Any]) -> list[ChannelEvent]:
    identity = read_id(data, "idproduct")
    # Its type may be another one now, and with it whether it is counted.
    return [ListingChanged(identity), WarehouseChanged(goods=(identity,))]


def _order(data: Mapping[str, Any]) -> list[ChannelEvent]:
    """Orders, picklists and shipments all name the order."""
    return [WarehouseChanged(orders=(read_id(data, "idorder"),))]


def _arrival(data: Mapping[str, Any]) -> list[ChannelEvent]:
    return [WarehouseChanged()]


def _nothing(data: Mapping[str, Any]) -> list[ChannelEvent]:
    return [Ignored("It changes no total of a warehouse.")]


#: Events that we subscribe to; each wants a hook of its own.
SUBSCRIBED: Final[Mapping[str, Callable[[Mapping[str, Any]], list[ChannelEvent]]]] = {
    "products.free_stock_changed": _stock,
    "products.created": _product,
    "products.changed": _product,
    "orders.status_changed": _order,
    "orders.completed": _order,
    "picklists.closed": _order,
    "picklists.shipments.created": _order,
    "receipts.completed": _arrival,
    "receipts.product_received": _arrival,
    "receipts.product_reverted": _arrival,
    "returns.products_received": _arrival,
}
READERS: Final[Mapping[str, Callable[[Mapping[str, Any]], list[ChannelEvent]]]] = {
    **SUBSCRIBED,
    "products.stock_changed": _stock,
    "products.assembled_stock_changed": _stock,
    "products.stock_on_location_changed": _nothing,
    "orders.created": _order,
    "orders.allocated": _order,
    "orders.closed": _order,
    "orders.paused": _order,
    "orders.resumed": _order,
    "picklists.created": _order,
    "picklists.cancelled": _order,
    "receipts.created": _arrival,
    "returns.created": _arrival,
    "returns.status_changed": _arrival,
    "purchase_orders.created": _nothing,
    "purchase_orders.changed": _nothing,
    "purchase_orders.purchased": _nothing,
    "movements.moved": _nothing,
    "location_stock_counts.completed": _nothing,
}
EVENTS: Final = tuple(SUBSCRIBED)
