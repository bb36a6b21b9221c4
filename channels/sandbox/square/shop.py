"""A simulated Square account: tills at several locations, counts reckoned by time, order and inventory webhooks."""

import secrets
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from channels.sandbox.book import CatalogueItem, Item, Line, Order, Refused
from channels.sandbox.httpd import Answer, Request, json_answer
from channels.sandbox.limits import Bucket
from channels.sandbox.shop import Picks, SandboxShop
from channels.sandbox.square.orders import CANCELED, COMPLETED, OPEN, Orders, Return
from channels.sandbox.square.rest import SquareError, not_found, page
from channels.sandbox.square.stock import Inventory
from channels.sandbox.square.subscriptions import Subscriptions

#: Calls at once, and a second; Square publishes none.
#: Square publishes no numbers; these are what the connector assumes.
_TRUE_LIMITS: Final = (20.0, 10.0)
_GENEROUS_LIMITS: Final = (10_000.0, 10_000.0)
_ITEMS_ON_A_PAGE: Final = 100
#: Counts in one message.
_MOST_COUNTS: Final = 100
#: Seconds between two sales of a till that is offline.
_APART: Final = 15.0


class SquareSandbox(SandboxShop):
    """Square: a number for each variation and location, lowered at the sale; what is sold at a till leaves at once."""

    kind = "square"
    webhook_timeout = 10.0

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._access_token = self.secret("EAAA", 60)
        self.merchant_id = "MERCHANT1"
        self.inventory = Inventory(self)
        self.orders = Orders(self)
        self.subscriptions = Subscriptions(self)
        self._bucket = Bucket(*(_TRUE_LIMITS if self.limits == "true" else _GENEROUS_LIMITS))
        self._by_id: dict[str, Item] = {}
        self._codes: dict[str, str] = {}
        self._offline_since: float | None = None
        #: Orders are shipped later, and not taken away from the counter.
        self.sells_online = False

    def credentials(self) -> dict[str, str]:
        return {"access_token": self._access_token}

    def settings(self) -> dict[str, object]:
        return {"base_url": self.base_url}

    # -- catalogue and places
    def add_location(self, code: str, name: str) -> str:
        self.records.add_place(code, name)
        self._codes[self.location_id(code)] = code
        return self.location_id(code)

    def location_id(self, code: str) -> str:
        """Square's id of a location; raises `KeyError`."""
        return f"L{self.records.places[code].number:07d}"

    def code_of(self, location_id: Any) -> str | None:
        """The code of a location by Square's id."""
        return self._codes.get(str(location_id))

    def variation_id(self, item: Item) -> str:
        """Square's id of a variation; the same for the same shop and SKU."""
        return uuid.uuid5(uuid.NAMESPACE_URL, f"square/{self.name}/{item.sku}").hex[:24].upper()

    def item_by_id(self, identity: Any) -> Item | None:
        """What is sold under a variation's id."""
        return self._by_id.get(str(identity))

    def opening_levels(self, item: CatalogueItem) -> dict[str, int]:
        for code in item.quantities or ("MAIN",):
            self.add_location(code, self.records.places[code].name if code in self.records.places else code)
        return dict(item.quantities) or {"MAIN": 0}

    def load_catalogue(self, items: Iterable[CatalogueItem]) -> None:
        with self.records.lock:
            for source in items:
                item = self.records.add_item(source, self.opening_levels(source))
                self._by_id[self.variation_id(item)] = item
                self.inventory.open(item)

    def write_level(self, item: Item, code: str, quantity: int) -> None:
        self.inventory.count(item, code, quantity, at=time.time())

    # -- selling
    def order_id(self, order: Order) -> str:
        return f"ORDER{order.number:020d}"

    def order_number(self, order_id: str) -> int:
        digits = order_id.removeprefix("ORDER")
        return int(digits) if digits.isdigit() else 0

    def new_status(self) -> str:
        return OPEN if self.sells_online else COMPLETED

    def route(self, wanted: Sequence[tuple[Item, int]], *, force: bool) -> list[str]:
        """Chooses one till that has everything; goods that lie on the counter are sold whatever the number says."""
        able = [code for code in self.records.places if all(code in item.levels for item, _ in wanted)]
        for code in able:
            if all(
                not item.source.is_tracked
                or sum(units for each, units in wanted if each is item) <= item.levels[code].available
                for item, _ in wanted
            ):
                return [code] * len(wanted)
        if not able or not (force or self._offline_since is not None):
            raise Refused(wanted[0][0].sku)
        return [able[0]] * len(wanted)

    def commit(self, lines: list[Line], *, country: str, currency: str) -> Order:
        if self._offline_since is None:
            return super().commit(lines, country=country, currency=currency)
        order = self.records.add_order(lines, country=country, currency=currency, status=COMPLETED)
        order.committed_at = self._offline_since + len(self.orders.unsent) * _APART
        self.orders.unsent.add(order.number)
        return order

    def take(self, order: Order) -> None:
        is_online = self.sells_online
        if is_online:
            self.orders.shipped_online.add(order.number)
        for line in order.lines:
            line.fulfilled = 0 if is_online else line.quantity
            if line.item is not None:
                self.inventory.change(line.item, line.location, -line.quantity, at=order.committed_at)
        self.records.touch(order)

    def order_online(self, lines: Sequence[tuple[str, int]]) -> str:
        """Sells in the account's online shop, to be shipped; returns the order's id."""
        with self.records.lock:
            self.sells_online = True
            try:
                return self.place_order(lines).id
            finally:
                self.sells_online = False

    # -- a till without a line
    def go_offline(self, seconds: float) -> None:
        """Cuts the tills off: what they sell from now on was sold since so many seconds ago, and nobody hears of it."""
        self._offline_since = time.time() - seconds

    def come_back(self, *, keeps_times: bool = False) -> int:
        """Sends what the tills sold meanwhile; returns how many sales. `keeps_times`: the last change is the sale."""
        with self.records.lock:
            self._offline_since = None
            waiting = [self.records.orders[number] for number in sorted(self.orders.unsent)]
            self.orders.unsent.clear()
            for order in waiting:
                self.take(order)
                if keeps_times:
                    order.updated_at = order.committed_at
                self.announce_order(order, "created")
            return len(waiting)

    # -- changing orders
    def cancel_units(self, order: Order, picks: Picks) -> None:
        for line, units in picks:
            line.cancelled += units
            if line.item is not None:
                self.inventory.change(line.item, line.location, units, at=time.time())
        if not order.is_open and not any(line.fulfilled for line in order.lines):
            order.status, order.cancelled_at = CANCELED, time.time()
        self._changed(order, picks)

    def fulfil_units(self, order: Order, picks: Picks) -> None:
        for line, units in picks:
            line.fulfilled += units
        if not order.is_open:
            order.status, order.completed_at = COMPLETED, time.time()
        self.records.touch(order)
        self.announce_order(order, "fulfillment.updated")

    def _changed(self, order: Order, picks: Picks) -> None:
        self.records.touch(order)
        self.announce_order(order, "updated")
        self.announce_counts([(line.item, line.location) for line, _ in picks if line.item])

    def return_units(self, order: Order, picks: Picks, *, restock: bool) -> None:
        """Takes units back in an order of its own; the sale stays as it is."""
        place = picks[0][0].location
        back = self.records.add_order([], country=order.country, currency=order.currency, status=COMPLETED)
        self.orders.returns[back.number] = Return(order, picks, place)
        for line, units in picks:
            line.returned += units
            if restock and line.item is not None:
                self.inventory.change(line.item, place, units, at=time.time())
        self._changed(back, picks if restock else [])

    # -- webhooks
    def announce_order(self, order: Order, what: str) -> None:
        name = f"order_{what.replace('.', '_')}"
        place = self.orders.returns[order.number].place if not order.lines else order.lines[0].location
        details = {
            "order_id": self.order_id(order),
            "version": order.sequence,
            "location_id": self.location_id(place),
            "state": order.status,
        }
        self.subscriptions.send(
            f"order.{what}", {"type": "order", "id": self.order_id(order), "object": {name: details}}
        )
        if what == "created":
            self.announce_counts([(line.item, line.location) for line in order.lines if line.item])

    def announce_stock(self, item: Item, code: str) -> None:
        self.announce_counts([(item, code)])

    def announce_counts(self, shelves: Sequence[tuple[Item, str]]) -> None:
        """Sends the numbers of these shelves, a hundred in a message."""
        for start in range(0, len(shelves), _MOST_COUNTS):
            part = shelves[start : start + _MOST_COUNTS]
            counts = [self.inventory.document(item, code) for item, code in part]
            data = {
                "type": "inventory_counts",
                "id": str(uuid.uuid4()),
                "object": {"inventory_counts": counts},
            }
            self.subscriptions.send("inventory.count.updated", data)

    def edit_catalogue(self) -> None:
        """Announces that something in the catalogue changed."""
        version = {"catalog_version": {"updated_at": "2026-11-21T12:00:00Z"}}
        self.subscriptions.send("catalog.version.updated", {"type": "catalog", "id": "", "object": version})

    # -- the API
    def written_items(self, request: Request) -> list[Item]:
        if request.path != "/v2/inventory/changes/batch-create":
            return []
        counts = [each.get("physical_count", {}) for each in request.json()["changes"]]
        found = [self.item_by_id(count.get("catalog_object_id")) for count in counts]
        return [item for item in found if item is not None]

    def endpoint_of(self, request: Request) -> str:
        parts = request.path.strip("/").split("/")
        is_named = parts[1:2] == ["orders"] and len(parts) == 3 and parts[2] != "search"
        is_named |= parts[1:3] == ["webhooks", "subscriptions"] and len(parts) == 4
        return f"{request.method} /{'/'.join([*parts[:-1], '{id}'] if is_named else parts)}"

    def answer(self, request: Request) -> Answer:
        try:
            self._check_access(request)
            if not self._bucket.take(1):
                self.count_throttled()
                return self.throttled_answer()
            with self.records.lock:
                return self._route(request)
        except SquareError as error:
            return error.answer()

    def _check_access(self, request: Request) -> None:
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or not secrets.compare_digest(token, self._access_token):
            raise SquareError(401, "UNAUTHORIZED", "This request could not be authorized.")
        if not request.headers.get("square-version"):
            raise SquareError(400, "INVALID_SQUARE_VERSION_FORMAT", "A version has to be named.")

    def _route(self, request: Request) -> Answer:
        last = request.path.rsplit("/", 1)[1]
        orders, inventory, subscriptions = self.orders, self.inventory, self.subscriptions
        handlers: dict[str, Callable[[], Answer]] = {
            "GET /v2/merchants/me": lambda: json_answer(200, {"merchant": self._merchant()}),
            "GET /v2/locations": lambda: json_answer(200, {"locations": self._locations()}),
            "GET /v2/catalog/list": lambda: json_answer(200, self._catalogue(request)),
            "POST /v2/inventory/counts/batch-retrieve": lambda: inventory.counts(request),
            "POST /v2/inventory/changes/batch-create": lambda: inventory.batch_create(request),
            "POST /v2/orders/search": lambda: orders.search(request),
            "GET /v2/orders/{id}": lambda: orders.read(last),
            "GET /v2/webhooks/subscriptions": lambda: subscriptions.listing(request),
            "POST /v2/webhooks/subscriptions": lambda: subscriptions.create(request),
            "GET /v2/webhooks/subscriptions/{id}": lambda: subscriptions.read(last),
            "PUT /v2/webhooks/subscriptions/{id}": lambda: subscriptions.write(request, last),
            "DELETE /v2/webhooks/subscriptions/{id}": lambda: subscriptions.delete(last),
        }
        handler = handlers.get(self.endpoint_of(request))
        if handler is None:
            raise not_found(f"The resource {request.path}")
        return handler()

    def _merchant(self) -> dict[str, Any]:
        return {"id": self.merchant_id, "business_name": self.name, "country": "NL", "currency": "EUR"}

    def _locations(self) -> list[dict[str, Any]]:
        return [
            {
                "id": self.location_id(place.code),
                "name": place.name,
                "status": "ACTIVE" if place.is_active else "INACTIVE",
                "type": "PHYSICAL",
                "merchant_id": self.merchant_id,
            }
            for place in self.records.places.values()
        ]

    def _catalogue(self, request: Request) -> dict[str, Any]:
        families: dict[str, list[Item]] = {}
        for item in self.records.items.values():
            families.setdefault(item.source.parent or f"\0{item.sku}", []).append(item)
        cursor = request.query.get("cursor")
        return page(list(families.values()), cursor, _ITEMS_ON_A_PAGE, "objects", self._family)

    def _family(self, items: Sequence[Item]) -> dict[str, Any]:
        first = items[0]
        family_id = f"ITEM-{self.variation_id(first)}"
        return {
            "type": "ITEM",
            "id": family_id,
            "is_deleted": False,
            "present_at_all_locations": True,
            "item_data": {
                "name": first.source.parent or first.source.title,
                "product_type": "REGULAR",
                "variations": [self._variation(item, family_id) for item in items],
            },
        }

    def _variation(self, item: Item, family_id: str) -> dict[str, Any]:
        source = item.source
        return {
            "type": "ITEM_VARIATION",
            "id": self.variation_id(item),
            "is_deleted": False,
            "item_variation_data": {
                "item_id": family_id,
                "name": source.title,
                "sku": source.sku,
                "upc": source.gtin,
                "track_inventory": source.is_tracked,
                "sellable": True,
                "stockable": True,
                "price_money": {"amount": int(source.price * 100), "currency": "EUR"},
            },
        }

    # -- faults
    def error_answer(self, status: int) -> Answer:
        return SquareError(status, "INTERNAL_SERVER_ERROR", "Something went wrong.").answer()

    def throttled_answer(self) -> Answer:
        return SquareError(429, "RATE_LIMITED", "Too many requests.").answer()

    def error_in_200(self) -> Answer:
        answer = self.error_answer(500)
        return Answer(200, answer.body, answer.headers)
