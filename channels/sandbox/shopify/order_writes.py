"""Changing orders and subscriptions: cancel, refund, edit, fulfil; create, change and delete webhooks."""

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import Any, Final

from channels.sandbox.book import Line, Order
from channels.sandbox.shopify.definitions import Call, FieldType
from channels.sandbox.shopify.goods import Fields, connection, field
from channels.sandbox.shopify.idempotency import UserError, Written
from channels.sandbox.shopify.ids import gid
from channels.sandbox.shopify.orders import FulfilmentOrder
from channels.sandbox.shopify.queries import find


@dataclass(slots=True)
class Edit:
    """An order being edited: units each line is to have, and whether the difference goes back on the shelf."""

    order: Order
    quantities: dict[int, tuple[int, bool]] = dataclass_field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EditedLine:
    edit: Edit
    line: Line


def _failed(message: str, *path: str, code: str = "") -> Written:
    return Written(None, [UserError(message, list(path), code)])


def _order(call: Call, text: str) -> Order | None:
    found = find("Order", call.context.parse("Order", text), 0, call)
    return found if isinstance(found, Order) else None


def _line(order: Order, call: Call, text: str) -> Line | None:
    number = call.context.parse("LineItem", text) or call.context.parse("CalculatedLineItem", text)
    return next((line for line in order.lines if line.number == number), None)


def _cancel(source: Any, call: Call) -> Written:
    """Cancels a whole order; one that has been shipped in part can't be."""
    arguments = call.arguments
    order = _order(call, arguments["orderId"])
    if order is None:
        return _failed("Order does not exist", "orderId", code="NOT_FOUND")
    if order.cancelled_at is not None:
        return _failed("Order has already been cancelled", "orderId", code="INVALID")
    if any(line.fulfilled for line in order.lines):
        return _failed("Cannot cancel an order with fulfilled items", "orderId", code="INVALID")
    picks = [(line, line.open_units) for line in order.lines if line.open_units]
    call.context.remove_units(order, picks, restock=arguments["restock"], reason=arguments["reason"])
    return Written(order, [])


def _refund(source: Any, call: Call) -> Written:
    data = call.arguments["input"]
    order = _order(call, data["orderId"])
    if order is None:
        return _failed("Order does not exist", "orderId")
    picks: list[tuple[Line, int, str]] = []
    for position, part in enumerate(data.get("refundLineItems") or []):
        path = ("refundLineItems", str(position))
        line = _line(order, call, part["lineItemId"])
        if line is None:
            return _failed("Line item does not exist", *path, "lineItemId")
        kind = part.get("restockType") or "NO_RESTOCK"
        if not 0 < part["quantity"] <= _refundable(line, kind):
            return _failed("Quantity cannot refund more items than were purchased", *path, "quantity")
        picks.append((line, part["quantity"], kind))
    refund = call.context.refund_units(order, picks, note=data.get("note") or "")
    return Written((refund, order), [])


def _refundable(line: Line, kind: str) -> int:
    """Units that can be taken back so: open ones by CANCEL, shipped ones by RETURN, any of them without restock."""
    shipped = line.fulfilled - line.returned
    return {"CANCEL": line.open_units, "RETURN": shipped}.get(kind, line.open_units + shipped)


def _begin_edit(source: Any, call: Call) -> Written:
    order = _order(call, call.arguments["id"])
    if order is None:
        return _failed("The order does not exist.", "id")
    if order.cancelled_at is not None:
        return _failed("The order cannot be edited.", "id")
    edit = call.context.edits[order.number] = Edit(order)
    return Written(edit, [])


def _edit(call: Call) -> Edit | None:
    found: Edit | None = call.context.edits.get(call.context.parse("CalculatedOrder", call.arguments["id"]))
    return found


def _set_quantity(source: Any, call: Call) -> Written:
    edit = _edit(call)
    if edit is None:
        return _failed("The calculated order does not exist.", "id")
    line = _line(edit.order, call, call.arguments["lineItemId"])
    if line is None:
        return _failed("The line item does not exist.", "lineItemId")
    quantity, current = call.arguments["quantity"], line.quantity - line.cancelled
    if not line.fulfilled <= quantity <= current:
        return _failed("The quantity is out of range for this line item.", "quantity")
    edit.quantities[line.number] = (quantity, bool(call.arguments.get("restock")))
    return Written(EditedLine(edit, line), [])


def _commit_edit(source: Any, call: Call) -> Written:
    edit = _edit(call)
    if edit is None:
        return _failed("The calculated order does not exist.", "id")
    del call.context.edits[edit.order.number]
    call.context.edit_units(edit.order, edit.quantities)
    return Written(edit.order, [])


