"""Shopify's webhooks: who sent them, what of them is kept, and what they say.

Their bodies are REST-shaped and name neither inventory items nor, for orders to be shipped, the place that
ships. So a new order is applied at once from its body, and fetched for the rest; everything later is a hint.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from channels.connectors import messages
from channels.connectors.base import InboundMessage, InboundRequest
from channels.connectors.messages import Fields
from channels.connectors.shopify.units import Units, units_of
from channels.errors import BadMessage, BadSignature
from channels.events import (
    ChannelEvent,
    Disconnected,
    Ignored,
    LevelObserved,
    ListingChanged,
    OrderDeleted,
    OrderHint,
    OrderLineState,
    OrderState,
    UnknownEvent,
)

_LINE: Final[Fields] = {
    "id": None,
    "variant_id": None,
    "product_id": None,
    "sku": None,
    "title": None,
    "quantity": None,
    "current_quantity": None,
    "fulfillable_quantity": None,
    "fulfillment_status": None,
    "requires_shipping": None,
    "price": None,
}
_REFUND_LINE: Final[Fields] = {
    "line_item_id": None,
    "quantity": None,
    "location_id": None,
    "restock_type": None,
}
_ORDER: Final[Fields] = {
    "id": None,
    "admin_graphql_api_id": None,
    "name": None,
    "created_at": None,
    "updated_at": None,
    "processed_at": None,
    "cancelled_at": None,
    "cancel_reason": None,
    "closed_at": None,
    "financial_status": None,
    "fulfillment_status": None,
    "test": None,
    "source_name": None,
    "location_id": None,
    "currency": None,
    "shipping_address": {"country_code": None},
    "line_items": _LINE,
    "refunds": {"id": None, "created_at": None, "refund_line_items": _REFUND_LINE},
    "fulfillments": {
        "id": None,
        "status": None,
        "location_id": None,
        "line_items": {"id": None, "quantity": None},
    },
}
_REFUND: Final[Fields] = {"id": None, "order_id": None, "created_at": None, "refund_line_items": _REFUND_LINE}
_EDIT_LINE: Final[Fields] = {"id": None, "delta": None}
_EDIT: Final[Fields] = {
    "order_edit": {
        "id": None,
        "order_id": None,
        "line_items": {"additions": _EDIT_LINE, "removals": _EDIT_LINE},
    }
}
_LEVEL: Final[Fields] = {
    "inventory_item_id": None,
    "location_id": None,
    "available": None,
    "updated_at": None,
}
_PRODUCT: Final[Fields] = {"id": None, "title": None, "status": None, "updated_at": None}

#: What is kept of each topic; of one that is not known, only what identifies it.
_FIELDS: Final[Mapping[str, Fields]] = {
    "orders/edited": _EDIT,
    "orders/delete": {"id": None},
    "refunds/create": _REFUND,
    "app/uninstalled": {"myshopify_domain": None, "domain": None},
}
_FIELDS_BY_FAMILY: Final[Mapping[str, Fields]] = {
    "orders": _ORDER,
    "inventory_levels": _LEVEL,
    "products": _PRODUCT,
}
_FAILED_FULFILMENTS: Final = frozenset({"cancelled", "error", "failure"})
_UNKNOWN: Final[Fields] = {"id": None, "admin_graphql_api_id": None, "updated_at": None}


def verify(request: InboundRequest, secrets: Sequence[str], shop_domain: str) -> None:
    """Checks that the shop of this channel signed the body. Raises `BadSignature`.

    All shops with one app share its secret, and the header that names the shop is not signed: so it only ever
    refuses, and the channel is known by its address alone.
    """
    messages.check_hmac(request.body, request.headers.get("x-shopify-hmac-sha256", ""), secrets)
    if request.headers.get("x-shopify-shop-domain", "").lower() != shop_domain.lower():
        raise BadSignature("The message comes from another shop.")


def receive(request: InboundRequest) -> InboundMessage:
    """Reads and reduces a verified message. Raises `BadMessage`."""
    topic = request.headers.get("x-shopify-topic", "").strip().lower()
    if not topic or len(topic) > 100:
        raise BadMessage("The header X-Shopify-Topic is missing or too long.")
    payload = messages.reduce_fields(messages.read_object(request), _fields_of(topic))
    if topic.startswith("inventory_levels/") and not payload.get("updated_at"):
        # A disconnection carries no time of its own.
        payload["updated_at"] = _triggered_at(request).isoformat()
    return InboundMessage(topic, _dedupe_key(request, topic), payload)


def _fields_of(topic: str) -> Fields:
    return _FIELDS.get(topic) or _FIELDS_BY_FAMILY.get(topic.partition("/")[0]) or _UNKNOWN


def _dedupe_key(request: InboundRequest, topic: str) -> str:
    """Returns the vendor's id of the delivery; it is the same for its repetitions."""
    delivery = request.headers.get("x-shopify-webhook-id", "").strip()
    return f"{topic}:{delivery}"[:200] if delivery else messages.digest_of(topic, request.body)


