"""Retail purchase orders: Amazon buys in cases or eaches, changes its mind, takes our word, receives and closes."""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from channels.sandbox.amazon_seller.rest import body_of, instant, invalid, not_found, utc_exact
from channels.sandbox.amazon_vendor.paging import page_of
from channels.sandbox.httpd import Answer, Request, json_answer

if TYPE_CHECKING:
    from channels.sandbox.amazon_vendor.shop import AmazonVendorSandbox

NEW: Final = "New"
ACKNOWLEDGED: Final = "Acknowledged"
CLOSED: Final = "Closed"
_LONGEST_WINDOW: Final = 7 * 86_400 + 60
_CODES: Final = frozenset({"Accepted", "Backordered", "Rejected"})
_REASONS: Final = frozenset({"TemporarilyUnavailable", "InvalidProductIdentifier", "ObsoleteProduct"})


@dataclass(slots=True)
class Ordered:
    """One item of a purchase order; counts are in the unit that was ordered."""

    number: int
    sku: str
    asin: str
    amount: int
    unit: str
    #: Eaches of a unit; None: Amazon does not say.
    size: int | None
    may_wait: bool
    price: str
    accepted: int = 0
    backordered: int = 0
    rejected: int = 0
    reason: str = ""
    #: Eaches that Amazon's warehouse received.
    received: int = 0

    def quantity(self, amount: int) -> dict[str, Any]:
        found: dict[str, Any] = {"amount": amount, "unitOfMeasure": self.unit}
        return found if self.size is None else {**found, "unitSize": self.size}


@dataclass(slots=True)
class PurchaseOrder:
    """One purchase order."""

    number: str
    placed_at: float
    items: list[Ordered]
    country: str
    state: str = NEW
    changed_at: float | None = None
    state_changed_at: float = 0.0
    updated_at: float = 0.0

    def move(self, state: str) -> None:
        self.state = state
        self.state_changed_at = self.updated_at = time.time()

    @property
    def last_change(self) -> float:
        """When Amazon or our word changed it last; 0 where nobody did."""
        return max(self.changed_at or 0.0, 0.0 if self.state == NEW else self.state_changed_at)

    def item(self, sku: str) -> Ordered:
        return next(each for each in self.items if each.sku == sku)


