"""A simulated vendor's account: retail purchase orders, direct fulfilment from warehouses, transactions."""

import hashlib
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from channels.sandbox.amazon_seller.rest import Plans, Problem, Tokens, not_found, too_many
from channels.sandbox.amazon_vendor.direct import CANCELLED, NEW, SHIPPED, DirectOrders, Inventory
from channels.sandbox.amazon_vendor.listings import Listings
from channels.sandbox.amazon_vendor.retail import RetailOrders
from channels.sandbox.amazon_vendor.transactions import Transactions
from channels.sandbox.book import CatalogueItem, Item, Order, Refused
from channels.sandbox.httpd import Answer, Request
from channels.sandbox.shop import Picks, SandboxShop

_RETAIL: Final = "/vendor/orders/v1"
_DIRECT: Final = "/vendor/directFulfillment"
_INVENTORY: Final = rf"{_DIRECT}/inventory/v1/warehouses/([^/]+)/items"

#: Method and path → operation; the first that fits.
_ROUTES: Final = (
    ("GET", r"/listings/2021-08-01/items/([^/]+)", "searchListingsItems"),
    ("GET", rf"{_RETAIL}/purchaseOrders", "getPurchaseOrders"),
    ("GET", rf"{_RETAIL}/purchaseOrders/([^/]+)", "getPurchaseOrder"),
    ("GET", rf"{_RETAIL}/purchaseOrdersStatus", "getPurchaseOrdersStatus"),
    ("POST", rf"{_RETAIL}/acknowledgements", "acknowledgeRetail"),
    ("GET", r"/vendor/transactions/v1/transactions/([^/]+)", "getTransaction"),
    ("GET", rf"{_DIRECT}/orders/2021-12-28/purchaseOrders", "getOrders"),
    ("GET", rf"{_DIRECT}/orders/2021-12-28/purchaseOrders/([^/]+)", "getOrder"),
    ("POST", rf"{_DIRECT}/orders/2021-12-28/acknowledgements", "acknowledgeDirect"),
    ("POST", _INVENTORY, "submitInventoryUpdate"),
    ("GET", rf"{_DIRECT}/transactions/2021-12-28/transactions/([^/]+)", "getTransactionStatus"),
)
#: Calls a second and burst by operation.
PLANS: Final[Mapping[str, tuple[float, int]]] = {
    **{operation: (10.0, 10) for _, _, operation in _ROUTES},
    "getTransaction": (10.0, 20),
    "searchListingsItems": (5.0, 5),
}


