"""A simulated bol account: Offers v11, orders v10, ids-only events, limits per endpoint."""

import base64
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

from channels.sandbox.bol.offers import Offers, corrected_stock
from channels.sandbox.bol.orders import Orders
from channels.sandbox.bol.processes import Processes
from channels.sandbox.bol.rest import V10, V11, Limits, Problem, check_media_types, versioned
from channels.sandbox.bol.subscriptions import Subscriptions
from channels.sandbox.book import CatalogueItem, Item, Line, Order
from channels.sandbox.httpd import Answer, Request, json_answer
from channels.sandbox.shop import Picks, SandboxShop

TOKEN_SECONDS: Final = 299
_ORDER_PREFIX: Final = "A"
_WORDS: Final = frozenset(
    {
        "retailer",
        "retailers",
        "shared",
        "token",
        "offers",
        "orders",
        "returns",
        "subscriptions",
        "inventory",
        "shipments",
        "process-status",
        "stock",
        "cancellation",
        "test",
        "signature-keys",
        "not-for-sale-reasons",
    }
)


class BolSandbox(SandboxShop):
    """Bol: the amount stays as written, the shop subtracts its open orders from it."""

    kind = "bol"
    webhook_threads = 4

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._client_id = self.secret("", 36)
        self._client_secret = self.secret("", 48)
        self.retailer_id = "1234567"
        self.processes = Processes(self)
        self.subscriptions = Subscriptions(self)
        self.offers = Offers(self)
        self.orders = Orders(self)
        self._limits = Limits(is_generous=self.limits == "generous")
        self._tokens: dict[str, float] = {}
        self._token_lock = threading.Lock()
        self._order_of_line: dict[int, tuple[Order, Line]] = {}

    def credentials(self) -> dict[str, str]:
        return {"client_id": self._client_id, "client_secret": self._client_secret}

    def settings(self) -> dict[str, object]:
        return {"base_url": self.base_url, "login_url": self.base_url}

    def load_catalogue(self, items: Iterable[CatalogueItem]) -> None:
        for item in items:
            self.offers.index(self.records.add_item(item, self.opening_levels(item)))

    # -- numbers
    def number(self, sku: str) -> int:
        return max(corrected_stock(self.item(sku)), 0)

    def numbers(self, item: Item) -> dict[str, int]:
        return {"": max(corrected_stock(item), 0)}

    def stored_numbers(self, item: Item) -> dict[str, int]:
        return {"": item.available}

    def write_level(self, item: Item, code: str, quantity: int) -> None:
        super().write_level(item, code, quantity)
        item.open_units_since_update = 0

    # -- selling
    def order_id(self, order: Order) -> str:
        return f"{_ORDER_PREFIX}{order.number:09d}"

    def order_number(self, order_id: str) -> int:
        digits = order_id.removeprefix(_ORDER_PREFIX)
        return int(digits) if digits.isdigit() else 0

    def order_of_line(self, number: int) -> tuple[Order, Line] | None:
        """Returns the order item with this number and its order."""
        return self._order_of_line.get(number)

    def take(self, order: Order) -> None:
        for line in order.lines:
            self._order_of_line[line.number] = (order, line)
            if line.item is not None:
                self._open(line.item, line.quantity, is_since_update=True)

    @staticmethod
    def _open(item: Item, units: int, *, is_since_update: bool) -> None:
        """Opens units of an item; negative ones are closed. What lies with bol leaves its shelf at the order."""
        if item.source.is_fulfilled_by_channel:
            next(iter(item.levels.values())).available -= units
            return
        item.open_units += units
        if is_since_update:
            item.open_units_since_update += units

    def _close(self, order: Order, line: Line, units: int, *, is_shipped: bool) -> None:
        item = line.item
        if item is not None and not (is_shipped and item.source.is_fulfilled_by_channel):
            self._open(item, -units, is_since_update=order.committed_at > item.updated_at)

    def cancel_units(self, order: Order, picks: Picks) -> None:
        for line, units in picks:
            line.cancelled += units
            self._close(order, line, units, is_shipped=False)
        self.records.touch(order)
        self.announce_order(order, "cancelled")

    def fulfil_units(self, order: Order, picks: Picks) -> None:
        for line, units in picks:
            line.fulfilled += units
            self._close(order, line, units, is_shipped=True)
        self.records.touch(order)
        self.announce_order(order, "shipped")
        self.subscriptions.send("SHIPMENT", "CREATE_SHIPMENT", str(self.records.next_number()))

    def return_units(self, order: Order, picks: Picks, *, restock: bool) -> None:
        """Announces a return; the amount is the retailer's to raise once the goods are there."""
        for line, units in picks:
            line.returned += units
            self.orders.announce_return(order, line, units)

    def request_cancellation(self, order_id: str, sku: str) -> None:
        """Has the customer ask to cancel; nothing is cancelled by that."""
        with self.records.lock:
            order = self.find_order(order_id)
            for line in order.lines:
                line.is_cancellation_requested |= line.sku == sku
            self.records.touch(order)
            self.announce_order(order, "changed")

    # -- events
    def announce_order(self, order: Order, what: str) -> None:
        self.subscriptions.send("ORDER", f"ORDER_{what.upper()}", self.order_id(order))

    def announce_stock(self, item: Item, code: str) -> None:
        """Bol has no event for a number."""

    def processing_seconds(self) -> float:
        """How long bol takes for what it only accepts at first."""
        return self._chances.uniform(*self.profile.webhook_seconds)

    # -- the API
    def written_items(self, request: Request) -> list[Item]:
        parts = request.path.strip("/").split("/")
        if request.method not in ("PATCH", "PUT") or parts[:2] != ["retailer", "offers"] or len(parts) < 3:
            return []
        try:
            return [self.offers.find(parts[2])]
        except Problem:
            return []

    def endpoint_of(self, request: Request) -> str:
        parts = [part if part in _WORDS else "{id}" for part in request.path.strip("/").split("/")]
        return f"{request.method} /{'/'.join(parts)}"

    def answer(self, request: Request) -> Answer:
        endpoint = self.endpoint_of(request)
        try:
            if endpoint == "POST /token":
                return self._token(request)
            self._check_token(request)
            is_allowed, headers = self._limits.take(endpoint)
            if not is_allowed:
                self.count_throttled()
                return _with_headers(_too_many().answer(), headers)
            return _with_headers(self._route(request, endpoint), headers)
        except Problem as problem:
            return problem.answer()

    def _route(self, request: Request, endpoint: str) -> Answer:
        is_v11 = "/retailer/offers" in endpoint and not endpoint.endswith("/stock")
        check_media_types(request, V11 if is_v11 else V10)
        parts = request.path.strip("/").split("/")
        handler = self._handlers(request, parts[2] if len(parts) > 2 else "", parts[-1]).get(endpoint)
        if handler is None:
            raise Problem(404, "Not Found", "No such resource.")
        with self.records.lock:
            return handler()

    def _handlers(self, request: Request, thing: str, last: str) -> dict[str, Callable[[], Answer]]:
        number = int(last) if last.isdigit() else 0
        offers, orders, subscriptions, processes = (
            self.offers,
            self.orders,
            self.subscriptions,
            self.processes,
        )
        return {
            "GET /retailer/retailers/{id}": self._account,
            "GET /retailer/offers": lambda: offers.listing(request),
            "GET /retailer/offers/{id}": lambda: offers.read(thing),
            "PATCH /retailer/offers/{id}": lambda: offers.patch(request, thing),
            "GET /retailer/offers/{id}/not-for-sale-reasons": lambda: offers.not_for_sale_reasons(thing),
            "PUT /retailer/offers/{id}/stock": lambda: offers.put_stock(request, thing),
            "GET /retailer/inventory": lambda: offers.inventory(request),
            "GET /retailer/orders": lambda: orders.listing(request),
            "GET /retailer/orders/{id}": lambda: orders.read(thing),
            "PUT /retailer/orders/cancellation": lambda: orders.cancel(request),
            "POST /retailer/shipments": lambda: orders.ship(request),
            "GET /retailer/returns": lambda: orders.list_returns(request),
            "GET /retailer/returns/{id}": lambda: orders.read_return(thing),
            "PUT /retailer/returns/{id}": lambda: orders.handle_return(request, thing),
            "GET /retailer/subscriptions": subscriptions.listing,
            "POST /retailer/subscriptions": lambda: subscriptions.create(request),
            "GET /retailer/subscriptions/signature-keys": subscriptions.signature_keys,
            "GET /retailer/subscriptions/{id}": lambda: subscriptions.read(number),
            "PUT /retailer/subscriptions/{id}": lambda: subscriptions.write(request, number),
            "DELETE /retailer/subscriptions/{id}": lambda: subscriptions.delete(number),
            "POST /retailer/subscriptions/test/{id}": lambda: subscriptions.test(number),
            "GET /shared/process-status": lambda: processes.listing(request),
            "POST /shared/process-status": lambda: processes.bulk(request),
            "GET /shared/process-status/{id}": lambda: processes.read(last),
        }

    def _account(self) -> Answer:
        """Who the caller is; `current` is the only account that is known."""
        document = {
            "retailerId": self.retailer_id,
            "displayName": self.name,
            "companyName": self.name,
            "vatNumber": "NL000000000B01",
            "registrationDate": "2020-01-01",
        }
        return versioned(200, document, V10)

    # -- tokens
    def _token(self, request: Request) -> Answer:
        grant = request.query.get("grant_type") or request.form().get("grant_type")
        if grant != "client_credentials":
            return json_answer(400, {"error": "unsupported_grant_type"})
        kind, _, encoded = request.headers.get("authorization", "").partition(" ")
        expected = base64.b64encode(f"{self._client_id}:{self._client_secret}".encode()).decode()
        if kind.lower() != "basic" or not secrets.compare_digest(encoded, expected):
            return json_answer(401, {"error": "invalid_client"})
        token = self._new_token()
        return json_answer(
            200,
            {"access_token": token, "token_type": "Bearer", "expires_in": TOKEN_SECONDS, "scope": "RETAILER"},
        )

    def _new_token(self) -> str:
        """A token in the shape of a JWT; nobody but us reads it."""
        until = time.time() + TOKEN_SECONDS
        parts = (
            {"alg": "RS256", "typ": "JWT"},
            {"sub": self._client_id, "exp": int(until)},
            secrets.token_hex(16),
        )
        token = ".".join(
            base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts
        )
        with self._token_lock:
            self._tokens = {known: end for known, end in self._tokens.items() if end > time.time()}
            self._tokens[token] = until
        return token

    def expire_tokens(self) -> None:
        """Makes every token invalid."""
        with self._token_lock:
            self._tokens = {}

    def _check_token(self, request: Request) -> None:
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or self._tokens.get(token, 0) <= time.time():
            raise Problem(401, "Unauthorized", "JWT expired or invalid.")

    # -- faults
    def error_answer(self, status: int) -> Answer:
        return Problem(status, "Internal Server Error", "Something went wrong on our end.").answer()

    def throttled_answer(self) -> Answer:
        limits = {
            "x-ratelimit-limit": "25",
            "x-ratelimit-remaining": "0",
            "x-ratelimit-reset": "1",
            "Retry-After": "1",
        }
        return _with_headers(_too_many().answer(), limits)

    def error_in_200(self) -> Answer:
        answer = self.error_answer(500)
        return Answer(200, answer.body, answer.headers)


def _too_many() -> Problem:
    return Problem(429, "Too Many Requests", "Too many requests, retry later.")


def _with_headers(answer: Answer, headers: dict[str, str]) -> Answer:
    return Answer(answer.status, answer.body, {**answer.headers, **headers}, is_dropped=answer.is_dropped)
