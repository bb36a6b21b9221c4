"""The envelope that every notification of Amazon comes in, whatever the case of its names.

The queue lets only Amazon in, by its policy. What a message says of itself is compared all the same: whose
account it is about, and which of our subscriptions it comes from.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from channels.connectors.base import InboundRequest
from channels.connectors.messages import parse_json, read_object, read_part, read_text
from channels.errors import BadMessage, BadSignature

#: Which come without a word on their subscription; they are no more than hints.
_WITHOUT_METADATA: Final = frozenset({"FBA_INVENTORY_AVAILABILITY_CHANGES"})


@dataclass(frozen=True, slots=True)
class Envelope:
    """A notification; all names within are in small letters."""

    topic: str
    event_time: str
    payload: Mapping[str, Any]
    subscription_id: str
    notification_id: str

    @property
    def seller_id(self) -> str:
        """Whose account it is about; empty where it does not say."""
        inner = [each for each in self.payload.values() if isinstance(each, dict)]
        for part in (self.payload, *inner):
            if found := read_text(part, "sellerid"):
                return found
        return ""


def check(request: InboundRequest, *, seller_id: str, subscription_ids: Collection[str]) -> None:
    """Checks that a message is for this account. Raises `BadSignature`; what cannot be read is left to `read`."""
    if not request.is_queued:
        raise BadSignature("Amazon posts nothing: its messages come through the queue alone.")
    try:
        envelope = opened(parse_json(request.body))
    except BadMessage:
        return
    if envelope.seller_id and envelope.seller_id != seller_id:
        raise BadSignature("The message is about another seller's account.")
    if envelope.subscription_id:
        if envelope.subscription_id not in subscription_ids:
            raise BadSignature("The message comes from a subscription that is not this channel's.")
    elif envelope.topic not in _WITHOUT_METADATA or not envelope.seller_id:
        raise BadSignature("The message does not say whose it is.")


def read(request: InboundRequest) -> Envelope:
    """Reads a message strictly. Raises `BadMessage`."""
    return opened(read_object(request))


def opened(value: Any) -> Envelope:
    """Returns the envelope of a parsed message. Raises `BadMessage`."""
    if not isinstance(value, dict):
        raise BadMessage("The body is not a JSON object.")
    message = _small(value)
    metadata = read_part(message, "notificationmetadata")
    topic = read_text(message, "notificationtype")
    if not topic:
        raise BadMessage("The message does not say what it is (NotificationType).")
    return Envelope(
        topic=topic[:100],
        event_time=read_text(message, "eventtime"),
        payload=read_part(message, "payload"),
        subscription_id=read_text(metadata, "subscriptionid"),
        notification_id=read_text(metadata, "notificationid"),
    )


def _small(value: Any) -> Any:
    """Writes all names in small letters. Raises `BadMessage` where two differ in nothing else."""
    if isinstance(value, list):
        return [_small(each) for each in value]
    if not isinstance(value, dict):
        return value
    found = {name.lower(): _small(each) for name, each in value.items()}
    if len(found) < len(value):
        raise BadMessage("The body gives the same name twice in one object.")
    return found


def kept_subscriptions(text: object) -> dict[str, str]:
    """Reads which subscriptions are ours, by type, from the credentials they are kept with."""
    try:
        found = json.loads(str(text or "{}"))
    except ValueError:
        return {}
    return {str(name): str(identity) for name, identity in found.items()} if isinstance(found, dict) else {}
