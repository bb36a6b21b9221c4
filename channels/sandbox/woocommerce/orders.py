"""Orders of a WooCommerce shop: statuses and when they move stock, edits, refunds.

Source: `wc-stock-functions.php`; the contract sheet's observations of a real WooCommerce 11.0.1.
"""

import time
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from channels.sandbox.book import Line, Order, Refund, RefundLine
from channels.sandbox.httpd import Answer, Request, json_answer
from channels.sandbox.woocommerce.documents import (
    FIRST_ITEM,
    FIRST_ORDER,
    FIRST_REFUND,
    order_document,
    refund_document,
)
from channels.sandbox.woocommerce.rest import (
    RestError,
    body_of,
    changed_between,
    invalid_id,
    invalid_parameter,
    modified_since,
    page,
)

if TYPE_CHECKING:
    from channels.sandbox.woocommerce.shop import WooCommerceSandbox

#: Statuses that take stock from the number, and those that put it back.
TAKING: Final = frozenset({"processing", "on-hold", "completed"})
RESTORING: Final = frozenset({"cancelled", "pending", "failed"})
STATUSES: Final = TAKING | RESTORING | {"refunded", "trash", "checkout-draft"}
#: Statuses under which nothing is shipped.
_ENDED: Final = frozenset({"cancelled", "failed", "refunded", "trash"})


