"""Orders, shipments and returns of a bol account."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Final

from channels.sandbox.bol.offers import ean, method
from channels.sandbox.bol.processes import Process
from channels.sandbox.bol.rest import (
    PAGE_SIZE,
    V10,
    body_of,
    moment,
    not_found,
    page_number,
    page_of,
    versioned,
    violation,
)
from channels.sandbox.book import Line, Order
from channels.sandbox.httpd import Answer, Request

if TYPE_CHECKING:
    from channels.sandbox.bol.shop import BolSandbox

FIRST_LINE: Final = 2_000_000_000
CANCEL_REASONS: Final = frozenset(
    {
        "OUT_OF_STOCK",
        "REQUESTED_BY_CUSTOMER",
        "BAD_CONDITION",
        "HIGHER_SHIPCOST",
        "INCORRECT_PRICE",
        "NOT_AVAIL_IN_TIME",
        "NO_BOL_GUARANTEE",
        "ORDERED_TWICE",
        "RETAIN_ITEM",
        "TECH_ISSUE",
        "UNFINDABLE_ITEM",
        "OTHER",
    }
)
_METHODS: Final = ("FBR", "FBB", "ALL")
_STATUSES: Final = ("OPEN", "SHIPPED", "ALL")
#: Handled orders leave the list after this, unless asked for by day.
_LISTED_SECONDS: Final = 48 * 3600
_LONGEST_INTERVAL: Final = 60


@dataclass(slots=True)
class Return:
    """Units a customer sends back."""

    number: int
    order: Order
    line: Line
    quantity: int
    registered_at: float
    results: list[dict[str, Any]] = field(default_factory=list)

    @property
    def is_handled(self) -> bool:
        return sum(int(result["quantity"]) for result in self.results) >= self.quantity


class Orders:
    """The `/retailer/orders`, `/retailer/shipments` and `/retailer/returns` resources."""

    def __init__(self, shop: "BolSandbox") -> None:
        self._shop = shop
        self._book = shop.records
        self.returns: dict[int, Return] = {}

    # -- orders
    def listing(self, request: Request) -> Answer:
        """Fifty orders a page, newest first, without a total: read on until a page is short."""
        query = request.query
        wanted_method = _choice(query.get("fulfilment-method", "FBR"), _METHODS, "fulfilment-method")
        status = _choice(query.get("status", "OPEN"), _STATUSES, "status")
        first = (page_number(request) - 1) * PAGE_SIZE
        found = []
        for order in self._candidates(query, status):
            lines = [line for line in order.lines if wanted_method in ("ALL", _method(line))]
            if any(_has_status(line, status) for line in lines):
                found.append(self._summary(order, lines))
                if len(found) == first + PAGE_SIZE:
                    break
        return versioned(200, {"orders": found[first:]}, V10)

    def _candidates(self, query: dict[str, str], status: str) -> Iterable[Order]:
        if "change-interval-minute" in query:
            text = query["change-interval-minute"]
            if not text.isdigit() or not 1 <= int(text) <= _LONGEST_INTERVAL:
                raise violation("change-interval-minute", f"must be between 1 and {_LONGEST_INTERVAL}")
            return self._book.newest_changes(since=time.time() - 60 * int(text))
        if "latest-change-date" in query:
            day = _day(query["latest-change-date"])
            changes = self._book.newest_changes(since=day)
            return (order for order in changes if order.updated_at < day + 24 * 3600)
        if status == "OPEN":
            return reversed(self._book.open_orders.values())
        return self._book.newest_changes(since=time.time() - _LISTED_SECONDS)

    def _summary(self, order: Order, lines: list[Line]) -> dict[str, Any]:
        items = [
            {
                "orderItemId": line_id(line),
                "ean": ean(line.item) if line.item else "",
                "fulfilmentMethod": _method(line),
                "fulfilmentStatus": "OPEN" if line.open_units else "HANDLED",
                "quantity": line.quantity,
                "quantityShipped": line.fulfilled,
                "quantityCancelled": line.cancelled,
                "cancellationRequest": line.is_cancellation_requested,
                "latestChangedDateTime": moment(order.updated_at),
            }
            for line in lines
        ]
        return {
            "orderId": self._shop.order_id(order),
            "orderPlacedDateTime": moment(order.committed_at),
            "orderItems": items,
        }

    def read(self, order_id: str) -> Answer:
        order = self._book.orders.get(self._shop.order_number(order_id))
        if order is None:
            raise not_found(f"order with id {order_id}")
        person = _person(order)
        document = {
            "orderId": order_id,
            "pickupPoint": False,
            "orderPlacedDateTime": moment(order.committed_at),
            "shipmentDetails": {**person, "language": "nl"},
            "billingDetails": person,
            "orderItems": [self._item(order, line) for line in order.lines],
        }
        return versioned(200, document, V10)

    def _item(self, order: Order, line: Line) -> dict[str, Any]:
        item = line.item
        return {
            "orderItemId": line_id(line),
            "cancellationRequest": line.is_cancellation_requested,
            "fulfilment": {
                "method": _method(line),
                "distributionParty": "BOL" if _method(line) == "FBB" else "RETAILER",
                "timeFrameType": "REGULAR",
            },
            "offer": {"offerId": self._shop.offers.offer_id(item), "reference": item.sku} if item else {},
            "product": {"ean": ean(item), "title": item.source.title} if item else {},
            "quantity": line.quantity,
            "quantityShipped": line.fulfilled,
            "quantityCancelled": line.cancelled,
            "unitPrice": float(line.price),
            "totalPrice": float(line.price * line.quantity),
            "discounts": [],
            "commission": 0.0,
            "latestChangedDateTime": moment(order.updated_at),
        }

    def _find_line(self, line_number: str) -> tuple[Order, Line]:
        number = int(line_number) - FIRST_LINE if line_number.isdigit() else 0
        found = self._shop.order_of_line(number)
        if found is None:
            raise not_found(f"order item with id {line_number}")
        return found

    def cancel(self, request: Request) -> Answer:
        """Cancels what is open of order items; accepted at first, done a little later."""
        items = body_of(request).get("orderItems")
        if not isinstance(items, list) or not items:
            raise violation("orderItems", "size must be between 1 and 1")
        for item in items:
            if item.get("reasonCode") not in CANCEL_REASONS:
                raise violation("orderItems[0].reasonCode", "is not a valid reason")
        pairs = [self._find_line(str(item.get("orderItemId"))) for item in items]

        def do(process: Process) -> str:
            if not all(line.open_units for _, line in pairs):
                return "The order item can't be cancelled: it has been shipped or cancelled."
            for order, line in pairs:
                self._shop.cancel_units(order, [(line, line.open_units)])
            return ""

        entity_id = str(items[0]["orderItemId"])
        return self._shop.processes.accept("CANCEL_ORDER", "Cancel order items.", do, entity_id=entity_id)

    def ship(self, request: Request) -> Answer:
        """Confirms a shipment; without a quantity, of all that is open."""
        items = body_of(request).get("orderItems")
        if not isinstance(items, list) or not items:
            raise violation("orderItems", "must not be empty")
        pairs = [(*self._find_line(str(item.get("orderItemId"))), item.get("quantity")) for item in items]

        def do(process: Process) -> str:
            for order, line, quantity in pairs:
                units = line.open_units if quantity is None else quantity
                if not 0 < units <= line.open_units:
                    return "The order item can't be shipped: there is not so much open."
                self._shop.fulfil_units(order, [(line, units)])
            return ""

        entity_id = str(items[0]["orderItemId"])
        return self._shop.processes.accept("CONFIRM_SHIPMENT", "Confirm a shipment.", do, entity_id=entity_id)

    # -- returns
    def announce_return(self, order: Order, line: Line, quantity: int) -> None:
        """Registers units that a customer sends back."""
        number = self._book.next_number()
        self.returns[number] = Return(number, order, line, quantity, time.time())

    def list_returns(self, request: Request) -> Answer:
        query = request.query
        wanted_method = _choice(query.get("fulfilment-method", "FBR"), _METHODS, "fulfilment-method")
        handled = query.get("handled")
        found = [
            each
            for each in reversed(self.returns.values())
            if wanted_method in ("ALL", _method(each.line))
            and (handled is None or each.is_handled == (handled.lower() == "true"))
        ]
        return versioned(200, {"returns": [self._return(each) for each in page_of(request, found)]}, V10)

    def read_return(self, return_id: str) -> Answer:
        found = self.returns.get(int(return_id)) if return_id.isdigit() else None
        if found is None:
            raise not_found(f"return with id {return_id}")
        document = self._return(found)
        title = found.line.item.source.title if found.line.item else ""
        document["returnItems"][0] |= {"title": title, "customerDetails": _person(found.order)}
        return versioned(200, document, V10)

    def _return(self, found: Return) -> dict[str, Any]:
        item = {
            "rmaId": str(found.number),
            "orderId": self._shop.order_id(found.order),
            "ean": ean(found.line.item) if found.line.item else "",
            "expectedQuantity": found.quantity,
            "returnReason": {
                "mainReason": "Sandbox",
                "detailedReason": "",
                "customerComments": "Sample comment",
            },
            "handled": found.is_handled,
            "processingResults": found.results,
        }
        return {
            "returnId": str(found.number),
            "registrationDateTime": moment(found.registered_at),
            "fulfilmentMethod": _method(found.line),
            "returnItems": [item],
        }

    def handle_return(self, request: Request, rma_id: str) -> Answer:
        found = self.returns.get(int(rma_id)) if rma_id.isdigit() else None
        if found is None:
            raise not_found(f"return item with id {rma_id}")
        data = body_of(request)
        quantity = data.get("quantityReturned")
        if isinstance(quantity, bool) or not isinstance(quantity, int) or not 0 < quantity <= found.quantity:
            raise violation("quantityReturned", f"must be between 1 and {found.quantity}")

        def do(process: Process) -> str:
            result = {
                "quantity": quantity,
                "processingResult": "ACCEPTED",
                "handlingResult": str(data.get("handlingResult", "")),
                "processingDateTime": moment(time.time()),
            }
            found.results.append(result)
            return ""

        return self._shop.processes.accept(
            "HANDLE_RETURN_ITEM", "Handle a return item.", do, entity_id=rma_id
        )


def line_id(line: Line) -> str:
    """The order item id of a line."""
    return str(FIRST_LINE + line.number)


def _method(line: Line) -> str:
    return method(line.item) if line.item else "FBR"


def _has_status(line: Line, status: str) -> bool:
    return (
        status == "ALL"
        or (status == "OPEN" and line.open_units > 0)
        or (status == "SHIPPED" and line.fulfilled > 0)
    )


def _choice(value: str, known: tuple[str, ...], name: str) -> str:
    if value not in known:
        raise violation(name, f"must be one of {', '.join(known)}")
    return value


def _day(text: str) -> float:
    try:
        found = date.fromisoformat(text)
    except ValueError:
        raise violation("latest-change-date", "must be a date") from None
    return datetime(found.year, found.month, found.day, tzinfo=UTC).timestamp()


def _person(order: Order) -> dict[str, str]:
    customer = order.customer
    return {
        "salutation": "UNKNOWN",
        "firstName": customer.first_name,
        "surname": customer.last_name,
        "streetName": customer.street,
        "houseNumber": customer.house_number,
        "zipCode": customer.postcode,
        "city": customer.city,
        "countryCode": order.country,
        "email": customer.email,
        "deliveryPhoneNumber": customer.phone,
    }
