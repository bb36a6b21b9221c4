"""Direct fulfilment: orders of Amazon's customers as documents, our word on them, and the inventory of warehouses."""

from typing import TYPE_CHECKING, Any, Final

from channels.sandbox.amazon_seller.rest import body_of, instant, invalid, not_found, utc
from channels.sandbox.amazon_vendor.paging import page_of
from channels.sandbox.book import Item, Order
from channels.sandbox.httpd import Answer, Request, json_answer

if TYPE_CHECKING:
    from channels.sandbox.amazon_vendor.shop import AmazonVendorSandbox

NEW: Final = "NEW"
ACCEPTED: Final = "ACCEPTED"
SHIPPED: Final = "SHIPPED"
CANCELLED: Final = "CANCELLED"
_STATUSES: Final = frozenset({NEW, ACCEPTED, SHIPPED, CANCELLED})
_SHIPS_ALL: Final = "00"


class DirectOrders:
    """The `/vendor/directFulfillment/orders` resources."""

    def __init__(self, shop: "AmazonVendorSandbox") -> None:
        self._shop = shop
        self._book = shop.records

    def search(self, request: Request) -> Answer:
        query = request.query
        if "createdAfter" not in query or "createdBefore" not in query:
            raise invalid("createdAfter and createdBefore are required.")
        if query.get("status", NEW) not in _STATUSES:
            raise invalid("status is not known.")
        since, until = (
            instant(query["createdAfter"], "createdAfter"),
            instant(query["createdBefore"], "createdBefore"),
        )
        found = [
            order
            for order in self._book.orders.values()
            if since <= order.committed_at < until + 1
            and query.get("status", order.status) == order.status
            and query.get("shipFromPartyId", order.lines[0].location) == order.lines[0].location
        ]
        page, token = page_of(found, query)
        details = query.get("includeDetails", "true") == "true"
        body: dict[str, Any] = {"orders": [self.document(order, details=details) for order in page]}
        if token:
            body["pagination"] = {"nextToken": token}
        return json_answer(200, body)

    def read(self, number: str) -> Answer:
        order = self._book.orders.get(self._shop.number_of(number))
        if order is None:
            raise not_found("Purchase order")
        return json_answer(200, self.document(order, details=True))

    def document(self, order: Order, *, details: bool) -> dict[str, Any]:
        found: dict[str, Any] = {"purchaseOrderNumber": self._shop.purchase_order_number(order)}
        if not details:
            return found
        customer = order.customer
        address = {
            "name": customer.last_name,
            "addressLine1": customer.city,
            "city": customer.city,
            "stateOrRegion": customer.city,
            "countryCode": order.country,
        }
        return {
            **found,
            "orderDetails": {
                "customerOrderNumber": f"302-{order.number:07d}",
                "orderDate": utc(order.committed_at),
                "orderStatus": order.status,
                "shipmentDetails": {
                    "isPriorityShipment": False,
                    "isPslipRequired": True,
                    "shipMethod": "DHL",
                    "shipmentDates": {"requiredShipDate": utc(order.committed_at + 86_400)},
                    "messageToCustomer": "Thank you.",
                },
                "sellingParty": {"partyId": self._shop.vendor_code},
                "shipFromParty": {"partyId": order.lines[0].location},
                "shipToParty": address,
                "billToParty": {"partyId": "AMZN"},
                "items": [
                    {
                        "itemSequenceNumber": f"{position:05d}",
                        "buyerProductIdentifier": self._shop.asin_of(line.sku),
                        "vendorProductIdentifier": line.sku,
                        "title": line.item.source.title if line.item else "",
                        "orderedQuantity": {"amount": line.quantity, "unitOfMeasure": "Each"},
                        "netPrice": {"currencyCode": order.currency, "amount": str(line.price)},
                    }
                    for position, line in enumerate(order.lines, 1)
                ],
            },
        }

    # -- our word
    def acknowledge(self, request: Request) -> Answer:
        words = body_of(request).get("orderAcknowledgements")
        if not isinstance(words, list) or not words:
            raise invalid("orderAcknowledgements is required.")
        identity = self._shop.transactions.begin("direct", lambda: self._take(words))
        return json_answer(202, {"transactionId": identity})

    def _take(self, words: list[dict[str, Any]]) -> list[tuple[str, str]]:
        return [error for word in words for error in self._take_one(word)]

    def _take_one(self, word: dict[str, Any]) -> list[tuple[str, str]]:
        number = str(word.get("purchaseOrderNumber"))
        order = self._book.orders.get(self._shop.number_of(number))
        if order is None or order.status != NEW:
            return [("InvalidInput", f"Purchase order {number} does not wait for an acknowledgement.")]
        if len(word.get("itemAcknowledgements", ())) != len(order.lines):
            return [("InvalidInput", f"Purchase order {number} must be acknowledged with all of its items.")]
        if message := self._shop.fails.get(number):
            return [("InvalidInput", f"{message} ({number})")]
        self._shop.acknowledged.append((number, word))
        if word["acknowledgementStatus"]["code"] == _SHIPS_ALL:
            order.status = ACCEPTED
            self._book.touch(order)
        else:
            self._shop.cancel_order(order)
        return []


class Inventory:
    """The `/vendor/directFulfillment/inventory` resource."""

    def __init__(self, shop: "AmazonVendorSandbox") -> None:
        self._shop = shop
        #: Updates that said they were complete: everything they left out was taken for sold out.
        self.full_updates = 0

    def named(self, request: Request) -> list[Item]:
        """Returns the items that an update names, as far as it can be read."""
        try:
            rows = request.json()["inventory"]["items"]
            return [item for row in rows if (item := self._shop.item_named(row)) is not None]
        except (ValueError, KeyError, TypeError):
            return []

    def update(self, request: Request, warehouse: str) -> Answer:
        data = body_of(request).get("inventory")
        if not isinstance(data, dict) or not isinstance(data.get("isFullUpdate"), bool):
            raise invalid("inventory with isFullUpdate is required.")
        if (data.get("sellingParty") or {}).get("partyId") != self._shop.vendor_code:
            raise invalid("The selling party is not known.")
        if warehouse not in self._shop.records.places:
            raise invalid(f"The warehouse {warehouse} is not known.")
        identity = self._shop.transactions.begin("direct", lambda: self._apply(warehouse, data))
        return json_answer(202, {"payload": {"transactionId": identity}})

    def _apply(self, warehouse: str, data: dict[str, Any]) -> list[tuple[str, str]]:
        """Writes the numbers that can be written; names the others."""
        errors, written = [], set()
        for row in data["items"]:
            item = self._shop.item_named(row)
            name = row.get("buyerProductIdentifier") or row.get("vendorProductIdentifier")
            amount = row["availableQuantity"].get("amount")
            if item is None:
                errors.append(("InvalidInput", f"The item {name} is not known."))
            elif message := self._shop.fails.get(item.sku):
                errors.append(("InvalidInput", f"{message}: {name}"))
            elif not isinstance(amount, int) or amount < 0:
                errors.append(("InvalidInput", f"The quantity of {name} is not valid."))
            else:
                self._shop.write_level(item, warehouse, amount)
                written.add(item.sku)
        if data["isFullUpdate"]:
            self.full_updates += 1
            for item in self._shop.records.items.values():
                if item.sku not in written and warehouse in item.levels:
                    self._shop.write_level(item, warehouse, 0)
        return errors
