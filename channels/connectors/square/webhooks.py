"""Square's events: signed with the address that they are sent to, reduced, translated.

Events of orders name the order, which is then fetched. Those of numbers carry what Square reckons of each state; only what
is for sale is a shelf's number.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from channels.connectors.base import InboundMessage, InboundRequest
from channels.connectors.messages import (
    Fields,
    check_hmac,
    read_id,
    read_object,
    read_objects,
    read_part,
    read_text,
    reduce_fields,
)
from channels.connectors.square.stock import shelf_of
from channels.events import ChannelEvent, Disconnected, LevelObserved, ListingChanged, OrderHint, UnknownEvent

_SIGNATURE: Final = "x-square-hmacsha256-signature"
_ORDER: Final[Fields] = {"order_id": None, "version": None, "location_id": None, "state": None}
_FIELDS: Final[Fields] = {
    "type": None,
    "event_id": None,
    "created_at": None,
    "data": {
        "type": None,
        "id": None,
        "object": {
            "inventory_counts": {
                "catalog_object_id": None,
                "catalog_object_type": None,
                "state": None,
                "location_id": None,
                "quantity": None,
                "calculated_at": None,
            },
            "order_created": _ORDER,
            "order_updated": _ORDER,
            "order_fulfillment_updated": _ORDER,
            "catalog_version": {"updated_at": None},
        },
    },
}


def verify(request: InboundRequest, secrets: tuple[str, ...]) -> None:
    """Checks the HMAC of address and body. Raises `BadSignature`."""
    check_hmac(request.url.encode() + request.body, request.headers.get(_SIGNATURE, ""), secrets)


def receive(request: InboundRequest) -> InboundMessage:
    """Reads and reduces a message. Raises `BadMessage`."""
    payload = reduce_fields(read_object(request), _FIELDS)
    return InboundMessage(read_text(payload, "type")[:100], read_id(payload, "event_id"), payload)


def parse(topic: str, payload: Mapping[str, Any]) -> list[ChannelEvent]:
    """Translates a reduced message. Raises `BadMessage`."""
    read = _READERS.get(topic)
    return read(read_part(payload, "data")) if read else [UnknownEvent(topic)]


def _order(data: Mapping[str, Any]) -> list[ChannelEvent]:
    """Finds the order that an event is about, whatever its details are called."""
    details = read_part(data, "object")
    named = next((part for part in details.values() if isinstance(part, dict) and "order_id" in part), None)
    return [OrderHint(read_id(named, "order_id") if named else read_id(data, "id"))]


def _counts(data: Mapping[str, Any]) -> list[ChannelEvent]:
    counts = read_objects(read_part(data, "object"), "inventory_counts")
    return [
        LevelObserved(
            shelf.listing_external_id, shelf.location_external_id, shelf.quantity, shelf.observed_at
        )
        for count in counts
        if (shelf := shelf_of(count)) is not None and shelf.observed_at is not None
    ]


def _catalogue(data: Mapping[str, Any]) -> list[ChannelEvent]:
    """Square says that something changed, and not what."""
    return [ListingChanged(f"catalogue:{read_text(data, 'id')}")]


def _revoked(data: Mapping[str, Any]) -> list[ChannelEvent]:
    return [Disconnected("Access was revoked in Square.")]


_READERS: Final[Mapping[str, Callable[[Mapping[str, Any]], list[ChannelEvent]]]] = {
    "order.created": _order,
    "order.updated": _order,
    "order.fulfillment.updated": _order,
    "inventory.count.updated": _counts,
    "catalog.version.updated": _catalogue,
    "oauth.authorization.revoked": _revoked,
}
#: What is subscribed to; that access ended is told without being asked for.
TOPICS: Final = tuple(topic for topic in _READERS if not topic.startswith("oauth."))
