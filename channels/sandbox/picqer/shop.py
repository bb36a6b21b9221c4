"""A simulated Picqer account: warehouses with stock and reservations, orders that are picked and shipped, receipts, returns.

A level's `available` is the free stock, `committed` what is reserved; what lies there is both together.
"""

import base64
import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from channels.sandbox.book import CatalogueItem, Item, Line, Order, Refused
from channels.sandbox.httpd import Answer, Request, json_answer
from channels.sandbox.limits import Window
from channels.sandbox.picqer.hooks import Hooks
from channels.sandbox.picqer.rest import PicqerError, body_of, moment, not_found, page, refused, since
from channels.sandbox.shop import Picks, SandboxShop

#: Calls a minute of one account.
_CALLS: Final = 500
_MANY: Final = 1_000_000
_TOO_MANY: Final = 28
CONCEPT: Final = "concept"
PROCESSING: Final = "processing"
COMPLETED: Final = "completed"
CANCELLED: Final = "cancelled"
#: Seconds that a packer needs for an order in the demo, from and to.
_PACKING: Final = (2.0, 8.0)


@dataclass(slots=True)
class Work:
    """What only this platform keeps of an order."""

    reference: str = ""
    name: str = ""
    #: Units picked and not yet shipped, by line number.
    picked: dict[int, int] = field(default_factory=dict)
    #: Closed picklists: units by line number.
    closed: list[dict[int, int]] = field(default_factory=list)


