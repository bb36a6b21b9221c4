"""Square's webhook subscriptions: one key each, the address signed with the body, repeated for a day."""

import base64
import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from channels.sandbox.httpd import Answer, Request, json_answer
from channels.sandbox.square.rest import SquareError, body_of, moment, not_found

if TYPE_CHECKING:
    from channels.sandbox.square.shop import SquareSandbox

#: Seconds between attempts; hourly in the end.
RETRY_WAITS: Final = (60.0, 120.0, 240.0, 480.0, 960.0, 1920.0, *([3600.0] * 23))


@dataclass(slots=True)
class Subscription:
    """One subscription with the key that it is signed with."""

    id: str
    signature_key: str
    name: str = ""
    url: str = ""
    event_types: list[str] = field(default_factory=list)
    api_version: str = ""
    is_enabled: bool = True
    created_at: float = 0.0

    def document(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "name": self.name,
            "enabled": self.is_enabled,
            "event_types": self.event_types,
            "notification_url": self.url,
            "api_version": self.api_version,
            "signature_key": self.signature_key,
            "created_at": moment(self.created_at),
        }


class Subscriptions:
    """The `/v2/webhooks/subscriptions` resource and what is sent."""

    def __init__(self, shop: "SquareSandbox") -> None:
        self._shop = shop
        self.by_id: dict[str, Subscription] = {}

    # -- the resource
    def listing(self, request: Request) -> Answer:
        shows_all = request.query.get("include_disabled") == "true"
        found = [each.document() for each in self.by_id.values() if each.is_enabled or shows_all]
        return json_answer(200, {"subscriptions": found} if found else {})

    def read(self, identity: str) -> Answer:
        return json_answer(200, {"subscription": self._find(identity).document()})

    def create(self, request: Request) -> Answer:
        data = body_of(request)
        if len(str(data.get("idempotency_key", ""))) > 45:
            raise SquareError(400, "VALUE_TOO_LONG", "At most 45 characters.", "idempotency_key")
        made = Subscription(
            f"wbhk_{len(self.by_id) + 1}", self._shop.secret("sig_", 24), created_at=time.time()
        )
        self._fill(made, data.get("subscription"))
        self.by_id[made.id] = made
        return json_answer(200, {"subscription": made.document()})

    def write(self, request: Request, identity: str) -> Answer:
        subscription = self._find(identity)
        self._fill(subscription, body_of(request).get("subscription"))
        return json_answer(200, {"subscription": subscription.document()})

    def delete(self, identity: str) -> Answer:
        self._find(identity)
        del self.by_id[identity]
        return json_answer(200, {})

    def _find(self, identity: str) -> Subscription:
        if identity not in self.by_id:
            raise not_found(f"Subscription {identity}")
        return self.by_id[identity]

    @staticmethod
    def _fill(subscription: Subscription, data: Any) -> None:
        """Takes what is named; http is only taken towards this machine, where the sandbox lives."""
        if not isinstance(data, dict):
            raise SquareError(400, "MISSING_REQUIRED_PARAMETER", "A subscription is needed.", "subscription")
        url = data.get("notification_url", subscription.url)
        if not str(url).startswith(("https://", "http://127.0.0.1:", "http://localhost:")):
            raise SquareError(400, "INVALID_VALUE", "The address must begin with https.", "notification_url")
        subscription.url = url
        subscription.name = data.get("name", subscription.name)
        subscription.event_types = data.get("event_types", subscription.event_types)
        subscription.api_version = data.get("api_version", subscription.api_version)
        subscription.is_enabled = data.get("enabled", subscription.is_enabled)

    # -- sending
    def send(self, topic: str, data: dict[str, Any]) -> None:
        """Sends an event to whoever subscribed to its type."""
        event = {
            "merchant_id": self._shop.merchant_id,
            "type": topic,
            "event_id": str(uuid.uuid4()),
            "created_at": moment(time.time()),
            "data": data,
        }
        body = json.dumps(event, separators=(",", ":")).encode()
        for subscription in list(self.by_id.values()):
            if subscription.is_enabled and topic in subscription.event_types:
                self._shop.send_webhook(partial(self._attempt, subscription, body, 0))

    def headers(self, subscription: Subscription, body: bytes) -> dict[str, str]:
        """Returns the headers of a message, its signature among them."""
        key = subscription.signature_key
        if self._shop.happens(self._shop.faults.webhook_bad_signature_rate):
            key += "?"
        signed = hmac.new(key.encode(), subscription.url.encode() + body, hashlib.sha256).digest()
        return {
            "Content-Type": "application/json",
            "User-Agent": "Square Connect v2",
            "x-square-hmacsha256-signature": base64.b64encode(signed).decode(),
        }

    def _attempt(self, subscription: Subscription, body: bytes, failures: int) -> None:
        if not subscription.is_enabled or subscription.id not in self.by_id:
            return
        if 200 <= self._shop.post(subscription.url, self.headers(subscription, body), body) < 300:
            return
        if failures < len(RETRY_WAITS):
            wait = RETRY_WAITS[failures] / self._shop.faults.retry_speed
            again: Callable[[], None] = partial(self._attempt, subscription, body, failures + 1)
            self._shop.later(wait, again)