def _fulfil(source: Any, call: Call) -> Written:
    for part in call.arguments["fulfillment"]["lineItemsByFulfillmentOrder"]:
        number = call.context.parse("FulfillmentOrder", part["fulfillmentOrderId"])
        found = find("FulfillmentOrder", number, 0, call)
        if not isinstance(found, FulfilmentOrder):
            return _failed("Fulfillment order does not exist.", "fulfillment")
        picks = _fulfilment_picks(found, part.get("fulfillmentOrderLineItems") or [], call)
        if not picks or any(not 0 < units <= line.open_units for line, units in picks):
            return _failed("Invalid fulfillment order line item quantity requested.", "fulfillment")
        call.context.fulfil_units(found.order, picks)
        return Written(found.order.fulfilments[-1], [])
    return _failed("No fulfillment order given.", "fulfillment")


def _fulfilment_picks(
    source: FulfilmentOrder, parts: list[Mapping[str, Any]], call: Call
) -> list[tuple[Line, int]]:
    if not parts:
        return [(line, line.open_units) for line in source.lines if line.open_units]
    by_number = {line.number: line for line in source.lines}
    numbers = [
        (call.context.parse("FulfillmentOrderLineItem", part["id"]), part["quantity"]) for part in parts
    ]
    return [(by_number[number], units) for number, units in numbers if number in by_number]


def _create_subscription(source: Any, call: Call) -> Written:
    made, problem = call.context.webhooks.create(
        call.arguments["topic"], call.arguments["webhookSubscription"]
    )
    return _failed(problem, "webhookSubscription", "callbackUrl") if problem else Written(made, [])


def _update_subscription(source: Any, call: Call) -> Written:
    number = call.context.parse("WebhookSubscription", call.arguments["id"])
    subscription = call.context.webhooks.by_number.get(number)
    if subscription is None:
        return _failed("Webhook subscription does not exist", "id")
    problem = call.context.webhooks.update(subscription, call.arguments["webhookSubscription"])
    return _failed(problem, "webhookSubscription", "callbackUrl") if problem else Written(subscription, [])


def _delete_subscription(source: Any, call: Call) -> Written:
    number = call.context.parse("WebhookSubscription", call.arguments["id"])
    if not call.context.webhooks.delete(number):
        return _failed("Webhook subscription does not exist", "id")
    return Written(gid("WebhookSubscription", number), [])


def _errors(type_name: str = "UserError") -> FieldType:
    return FieldType(f"[{type_name}!]!", lambda written, call: written.errors, is_free=True)


def _payload(name: str, kind: str) -> dict[str, FieldType]:
    return {name: field(kind, lambda written, call: written.result), "userErrors": _errors()}


def _calculated_lines(edit: Edit, call: Call) -> list[EditedLine]:
    return [EditedLine(edit, line) for line in edit.order.lines]


def _edited_quantity(edited: EditedLine, call: Call) -> int:
    current = edited.line.quantity - edited.line.cancelled
    return edited.edit.quantities.get(edited.line.number, (current, False))[0]


ORDER_WRITES: Final[dict[str, FieldType]] = {
    "orderCancel": field(
        "OrderCancelPayload",
        _cancel,
        orderId="ID!",
        reason="OrderCancelReason!",
        restock="Boolean!",
        refund="Boolean",
        refundMethod="OrderCancelRefundMethodInput",
        notifyCustomer="Boolean",
        staffNote="String",
    ),
    "refundCreate": field("RefundCreatePayload", _refund, input="RefundInput!"),
    "orderEditBegin": field("OrderEditBeginPayload", _begin_edit, id="ID!"),
    "orderEditSetQuantity": field(
        "OrderEditSetQuantityPayload",
        _set_quantity,
        id="ID!",
        lineItemId="ID!",
        quantity="Int!",
        restock="Boolean",
        locationId="ID",
    ),
    "orderEditCommit": field(
        "OrderEditCommitPayload", _commit_edit, id="ID!", notifyCustomer="Boolean", staffNote="String"
    ),
    "fulfillmentCreate": field(
        "FulfillmentCreatePayload", _fulfil, fulfillment="FulfillmentInput!", message="String"
    ),
    "webhookSubscriptionCreate": field(
        "WebhookSubscriptionCreatePayload",
        _create_subscription,
        topic="WebhookSubscriptionTopic!",
        webhookSubscription="WebhookSubscriptionInput!",
    ),
    "webhookSubscriptionUpdate": field(
        "WebhookSubscriptionUpdatePayload",
        _update_subscription,
        id="ID!",
        webhookSubscription="WebhookSubscriptionInput!",
    ),
    "webhookSubscriptionDelete": field("WebhookSubscriptionDeletePayload", _delete_subscription, id="ID!"),
}

