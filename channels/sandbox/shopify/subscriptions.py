"""Webhook subscriptions of a Shopify shop: topics, signed deliveries, eight retries, then the subscription is deleted.

Sources: shopify.dev "Verify webhook deliveries", "Delivery structure"; changelog "updates to webhook retry mechanism"
(2024-09-10).
"""

import base64
import hashlib
import hmac
import json
import threading
import time
import uuid
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from channels.sandbox.shopify.paging import iso

if TYPE_CHECKING:
    from channels.sandbox.shopify.shop import ShopifySandbox

#: Header values of the topics this shop sends, by their name in GraphQL.
TOPICS: Final = {
    "ORDERS_CREATE": "orders/create",
    "ORDERS_UPDATED": "orders/updated",
    "ORDERS_EDITED": "orders/edited",
    "ORDERS_CANCELLED": "orders/cancelled",
    "ORDERS_DELETE": "orders/delete",
    "ORDERS_FULFILLED": "orders/fulfilled",
    "ORDERS_PARTIALLY_FULFILLED": "orders/partially_fulfilled",
    "REFUNDS_CREATE": "refunds/create",
    "INVENTORY_LEVELS_UPDATE": "inventory_levels/update",
    "INVENTORY_LEVELS_CONNECT": "inventory_levels/connect",
    "INVENTORY_LEVELS_DISCONNECT": "inventory_levels/disconnect",
    "INVENTORY_ITEMS_CREATE": "inventory_items/create",
    "INVENTORY_ITEMS_UPDATE": "inventory_items/update",
    "INVENTORY_ITEMS_DELETE": "inventory_items/delete",
    "PRODUCTS_CREATE": "products/create",
    "PRODUCTS_UPDATE": "products/update",
    "PRODUCTS_DELETE": "products/delete",
    "LOCATIONS_CREATE": "locations/create",
    "LOCATIONS_UPDATE": "locations/update",
    "LOCATIONS_ACTIVATE": "locations/activate",
    "LOCATIONS_DEACTIVATE": "locations/deactivate",
    "LOCATIONS_DELETE": "locations/delete",
    "FULFILLMENT_ORDERS_ORDER_ROUTING_COMPLETE": "fulfillment_orders/order_routing_complete",
    "FULFILLMENT_ORDERS_MOVED": "fulfillment_orders/moved",
    "FULFILLMENT_ORDERS_SPLIT": "fulfillment_orders/split",
    "FULFILLMENT_ORDERS_CANCELLED": "fulfillment_orders/cancelled",
    "RETURNS_APPROVE": "returns/approve",
    "RETURNS_PROCESS": "returns/process",
    "RETURNS_CLOSE": "returns/close",
    "RETURNS_CANCEL": "returns/cancel",
    "RETURNS_REOPEN": "returns/reopen",
    "BULK_OPERATIONS_FINISH": "bulk_operations/finish",
    "APP_UNINSTALLED": "app/uninstalled",
    "APP_SCOPES_UPDATE": "app/scopes_update",
}
#: Seconds before each of the eight retries; they spread over four hours.
RETRY_WAITS: Final = (10, 60, 300, 600, 1200, 2400, 3600, 6000)


