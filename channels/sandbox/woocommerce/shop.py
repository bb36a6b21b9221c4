"""A simulated WooCommerce shop: REST API v3, Basic or OAuth 1.0a, webhooks built at delivery and never retried."""

import time
from collections.abc import Callable
from typing import Any, Final

from channels.sandbox.book import Item, Order
from channels.sandbox.httpd import Answer, Request, json_answer
from channels.sandbox.shop import Picks, SandboxShop
from channels.sandbox.woocommerce.auth import Door
from channels.sandbox.woocommerce.documents import (
    FIRST_ITEM,
    FIRST_ORDER,
    FIRST_PARENT,
    VERSION,
    item_id,
    order_document,
)
from channels.sandbox.woocommerce.orders import TAKING, Orders
from channels.sandbox.woocommerce.products import Products
from channels.sandbox.woocommerce.rest import RestError
from channels.sandbox.woocommerce.webhooks import Webhooks

_ROOT: Final = "wp-json"
_NAMESPACE: Final = ("wp-json", "wc", "v3")
_ROUTES: Final = (
    "products",
    "products/(?P<id>)/variations",
    "variations",
    "orders",
    "webhooks",
    "system_status",
)
_NO_ROUTE: Final = "No route was found matching the URL and request method."


class WooCommerceSandbox(SandboxShop):
    """WooCommerce: one number a product or variation, which the shop lowers when an order is paid."""

    kind = "woocommerce"
    #: Action Scheduler sends one after another: a slow receiver holds up the rest.
    webhook_threads = 1
    keeps_webhook_connections = False
    webhook_timeout = 60.0

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.opened_at = time.time()
        self._consumer_key = self.secret("ck_", 40)
        self._consumer_secret = self.secret("cs_", 40)
        self._door = Door(self._consumer_key, self._consumer_secret)
        self.webhooks = Webhooks(self)
        self.products = Products(self)
        self.orders = Orders(self)

    def _webhook_threads(self) -> int:
        return self.webhook_threads if self.limits == "true" else 4

    def credentials(self) -> dict[str, str]:
        return {"consumer_key": self._consumer_key, "consumer_secret": self._consumer_secret}

    def settings(self) -> dict[str, object]:
        return {"base_url": self.base_url}

    # -- selling
    def order_id(self, order: Order) -> str:
        return str(FIRST_ORDER + order.number)

    def order_number(self, order_id: str) -> int:
        return int(order_id) - FIRST_ORDER if order_id.isdigit() else 0

    def new_status(self) -> str:
        return "pending"

    def take(self, order: Order) -> None:
        self.orders.set_status(order, "processing")

    def sells(self, item: Item, quantity: int) -> bool:
        """Pending orders hold stock beside the number, which does not show it."""
        return super().sells(item, quantity + self._held(item))

    def _held(self, item: Item) -> int:
        waiting = self.orders.pending.values()
        return sum(line.open_units for order in waiting for line in order.lines if line.item is item)

    def cancel_units(self, order: Order, picks: Picks) -> None:
        """A whole order is cancelled by its status, a part of one by a refund that restocks."""
        is_whole = sum(units for _, units in picks) == sum(line.quantity for line in order.lines)
        if is_whole and order.status in TAKING:
            self.orders.set_status(order, "cancelled")
            self.orders.changed(order)
        else:
            self.orders.refund(order, picks, restock=True, reason="Cancelled by the customer")

    def fulfil_units(self, order: Order, picks: Picks) -> None:
        """Woo knows no partial shipment: the order shows it when nothing is left to ship."""
        for line, units in picks:
            line.fulfilled += units
        if order.is_open:
            self.records.touch(order)
            return
        self.orders.set_status(order, "completed")
        self.orders.changed(order)

    def return_units(self, order: Order, picks: Picks, *, restock: bool) -> None:
        self.orders.refund(order, picks, restock=restock, reason="Returned")

    def stamp(self, item: Item) -> None:
        """Notes that a product changed now."""
        item.updated_at = time.time()

    # -- webhooks
    def announce_order(self, order: Order, what: str) -> None:
        """A new order sends `order.created` and then `order.updated`."""
        number = FIRST_ORDER + order.number
        if what == "created":
            self.webhooks.happened("order", "created", number)
        self.webhooks.happened("order", "updated", number)

    def announce_stock(self, item: Item, code: str) -> None:
        """A variation that draws on its parent's pool is announced as its parent."""
        is_pooled = item.source.shares_parent_stock
        post_id = FIRST_PARENT + item.parent_number if is_pooled else item_id(item)
        self.webhooks.happened("product", "updated", post_id)

    def resource(self, kind: str, number: int) -> dict[str, Any]:
        """What a webhook carries: the thing as it is now, or the error that reading it gives."""
        with self.records.lock:
            try:
                if kind == "order":
                    return order_document(self.orders.find(number))
            except RestError as error:
                return error.document
            return self.products.document(number) or {}

    def written_items(self, request: Request) -> list[Item]:
        if request.method != "POST" or not request.path.endswith("/batch"):
            return []
        numbers = [int(each["id"]) - FIRST_ITEM for each in request.json().get("update", ())]
        known = self.records.items_by_number
        return [known[number] for number in numbers if number in known]

    # -- the API
    def endpoint_of(self, request: Request) -> str:
        parts = ["{id}" if part.isdigit() else part for part in request.path.strip("/").split("/")[3:]]
        return f"{request.method} {'/'.join(parts)}"

    def answer(self, request: Request) -> Answer:
        parts = request.path.strip("/").split("/")
        if parts == [_ROOT]:
            return json_answer(
                200, {"name": self.name, "url": self.base_url, "namespaces": ["wc/v3", "wp/v2"]}
            )
        if tuple(parts[:3]) != _NAMESPACE:
            return RestError(404, "rest_no_route", _NO_ROUTE).answer()
        if len(parts) == 3:
            routes = {f"/wc/v3/{route}": {"namespace": "wc/v3"} for route in _ROUTES}
            return json_answer(200, {"namespace": "wc/v3", "routes": routes})
        refusal = self._door.refusal(request, self.base_url)
        if refusal is not None:
            return RestError(401, *refusal).answer()
        try:
            with self.records.lock:
                return self._route(request, parts[3:])
        except RestError as error:
            return error.answer()

    def _route(self, request: Request, parts: list[str]) -> Answer:
        numbers = [int(part) for part in parts if part.isdigit()]
        pattern = "/".join("#" if part.isdigit() else part for part in parts)
        handler = self._handlers(request, numbers).get((_verb(request.method), pattern))
        if handler is None:
            raise RestError(404, "rest_no_route", _NO_ROUTE)
        return handler()

    def _handlers(self, request: Request, numbers: list[int]) -> dict[tuple[str, str], Callable[[], Answer]]:
        first, second = (*numbers, 0, 0)[:2]
        products, orders, webhooks = self.products, self.orders, self.webhooks
        return {
            ("GET", "system_status"): self._system_status,
            ("GET", "products"): lambda: products.listing(request),
            ("POST", "products/batch"): lambda: products.batch(request, None),
            ("GET", "products/#"): lambda: products.read(first, None),
            ("PUT", "products/#"): lambda: products.write(request, first, None),
            ("GET", "products/#/variations"): lambda: products.variations(request, first),
            ("POST", "products/#/variations/batch"): lambda: products.batch(request, first),
            ("GET", "products/#/variations/#"): lambda: products.read(second, first),
            ("PUT", "products/#/variations/#"): lambda: products.write(request, second, first),
            ("GET", "variations"): lambda: products.all_variations(request),
            ("GET", "orders"): lambda: orders.listing(request),
            ("POST", "orders"): lambda: orders.create(request),
            ("GET", "orders/#"): lambda: json_answer(200, order_document(orders.find(first))),
            ("PUT", "orders/#"): lambda: orders.write(request, first),
            ("DELETE", "orders/#"): lambda: orders.delete(request, first),
            ("GET", "orders/#/refunds"): lambda: orders.refunds(request, first),
            ("POST", "orders/#/refunds"): lambda: orders.create_refund(request, first),
            ("GET", "orders/#/refunds/#"): lambda: orders.read_refund(first, second),
            ("GET", "webhooks"): lambda: webhooks.listing(request),
            ("POST", "webhooks"): lambda: webhooks.create(request),
            ("GET", "webhooks/#"): lambda: webhooks.read(first),
            ("PUT", "webhooks/#"): lambda: webhooks.write(request, first),
            ("DELETE", "webhooks/#"): lambda: webhooks.delete(request, first),
        }

    def _system_status(self) -> Answer:
        environment = {
            "home_url": self.base_url,
            "site_url": self.base_url,
            "version": VERSION,
            "wp_version": "7.0.4",
        }
        return json_answer(200, {"environment": environment, "settings": {"currency": "EUR"}})

    def error_answer(self, status: int) -> Answer:
        return RestError(
            status, "internal_server_error", "There has been a critical error on this website."
        ).answer()

    def throttled_answer(self) -> Answer:
        """No limit of Woo's own: a host's proxy says so, in HTML."""
        status = 429 if self.happens(0.5) else 503
        page = b"<html><title>Too many requests</title></html>"
        return Answer(status, page, {"Content-Type": "text/html", "Retry-After": "1"})

    def error_in_200(self) -> Answer:
        return json_answer(
            200, {"code": "internal_server_error", "message": "Something failed.", "data": {"status": 500}}
        )


def _verb(method: str) -> str:
    """Woo takes POST and PATCH on a thing like PUT."""
    return "PUT" if method == "PATCH" else method