ORDER_PAYLOADS: Final[dict[str, Fields]] = {
    "OrderCancelPayload": {
        "job": field("Job", lambda written, call: written.result),
        "orderCancelUserErrors": _errors("OrderCancelUserError"),
        "userErrors": _errors(),
    },
    "OrderCancelUserError": {
        "field": field("[String!]", lambda error, call: error.field or None),
        "message": field("String!", lambda error, call: error.message),
        "code": field("OrderCancelUserErrorCode", lambda error, call: error.code or None),
    },
    "Job": {
        "id": field("ID!", lambda order, call: gid("Job", order.number)),
        "done": field("Boolean!", lambda order, call: True),
    },
    "RefundCreatePayload": {
        "refund": field("Refund", lambda written, call: written.result[0] if written.result else None),
        "order": field("Order", lambda written, call: written.result[1] if written.result else None),
        "userErrors": _errors(),
    },
    "OrderEditBeginPayload": _payload("calculatedOrder", "CalculatedOrder"),
    "OrderEditSetQuantityPayload": {
        "calculatedLineItem": field("CalculatedLineItem", lambda written, call: written.result),
        "calculatedOrder": field(
            "CalculatedOrder", lambda written, call: written.result.edit if written.result else None
        ),
        "userErrors": _errors(),
    },
    "OrderEditCommitPayload": _payload("order", "Order"),
    "CalculatedOrder": {
        "id": field("ID!", lambda edit, call: gid("CalculatedOrder", edit.order.number)),
        "originalOrder": field("Order!", lambda edit, call: edit.order),
        "lineItems": connection(
            "CalculatedLineItem", _calculated_lines, lambda edited: edited.line.number, query="String"
        ),
    },
    "CalculatedLineItem": {
        "id": field("ID!", lambda edited, call: gid("CalculatedLineItem", edited.line.number)),
        "quantity": field("Int!", _edited_quantity),
        "editableQuantity": field("Int!", lambda edited, call: edited.line.open_units),
        "sku": field("String", lambda edited, call: edited.line.sku or None),
        "title": field(
            "String!", lambda edited, call: edited.line.item.source.title if edited.line.item else ""
        ),
        "variant": field("ProductVariant", lambda edited, call: edited.line.item),
    },
    "FulfillmentCreatePayload": _payload("fulfillment", "Fulfillment"),
    "WebhookSubscriptionCreatePayload": _payload("webhookSubscription", "WebhookSubscription"),
    "WebhookSubscriptionUpdatePayload": _payload("webhookSubscription", "WebhookSubscription"),
    "WebhookSubscriptionDeletePayload": _payload("deletedWebhookSubscriptionId", "ID"),
}

ORDER_INPUTS: Final[dict[str, dict[str, str]]] = {
    "OrderCancelRefundMethodInput": {"originalPaymentMethodsRefund": "Boolean"},
    "RefundInput": {
        "orderId": "ID!",
        "note": "String",
        "notify": "Boolean",
        "currency": "CurrencyCode",
        "refundLineItems": "[RefundLineItemInput!]",
        "allowOverRefunding": "Boolean",
        "shipping": "ShippingRefundInput",
        "transactions": "[OrderTransactionInput!]",
    },
    "RefundLineItemInput": {
        "lineItemId": "ID!",
        "quantity": "Int!",
        "restockType": "RefundLineItemRestockType",
        "locationId": "ID",
    },
    "ShippingRefundInput": {"amount": "Money", "fullRefund": "Boolean"},
    "OrderTransactionInput": {
        "amount": "Money!",
        "gateway": "String!",
        "kind": "OrderTransactionKind!",
        "orderId": "ID!",
        "parentId": "ID",
    },
    "FulfillmentInput": {
        "lineItemsByFulfillmentOrder": "[FulfillmentOrderLineItemsInput!]!",
        "notifyCustomer": "Boolean",
    },
    "FulfillmentOrderLineItemsInput": {
        "fulfillmentOrderId": "ID!",
        "fulfillmentOrderLineItems": "[FulfillmentOrderLineItemInput!]",
    },
    "FulfillmentOrderLineItemInput": {"id": "ID!", "quantity": "Int!"},
    "WebhookSubscriptionInput": {
        "uri": "String",
        "callbackUrl": "URL",
        "format": "WebhookSubscriptionFormat",
        "filter": "String",
        "includeFields": "[String!]",
        "metafieldNamespaces": "[String!]",
        "name": "String",
    },
}
