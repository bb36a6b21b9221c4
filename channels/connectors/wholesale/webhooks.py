"""Messages of the buyers' side by the rules of Standard Webhooks, and the subscription that sends them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from channels.connectors.base import InboundMessage, InboundRequest, SubscriptionProblem
from channels.connectors.messages import Fields, read_id, read_object, read_part, read_text, reduce_fields
from channels.connectors.wholesale.api import BuyersApi
from channels.connectors.wholesale.orders import FIELDS, order_state
from channels.errors import Misconfigured
from channels.events import ChannelEvent, Ignored, ListingChanged, OrderDeleted, OrderHint, UnknownEvent
from channels.standard_webhooks import check_signature

_MESSAGE: Final[Fields] = {"type": None, "timestamp": None, "data": FIELDS}
_PATH: Final = "/subscription"


def verify(request: InboundRequest, secrets: tuple[str, ...]) -> None:
    """Checks signature and time. Raises `BadSignature`."""
    check_signature(secrets, request.headers, request.body, now=request.received_at)


def receive(request: InboundRequest) -> InboundMessage:
    """Reads and reduces a message. Raises `BadMessage`."""
    payload = reduce_fields(read_object(request), _MESSAGE)
    return InboundMessage(read_text(payload, "type")[:100], request.headers.get("webhook-id", ""), payload)


def parse(topic: str, payload: Mapping[str, Any]) -> list[ChannelEvent]:
    """Translates a reduced message. Raises `BadMessage`."""
    read = _READERS.get(topic)
    return read(read_part(payload, "data")) if read else [UnknownEvent(topic)]


def _order(data: Mapping[str, Any]) -> list[ChannelEvent]:
    """A message with lines is a state; one that only names the order has it fetched."""
    return [order_state(data)] if "lines" in data else [OrderHint(read_id(data, "external_id"))]


def _deleted(data: Mapping[str, Any]) -> list[ChannelEvent]:
    return [OrderDeleted(read_id(data, "external_id"))]


def _items(data: Mapping[str, Any]) -> list[ChannelEvent]:
    return [ListingChanged(read_id(data, "external_id"))]


def _test(data: Mapping[str, Any]) -> list[ChannelEvent]:
    return [Ignored("The buyers' side tried the line.")]


_READERS: Final[Mapping[str, Callable[[Mapping[str, Any]], list[ChannelEvent]]]] = {
    "order.submitted": _order,
    "order.changed": _order,
    "order.cancelled": _order,
    "reservation.expired": _order,
    "order.deleted": _deleted,
    "item.changed": _items,
    "webhook.test": _test,
}
TOPICS: Final = tuple(_READERS)


def register(api: BuyersApi, callback_url: str, secrets: Sequence[str]) -> None:
    """Tells the buyers' side where to send to, and the secret that both sides sign with. Raises `Misconfigured`."""
    if not secrets:
        raise Misconfigured("There is no secret to sign with; register the webhooks from the channel's page.")
    wanted = {"url": callback_url, "secret": secrets[0], "events": list(TOPICS), "is_enabled": True}
    api.write("PUT", _PATH, wanted)


def audit(api: BuyersApi, callback_url: str, *, has_secret: bool) -> list[SubscriptionProblem]:
    """Compares the subscription with what we need; empty when all is well."""
    found = api.read(_PATH)
    problems = [] if has_secret else [("no secret is kept", "register the webhooks again")]
    url = read_text(found, "url")
    if not url:
        problems.append(("there is no subscription", "create it"))
    elif url != callback_url:
        where = "another address" if urlsplit(url).path == urlsplit(callback_url).path else "somebody else"
        problems.append((f"it leads to {where}", "correct the address"))
    if url and found.get("is_enabled") is False:
        problems.append(("it is switched off", "enable it again"))
    events = found.get("events")
    missing = set(TOPICS).difference(events if isinstance(events, list) else ()) if url else set()
    if missing:
        problems.append((f"it leaves out {', '.join(sorted(missing))}", "add it"))
    return [SubscriptionProblem(", ".join(TOPICS), problem, remedy) for problem, remedy in problems]
