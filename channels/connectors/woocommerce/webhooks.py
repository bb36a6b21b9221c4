"""Webhooks of a WooCommerce shop: authentic, reduced, translated; and the subscriptions behind them.

The shop sends a resource as it is at delivery, not at the event, once and never again, in any order; two
events of one second share a delivery id, which is therefore not looked at. The first message after activation is an
unsigned form that only tries the line.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from channels.connectors.base import InboundMessage, InboundRequest
from channels.connectors.messages import (
    Fields,
    check_hmac,
    digest_of,
    read_id,
    read_object,
    read_text,
    reduce_fields,
)
from channels.connectors.woocommerce.listings import is_kept_by_parent, stock_quantity
from channels.connectors.woocommerce.orders import (
    has_refunds,
    is_complete,
    is_known_status,
    order_state,
    read_gmt,
    reduce_order,
)
from channels.events import (
    ChannelEvent,
    Ignored,
    LevelObserved,
    ListingChanged,
    OrderHint,
    UnknownEvent,
)

PING: Final = "ping"
#: What is subscribed to.
TOPICS: Final = (
    "order.created",
    "order.updated",
    "order.deleted",
    "order.restored",
    "product.created",
    "product.updated",
    "product.deleted",
    "product.restored",
)

_PING_BODY: Final = re.compile(rb"webhook_id=[0-9]{1,19}")
_SIGNATURE: Final = "x-wc-webhook-signature"
_PRODUCT_FIELDS: Final[Fields] = {
    "id": None,
    "type": None,
    "status": None,
    "parent_id": None,
    "sku": None,
    "manage_stock": None,
    "stock_quantity": None,
    "date_modified_gmt": None,
}
_ERROR_FIELDS: Final[Fields] = {"code": None, "data": {"status": None}}


def is_ping(request: InboundRequest) -> bool:
    """Tells whether a message is the unsigned form with which the shop tries the line."""
    return _SIGNATURE not in request.headers and bool(_PING_BODY.fullmatch(request.body))


def verify(request: InboundRequest, secrets: tuple[str, ...]) -> None:
    """Checks the HMAC of the body. Raises `BadSignature`; a ping has none and says nothing."""
    if not is_ping(request):
        check_hmac(request.body, request.headers.get(_SIGNATURE, ""), secrets)


def receive(request: InboundRequest) -> InboundMessage:
    """Reads and reduces a message. Raises `BadMessage`."""
    if is_ping(request):
        return InboundMessage(PING, "", {})
    body = read_object(request)
    topic = request.headers.get("x-wc-webhook-topic", "")[:100]
    payload = _reduce(topic, body)
    # An ids-only body looks the same each time; within a minute it is the same event, later another one.
    state = read_text(payload, "date_modified_gmt") or request.received_at.isoformat(timespec="minutes")
    return InboundMessage(topic, digest_of(topic, read_text(payload, "id"), state, request.body), payload)


def _reduce(topic: str, body: Mapping[str, Any]) -> dict[str, Any]:
    if "id" not in body:
        return reduce_fields(body, _ERROR_FIELDS)
    if topic.startswith("order."):
        return reduce_order(body)
    return reduce_fields(body, _PRODUCT_FIELDS if topic.startswith("product.") else {"id": None})


# -- translation


def parse(topic: str, payload: Mapping[str, Any]) -> list[ChannelEvent]:
    """Translates a reduced message. Raises `BadMessage`."""
    if topic == PING:
        return [Ignored("The shop tried the line.")]
    translate = _TRANSLATIONS.get(topic)
    if translate is None:
        return [UnknownEvent(topic)]
    if "id" not in payload:
        return [Ignored("The resource was gone before the message was sent.")]
    return translate(payload)


def _order_changed(payload: Mapping[str, Any]) -> list[ChannelEvent]:
    """A full body is a state; refunds have to be read as well, and a plugin's status is shown to a person."""
    order_id = read_id(payload, "id")
    if not is_complete(payload) or has_refunds(payload):
        return [OrderHint(order_id)]
    if not is_known_status(payload):
        status = read_text(payload, "status")
        return [OrderHint(order_id), UnknownEvent(f"order status {status[:60]}")]
    return [order_state(payload)]


def _order_deleted(payload: Mapping[str, Any]) -> list[ChannelEvent]:
    """Also sent for the trash, from which an order can come back: the shop is asked which it was."""
    return [OrderHint(read_id(payload, "id"))]


def _product_changed(payload: Mapping[str, Any]) -> list[ChannelEvent]:
    observed_at = read_gmt(payload, "date_modified_gmt")
    if observed_at is None:
        return [ListingChanged(read_id(payload, "id"))]
    if is_kept_by_parent(payload):
        return [Ignored("The variation shares the stock of its parent, which is sent as well.")]
    listing_id = read_id(payload, "id")
    return [
        ListingChanged(listing_id),
        LevelObserved(listing_id, "", stock_quantity(payload), observed_at),
    ]


def _product_deleted(payload: Mapping[str, Any]) -> list[ChannelEvent]:
    return [ListingChanged(read_id(payload, "id"), is_deleted=True)]


_TRANSLATIONS: Final[Mapping[str, Callable[[Mapping[str, Any]], list[ChannelEvent]]]] = {
    "order.created": _order_changed,
    "order.updated": _order_changed,
    "order.restored": _order_changed,
    "order.deleted": _order_deleted,
    "product.created": _product_changed,
    "product.updated": _product_changed,
    "product.restored": _product_changed,
    "product.deleted": _product_deleted,
}