class AmazonVendorSandbox(SandboxShop):
    """One vendor code. What customers buy is shipped from the vendor's warehouses; Amazon's own orders are placed apart."""

    kind = "amazon_vendor"

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.vendor_code = self.secret("V", 4).upper()
        self.marketplace = "A1PA6795UKMFR9"
        self._keys = {
            "client_id": self.secret("amzn1.application-oa2-client.", 32),
            "client_secret": self.secret("amzn1.oa2-cs.v1.", 40),
            "refresh_token": self.secret("Atzr|", 48),
        }
        self.tokens = Tokens(self._keys)
        self.plans = Plans(is_generous=self.limits == "generous", plans=PLANS)
        self.transactions = Transactions(self)
        self.retail = RetailOrders(self)
        self.direct = DirectOrders(self)
        self.inventory = Inventory(self)
        self.listings = Listings(self)
        #: SKU or number of an order → what Amazon finds wrong with every write about it.
        self.fails: dict[str, str] = {}
        #: Our words that are in force, in their sequence: number of the order, and what was sent.
        self.acknowledged: list[tuple[str, dict[str, Any]]] = []
        self._by_asin: dict[str, Item] = {}

    def credentials(self) -> dict[str, str]:
        return dict(self._keys)

    def settings(self) -> dict[str, object]:
        places = self.records.places.values()
        return {
            "vendor_code": self.vendor_code,
            "marketplaces": "DE",
            "warehouses": ", ".join(f"{place.code}={place.name.replace(',', ' ')}" for place in places),
            "base_url": self.base_url,
            "login_url": self.base_url,
        }

    def processing_seconds(self) -> float:
        """How long Amazon takes for what it only takes in at first."""
        return self._chances.uniform(*self.profile.webhook_seconds) + self.faults.processing_delay_seconds

    # -- catalogue
    def add_location(self, code: str, name: str) -> str:
        self.records.add_place(code, name)
        return code

    def opening_levels(self, item: CatalogueItem) -> dict[str, int]:
        for code in item.quantities or ("MAIN",):
            self.records.add_place(code, code)
        return dict(item.quantities) or {"MAIN": 0}

    def load_catalogue(self, items: Iterable[CatalogueItem]) -> None:
        super().load_catalogue(items)
        self._by_asin = {self.asin_of(item.sku): item for item in self.records.items.values()}

    def asin_of(self, sku: str) -> str:
        """Amazon's number of an item; the same for the same SKU."""
        return f"B0{hashlib.sha256(sku.encode()).hexdigest()[:8].upper()}"

    def item_named(self, row: Mapping[str, Any]) -> Item | None:
        """Returns what a row names by ASIN or SKU."""
        asin, sku = row.get("buyerProductIdentifier"), row.get("vendorProductIdentifier")
        return self._by_asin.get(str(asin)) if asin else self.records.items.get(str(sku))

    # -- selling: direct fulfilment
    def purchase_order_number(self, order: Order) -> str:
        """Amazon's number of an order."""
        return f"D{order.number:09d}"

    def number_of(self, purchase_order: str) -> int:
        """The book's number of an order; 0 when it is none."""
        digits = purchase_order.removeprefix("D")
        return int(digits) if digits.isascii() and digits.isdigit() else 0

    def order_id(self, order: Order) -> str:
        return f"direct:{self.purchase_order_number(order)}"

    def order_number(self, order_id: str) -> int:
        return self.number_of(order_id.removeprefix("direct:"))

    def new_status(self) -> str:
        return NEW

    def route(self, wanted: Sequence[tuple[Item, int]], *, force: bool) -> list[str]:
        """Chooses one warehouse that has everything: an order leaves from one."""
        able = [code for code in self.records.places if all(code in item.levels for item, _ in wanted)]
        for code in able:
            if all(
                sum(units for each, units in wanted if each is item) <= item.levels[code].available
                for item, _ in wanted
            ):
                return [code] * len(wanted)
        if not able or not force:
            raise Refused(wanted[0][0].sku)
        return [able[0]] * len(wanted)

    def take(self, order: Order) -> None:
        self._move(order, -1)

    def cancel_units(self, order: Order, picks: Picks) -> None:
        """Cancels the whole order, whatever was picked: Amazon knows no part of it."""
        picked = {line.number for line, _ in picks}
        now = time.time()
        self.records.movements += [
            (now, line.sku, line.quantity) for line in order.lines if line.number not in picked
        ] + [(now, line.sku, line.quantity - units) for line, units in picks if units < line.quantity]
        self._cancel(order)

    def cancel_order(self, order: Order) -> None:
        """Cancels an order for want of goods."""
        now = time.time()
        self.records.movements += [(now, line.sku, line.quantity) for line in order.lines]
        self._cancel(order)

    def _cancel(self, order: Order) -> None:
        for line in order.lines:
            line.cancelled = line.quantity
        order.status = CANCELLED
        self._move(order, 1)
        self.records.touch(order)

    def _move(self, order: Order, sign: int) -> None:
        for line in order.lines:
            if line.item is not None:
                line.item.levels[line.location].available += sign * line.quantity
                line.item.updated_at = time.time()

    def fulfil_units(self, order: Order, picks: Picks) -> None:
        """Ships the whole order, whatever was picked."""
        for line in order.lines:
            line.fulfilled = line.quantity
        order.status = SHIPPED
        self.records.touch(order)

    def return_units(self, order: Order, picks: Picks, *, restock: bool) -> None:
        """Notes a return, of which Amazon tells nothing in its orders."""
        for line, units in picks:
            line.returned += units
        self.records.touch(order)

    def announce_order(self, order: Order, what: str) -> None:
        """Amazon announces nothing to vendors."""

    def announce_stock(self, item: Item, code: str) -> None:
        """Amazon announces nothing to vendors."""

    def written_items(self, request: Request) -> list[Item]:
        is_update = request.method == "POST" and re.fullmatch(_INVENTORY, request.path)
        return self.inventory.named(request) if is_update else []

    # -- the API
    def endpoint_of(self, request: Request) -> str:
        if request.path == "/auth/o2/token":
            return "POST token"
        return _operation(request)[0] or "unknown"

    def answer(self, request: Request) -> Answer:
        try:
            if request.path == "/auth/o2/token" and request.method == "POST":
                return self.tokens.answer(request)
            return self._operate(request)
        except Problem as problem:
            if problem.status == 429:
                self.count_throttled()
            return problem.answer()

    def _operate(self, request: Request) -> Answer:
        operation, named = _operation(request)
        if not operation:
            raise not_found("Resource")
        self.tokens.check(request, is_sellers=True)
        headers = self.plans.take(operation)
        if operation == "searchListingsItems" and named != self.vendor_code:
            raise not_found("Vendor")
        with self.records.lock:
            answer = self._handlers(request, named)[operation]()
        return Answer(answer.status, answer.body, {**answer.headers, **headers})

    def _handlers(self, request: Request, named: str) -> Mapping[str, Callable[[], Answer]]:
        return {
            "searchListingsItems": lambda: self.listings.search(request),
            "getPurchaseOrders": lambda: self.retail.search(request),
            "getPurchaseOrder": lambda: self.retail.read(named),
            "getPurchaseOrdersStatus": lambda: self.retail.statuses(request),
            "acknowledgeRetail": lambda: self.retail.acknowledge(request),
            "getTransaction": lambda: self.transactions.read("retail", named),
            "getOrders": lambda: self.direct.search(request),
            "getOrder": lambda: self.direct.read(named),
            "acknowledgeDirect": lambda: self.direct.acknowledge(request),
            "submitInventoryUpdate": lambda: self.inventory.update(request, named),
            "getTransactionStatus": lambda: self.transactions.read("direct", named),
        }

    # -- faults
    def error_answer(self, status: int) -> Answer:
        return Problem(
            status, "InternalFailure", "We encountered an internal error. Please try again."
        ).answer()

    def throttled_answer(self) -> Answer:
        return too_many().answer()

    def error_in_200(self) -> Answer:
        answer = self.error_answer(500)
        return Answer(200, answer.body, answer.headers)


def _operation(request: Request) -> tuple[str, str]:
    """Returns the operation that a call means, and what its path names."""
    for method, pattern, operation in _ROUTES:
        found = re.fullmatch(pattern, request.path) if method == request.method else None
        if found:
            return operation, found[1] if found.groups() else ""
    return "", ""
