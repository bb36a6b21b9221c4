"""WooCommerce's webhooks: built when they are sent, one after another, never again.

Sources: `class-wc-webhook.php`; the contract sheet's observations of a real WooCommerce 11.0.1.
"""

import base64
import hashlib
import hmac
import html
import json
import threading
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from channels.sandbox.httpd import Answer, Request, json_answer
from channels.sandbox.woocommerce.documents import VERSION, gmt, local
from channels.sandbox.woocommerce.rest import RestError, body_of, invalid_id, page

if TYPE_CHECKING:
    from channels.sandbox.woocommerce.shop import WooCommerceSandbox

#: The stored count is above 5 when the next failure comes: the seventh in a row disables.
MOST_FAILURES: Final = 6
_STATUSES: Final = ("active", "paused", "disabled")
_RESOURCES: Final = ("order", "product", "customer", "coupon")
_EVENTS: Final = ("created", "updated", "deleted", "restored")
_PING_WAIT: Final = 10.0
_MOST_PINGS: Final = 60


@dataclass(slots=True)
class Webhook:
    """One subscription; its secret is its own."""

    number: int
    name: str
    topic: str
    delivery_url: str
    secret: str
    status: str
    created_at: float
    modified_at: float
    failures: int = 0
    is_ping_pending: bool = True

    def document(self) -> dict[str, Any]:
        """As the API shows it: without the secret."""
        resource, _, event = self.topic.partition(".")
        return {
            "id": self.number,
            "name": self.name,
            "status": self.status,
            "topic": self.topic,
            "resource": resource,
            "event": event,
            "hooks": [],
            "delivery_url": self.delivery_url,
            "date_created": local(self.created_at),
            "date_created_gmt": gmt(self.created_at),
            "date_modified": local(self.modified_at),
            "date_modified_gmt": gmt(self.modified_at),
        }