def _triggered_at(request: InboundRequest) -> datetime:
    """Returns when the event happened; the header has nanoseconds, more than Python reads."""
    text = request.headers.get("x-shopify-triggered-at", "")
    try:
        return datetime.fromisoformat(text[:19]).replace(tzinfo=UTC)
    except ValueError:
        return request.received_at


def parse(topic: str, payload: Mapping[str, Any]) -> list[ChannelEvent]:
    """Translates a reduced message; a topic that nobody taught us becomes `UnknownEvent`."""
    read = _READERS.get(topic)
    return read(payload) if read else [UnknownEvent(topic)]


def _new_order(payload: Mapping[str, Any]) -> list[ChannelEvent]:
    state = _order_state(payload)
    is_placed = all(line.location_external_id for line in state.lines)
    return [state] if is_placed else [state, OrderHint(state.external_id)]


def _changed_order(payload: Mapping[str, Any]) -> list[ChannelEvent]:
    # Read in full all the same: what cannot be true is refused at the door.
    return [OrderHint(_order_state(payload).external_id)]


def _order_state(payload: Mapping[str, Any]) -> OrderState:
    address = messages.read_part(payload, "shipping_address")
    return OrderState(
        external_id=messages.read_id(payload, "id"),
        updated_at=messages.read_instant(payload, "updated_at"),
        ordered_at=messages.read_instant(payload, "created_at"),
        lines=_line_states(payload),
        number=messages.read_text(payload, "name"),
        country=messages.read_text(address, "country_code"),
        currency=messages.read_text(payload, "currency"),
        is_test=payload.get("test") is True,
    )


def _line_states(payload: Mapping[str, Any]) -> tuple[OrderLineState, ...]:
    place = messages.read_text(payload, "location_id")
    fulfilled, returned = _fulfilled(payload), _returned(payload)
    is_cancelled = payload.get("cancelled_at") is not None
    states = []
    for line in messages.read_objects(payload, "line_items"):
        external_id = messages.read_id(line, "id")
        quantity = messages.read_count(line, "quantity")
        units = units_of(
            quantity,
            current=messages.read_count(line, "current_quantity", quantity),
            fulfilled=fulfilled.get(external_id, 0),
            returned=returned.get(external_id, 0),
            is_cancelled=is_cancelled,
        )
        states.append(_line_state(line, place, quantity, units))
    return tuple(states)


def _line_state(line: Mapping[str, Any], place: str, quantity: int, units: Units) -> OrderLineState:
    return OrderLineState(
        external_id=messages.read_id(line, "id"),
        listing_external_id="",
        sku=messages.read_text(line, "sku"),
        quantity=quantity,
        cancelled=units.cancelled,
        fulfilled=units.fulfilled,
        returned=units.returned,
        title=messages.read_text(line, "title"),
        unit_price=messages.read_decimal(line, "price"),
        location_external_id=place,
    )


