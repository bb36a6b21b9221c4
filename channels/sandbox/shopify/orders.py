"""Orders as the Admin API shows them: types, their fields, and how each is found."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from channels.sandbox.book import Book, Line, Order
from channels.sandbox.shopify.definitions import Call, FieldType
from channels.sandbox.shopify.goods import Fields, connection, field, legacy, product_of
from channels.sandbox.shopify.ids import gid
from channels.sandbox.shopify.paging import iso


@dataclass(frozen=True, slots=True)
class FulfilmentOrder:
    """The part of an order that one place ships."""

    number: int
    order: Order
    place_code: str
    lines: list[Line]


@dataclass(frozen=True, slots=True)
class Money:
    amount: Decimal
    currency: str


def fulfilment_orders(book: Book, order: Order) -> list[FulfilmentOrder]:
    """One fulfilment order for each place that ships something of an order, in the order of the places."""
    found = []
    for code, place in book.places.items():
        lines = [line for line in order.lines if line.location == code]
        if lines:
            found.append(FulfilmentOrder(order.number * 100 + place.number, order, code, lines))
    return found


def fulfilment_order_status(source: FulfilmentOrder) -> str:
    """The status of a fulfilment order."""
    if any(line.open_units for line in source.lines):
        return "IN_PROGRESS" if any(line.fulfilled for line in source.lines) else "OPEN"
    return "CLOSED" if any(line.fulfilled for line in source.lines) else "CANCELLED"


def fulfilment_status(order: Order) -> str:
    """`displayFulfillmentStatus` of an order."""
    if not any(line.fulfilled for line in order.lines):
        return "UNFULFILLED"
    return "PARTIALLY_FULFILLED" if order.is_open else "FULFILLED"


def financial_status(order: Order) -> str:
    """`displayFinancialStatus` of an order."""
    taken_back = sum(line.cancelled + line.returned for line in order.lines)
    if not taken_back:
        return "PAID"
    return "REFUNDED" if taken_back == sum(line.quantity for line in order.lines) else "PARTIALLY_REFUNDED"


def _money(of: Callable[[Any], Decimal]) -> FieldType:
    return field("MoneyBag!", lambda source, call: Money(of(source), call.context.currency))


_MONEY_V2: Final[Fields] = {
    "amount": field("Decimal!", lambda money, call: f"{money.amount:.2f}"),
    "currencyCode": field("CurrencyCode!", lambda money, call: money.currency),
}


def _place(code: str, call: Call) -> Any:
    return call.context.records.places.get(code)


ORDERS: Final[dict[str, Fields]] = {
    "Order": {
        **legacy("Order", lambda order: order.number),
        "name": field("String!", lambda order, call: f"#{1000 + order.number}"),
        "number": field("Int!", lambda order, call: 1000 + order.number),
        "createdAt": field("DateTime!", lambda order, call: iso(order.committed_at)),
        "processedAt": field("DateTime!", lambda order, call: iso(order.committed_at)),
        "updatedAt": field("DateTime!", lambda order, call: iso(order.updated_at)),
        "cancelledAt": field("DateTime", lambda order, call: iso(order.cancelled_at)),
        "cancelReason": field("OrderCancelReason", lambda order, call: order.cancel_reason or None),
        "closed": field("Boolean!", lambda order, call: False),
        "closedAt": field("DateTime", lambda order, call: None),
        "confirmed": field("Boolean!", lambda order, call: True),
        "test": field("Boolean!", lambda order, call: False),
        "currencyCode": field("CurrencyCode!", lambda order, call: order.currency),
        "presentmentCurrencyCode": field("CurrencyCode!", lambda order, call: order.currency),
        "displayFinancialStatus": field(
            "OrderDisplayFinancialStatus", lambda order, call: financial_status(order)
        ),
        "displayFulfillmentStatus": field(
            "OrderDisplayFulfillmentStatus!", lambda order, call: fulfilment_status(order)
        ),
        "email": field("String", lambda order, call: order.customer.email),
        "phone": field("String", lambda order, call: order.customer.phone),
        "note": field("String", lambda order, call: None),
        "tags": field("[String!]!", lambda order, call: []),
        "sourceName": field("String", lambda order, call: "web"),
        "edited": field("Boolean!", lambda order, call: any(line.cancelled for line in order.lines)),
        "fulfillable": field("Boolean!", lambda order, call: order.is_open),
        "retailLocation": field("Location", lambda order, call: None),
        "shippingAddress": field("MailingAddress", lambda order, call: order),
        "totalPriceSet": _money(lambda order: order.total),
        "subtotalPriceSet": _money(lambda order: order.total),
        "lineItems": connection("LineItem", lambda order, call: order.lines, lambda line: line.number),
        "fulfillmentOrders": connection(
            "FulfillmentOrder",
            lambda order, call: fulfilment_orders(call.context.records, order),
            lambda part: part.number,
            query="String",
            displayable="Boolean",
        ),
        "fulfillments": field(
            "[Fulfillment!]!",
            lambda order, call: order.fulfilments[: call.arguments.get("first")],
            first="Int",
            query="String",
        ),
        "refunds": field(
            "[Refund!]!", lambda order, call: order.refunds[: call.arguments.get("first")], first="Int"
        ),
    },
    "MailingAddress": {
        "id": field("ID!", lambda order, call: gid("MailingAddress", order.number)),
        "firstName": field("String", lambda order, call: order.customer.first_name),
        "lastName": field("String", lambda order, call: order.customer.last_name),
        "address1": field(
            "String", lambda order, call: f"{order.customer.street} {order.customer.house_number}"
        ),
        "zip": field("String", lambda order, call: order.customer.postcode),
        "city": field("String", lambda order, call: order.customer.city),
        "country": field("String", lambda order, call: order.country),
        "countryCodeV2": field("CountryCode", lambda order, call: order.country),
        "phone": field("String", lambda order, call: order.customer.phone),
    },
    "LineItem": {
        "id": field("ID!", lambda line, call: gid("LineItem", line.number)),
        "sku": field("String", lambda line, call: line.sku or None),
        "name": field("String!", lambda line, call: line.item.source.title if line.item else ""),
        "title": field("String!", lambda line, call: line.item.source.title if line.item else ""),
        "variantTitle": field("String", lambda line, call: None),
        "quantity": field("Int!", lambda line, call: line.quantity),
        "currentQuantity": field("Int!", lambda line, call: line.quantity - line.cancelled - line.returned),
        "unfulfilledQuantity": field("Int!", lambda line, call: line.open_units),
        "fulfillableQuantity": field("Int!", lambda line, call: line.open_units),
        "nonFulfillableQuantity": field("Int!", lambda line, call: line.quantity - line.open_units),
        "refundableQuantity": field(
            "Int!", lambda line, call: line.quantity - line.cancelled - line.returned
        ),
        "requiresShipping": field("Boolean!", lambda line, call: True),
        "restockable": field("Boolean!", lambda line, call: True),
        "originalUnitPriceSet": _money(lambda line: line.price),
        "discountedUnitPriceSet": _money(lambda line: line.price),
        "originalTotalSet": _money(lambda line: line.price * line.quantity),
        "variant": field("ProductVariant", lambda line, call: line.item),
        "product": field("Product", lambda line, call: product_of(line.item, call) if line.item else None),
    },
    "MoneyBag": {
        "shopMoney": field("MoneyV2!", lambda money, call: money),
        "presentmentMoney": field("MoneyV2!", lambda money, call: money),
    },
    "MoneyV2": _MONEY_V2,
    "FulfillmentOrder": {
        "id": field("ID!", lambda part, call: gid("FulfillmentOrder", part.number)),
        "status": field("FulfillmentOrderStatus!", lambda part, call: fulfilment_order_status(part)),
        "requestStatus": field("FulfillmentOrderRequestStatus!", lambda part, call: "UNSUBMITTED"),
        "createdAt": field("DateTime!", lambda part, call: iso(part.order.committed_at)),
        "updatedAt": field("DateTime!", lambda part, call: iso(part.order.updated_at)),
        "order": field("Order!", lambda part, call: part.order),
        "orderId": field("ID!", lambda part, call: gid("Order", part.order.number)),
        "orderName": field("String!", lambda part, call: f"#{1000 + part.order.number}"),
        "assignedLocation": field("FulfillmentOrderAssignedLocation!", lambda part, call: part.place_code),
        "lineItems": connection(
            "FulfillmentOrderLineItem", lambda part, call: part.lines, lambda line: line.number
        ),
    },
    "FulfillmentOrderAssignedLocation": {
        "name": field("String!", lambda code, call: _place(code, call).name),
        "countryCode": field("CountryCode!", lambda code, call: "NL"),
        "location": field("Location", _place),
    },
    "FulfillmentOrderLineItem": {
        "id": field("ID!", lambda line, call: gid("FulfillmentOrderLineItem", line.number)),
        "sku": field("String", lambda line, call: line.sku or None),
        "inventoryItemId": field(
            "ID", lambda line, call: gid("InventoryItem", line.item.number) if line.item else None
        ),
        "lineItem": field("LineItem!", lambda line, call: line),
        "productTitle": field("String!", lambda line, call: line.item.source.title if line.item else ""),
        "remainingQuantity": field("Int!", lambda line, call: line.open_units),
        "totalQuantity": field("Int!", lambda line, call: line.quantity - line.cancelled),
        "requiresShipping": field("Boolean!", lambda line, call: True),
        "variant": field("ProductVariant", lambda line, call: line.item),
    },
    "Fulfillment": {
        **legacy("Fulfillment", lambda fulfilment: fulfilment.number),
        "name": field("String!", lambda fulfilment, call: f"F{fulfilment.number}"),
        "status": field("FulfillmentStatus!", lambda fulfilment, call: "SUCCESS"),
        "createdAt": field("DateTime!", lambda fulfilment, call: iso(fulfilment.created_at)),
        "updatedAt": field("DateTime!", lambda fulfilment, call: iso(fulfilment.created_at)),
        "location": field("Location", lambda fulfilment, call: _place(fulfilment.location, call)),
        "totalQuantity": field("Int!", lambda fulfilment, call: sum(units for _, units in fulfilment.lines)),
        "fulfillmentLineItems": connection(
            "FulfillmentLineItem",
            lambda fulfilment, call: [(fulfilment, *pair) for pair in fulfilment.lines],
            lambda triple: triple[1].number,
        ),
    },
    "FulfillmentLineItem": {
        "id": field("ID!", lambda triple, call: gid("FulfillmentLineItem", triple[0].number)),
        "quantity": field("Int", lambda triple, call: triple[2]),
        "lineItem": field("LineItem!", lambda triple, call: triple[1]),
    },
    "Refund": {
        **legacy("Refund", lambda refund: refund.number),
        "createdAt": field("DateTime", lambda refund, call: iso(refund.created_at)),
        "processedAt": field("DateTime!", lambda refund, call: iso(refund.created_at)),
        "updatedAt": field("DateTime!", lambda refund, call: iso(refund.created_at)),
        "note": field("String", lambda refund, call: refund.reason or None),
        "refundLineItems": connection(
            "RefundLineItem", lambda refund, call: refund.lines, lambda line: line.number
        ),
    },
    "RefundLineItem": {
        "id": field("ID", lambda part, call: gid("RefundLineItem", part.number)),
        "quantity": field("Int!", lambda part, call: part.quantity),
        "restockType": field("RefundLineItemRestockType!", lambda part, call: part.restock_type),
        "restocked": field("Boolean!", lambda part, call: part.restock_type != "NO_RESTOCK"),
        "location": field(
            "Location",
            lambda part, call: (
                None if part.restock_type == "NO_RESTOCK" else _place(part.line.location, call)
            ),
        ),
        "lineItem": field("LineItem!", lambda part, call: part.line),
    },
}
