"""bol's events: envelopes that carry ids only, without an id of their own, in any order or not at all."""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from channels.connectors.base import InboundMessage, InboundRequest
from channels.connectors.messages import Fields, digest_of, read_id, read_object, read_text, reduce_fields
from channels.errors import BadMessage
from channels.events import ChannelEvent, Ignored, ListingChanged, OrderHint, UnknownEvent

_FIELDS: Final[Fields] = {
    "retailerId": None,
    "timestamp": None,
    "event": {"resource": None, "type": None, "resourceId": None},
}
_TEST: Final = "TEST"


def receive(request: InboundRequest) -> InboundMessage:
    """Reads and reduces an envelope; its digest is what tells it from others. Raises `BadMessage`."""
    payload = reduce_fields(read_object(request), _FIELDS)
    event = payload.get("event")
    if not isinstance(event, dict):
        raise BadMessage("The message holds no event.")
    resource = read_text(event, "resource")
    topic = f"{resource}.{read_text(event, 'type')}"[:100]
    if resource == _TEST:
        return InboundMessage(topic, "", payload)
    return InboundMessage(topic, digest_of(json.dumps(payload, sort_keys=True)), payload)


def parse(topic: str, payload: Mapping[str, Any]) -> list[ChannelEvent]:
    """Translates a reduced envelope. Raises `BadMessage`."""
    event = payload["event"]
    translate = _TRANSLATIONS.get(read_text(event, "resource"))
    return [translate(event)] if translate else [UnknownEvent(topic)]


def _order(event: Mapping[str, Any]) -> ChannelEvent:
    return OrderHint(read_id(event, "resourceId"))


def _offer(event: Mapping[str, Any]) -> ChannelEvent:
    return ListingChanged(read_id(event, "resourceId"))


def _of_no_consequence(event: Mapping[str, Any]) -> ChannelEvent:
    return Ignored(f"{read_text(event, 'resource')} events say nothing about stock.")


def _shipment(event: Mapping[str, Any]) -> ChannelEvent:
    return Ignored("The event names a shipment and no order; the next poll brings the order.")


_TRANSLATIONS: Final[Mapping[str, Callable[[Mapping[str, Any]], ChannelEvent]]] = {
    "ORDER": _order,
    "OFFER_FOR_SALE": _offer,
    "OFFER_NOT_FOR_SALE": _offer,
    "SHIPMENT": _shipment,
    "PROCESS_STATUS": _of_no_consequence,
    "COMPETING_OFFER": _of_no_consequence,
    "PRICE_STAR_BOUNDARY": _of_no_consequence,
    _TEST: _of_no_consequence,
}