def _fulfilled(payload: Mapping[str, Any]) -> dict[str, int]:
    """Returns units that were shipped, by line."""
    units: Counter[str] = Counter()
    for fulfilment in messages.read_objects(payload, "fulfillments"):
        counts = fulfilment.get("status") not in _FAILED_FULFILMENTS
        for part in messages.read_objects(fulfilment, "line_items"):
            units[messages.read_id(part, "id")] += messages.read_count(part, "quantity") if counts else 0
    return units


def _returned(payload: Mapping[str, Any]) -> dict[str, int]:
    """Returns units that were taken back after they were shipped, by line."""
    units: Counter[str] = Counter()
    for refund in messages.read_objects(payload, "refunds"):
        for part in messages.read_objects(refund, "refund_line_items"):
            count = messages.read_count(part, "quantity")
            units[messages.read_id(part, "line_item_id")] += (
                count if part.get("restock_type") == "return" else 0
            )
    return units


def _edited_order(payload: Mapping[str, Any]) -> list[ChannelEvent]:
    return [OrderHint(messages.read_id(messages.read_part(payload, "order_edit"), "order_id"))]


def _refunded_order(payload: Mapping[str, Any]) -> list[ChannelEvent]:
    _returned({"refunds": [payload]})
    return [OrderHint(messages.read_id(payload, "order_id"))]


def _deleted_order(payload: Mapping[str, Any]) -> list[ChannelEvent]:
    return [OrderDeleted(messages.read_id(payload, "id"))]


def _level(payload: Mapping[str, Any]) -> list[ChannelEvent]:
    is_known = payload.get("available") is not None
    return [
        LevelObserved(
            listing_external_id=messages.read_id(payload, "inventory_item_id"),
            location_external_id=messages.read_id(payload, "location_id"),
            quantity=messages.read_integer(payload, "available") if is_known else None,
            observed_at=messages.read_instant(payload, "updated_at"),
        )
    ]


def _item(payload: Mapping[str, Any]) -> list[ChannelEvent]:
    return [ListingChanged(messages.read_id(payload, "id"))]


def _deleted_item(payload: Mapping[str, Any]) -> list[ChannelEvent]:
    return [ListingChanged(messages.read_id(payload, "id"), is_deleted=True)]


def _product(payload: Mapping[str, Any]) -> list[ChannelEvent]:
    return [ListingChanged(messages.read_id(payload, "id"))]


def _deleted_product(payload: Mapping[str, Any]) -> list[ChannelEvent]:
    return [ListingChanged(messages.read_id(payload, "id"), is_deleted=True)]


def _uninstalled(payload: Mapping[str, Any]) -> list[ChannelEvent]:
    return [Disconnected("The app was uninstalled from the shop.")]


def _ignored(reason: str) -> Callable[[Mapping[str, Any]], list[ChannelEvent]]:
    return lambda payload: [Ignored(reason)]


_NO_CUSTOMERS: Final = "No customer data is kept."

_READERS: Final[Mapping[str, Callable[[Mapping[str, Any]], list[ChannelEvent]]]] = {
    "orders/create": _new_order,
    "orders/updated": _changed_order,
    "orders/cancelled": _changed_order,
    "orders/fulfilled": _changed_order,
    "orders/partially_fulfilled": _changed_order,
    "orders/edited": _edited_order,
    "orders/delete": _deleted_order,
    "refunds/create": _refunded_order,
    "inventory_levels/update": _level,
    "inventory_levels/connect": _level,
    "inventory_levels/disconnect": _level,
    "inventory_items/create": _item,
    "inventory_items/delete": _deleted_item,
    "products/create": _product,
    "products/update": _product,
    "products/delete": _deleted_product,
    "app/uninstalled": _uninstalled,
    "customers/data_request": _ignored(_NO_CUSTOMERS),
    "customers/redact": _ignored(_NO_CUSTOMERS),
    "shop/redact": _ignored(_NO_CUSTOMERS),
}
