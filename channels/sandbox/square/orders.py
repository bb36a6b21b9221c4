"""Square's orders: sales at the till that are over at once, online ones that are shipped, returns as orders of their own."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from channels.sandbox.book import Line, Order
from channels.sandbox.httpd import Answer, Request, json_answer
from channels.sandbox.square.rest import SquareError, body_of, instant, limit_of, moment, not_found, page

if TYPE_CHECKING:
    from channels.sandbox.square.shop import SquareSandbox

COMPLETED: Final = "COMPLETED"
OPEN: Final = "OPEN"
CANCELED: Final = "CANCELED"
_MOST_LOCATIONS: Final = 10
_LARGEST_PAGE: Final = 1000


@dataclass(frozen=True, slots=True)
class Return:
    """Units of a sale that came back."""

    source: Order
    picks: list[tuple[Line, int]]
    place: str


class Orders:
    """The `/v2/orders` resource."""

    def __init__(self, shop: "SquareSandbox") -> None:
        self._shop = shop
        #: By the number of the order that the return is.
        self.returns: dict[int, Return] = {}
        #: Orders that are sent to the customer.
        self.shipped_online: set[int] = set()
        #: Orders that a till has not sent to Square yet.
        self.unsent: set[int] = set()

    def read(self, order_id: str) -> Answer:
        order = self._shop.records.orders.get(self._shop.order_number(order_id))
        if order is None or order.number in self.unsent or order.is_deleted:
            raise not_found(f"Order {order_id}")
        return json_answer(200, {"order": self.document(order)})

    def search(self, request: Request) -> Answer:
        data = body_of(request)
        places = data.get("location_ids")
        if not isinstance(places, list) or not 1 <= len(places) <= _MOST_LOCATIONS:
            raise SquareError(400, "VALUE_TOO_HIGH", "1 to 10 locations are needed.", "location_ids")
        query = data.get("query", {})
        if query.get("sort", {}).get("sort_field") != "UPDATED_AT":
            raise SquareError(
                400, "BAD_REQUEST", "The sort field has to be that of the filter.", "query.sort"
            )
        span = query.get("filter", {}).get("date_time_filter", {}).get("updated_at", {})
        since = instant(span.get("start_at", "1970-01-01T00:00:00Z"), "query.filter")
        found = [
            order
            for order in self._shop.records.orders.values()
            if order.updated_at >= since
            and order.number not in self.unsent
            and not order.is_deleted
            and self._shop.location_id(self._place(order)) in places
        ]
        found.sort(key=lambda order: (order.updated_at, order.number))
        limit = limit_of(data, 500, _LARGEST_PAGE)
        return json_answer(200, page(found, data.get("cursor"), limit, "orders", self.document))

    def _place(self, order: Order) -> str:
        return self.returns[order.number].place if order.number in self.returns else order.lines[0].location

    def document(self, order: Order) -> dict[str, Any]:
        is_online = order.number in self.shipped_online
        total = int(order.total * 100)
        return {
            "id": self._shop.order_id(order),
            "location_id": self._shop.location_id(self._place(order)),
            "created_at": moment(order.committed_at),
            "updated_at": moment(order.updated_at),
            "state": order.status,
            "version": order.sequence,
            "customer_id": f"CUSTOMER-{order.customer.number}",
            "source": {"name": "Square Online" if is_online else "Point of Sale"},
            "total_money": {"amount": total, "currency": order.currency},
            "net_amount_due_money": {"amount": 0, "currency": order.currency},
            "tenders": [{"id": f"T{order.number}", "type": "CARD", "note": order.customer.email}],
            **({"line_items": [self._line(order, line) for line in order.lines]} if order.lines else {}),
            **({"fulfillments": [self._fulfilment(order)]} if is_online else {}),
            **({"returns": [self._return(order)]} if order.number in self.returns else {}),
        }

    def _goods(self, order: Order, line: Line, units: int) -> dict[str, Any]:
        price = {"amount": int(line.price * 100), "currency": order.currency}
        item = line.item
        return {
            "quantity": str(units),
            "name": item.source.title if item else "Something",
            "item_type": "ITEM",
            "base_price_money": price,
            **({"catalog_object_id": self._shop.variation_id(item)} if item else {}),
        }

    def _line(self, order: Order, line: Line) -> dict[str, Any]:
        """Units that were cancelled leave their line, unless the whole order was."""
        units = line.quantity if order.status == CANCELED else line.quantity - line.cancelled
        return {"uid": f"line-{line.number}", **self._goods(order, line, units)}

    def _fulfilment(self, order: Order) -> dict[str, Any]:
        recipient = {
            "display_name": f"{order.customer.first_name} {order.customer.last_name}",
            "email_address": order.customer.email,
            "address": {"address_line_1": order.customer.street, "country": order.country},
        }
        entries = [
            {"line_item_uid": f"line-{line.number}", "quantity": str(line.fulfilled)}
            for line in order.lines
            if line.fulfilled
        ]
        return {
            "uid": f"fulfilment-{order.number}",
            "type": "SHIPMENT",
            "state": COMPLETED if entries else CANCELED if order.status == CANCELED else "PROPOSED",
            "line_item_application": "ENTRY_LIST" if entries else "ALL",
            **({"entries": entries} if entries else {}),
            "shipment_details": {"recipient": recipient},
        }

    def _return(self, order: Order) -> dict[str, Any]:
        made = self.returns[order.number]
        return {
            "uid": f"return-{order.number}",
            "source_order_id": self._shop.order_id(made.source),
            "return_line_items": [
                {
                    "uid": f"back-{line.number}",
                    "source_line_item_uid": f"line-{line.number}",
                    **self._goods(order, line, units),
                }
                for line, units in made.picks
            ],
        }
