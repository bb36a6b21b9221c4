"""A simulated portal: dealers who order by machine, from the numbers that the portal was told."""

import base64
import json
import secrets
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, Final

from channels.sandbox.book import CatalogueItem, Item, Line, Order
from channels.sandbox.httpd import Answer, Request, json_answer
from channels.sandbox.limits import Bucket
from channels.sandbox.shop import Picks, SandboxShop
from channels.sandbox.wholesale.messages import Messages, is_authentic, moment

#: Calls at once, and a second.
#: As the handbook says of the interface for portals.
_TRUE_LIMITS: Final = (20.0, 10.0)
_GENEROUS_LIMITS: Final = (10_000.0, 10_000.0)
_PAGE: Final = 100


class PortalError(Exception):
    """A refusal: a code and a message."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.document = {"code": code, "message": message}

    def answer(self) -> Answer:
        return json_answer(self.status, self.document)


class WholesaleSandbox(SandboxShop):
    """A portal with one number an item, which it lowers when a dealer orders."""

    kind = "wholesale"
    webhook_threads = 4
    webhook_timeout = 15.0

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._api_key = self.secret("portal_", 40)
        self.buyer_key = self.secret("buyer_", 40)
        self.messages = Messages(self)
        self._bucket = Bucket(*(_TRUE_LIMITS if self.limits == "true" else _GENEROUS_LIMITS))
        self._by_id: dict[str, Item] = {}
        #: By the id of the item: when the number that it shows was computed.
        self._as_of: dict[str, datetime] = {}
        #: Answers by idempotency key.
        self._answers: dict[str, dict[str, Any]] = {}

    def credentials(self) -> dict[str, str]:
        return {"api_key": self._api_key, "buyer_key": self.buyer_key}

    def settings(self) -> dict[str, object]:
        return {"base_url": self.base_url}

    def load_catalogue(self, items: Iterable[CatalogueItem]) -> None:
        for source in items:
            item = self.records.add_item(source, self.opening_levels(source))
            self._by_id[self.item_id(item)] = item

    @staticmethod
    def item_id(item: Item) -> str:
        """The portal's id of an item."""
        return f"item-{item.number}"

    # -- selling
    def order_id(self, order: Order) -> str:
        return f"PO-{order.number}"

    def order_number(self, order_id: str) -> int:
        digits = order_id.removeprefix("PO-")
        return int(digits) if digits.isdigit() else 0

    def take(self, order: Order) -> None:
        for line in order.lines:
            if line.item is not None:
                self._move(line.item, -line.quantity)

    def _move(self, item: Item, units: int) -> None:
        self.write_level(item, "", item.levels[""].available + units)

    def cancel_units(self, order: Order, picks: Picks) -> None:
        for line, units in picks:
            line.cancelled += units
            if line.item is not None:
                self._move(line.item, units)
        self.records.touch(order)
        self.announce_order(order, "changed" if order.is_open else "cancelled")

    def fulfil_units(self, order: Order, picks: Picks) -> None:
        for line, units in picks:
            line.fulfilled += units
        self.records.touch(order)
        self.announce_order(order, "changed")

    def return_units(self, order: Order, picks: Picks, *, restock: bool) -> None:
        for line, units in picks:
            line.returned += units
            if restock and line.item is not None:
                self._move(line.item, units)
        self.records.touch(order)
        self.announce_order(order, "changed")

    # -- messages
    def announce_order(self, order: Order, what: str) -> None:
        topic = "order.submitted" if what == "created" else f"order.{what}"
        self.messages.send(topic, self.order_document(order))

    def announce_stock(self, item: Item, code: str) -> None:
        """The portal has no event for a number."""

    def order_document(self, order: Order) -> dict[str, Any]:
        """An order as it is, its buyer included."""
        return {
            "external_id": self.order_id(order),
            "number": f"Purchase order {order.number}",
            "ordered_at": moment(order.committed_at),
            "updated_at": moment(order.updated_at),
            "country": order.country,
            "currency": order.currency,
            "buyer": {"name": order.customer.last_name, "email": order.customer.email},
            "ship_to": {"street": order.customer.street, "city": order.customer.city},
            "lines": [self._line(line) for line in order.lines],
        }

    def _line(self, line: Line) -> dict[str, Any]:
        item = line.item
        return {
            "external_id": str(line.number),
            "item_id": self.item_id(item) if item else "",
            "sku": line.sku,
            "title": item.source.title if item else "",
            "quantity": line.quantity,
            "cancelled": line.cancelled,
            "fulfilled": line.fulfilled,
            "returned": line.returned,
            "unit_price": str(line.price),
        }

    # -- the API
    def written_items(self, request: Request) -> list[Item]:
        if (request.method, request.path) != ("POST", "/stock"):
            return []
        told = [each["id"] for each in request.json()["data"]["items"]]
        return [self._by_id[identity] for identity in told if identity in self._by_id]

    def endpoint_of(self, request: Request) -> str:
        parts = request.path.strip("/").split("/")
        if len(parts) > 1:
            parts[1] = "{id}"
        return f"{request.method} /{'/'.join(parts)}"

    def answer(self, request: Request) -> Answer:
        try:
            self._check_access(request)
            if not self._bucket.take(1):
                self.count_throttled()
                return self.throttled_answer()
            with self.records.lock:
                return self._route(request)
        except PortalError as error:
            return error.answer()

    def _check_access(self, request: Request) -> None:
        kind, _, key = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or not secrets.compare_digest(key, self._api_key):
            raise PortalError(401, "unauthorised", "The key is not known.")

    def _route(self, request: Request) -> Answer:
        thing = [*request.path.strip("/").split("/"), ""][1]
        handlers: dict[str, Callable[[], Any]] = {
            "GET /account": lambda: {"name": self.name},
            "GET /items": lambda: self._listing(request, "items", self._item),
            "GET /stock": lambda: self._listing(request, "stock", self._shown),
            "POST /stock": lambda: self._take_numbers(request),
            "GET /orders": lambda: self._orders(request),
            "GET /orders/{id}": lambda: {"order": self.order_document(self._find(thing))},
            "POST /orders/{id}/cancellations": lambda: self._cancel(request, self._find(thing)),
            "GET /subscription": self.messages.subscription.document,
            "PUT /subscription": lambda: self._subscribe(request),
        }
        handler = handlers.get(self.endpoint_of(request))
        if handler is None:
            raise PortalError(404, "unknown_resource", "There is no such resource.")
        answer = handler()
        if request.path == "/stock" and self.happens(self.faults.half_batch_rate):
            return self.error_answer(504)
        return json_answer(200, answer)

    def _find(self, order_id: str) -> Order:
        order = self.records.orders.get(self.order_number(order_id))
        if order is None or order.is_deleted:
            raise PortalError(404, "unknown_order", "There is no such order.")
        return order

    def _item(self, item: Item) -> dict[str, Any]:
        source = item.source
        return {"id": self.item_id(item), "sku": item.sku, "title": source.title, "gtin": source.gtin}

    def _shown(self, item: Item) -> dict[str, Any]:
        return {"id": self.item_id(item), "available": item.available}

    def _listing(self, request: Request, name: str, show: Callable[[Item], dict[str, Any]]) -> dict[str, Any]:
        wanted = request.query.get("items")
        found = list(self.records.items.values())
        if wanted is not None:
            found = [self._by_id[each] for each in wanted.split(",") if each in self._by_id]
        start = _place(request.query.get("cursor", ""))
        page: dict[str, Any] = {name: [show(item) for item in found[start : start + _PAGE]]}
        return page | ({"cursor": _cursor(start + _PAGE)} if start + _PAGE < len(found) else {})

    def _orders(self, request: Request) -> dict[str, Any]:
        """Orders in the sequence of their last change; the cursor leads on from the last one that was shown."""
        query = request.query
        after = _place(query.get("cursor", ""))
        since = (
            datetime.fromisoformat(query["updated_since"]).timestamp() if "updated_since" in query else 0.0
        )
        found = [order for order in self.records.changes(since=since, after=after) if not order.is_deleted]
        page = found[: min(int(query.get("limit", _PAGE)), _PAGE)]
        reached = page[-1].sequence if page else after
        return {
            "orders": [self.order_document(order) for order in page],
            "has_more": len(found) > len(page),
            **({"next_cursor": _cursor(reached)} if reached else {}),
        }

    def _take_numbers(self, request: Request) -> dict[str, Any]:
        """Takes numbers from whoever has the secret; an older one than the one shown changes nothing."""
        if not is_authentic(request, self.messages.subscription.secret):
            raise PortalError(401, "bad_signature", "The message is not signed as it should be.")
        told = json.loads(request.body)["data"]["items"]
        return {"items": [self._take_number(each) for each in told]}

    def _take_number(self, told: dict[str, Any]) -> dict[str, Any]:
        item, as_of = self._by_id.get(told["id"]), datetime.fromisoformat(told["as_of"])
        if item is None:
            return {"id": told["id"], "ok": False, "reason": "There is no such item."}
        if self._as_of.get(told["id"], as_of) <= as_of:
            self._as_of[told["id"]] = as_of
            self.write_level(item, "", told["available"])
        return {"id": told["id"], "ok": True}

    def _cancel(self, request: Request, order: Order) -> dict[str, Any]:
        """Cancels units of a line for want of stock, once for each key."""
        key, data = request.headers.get("idempotency-key", ""), json.loads(request.body)
        if key in self._answers:
            return self._answers[key]
        line = next((each for each in order.lines if str(each.number) == data["line_id"]), None)
        if line is None or not 0 < data["quantity"] <= line.open_units:
            raise PortalError(409, "not_open", "The line has not so many open units.")
        line.cancelled += data["quantity"]
        self.records.touch(order)
        self.announce_order(order, "changed" if order.is_open else "cancelled")
        return self._answers.setdefault(key, {"cancelled": data["quantity"]})

    def _subscribe(self, request: Request) -> dict[str, Any]:
        data, subscription = json.loads(request.body), self.messages.subscription
        subscription.url, subscription.secret = data["url"], data["secret"]
        subscription.events, subscription.is_enabled = data["events"], data["is_enabled"]
        return subscription.document()

    # -- faults
    def error_answer(self, status: int) -> Answer:
        return PortalError(status, "internal_error", "Something went wrong.").answer()

    def throttled_answer(self) -> Answer:
        answer = PortalError(429, "too_many_requests", "Too many requests.").answer()
        return Answer(429, answer.body, {**answer.headers, "Retry-After": "1"})

    def error_in_200(self) -> Answer:
        answer = self.error_answer(500)
        return Answer(200, answer.body, answer.headers)


def _cursor(place: int) -> str:
    return base64.urlsafe_b64encode(str(place).encode()).decode()


def _place(cursor: str) -> int:
    try:
        return int(base64.urlsafe_b64decode(cursor)) if cursor else 0
    except ValueError:
        raise PortalError(400, "bad_cursor", "The cursor is not valid.") from None