class Webhooks:
    """The `/webhooks` resource, and the queue behind it."""

    def __init__(self, shop: "WooCommerceSandbox") -> None:
        self._shop = shop
        self._lock = threading.Lock()
        self._count = 0
        self._queued: set[tuple[int, int]] = set()
        self.by_number: dict[int, Webhook] = {}

    # -- the resource
    def listing(self, request: Request) -> Answer:
        status = request.query.get("status", "all")
        found = [each for each in self.by_number.values() if status in ("all", each.status)]
        return page(request, self._shop.base_url, found, lambda each: each.number, Webhook.document)

    def read(self, number: int) -> Answer:
        return json_answer(200, self._find(number, 404).document())

    def create(self, request: Request) -> Answer:
        data = body_of(request)
        resource, _, event = str(data.get("topic", "")).partition(".")
        if resource not in _RESOURCES or event not in _EVENTS:
            raise RestError(400, "woocommerce_rest_invalid_webhook_topic", "Webhook topic must be valid.")
        _check_address(data.get("delivery_url"))
        with self._lock:
            self._count += 1
            now = time.time()
            made = Webhook(
                number=self._count,
                name=str(data.get("name") or f"Webhook created on {gmt(now)}"),
                topic=str(data["topic"]),
                delivery_url=str(data["delivery_url"]),
                secret=str(data.get("secret") or self._shop.secret("", 50)),
                status="active",
                created_at=now,
                modified_at=now,
            )
            self.by_number[made.number] = made
        self._change(made, data)
        self._ping(made)
        return json_answer(201, made.document())

    def write(self, request: Request, number: int) -> Answer:
        webhook = self._find(number, 400)
        data = body_of(request)
        if "delivery_url" in data:
            _check_address(data["delivery_url"])
        self._change(webhook, data)
        if webhook.is_ping_pending:
            self._ping(webhook)
        return json_answer(200, webhook.document())

    def delete(self, request: Request, number: int) -> Answer:
        webhook = self._find(number, 404)
        if request.query.get("force", "").lower() not in ("true", "1"):
            raise RestError(501, "woocommerce_rest_trash_not_supported", "Webhooks do not support trashing.")
        del self.by_number[number]
        return json_answer(200, webhook.document())

    def _find(self, number: int, status: int) -> Webhook:
        webhook = self.by_number.get(number)
        if webhook is None:
            raise invalid_id(status, "shop_webhook")
        return webhook

    def _change(self, webhook: Webhook, data: dict[str, Any]) -> None:
        if data.get("status", webhook.status) not in _STATUSES:
            raise RestError(
                400, "woocommerce_rest_shop_webhook_invalid_status", "Webhook status must be valid."
            )
        if data.get("status") == "active" and webhook.status != "active":
            webhook.failures, webhook.is_ping_pending = 0, True
        webhook.status = data.get("status", webhook.status)
        webhook.name = data.get("name", webhook.name)
        webhook.secret = data.get("secret", webhook.secret)
        webhook.delivery_url = data.get("delivery_url", webhook.delivery_url)
        webhook.modified_at = time.time()

    # -- sending
    def happened(self, resource: str, event: str, number: int) -> None:
        """Queues a message to everybody who wants to know; one that is queued already stands for this too."""
        for webhook in list(self.by_number.values()):
            key = (webhook.number, number)
            if webhook.topic != f"{resource}.{event}" or webhook.status != "active":
                continue
            with self._lock:
                if key in self._queued:
                    continue
                self._queued.add(key)
            if not self._shop.send_webhook(partial(self._deliver, webhook, resource, event, number)):
                self._queued.discard(key)

    def _deliver(self, webhook: Webhook, resource: str, event: str, number: int) -> None:
        """Builds the payload as things are now, signs and posts it, and counts a failure."""
        with self._lock:
            self._queued.discard((webhook.number, number))
        if webhook.status != "active" or webhook.number not in self.by_number:
            return
        payload = {"id": number} if event == "deleted" else self._shop.resource(resource, number)
        body = json.dumps(payload, separators=(",", ":")).encode()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"WooCommerce/{VERSION} Hookshot (WordPress/7.0.4)",
            "X-WC-Webhook-Source": f"{self._shop.base_url}/",
            "X-WC-Webhook-Topic": webhook.topic,
            "X-WC-Webhook-Resource": resource,
            "X-WC-Webhook-Event": event,
            "X-WC-Webhook-Signature": self._signature(webhook, body),
            "X-WC-Webhook-ID": str(webhook.number),
            "X-WC-Webhook-Delivery-ID": _delivery_id(webhook),
        }
        self._count_outcome(webhook, self._shop.post(webhook.delivery_url, headers, body))

    def _signature(self, webhook: Webhook, body: bytes) -> str:
        secret = html.unescape(webhook.secret)
        if self._shop.happens(self._shop.faults.webhook_bad_signature_rate):
            secret += "?"
        return base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest()).decode()

    @staticmethod
    def _count_outcome(webhook: Webhook, status: int) -> None:
        if 200 <= status <= 302:
            webhook.failures = 0
        elif webhook.failures >= MOST_FAILURES:
            webhook.status = "disabled"
        else:
            webhook.failures += 1

    def _ping(self, webhook: Webhook) -> None:
        if webhook.status == "active":
            self._shop.later(0.0, partial(self._post_ping, webhook, 1))

    def _post_ping(self, webhook: Webhook, count: int) -> None:
        """Posts the unsigned form that a new webhook begins with, until it is answered with exactly 200."""
        if not webhook.is_ping_pending or webhook.number not in self.by_number:
            return
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "User-Agent": f"WooCommerce/{VERSION} Hookshot (WordPress/7.0.4)",
        }
        status = self._shop.post(webhook.delivery_url, headers, f"webhook_id={webhook.number}".encode())
        if status == 200:
            webhook.is_ping_pending = False
        elif count < _MOST_PINGS:
            wait = _PING_WAIT / self._shop.faults.retry_speed
            self._shop.later(wait, partial(self._post_ping, webhook, count + 1))


def _delivery_id(webhook: Webhook) -> str:
    """A hash of webhook and second: two deliveries of one second have the same."""
    return hashlib.md5(f"{webhook.number}{int(time.time())}".encode(), usedforsecurity=False).hexdigest()


def _check_address(url: Any) -> None:
    if not isinstance(url, str) or not url.startswith(("http://", "https://")):
        message = "Webhook delivery URL must be a valid URL starting with http:// or https://."
        raise RestError(400, "woocommerce_rest_invalid_webhook_delivery_url", message)
