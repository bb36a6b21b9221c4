"""Orders 2026-01-01: searched by last change, pages by token, or read one by one."""

import base64
import json
import time
from typing import TYPE_CHECKING, Any, Final

from channels.sandbox.amazon_seller.rest import instant, invalid, listed, not_found, utc
from channels.sandbox.book import Line, Order
from channels.sandbox.httpd import Answer, Request, json_answer

if TYPE_CHECKING:
    from channels.sandbox.amazon_seller.shop import AmazonSellerSandbox

STATUSES: Final = frozenset(
    {
        "PENDING_AVAILABILITY",
        "PENDING",
        "UNSHIPPED",
        "PARTIALLY_SHIPPED",
        "SHIPPED",
        "CANCELLED",
        "UNFULFILLABLE",
    }
)
#: What needs a role for personal data; the engine must never ask for it.
PERSONAL: Final = frozenset({"BUYER", "RECIPIENT"})
_INCLUDED: Final = PERSONAL | {
    "PROCEEDS",
    "EXPENSE",
    "PROMOTION",
    "CANCELLATION",
    "FULFILLMENT",
    "PACKAGES",
    "TAX",
    "PAYMENT",
    "FULFILLMENT_ORDERS",
}
LARGEST_PAGE: Final = 100
_MOST_MARKETPLACES: Final = 50
_FIRST_ITEM: Final = 50_000_000_000_000


class Orders:
    """The `/orders/2026-01-01/orders` resource."""

    def __init__(self, shop: "AmazonSellerSandbox") -> None:
        self._shop = shop
        self._book = shop.records

    @staticmethod
    def item_id(line: Line) -> str:
        """The id of an order item."""
        return str(_FIRST_ITEM + line.number)

    def search(self, request: Request) -> Answer:
        query = request.query
        windows = [name for name in ("createdAfter", "lastUpdatedAfter") if name in query]
        if len(windows) != 1:
            raise invalid("Exactly one of createdAfter and lastUpdatedAfter is required.")
        size = _page_size(query.get("maxResultsPerPage", str(LARGEST_PAGE)))
        if len(listed(request, "marketplaceIds")) > _MOST_MARKETPLACES:
            raise invalid("At most 50 marketplaces.")
        included = self._included(request)
        since = instant(query[windows[0]], windows[0])
        after = _after(query.get("paginationToken", ""))
        found = []
        answered_at = time.time()
        for order in self._book.changes(
            since=since if windows[0] == "lastUpdatedAfter" else 0.0, after=after
        ):
            if self._matches(request, order, since if windows[0] == "createdAfter" else 0.0):
                found.append(order)
            if len(found) > size:
                break
        body: dict[str, Any] = {
            "orders": [self.document(order, included) for order in found[:size]],
            "lastUpdatedBefore": utc(answered_at),
        }
        if len(found) > size:
            body["pagination"] = {"nextToken": _token(found[size - 1])}
        return json_answer(200, body)

    def _matches(self, request: Request, order: Order, created_after: float) -> bool:
        statuses, by = listed(request, "fulfillmentStatuses"), listed(request, "fulfilledBy")
        if not set(statuses) <= STATUSES or not set(by) <= {"MERCHANT", "AMAZON"}:
            raise invalid("A filter has a value that is not known.")
        marketplaces = listed(request, "marketplaceIds")
        return (
            order.committed_at >= created_after
            and (not marketplaces or self._shop.marketplace in marketplaces)
            and (not statuses or order.status in statuses)
            and (not by or self._shipper(order) in by)
        )

    def read(self, request: Request, order_id: str) -> Answer:
        order = self._book.orders.get(self._shop.order_number(order_id))
        if order is None:
            raise not_found("Order")
        return json_answer(200, {"order": self.document(order, self._included(request))})

    def _included(self, request: Request) -> set[str]:
        included = set(listed(request, "includedData"))
        if not included <= _INCLUDED:
            raise invalid("includedData has a value that is not known.")
        self._shop.asked_for_personal_data |= bool(included & PERSONAL)
        return included

    def _shipper(self, order: Order) -> str:
        return "AMAZON" if self._shop.is_amazons(order) else "MERCHANT"

    def document(self, order: Order, included: set[str]) -> dict[str, Any]:
        """The order as the API shows it; what was not asked for is left out."""
        found: dict[str, Any] = {
            "orderId": self._shop.order_id(order),
            "createdTime": utc(order.committed_at),
            "lastUpdatedTime": utc(order.updated_at),
            "salesChannel": {"channelName": "AMAZON", "marketplaceId": self._shop.marketplace},
            "orderItems": [self._item(order, line, included) for line in order.lines],
        }
        if "FULFILLMENT" in included:
            found["fulfillment"] = {
                "fulfillmentStatus": order.status,
                "fulfilledBy": self._shipper(order),
                "fulfillmentServiceLevel": "STANDARD",
            }
        if "BUYER" in included:
            found["buyer"] = {"buyerName": order.customer.last_name, "buyerEmail": order.customer.email}
        if "RECIPIENT" in included:
            found["recipient"] = {
                "deliveryAddress": {"city": order.customer.city, "countryCode": order.country}
            }
        return found

    def _item(self, order: Order, line: Line, included: set[str]) -> dict[str, Any]:
        product: dict[str, Any] = {
            "price": {"unitPrice": {"amount": str(line.price), "currencyCode": order.currency}}
        }
        if line.item is not None:
            product |= {
                "asin": self._shop.listings.asin(line.item),
                "title": line.item.source.title,
                "sellerSku": line.item.sku,
            }
        found: dict[str, Any] = {
            "orderItemId": self.item_id(line),
            "quantityOrdered": line.quantity,
            "product": product,
        }
        if "FULFILLMENT" in included:
            found["fulfillment"] = {
                "quantityFulfilled": line.fulfilled,
                "quantityUnfulfilled": line.open_units,
            }
        if "CANCELLATION" in included and (line.is_cancellation_requested or line.cancelled):
            found["cancellation"] = _cancellation(line)
        return found


def _cancellation(line: Line) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if line.is_cancellation_requested:
        found["cancellationRequest"] = {"requester": "BUYER", "cancelReason": "Changed mind"}
    if line.cancelled:
        found["cancellationExecution"] = {"cancelledBy": "MERCHANT", "cancelReason": "Out of stock"}
    return found


def _page_size(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= LARGEST_PAGE:
        raise invalid(f"maxResultsPerPage must be between 1 and {LARGEST_PAGE}.")
    return int(text)


def _token(order: Order) -> str:
    return base64.urlsafe_b64encode(json.dumps({"after": order.sequence}).encode()).decode()


def _after(token: str) -> int:
    try:
        return int(json.loads(base64.urlsafe_b64decode(token))["after"]) if token else 0
    except (ValueError, KeyError, TypeError):
        raise invalid("paginationToken is not valid.") from None