class RetailOrders:
    """The `/vendor/orders/v1` resources, and Amazon's own hand on its orders."""

    def __init__(self, shop: "AmazonVendorSandbox") -> None:
        self._shop = shop
        self.orders: dict[str, PurchaseOrder] = {}

    # -- what Amazon does
    def place(
        self,
        lines: Sequence[tuple[str, int]],
        *,
        case_size: int | None = 1,
        in_cases: bool = False,
        may_wait: bool = True,
        country: str = "DE",
    ) -> str:
        """Places an order; returns its number. With `in_cases` the amounts are cases of `case_size` eaches."""
        with self._shop.records.lock:
            number = f"P{len(self.orders) + 1:07d}"
            items = [
                Ordered(
                    position,
                    sku,
                    self._shop.asin_of(sku),
                    amount,
                    "Cases" if in_cases else "Eaches",
                    case_size,
                    may_wait,
                    "12.50",
                )
                for position, (sku, amount) in enumerate(lines, 1)
            ]
            now = time.time()
            self.orders[number] = PurchaseOrder(
                number, now, items, country, state_changed_at=now, updated_at=now
            )
            return number

    def change(self, number: str, sku: str, amount: int) -> None:
        """Changes what was ordered after it was placed; 0 cancels the item."""
        with self._shop.records.lock:
            order = self.orders[number]
            order.item(sku).amount = amount
            order.changed_at = order.updated_at = time.time()

    def receive(self, number: str, sku: str, eaches: int) -> None:
        """Has Amazon's warehouse receive goods."""
        with self._shop.records.lock:
            self.orders[number].item(sku).received += eaches
            self.orders[number].updated_at = time.time()

    def close(self, number: str) -> None:
        """Has Amazon expect nothing more of an order."""
        with self._shop.records.lock:
            self.orders[number].move(CLOSED)

    # -- reading
    def search(self, request: Request) -> Answer:
        query = request.query
        _check_windows(query, ("created", "changed"))
        found = [order for order in self.orders.values() if self._matches(order, query)]
        if query.get("sortOrder") == "DESC":
            found.reverse()
        page, token = page_of(found, query)
        details = query.get("includeDetails", "true") == "true"
        content: dict[str, Any] = {"orders": [self.document(order, details=details) for order in page]}
        if token:
            content["pagination"] = {"nextToken": token}
        return json_answer(200, {"payload": content})

    def _matches(self, order: PurchaseOrder, query: dict[str, str]) -> bool:
        return (
            query.get("orderingVendorCode", self._shop.vendor_code) == self._shop.vendor_code
            and _lies_in(order.placed_at, query, "created")
            and _lies_in(order.last_change, query, "changed")
            and query.get("purchaseOrderState", order.state) == order.state
            and (query.get("isPOChanged") != "true" or order.changed_at is not None)
            and (query.get("poItemState") != "Cancelled" or any(not each.amount for each in order.items))
        )

    def read(self, number: str) -> Answer:
        order = self.orders.get(number)
        if order is None:
            raise not_found("Purchase order")
        return json_answer(200, {"payload": self.document(order, details=True)})

    def document(self, order: PurchaseOrder, *, details: bool) -> dict[str, Any]:
        found: dict[str, Any] = {
            "purchaseOrderNumber": order.number,
            "purchaseOrderState": order.state,
        }
        if not details:
            return found
        inner: dict[str, Any] = {
            "purchaseOrderDate": utc_exact(order.placed_at),
            "purchaseOrderStateChangedDate": utc_exact(order.state_changed_at),
            "purchaseOrderType": "RegularOrder",
            "paymentMethod": "Invoice",
            "sellingParty": {"partyId": self._shop.vendor_code},
            "buyingParty": {"partyId": "AMZN"},
            "billToParty": {"partyId": "AMZN"},
            "shipToParty": {
                "partyId": "XDE1",
                "address": {
                    "name": "Amazon's warehouse",
                    "addressLine1": "Amazonstraße 1",
                    "city": "Leipzig",
                    "countryCode": order.country,
                },
            },
            "items": [self._item(each) for each in order.items],
        }
        if order.changed_at is not None:
            inner["purchaseOrderChangedDate"] = utc_exact(order.changed_at)
        return {**found, "orderDetails": inner}

    def _item(self, each: Ordered) -> dict[str, Any]:
        return {
            "itemSequenceNumber": str(each.number),
            "amazonProductIdentifier": each.asin,
            "vendorProductIdentifier": each.sku,
            "orderedQuantity": each.quantity(each.amount),
            "isBackOrderAllowed": each.may_wait,
            "netCost": {"amount": each.price, "currencyCode": "EUR"},
        }

    def statuses(self, request: Request) -> Answer:
        query = request.query
        _check_windows(query, ("created", "updated"))
        found = [
            order
            for order in self.orders.values()
            if query.get("purchaseOrderNumber", order.number) == order.number
            and query.get("orderingVendorCode", self._shop.vendor_code) == self._shop.vendor_code
            and _lies_in(order.placed_at, query, "created")
            and _lies_in(order.updated_at, query, "updated")
        ]
        page, token = page_of(found, query)
        content: dict[str, Any] = {"ordersStatus": [self._status(order) for order in page]}
        if token:
            content["pagination"] = {"nextToken": token}
        return json_answer(200, {"payload": content})

    def _status(self, order: PurchaseOrder) -> dict[str, Any]:
        return {
            "purchaseOrderNumber": order.number,
            "purchaseOrderStatus": "CLOSED" if order.state == CLOSED else "OPEN",
            "purchaseOrderDate": utc_exact(order.placed_at),
            "lastUpdatedDate": utc_exact(order.updated_at),
            "sellingParty": {"partyId": self._shop.vendor_code},
            "shipToParty": {"partyId": "XDE1"},
            "itemStatus": [self._item_status(order, each) for each in order.items],
        }

    def _item_status(self, order: PurchaseOrder, each: Ordered) -> dict[str, Any]:
        found: dict[str, Any] = {
            "itemSequenceNumber": str(each.number),
            "buyerProductIdentifier": each.asin,
            "vendorProductIdentifier": each.sku,
            "orderedQuantity": {"orderedQuantity": each.quantity(each.amount)},
            "acknowledgementStatus": {"confirmationStatus": "UNCONFIRMED"},
            "receivingStatus": {
                "receiveStatus": "RECEIVED" if each.received else "NOT_RECEIVED",
                "receivedQuantity": {"amount": each.received, "unitOfMeasure": "Eaches", "unitSize": 1},
            },
        }
        if order.state != NEW:
            is_whole = not each.rejected
            found["acknowledgementStatus"] = {
                "confirmationStatus": "ACCEPTED"
                if is_whole
                else "PARTIALLY_ACCEPTED"
                if each.accepted + each.backordered
                else "REJECTED",
                "acceptedQuantity": each.quantity(each.accepted + each.backordered),
                "rejectedQuantity": each.quantity(each.rejected),
            }
        return found

    # -- our word
    def acknowledge(self, request: Request) -> Answer:
        words = body_of(request).get("acknowledgements")
        if not isinstance(words, list) or not words:
            raise invalid("acknowledgements is required.")
        identity = self._shop.transactions.begin("retail", lambda: self._take(words))
        return json_answer(202, {"payload": {"transactionId": identity}})

    def _take(self, words: list[dict[str, Any]]) -> list[tuple[str, str]]:
        return [error for word in words for error in self._take_one(word)]

    def _take_one(self, word: dict[str, Any]) -> list[tuple[str, str]]:
        number = str(word.get("purchaseOrderNumber"))
        order = self.orders.get(number)
        if order is None or order.state == CLOSED:
            return [("InvalidInput", f"Purchase order {number} does not wait for an acknowledgement.")]
        by_number = {str(item.get("itemSequenceNumber")): item for item in word.get("items", ())}
        errors = list(self._errors(order, by_number))
        if errors:
            return errors
        for each in order.items:
            self._settle(each, by_number.get(str(each.number)))
        self._shop.acknowledged.append((number, word))
        order.move(ACKNOWLEDGED)
        return []

    def _errors(self, order: PurchaseOrder, words: dict[str, dict[str, Any]]) -> Iterator[tuple[str, str]]:
        for each in order.items:
            said = words.get(str(each.number))
            if said is None:
                continue
            parts = said.get("itemAcknowledgements", [])
            total = sum(part["acknowledgedQuantity"]["amount"] for part in parts)
            if message := self._shop.fails.get(each.sku):
                yield "InvalidInput", f"{message} ({each.sku})"
            elif total != each.amount or any(not p["acknowledgedQuantity"]["amount"] for p in parts):
                yield "InvalidInput", f"Item {each.number} acknowledges {total} of {each.amount} units."
            elif not said.get("netCost"):
                yield "InvalidInput", f"Item {each.number} has no net cost."
            elif any(p["acknowledgementCode"] not in _CODES for p in parts):
                yield "InvalidInput", f"Item {each.number} has an unknown code."
            elif any(
                p["acknowledgementCode"] == "Rejected" and p.get("rejectionReason") not in _REASONS
                for p in parts
            ):
                yield "InvalidInput", f"Item {each.number} is rejected without a reason."
            elif not each.may_wait and any(p["acknowledgementCode"] == "Backordered" for p in parts):
                yield "InvalidInput", f"Item {each.number} may not be backordered."

    def _settle(self, each: Ordered, said: dict[str, Any] | None) -> None:
        """Writes down our word on an item; one that was left out is rejected."""
        each.accepted = each.backordered = 0
        each.rejected, each.reason = each.amount, ""
        if said is None:
            return
        counts = dict.fromkeys(_CODES, 0)
        for part in said["itemAcknowledgements"]:
            counts[part["acknowledgementCode"]] += part["acknowledgedQuantity"]["amount"]
            each.reason = part.get("rejectionReason", each.reason)
        each.accepted, each.backordered, each.rejected = (
            counts["Accepted"],
            counts["Backordered"],
            counts["Rejected"],
        )


def _lies_in(at: float, query: dict[str, str], name: str) -> bool:
    after, before = query.get(f"{name}After"), query.get(f"{name}Before")
    return (after is None or at >= instant(after, f"{name}After")) and (
        before is None or at < math.floor(instant(before, f"{name}Before")) + 1
    )


def _check_windows(query: dict[str, str], names: Sequence[str]) -> None:
    for name in names:
        if f"{name}After" in query and f"{name}Before" in query:
            span = instant(query[f"{name}Before"], name) - instant(query[f"{name}After"], name)
            if span > _LONGEST_WINDOW:
                raise invalid("The date range must not exceed 7 days.")