class Orders:
    """The `/orders` resource and its refunds."""

    def __init__(self, shop: "WooCommerceSandbox") -> None:
        self._shop = shop
        self._book = shop.records
        #: Orders not paid yet, by number.
        self.pending: dict[int, Order] = {}

    # -- reading
    def find(self, post_id: int, status: int = 404) -> Order:
        order = self._book.orders.get(post_id - FIRST_ORDER)
        if order is None or order.is_deleted:
            raise invalid_id(status, "shop_order")
        return order

    def listing(self, request: Request) -> Answer:
        query = request.query
        statuses = [each for each in query.get("status", "any").split(",") if each != "any"]
        wanted = {int(part) for part in query.get("include", "").split(",") if part.strip().isdigit()}
        holds = changed_between(query)
        found = [
            order
            for order in self._book.changes(since=modified_since(query))
            if not order.is_deleted
            and holds(order.committed_at, order.updated_at)
            and (order.status in statuses if statuses else order.status != "trash")
            and (not wanted or FIRST_ORDER + order.number in wanted)
        ]
        return page(request, self._shop.base_url, found, lambda order: order.number, order_document)

    # -- writing
    def create(self, request: Request) -> Answer:
        """Creates an order as asked; nothing is refused for want of stock, an unknown product becomes product 0."""
        data = body_of(request)
        lines = [self._new_line(each, position) for position, each in enumerate(data.get("line_items") or [])]
        status = "processing" if data.get("set_paid") else data.get("status", "pending")
        if status not in STATUSES:
            raise invalid_parameter("status", "is not a valid order status.")
        country = (data.get("shipping") or data.get("billing") or {}).get("country") or "NL"
        order = self._book.add_order(
            lines, country=country, currency=data.get("currency", "EUR"), status="pending"
        )
        self.set_status(order, status)
        self._shop.announce_order(order, "created")
        return json_answer(201, order_document(order))

    def _new_line(self, data: Mapping[str, Any], position: int) -> Line:
        quantity = data.get("quantity", 1)
        if isinstance(quantity, bool) or not isinstance(quantity, int) or quantity < 1:
            raise invalid_parameter(f"line_items[{position}][quantity]", "is not of type integer.")
        post_id = data.get("variation_id") or data.get("product_id") or 0
        item = self._book.items_by_number.get(int(post_id) - FIRST_ITEM) or self._book.items.get(
            data.get("sku", "")
        )
        return self._book.new_line(item, quantity, item.source.price if item else Decimal(0), "")

    def write(self, request: Request, post_id: int) -> Answer:
        order = self.find(post_id, 400)
        data = body_of(request)
        if "status" in data and data["status"] not in STATUSES:
            raise invalid_parameter("status", "is not a valid order status.")
        for each in data.get("line_items") or []:
            self._edit_line(order, each)
        if "status" in data:
            self.set_status(order, data["status"])
        self.changed(order)
        return json_answer(200, order_document(order))

    def _edit_line(self, order: Order, data: Mapping[str, Any]) -> None:
        """Changes a line's quantity, and the stock with it where the order has taken any."""
        line = next((line for line in order.lines if line.number == data.get("id")), None)
        if line is None:
            raise RestError(
                400,
                "woocommerce_rest_invalid_item_id",
                "Order item ID provided is not associated with order.",
            )
        quantity = data.get("quantity")
        if quantity is None:
            return
        if isinstance(quantity, bool) or not isinstance(quantity, int) or quantity < 0:
            raise invalid_parameter("line_items", "quantity is not of type integer.")
        delta = quantity - (line.quantity - line.edited_away)
        if line.taken or order.status in TAKING:
            self._move(line, delta)
        if delta > 0:
            line.quantity += delta
        else:
            line.edited_away -= delta
            line.cancelled -= delta

    def delete(self, request: Request, post_id: int) -> Answer:
        """Trashes an order, or removes it for good; neither restocks, and the latter tells nobody."""
        order = self.find(post_id)
        document = order_document(order)
        if request.query.get("force", "").lower() in ("true", "1"):
            order.is_deleted = True
            self._book.touch(order)
            return json_answer(200, document)
        self.set_status(order, "trash")
        self._book.touch(order)
        self._shop.webhooks.happened("order", "deleted", post_id)
        return json_answer(200, order_document(order))

    def set_status(self, order: Order, status: str) -> None:
        """Changes the status and moves the stock that this moves."""
        if status in TAKING:
            self._take(order)
        elif status in RESTORING:
            for line in order.lines:
                self._move(line, -line.taken)
        if status in _ENDED:
            for line in order.lines:
                line.suspended += line.open_units
                line.cancelled += line.open_units
        if status == "completed":
            for line in order.lines:
                line.fulfilled += line.open_units
            order.completed_at = time.time()
        order.cancelled_at = time.time() if status == "cancelled" else None
        order.status = status
        self.pending.pop(order.number, None)
        if status == "pending":
            self.pending[order.number] = order

    def _take(self, order: Order) -> None:
        """Revives what an ended status suspended, and takes the stock of lines that have taken none."""
        for line in order.lines:
            line.cancelled -= line.suspended
            line.suspended = 0
            if not line.taken:
                self._move(line, line.open_units)

    def _move(self, line: Line, units: int) -> None:
        """Takes units for a line from its item's number; negative ones are put back."""
        if line.item is None or not line.item.source.is_tracked or not units:
            return
        next(iter(line.item.levels.values())).available -= units
        line.taken += units
        self._shop.stamp(line.item)
        self._shop.announce_stock(line.item, "")

    # -- refunds
    def refunds(self, request: Request, post_id: int) -> Answer:
        refunds = self.find(post_id).refunds
        return page(request, self._shop.base_url, refunds, lambda each: each.number, refund_document)

    def read_refund(self, post_id: int, refund_id: int) -> Answer:
        refunds = self.find(post_id).refunds
        found = next((each for each in refunds if each.number == refund_id - FIRST_REFUND), None)
        if found is None:
            raise invalid_id(404, "shop_order_refund")
        return json_answer(200, refund_document(found))

    def create_refund(self, request: Request, post_id: int) -> Answer:
        order = self.find(post_id)
        data = body_of(request)
        picks: list[tuple[Line, int]] = []
        for each in data.get("line_items") or []:
            line = next((line for line in order.lines if line.number == each.get("id")), None)
            units = each.get("quantity", 0)
            if line is None or not 0 <= units <= line.quantity - line.cancelled - line.returned:
                raise RestError(400, "woocommerce_rest_cannot_create_order_refund", "Invalid refund amount.")
            picks += [(line, units)] if units else []
        is_restocked = data.get("api_restock", True) is not False
        return json_answer(
            201,
            refund_document(self.refund(order, picks, restock=is_restocked, reason=data.get("reason", ""))),
        )

    def refund(
        self, order: Order, picks: Sequence[tuple[Line, int]], *, restock: bool, reason: str = ""
    ) -> Refund:
        """Takes units back, open ones before shipped ones; all of them taken back makes the order `refunded`."""
        for line, units in picks:
            opened = min(units, line.open_units)
            line.cancelled += opened
            line.returned += units - opened
            if restock:
                self._move(line, -min(units, line.taken))
        number = self._book.next_number
        kind = "RETURN" if restock else "NO_RESTOCK"
        made = Refund(
            number(),
            time.time(),
            tuple(RefundLine(number(), line, units, kind) for line, units in picks),
            reason,
        )
        order.refunds.append(made)
        if picks and all(line.cancelled + line.returned == line.quantity for line in order.lines):
            order.status = "refunded"
        self.changed(order)
        return made

    def changed(self, order: Order) -> None:
        """Notes and announces that an order changed."""
        self._book.touch(order)
        self._shop.webhooks.happened("order", "updated", FIRST_ORDER + order.number)
