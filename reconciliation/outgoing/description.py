"""The messages to the merchants' own systems, for the description of the API: its part `webhooks`, as OpenAPI 3.1 has it."""

from typing import Any, Final

from reconciliation.models import Severity
from reconciliation.outgoing.event_types import EVENTS, TEST

Schema = dict[str, Any]

_NUMBER: Final[Schema] = {"type": "integer"}
_TEXT: Final[Schema] = {"type": "string"}
_INSTANT: Final[Schema] = {"type": "string", "format": "date-time"}


def _or_null(schema: Schema) -> Schema:
    return {**schema, "type": [schema["type"], "null"]}


def _object(**properties: Schema) -> Schema:
    return {"type": "object", "required": list(properties), "properties": properties}


_PLACE: Final[dict[str, Schema]] = {
    "variant_id": _NUMBER,
    "sku": _or_null(_TEXT),
    "location_id": _NUMBER,
    "location": {**_or_null(_TEXT), "description": "Its code."},
}
_POSITION: Final[Schema] = {**_NUMBER, "description": "Where it stands in the feed of changes."}

_STOCK: Final = _object(
    stock_level_id=_or_null(_NUMBER),
    **_PLACE,
    on_hand=_NUMBER,
    reserved=_NUMBER,
    unavailable=_NUMBER,
    available=_NUMBER,
    available_before={**_NUMBER, "description": "Before the first of these changes."},
    available_everywhere={**_NUMBER, "description": "At all locations of the merchant."},
    safety_stock=_NUMBER,
    changes={**_NUMBER, "description": "How many became this event."},
    movement_kind=_TEXT,
    reason=_TEXT,
    position=_POSITION,
)
_RESERVATION: Final = _object(
    reservation_id=_NUMBER,
    reference={**_TEXT, "description": "Whose demand it is."},
    units={**_NUMBER, "description": "What this event is about."},
    quantity=_NUMBER,
    open=_NUMBER,
    fulfilled=_NUMBER,
    released=_NUMBER,
    expires_at=_or_null(_INSTANT),
    confirmed_at=_or_null(_INSTANT),
    reason=_TEXT,
    **_PLACE,
    position=_POSITION,
)
_CONFLICT: Final = _object(
    id=_NUMBER,
    cause=_TEXT,
    reference={**_TEXT, "description": "Whose demand is short."},
    variant_id=_NUMBER,
    quantity=_NUMBER,
    open_quantity=_NUMBER,
    opened_at=_INSTANT,
    resolved_at=_or_null(_INSTANT),
    sku=_or_null(_TEXT),
    locations={"type": "array", "items": _TEXT, "description": "The codes of the locations concerned."},
)
_DISCREPANCY: Final = _object(
    id=_NUMBER,
    state=_TEXT,
    cause=_TEXT,
    channel_id=_or_null(_NUMBER),
    listing_level_id=_or_null(_NUMBER),
    stock_level_id=_or_null(_NUMBER),
    shown=_NUMBER,
    expected=_NUMBER,
    first_seen_at=_INSTANT,
    last_seen_at=_INSTANT,
    closed_at=_or_null(_INSTANT),
    closed_by=_TEXT,
    because=_TEXT,
    difference={**_NUMBER, "description": "`shown` less `expected`."},
    sku=_or_null(_TEXT),
)
_CHANNEL: Final = _object(
    channel=_object(id=_NUMBER, name=_or_null(_TEXT)),
    alert_id=_NUMBER,
    kind=_TEXT,
    severity={"type": "string", "enum": [each.label.lower() for each in Severity]},
    title=_TEXT,
    detail=_TEXT,
    remedy=_TEXT,
    opened_at=_INSTANT,
    resolved_at=_or_null(_INSTANT),
    open_alerts={**_NUMBER, "description": "Of the channel, as the message was made."},
)
#: What `data` holds, by the first word of an event's type.
CONTENTS: Final[dict[str, Schema]] = {
    "stock": _STOCK,
    "reservation": _RESERVATION,
    "order": {"$ref": "#/components/schemas/Order"},
    "conflict": _CONFLICT,
    "discrepancy": _DISCREPANCY,
    "channel": _CHANNEL,
    "webhook": _object(message=_TEXT, server=_TEXT),
}

_HEADERS: Final = {
    "webhook-id": "The event's id, the same in every attempt: keep it to tell a repeat.",
    "webhook-timestamp": "When this attempt was made, in seconds since 1970.",
    "webhook-signature": "`v1,` and the base64 HMAC-SHA256 of id, time stamp and body, joined by dots; one for each secret "
    "in force, separated by blanks.",
}
_ANSWERS: Final = {
    "2XX": {"description": "Taken. Answer within ten seconds, then work."},
    "410": {"description": "No more: the subscription is switched off."},
    "default": {"description": "Anything else, redirects included: it is sent again, for 24 hours."},
}


def describe_webhooks(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Adds every message that a subscription may be sent."""
    told = {**EVENTS, TEST: "Somebody asked for a test."}
    return {**result, "webhooks": {name: {"post": _message(name, why)} for name, why in told.items()}}


def _message(name: str, why: str) -> dict[str, Any]:
    body = _object(
        id={**_TEXT, "description": "As in the header `webhook-id`."},
        type={"type": "string", "const": name},
        timestamp={**_INSTANT, "description": "When it happened."},
        subject={**_TEXT, "description": "What it is about, such as `order:42`."},
        version={
            **_NUMBER,
            "description": "Of two events about one subject the larger one tells the later state.",
        },
        data=CONTENTS[name.partition(".")[0]],
    )
    return {
        "operationId": f"told_{name.replace('.', '_')}",
        "summary": name,
        "description": why,
        "tags": ["webhooks"],
        "parameters": [
            {"name": header, "in": "header", "required": True, "description": text, "schema": _TEXT}
            for header, text in _HEADERS.items()
        ],
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": _ANSWERS,
    }