class PicqerSandbox(SandboxShop):
    """Picqer: free stock is what lies there less what is reserved, and falls below zero where more is promised."""

    kind = "picqer"
    webhook_timeout = 10.0

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._api_key = self.secret("pq", 40)
        self.hooks = Hooks(self)
        self.work: dict[int, Work] = {}
        self._history: list[dict[str, Any]] = []
        self._receipts: list[dict[str, Any]] = []
        self._returns: list[dict[str, Any]] = []
        self._types: dict[str, str] = {}
        #: What calls are shown of a level while its free stock follows late: (until, free).
        self._stale: dict[tuple[str, str], tuple[float, int]] = {}
        self._window = Window(_CALLS if self.limits == "true" else _MANY, 60.0)
        self._packs = False

    def credentials(self) -> dict[str, str]:
        return {"api_key": self._api_key}

    def settings(self) -> dict[str, object]:
        return {"base_url": self.base_url, "contact": "stock@example.com"}

    # -- warehouses and products
    def add_location(self, code: str, name: str) -> str:
        return str(self.records.add_place(code, name).number)

    def opening_levels(self, item: CatalogueItem) -> dict[str, int]:
        for code in item.quantities or ("MAIN",):
            self.add_location(code, code)
        return dict(item.quantities) or {"MAIN": 0}

    def set_type(self, sku: str, kind: str) -> None:
        """Makes a product one of another type: `unlimited_stock`, `virtual_composition` …"""
        self._types[sku] = kind
        self.hooks.send("products.changed", self.product(self.item(sku)))

    def stock_of(self, sku: str, code: str | None = None) -> int:
        """Units that lie in a warehouse, or in all."""
        levels = self.item(sku).levels
        return sum(each.available + each.committed for key, each in levels.items() if code in (None, key))

    def write_level(self, item: Item, code: str, quantity: int) -> None:
        """Has a count come to so many free units."""
        level = item.levels[code]
        self._move(item, code, quantity - level.available, "Counted", "manual")

    def _move(self, item: Item, code: str, units: int, reason: str, kind: str) -> None:
        """Changes what lies there, and notes it in the history."""
        level = item.levels[code]
        old = level.available + level.committed
        level.available += units
        level.updated_at = item.updated_at = time.time()
        self._note_movement(item, code, old, units, reason, kind)

    def _note_movement(self, item: Item, code: str, old: int, units: int, reason: str, kind: str) -> None:
        if units:
            self._history.append(
                {
                    "idproduct_stock_history": len(self._history) + 1,
                    "idproduct": item.number,
                    "idwarehouse": self.records.places[code].number,
                    "iduser": 1,
                    "idlocation": None,
                    "old_stock": old,
                    "stock_change": units,
                    "new_stock": old + units,
                    "reason": reason,
                    "change_type": kind,
                    "changed_at": moment(time.time()),
                }
            )

    def _reserve(self, item: Item, code: str, units: int) -> None:
        """Moves units between free and reserved; no movement tells of it."""
        level = item.levels[code]
        if self.faults.reservation_lag_seconds:
            until = time.time() + self.faults.reservation_lag_seconds
            self._stale.setdefault((item.sku, code), (until, level.available))
        level.available -= units
        level.committed += units
        self._announce_free(item)

    def _announce_free(self, item: Item) -> None:
        self.hooks.send("products.free_stock_changed", self.product(item))

    def announce_stock(self, item: Item, code: str) -> None:
        self._announce_free(item)

    def product(self, item: Item) -> dict[str, Any]:
        """A product with its stock in every warehouse."""
        kind = self._types.get(item.sku, "normal")
        return {
            "idproduct": item.number,
            "name": item.source.title,
            "productcode": item.sku,
            "barcode": item.source.gtin,
            "type": kind,
            "unlimitedstock": kind == "unlimited_stock",
            "active": True,
            "stock": [self._stock(item, code) for code in item.levels],
        }

    def _stock(self, item: Item, code: str) -> dict[str, Any]:
        level = item.levels[code]
        until, free = self._stale.get((item.sku, code), (0.0, 0))
        if until < time.time():
            self._stale.pop((item.sku, code), None)
            free = level.available
        lies = level.available + level.committed
        return {
            "idwarehouse": self.records.places[code].number,
            "stock": lies,
            "reserved": lies - free,
            "reservedbackorders": 0,
            "reservedpicklists": lies - free,
            "reservedallocations": 0,
            "freestock": free,
        }

    # -- orders, whoever made them
    def order_id(self, order: Order) -> str:
        return str(order.number)

    def order_number(self, order_id: str) -> int:
        return int(order_id) if order_id.isdecimal() else 0

    def new_status(self) -> str:
        return PROCESSING

    def route(self, wanted: Sequence[tuple[Item, int]], *, force: bool) -> list[str]:
        codes = [next(iter(item.levels)) for item, _ in wanted]
        for (item, units), code in zip(wanted, codes, strict=True):
            if not force and item.levels[code].available < units:
                raise Refused(item.sku)
        return codes

    def take(self, order: Order) -> None:
        self.work.setdefault(order.number, Work())
        for line in order.lines:
            if line.item is not None:
                self._reserve(line.item, line.location, line.quantity)

    def cancel_units(self, order: Order, picks: Picks) -> None:
        """Takes units off an order, as the warehouse's own people may."""
        for line, units in picks:
            line.cancelled += units
            if line.item is not None and order.status != CONCEPT:
                self._reserve(line.item, line.location, -units)
        if all(line.open_units <= 0 for line in order.lines):
            order.status = COMPLETED if any(line.fulfilled for line in order.lines) else CANCELLED
        self.records.touch(order)
        self.announce_order(order, "status_changed")

    def pick(self, order_id: str) -> None:
        """Takes the goods of an order off the shelf: from then on it cannot be cancelled."""
        with self.records.lock:
            order = self.find_order(order_id)
            work = self.work[order.number]
            work.picked = {line.number: line.open_units for line in order.lines if line.open_units}
            self.records.touch(order)
            self.hooks.send("picklists.created", self._picklist(order, work.picked, is_closed=False))

    def fulfil_units(self, order: Order, picks: Picks) -> None:
        """Closes a picklist: its goods leave."""
        work = self.work.setdefault(order.number, Work())
        for line, units in picks:
            line.fulfilled += units
            work.picked.pop(line.number, None)
            if line.item is not None:
                level = line.item.levels[line.location]
                old = level.available + level.committed
                level.committed -= units
                self._note_movement(
                    line.item, line.location, old, -units, f"Picklist of {order.number}", "picklist"
                )
        closed = {line.number: units for line, units in picks}
        work.closed.append(closed)
        if not order.is_open:
            order.status = COMPLETED
        self.records.touch(order)
        self.hooks.send("picklists.closed", self._picklist(order, closed, is_closed=True))
        shipment = {"idorder": order.number, "idpicklist": order.number, "idshipment": order.number}
        self.hooks.send("picklists.shipments.created", shipment)
        if order.status == COMPLETED:
            self.announce_order(order, "completed")

    def return_units(self, order: Order, picks: Picks, *, restock: bool) -> None:
        """Receives what a customer sent back; `restock`: back onto the shelf."""
        for line, units in picks:
            line.returned += units
            if restock and line.item is not None:
                self._move(line.item, line.location, units, f"Return of {order.number}", "return")
                self._announce_free(line.item)
        row = {
            "idreturn": len(self._returns) + 1,
            "returnid": f"RET{len(self._returns) + 1:05d}",
            "idorder": order.number,
            "updated": moment(time.time()),
            "returned_products": [
                {
                    "idreturn_product": line.number * 1000 + line.returned,
                    "idproduct": line.item.number if line.item else 0,
                    "productcode": line.sku,
                    "amount": units,
                    "amount_received": units,
                }
                for line, units in picks
            ],
        }
        self._returns.append(row)
        self.hooks.send("returns.products_received", row)

    def receive(self, sku: str, units: int, *, code: str = "", purchase_number: str = "") -> None:
        """Books a supplier's goods in."""
        with self.records.lock:
            item = self.item(sku)
            code = code or next(iter(item.levels))
            number = len(self._receipts) + 1
            row = {
                "idreceipt": number,
                "idwarehouse": self.records.places[code].number,
                "version": 2,
                "purchaseorder": {
                    "idpurchaseorder": number,
                    "purchaseorderid": purchase_number or f"P{number:05d}",
                },
                "receiptid": f"R{number:05d}",
                "status": "processing",
                "updated": moment(time.time()),
                "products": [
                    {
                        "idreceipt_product": number,
                        "idproduct": item.number,
                        "productcode": sku,
                        "amount": units,
                        "reverted_at": None,
                    }
                ],
            }
            self._receipts.append(row)
            self._move(item, code, units, f"Receipt R{number:05d}", "receipt")
            self.hooks.send("receipts.product_received", row)
            self._announce_free(item)

    def announce_order(self, order: Order, what: str) -> None:
        self.hooks.send(f"orders.{what}", self.order_document(order))

    def order_document(self, order: Order) -> dict[str, Any]:
        """An order as Picqer shows it, its customer included."""
        work = self.work.setdefault(order.number, Work())
        lists = [self._picklist(order, units, is_closed=True) for units in work.closed]
        open_units = {line.number: line.open_units for line in order.lines if line.open_units > 0}
        if order.status == PROCESSING and open_units:
            lists.append(self._picklist(order, open_units, is_closed=False))
        return {
            "idorder": order.number,
            "orderid": f"O{order.number}",
            "deliveryname": work.name or order.customer.last_name,
            "deliveryaddress": order.customer.street,
            "deliverycountry": order.country,
            "emailaddress": order.customer.email,
            "reference": work.reference,
            "status": order.status,
            "created": moment(order.committed_at),
            "updated": moment(order.updated_at),
            "warehouses": sorted({self.records.places[line.location].number for line in order.lines}),
            "products": [self._order_line(line) for line in order.lines],
            "picklists": lists,
        }

    def _order_line(self, line: Line) -> dict[str, Any]:
        return {
            "idorder_product": line.number,
            "idproduct": line.item.number if line.item else 0,
            "productcode": line.sku,
            "amount": line.quantity,
            "amount_cancelled": line.cancelled,
            "partof_idorder_product": None,
        }

    def _picklist(self, order: Order, units: dict[int, int], *, is_closed: bool) -> dict[str, Any]:
        lines = {line.number: line for line in order.lines}
        picked = self.work[order.number].picked
        total = sum(units.values())
        return {
            "idpicklist": order.number * 100 + len(self.work[order.number].closed),
            "idorder": order.number,
            "status": "closed" if is_closed else "new",
            "totalproducts": total,
            "totalpicked": total if is_closed else sum(picked.values()),
            "products": [
                {
                    "idpicklist_product": number,
                    "idorder_product": number,
                    "idproduct": item.number if (item := lines[number].item) else 0,
                    "amount": count,
                    "partof_idpicklist_product": None,
                }
                for number, count in units.items()
            ],
        }

    # -- the API
    def endpoint_of(self, request: Request) -> str:
        parts = request.path.removeprefix("/api/v1/").strip("/").split("/")
        return f"{request.method} /{'/'.join('{id}' if part.isdecimal() else part for part in parts)}"

    def answer(self, request: Request) -> Answer:
        try:
            self._check_access(request)
            is_allowed, left, _ = self._window.take()
            if not is_allowed:
                self.count_throttled()
                return self.throttled_answer()
            with self.records.lock:
                content = self._route(request)
            headers = {"X-RateLimit-Limit": str(self._window.limit), "X-RateLimit-Remaining": str(left)}
            return json_answer(200, content, headers)
        except PicqerError as error:
            return error.answer()

    def _check_access(self, request: Request) -> None:
        kind, _, given = request.headers.get("authorization", "").partition(" ")
        try:
            key = base64.b64decode(given).decode().partition(":")[0] if kind.lower() == "basic" else ""
        except ValueError:
            key = ""
        if key != self._api_key:
            raise PicqerError(401, 1, "The API key is not known.")
        if "@" not in request.headers.get("user-agent", "") and "." not in request.headers.get(
            "user-agent", ""
        ):
            raise refused("A User-Agent with contact details is required.")

    def _route(self, request: Request) -> Any:
        identity = next((part for part in request.path.split("/") if part.isdecimal()), "")
        handlers: dict[str, Callable[[], Any]] = {
            "GET /warehouses": lambda: page(request, self._warehouses()),
            "GET /products": lambda: page(request, self._products(request)),
            "GET /stockhistory": lambda: page(request, self._movements(request)),
            "GET /orders": lambda: page(request, self._orders(request)),
            "POST /orders": lambda: self._create(request),
            "GET /orders/{id}": lambda: self.order_document(self._find(identity)),
            "DELETE /orders/{id}": lambda: self._cancel(self._find(identity)),
            "POST /orders/{id}/process": lambda: self._process(self._find(identity)),
            "GET /receipts": lambda: page(request, _updated(self._receipts, since(request, "updated_after"))),
            "GET /returns": lambda: page(request, _updated(self._returns, since(request, "updated_after"))),
            "GET /hooks": lambda: self.hooks.listing(request),
            "POST /hooks": lambda: self.hooks.create(request),
            "DELETE /hooks/{id}": lambda: self.hooks.switch(identity, is_active=False),
            "POST /hooks/{id}/reactivate": lambda: self.hooks.switch(identity, is_active=True),
        }
        handler = handlers.get(self.endpoint_of(request))
        if handler is None:
            raise not_found("The resource")
        return handler()

    def _find(self, identity: str) -> Order:
        order = self.records.orders.get(int(identity or "0"))
        if order is None:
            raise not_found("The order")
        return order

    def _warehouses(self) -> list[dict[str, Any]]:
        return [
            {
                "idwarehouse": place.number,
                "name": place.name,
                "accept_orders": True,
                "active": place.is_active,
            }
            for place in self.records.places.values()
        ]

    def _products(self, request: Request) -> list[dict[str, Any]]:
        if request.query.get("inactive") == "true":
            return []
        named = request.query.get("idproducts")
        found = self.records.items_by_number
        if named is None:
            return [self.product(item) for item in found.values()]
        return [
            self.product(found[int(each)])
            for each in named.split(",")
            if each.isdecimal() and int(each) in found
        ]

    def _movements(self, request: Request) -> list[dict[str, Any]]:
        """The newest first."""
        begin = since(request, "sincedate")
        return [row for row in reversed(self._history) if row["changed_at"] >= begin]

    def _orders(self, request: Request) -> list[dict[str, Any]]:
        after, begin = int(request.query.get("sinceid", "0")), since(request, "sincedate")
        return [
            self.order_document(order)
            for number, order in sorted(self.records.orders.items())
            if number > after and moment(order.committed_at) >= begin
        ]

    def _create(self, request: Request) -> dict[str, Any]:
        """Writes an order down as a concept: nothing is reserved."""
        data = body_of(request)
        if not data.get("deliveryname") or len(str(data.get("deliverycountry", ""))) != 2:
            raise refused("deliveryname and deliverycountry are required.")
        code = self._code(data.get("warehouses"))
        lines = []
        for row in data.get("products", []):
            item = self.records.items_by_number.get(row.get("idproduct"))
            if item is None or row.get("amount", 0) < 1:
                raise refused("A product of the order does not exist, or has no amount.")
            lines.append(self.records.new_line(item, row["amount"], item.source.price, code))
        if not lines:
            raise refused("An order needs a product.")
        order = self.records.add_order(lines, country=data["deliverycountry"], currency="EUR", status=CONCEPT)
        self.work[order.number] = Work(str(data.get("reference", "")), str(data["deliveryname"]))
        self.announce_order(order, "created")
        return self.order_document(order)

    def _code(self, warehouses: Any) -> str:
        for place in self.records.places.values():
            if not warehouses or place.number in warehouses:
                return place.code
        raise refused("The warehouse does not exist.")

    def _process(self, order: Order) -> dict[str, Any]:
        if order.status != CONCEPT:
            raise refused("Only a concept can be processed.")
        order.status = PROCESSING
        self.take(order)
        self.records.touch(order)
        self.announce_order(order, "closed")
        self.announce_order(order, "status_changed")
        if self._packs:
            self.later(random.uniform(*_PACKING), partial(self._pack, order.number))
        return self.order_document(order)

    def _cancel(self, order: Order) -> dict[str, Any]:
        if (
            self.work[order.number].picked
            or order.status in (COMPLETED, CANCELLED)
            or self.work[order.number].closed
        ):
            raise refused("The order is being picked, or over: it cannot be cancelled.")
        if order.status == PROCESSING:
            for line in order.lines:
                if line.item is not None:
                    self._reserve(line.item, line.location, -line.open_units)
        for line in order.lines:
            line.cancelled = line.quantity - line.fulfilled
        order.status = CANCELLED
        self.records.touch(order)
        self.announce_order(order, "status_changed")
        return self.order_document(order)

    # -- people in the warehouse, who pack what was ordered
    def start_shoppers(
        self, rate: float, *, mean_lines: float = 1.5, until: float | None = None, seed: int = 0
    ) -> None:
        """Has packers at work: nobody buys in a warehouse."""
        self._packs = True

    def stop_shoppers(self) -> None:
        """Sends the packers home; what is being packed is still shipped."""
        self._packs = False

    def _pack(self, number: int) -> None:
        with self.records.lock:
            order = self.records.orders[number]
            if order.status == PROCESSING:
                self.ship(self.order_id(order))

    def book(self, since: float = 0.0) -> dict[str, Any]:
        """As of every platform, but for orders: those here are made by others, and no sales of its own."""
        return {**super().book(since), "orders": [], "movements": []}

    # -- faults
    def error_answer(self, status: int) -> Answer:
        return PicqerError(status, 99, "Something went wrong.").answer()

    def throttled_answer(self) -> Answer:
        return PicqerError(429, _TOO_MANY, "Rate limit exceeded.").answer()

    def error_in_200(self) -> Answer:
        answer = self.error_answer(500)
        return Answer(200, answer.body, answer.headers)


def _updated(rows: Iterable[dict[str, Any]], begin: str) -> list[dict[str, Any]]:
    return [row for row in rows if row["updated"] >= begin]