@dataclass(slots=True)
class Subscription:
    """Where a topic is sent."""

    number: int
    topic: str
    uri: str
    created_at: float
    updated_at: float
    filter: str = ""
    name: str = ""
    include_fields: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message to one subscription: the body stays as it was when the event happened."""

    subscription: Subscription
    uri: str
    body: bytes
    headers: dict[str, str]


class Webhooks:
    """The subscriptions of a shop and what is sent to them."""

    def __init__(self, shop: "ShopifySandbox") -> None:
        self._shop = shop
        self._lock = threading.Lock()
        self._count = 0
        self.by_number: dict[int, Subscription] = {}

    def create(self, topic: str, data: dict[str, Any]) -> tuple[Subscription | None, str]:
        """Adds a subscription; returns it, or the reason why not."""
        uri = data.get("uri") or data.get("callbackUrl") or ""
        problem = _address_problem(uri)
        if problem:
            return None, problem
        with self._lock:
            if any(each.topic == topic and each.uri == uri for each in self.by_number.values()):
                return None, "Address for this topic has already been taken"
            self._count += 1
            now = time.time()
            made = Subscription(self._count, topic, uri, now, now)
            self._fill(made, data)
            self.by_number[made.number] = made
            return made, ""

    def update(self, subscription: Subscription, data: dict[str, Any]) -> str:
        """Changes a subscription; returns the reason why not, or nothing."""
        uri = data.get("uri") or data.get("callbackUrl")
        problem = _address_problem(uri) if uri else ""
        if not problem:
            subscription.uri = uri or subscription.uri
            self._fill(subscription, data)
        return problem

    def _fill(self, subscription: Subscription, data: dict[str, Any]) -> None:
        subscription.filter = data.get("filter", subscription.filter)
        subscription.name = data.get("name", subscription.name)
        subscription.include_fields = data.get("includeFields", subscription.include_fields)
        subscription.updated_at = time.time()

    def delete(self, number: int) -> bool:
        """Removes a subscription; tells whether it was there."""
        with self._lock:
            return self.by_number.pop(number, None) is not None

    def wants(self, topic: str) -> bool:
        """Tells whether anybody subscribes to a topic."""
        return any(each.topic == topic for each in list(self.by_number.values()))

    def send(self, topic: str, payload: dict[str, Any], *, event_id: str) -> None:
        """Sends a payload to every subscription of a topic."""
        for subscription in list(self.by_number.values()):
            if subscription.topic == topic:
                body = json.dumps(
                    _reduced(payload, subscription.include_fields), separators=(",", ":")
                ).encode()
                headers = self._headers(subscription, body, event_id)
                delivery = Delivery(subscription, subscription.uri, body, headers)
                self._shop.send_webhook(partial(self._attempt, delivery, 0))

    def _headers(self, subscription: Subscription, body: bytes, event_id: str) -> dict[str, str]:
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Shopify-Captain-Hook",
            "X-Shopify-Topic": TOPICS[subscription.topic],
            "X-Shopify-Hmac-Sha256": self._signature(body),
            "X-Shopify-Shop-Domain": self._shop.shop_domain,
            "X-Shopify-API-Version": self._shop.api_version,
            "X-Shopify-Webhook-Id": str(uuid.uuid4()),
            "X-Shopify-Event-Id": event_id,
            "X-Shopify-Triggered-At": _precise(time.time()),
        }
        if subscription.name:
            headers["X-Shopify-Name"] = subscription.name
        return headers

    def _signature(self, body: bytes) -> str:
        """HMAC-SHA256 of the raw body with the app's client secret, in base64."""
        secret = self._shop.client_secret
        if self._shop.happens(self._shop.faults.webhook_bad_signature_rate):
            secret += "?"
        return base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest()).decode()

    def _attempt(self, delivery: Delivery, failures: int) -> None:
        if delivery.subscription.number not in self.by_number:
            return
        if 200 <= self._shop.post(delivery.uri, delivery.headers, delivery.body) < 300:
            return
        if failures == len(RETRY_WAITS):
            self.delete(delivery.subscription.number)
            return
        wait = RETRY_WAITS[failures] / self._shop.faults.retry_speed
        self._shop.later(wait, partial(self._attempt, delivery, failures + 1))


def _precise(at: float) -> str:
    """An instant with nanoseconds, as `X-Shopify-Triggered-At` has it."""
    return f"{(iso(at) or '')[:-1]}.{int(at % 1 * 1e9):09d}Z"


def _reduced(payload: dict[str, Any], names: list[str]) -> dict[str, Any]:
    return {name: value for name, value in payload.items() if name in names} if names else payload


def _address_problem(uri: str) -> str:
    """HTTPS is compulsory, except towards this machine, where the sandbox lives."""
    if uri.startswith(("https://", "http://127.0.0.1:", "http://localhost:")):
        return ""
    return "Address protocol http:// is not supported" if uri.startswith("http://") else "Address is invalid"
