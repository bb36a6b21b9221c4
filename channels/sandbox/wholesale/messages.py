"""The portal's messages by the rules of Standard Webhooks: signed, repeated with growing waits, checked when they come in."""

import base64
import hashlib
import hmac
import json
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from channels.sandbox.httpd import Request

if TYPE_CHECKING:
    from channels.sandbox.wholesale.shop import WholesaleSandbox

#: Seconds between attempts.
RETRY_WAITS: Final = (5.0, 300.0, 1800.0, 7200.0, 18_000.0, 36_000.0)
_TOLERANCE: Final = 300.0
_PREFIX: Final = "whsec_"


@dataclass(slots=True)
class Subscription:
    """Where messages go, and the secret of both sides."""

    url: str = ""
    secret: str = ""
    events: list[str] = field(default_factory=list)
    is_enabled: bool = True

    def document(self) -> dict[str, Any]:
        """As it is shown: without the secret."""
        if not self.url:
            return {}
        return {"url": self.url, "events": self.events, "is_enabled": self.is_enabled}


def moment(at: float) -> str:
    """An instant in UTC, with microseconds."""
    return datetime.fromtimestamp(at, UTC).isoformat()


def signature(secret: str, message_id: str, timestamp: str, body: bytes) -> str:
    """The signature of a message, with its version before it."""
    key = base64.b64decode(secret.removeprefix(_PREFIX))
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def is_authentic(request: Request, secret: str) -> bool:
    """Tells whether a call was signed with the secret within the last minutes."""
    headers = request.headers
    message_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not (secret and message_id and timestamp.isdigit()):
        return False
    if abs(time.time() - int(timestamp)) > _TOLERANCE:
        return False
    expected = signature(secret, message_id, timestamp, request.body)
    given = headers.get("webhook-signature", "").split()
    return any(hmac.compare_digest(each, expected) for each in given)


class Messages:
    """What the portal sends."""

    def __init__(self, shop: "WholesaleSandbox") -> None:
        self._shop = shop
        self.subscription = Subscription()

    def send(self, topic: str, data: dict[str, Any]) -> None:
        """Sends an event, if anybody subscribed to its type."""
        subscription = self.subscription
        if not (subscription.url and subscription.is_enabled and topic in subscription.events):
            return
        message = {"type": topic, "timestamp": moment(time.time()), "data": data}
        body = json.dumps(message, separators=(",", ":")).encode()
        self._shop.send_webhook(partial(self._attempt, f"msg_{uuid.uuid4().hex}", body, 0))

    def _attempt(self, message_id: str, body: bytes, failures: int) -> None:
        subscription = self.subscription
        timestamp = str(int(time.time()))
        signed = signature(subscription.secret, message_id, timestamp, body)
        if self._shop.happens(self._shop.faults.webhook_bad_signature_rate):
            signed = signed[:-4] + "AAA="
        headers = {
            "Content-Type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": timestamp,
            "webhook-signature": signed,
        }
        status = self._shop.post(subscription.url, headers, body)
        if status == 410:
            subscription.is_enabled = False
        elif not 200 <= status < 300 and failures < len(RETRY_WAITS):
            wait = RETRY_WAITS[failures] / self._shop.faults.retry_speed
            self._shop.later(wait, partial(self._attempt, message_id, body, failures + 1))
