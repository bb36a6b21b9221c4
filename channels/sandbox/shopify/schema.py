"""Everything this shop's Admin API offers, put together."""

from typing import Final

from channels.sandbox.shopify.bulk import BULK, BULK_QUERIES, BULK_WRITES
from channels.sandbox.shopify.definitions import Schema
from channels.sandbox.shopify.goods import INVENTORY, Fields
from channels.sandbox.shopify.order_writes import ORDER_INPUTS, ORDER_PAYLOADS, ORDER_WRITES
from channels.sandbox.shopify.orders import ORDERS
from channels.sandbox.shopify.paging import PAGE_INFO, connection_types
from channels.sandbox.shopify.queries import QUERIES
from channels.sandbox.shopify.stock_writes import STOCK_INPUTS, STOCK_PAYLOADS, STOCK_WRITES
from channels.sandbox.shopify.subscriptions import TOPICS

_CONNECTED: Final = (
    "InventoryItem",
    "InventoryLevel",
    "Location",
    "ProductVariant",
    "Product",
    "Order",
    "LineItem",
    "FulfillmentOrder",
    "FulfillmentOrderLineItem",
    "FulfillmentLineItem",
    "RefundLineItem",
    "WebhookSubscription",
    "CalculatedLineItem",
    "BulkOperation",
)
_NODES: Final = frozenset(
    {
        "InventoryItem",
        "InventoryLevel",
        "Location",
        "ProductVariant",
        "Product",
        "Order",
        "FulfillmentOrder",
        "WebhookSubscription",
    }
)


def _objects() -> dict[str, Fields]:
    found: dict[str, Fields] = {**QUERIES, **INVENTORY, **ORDERS, **STOCK_PAYLOADS, **ORDER_PAYLOADS, **BULK}
    found["QueryRoot"] = {**QUERIES["QueryRoot"], **BULK_QUERIES}
    for name in _CONNECTED:
        found.update(connection_types(name))
    found["PageInfo"] = PAGE_INFO
    found["Mutation"] = {**STOCK_WRITES, **ORDER_WRITES, **BULK_WRITES}
    return found


SCHEMA: Final = Schema(
    objects=_objects(),
    inputs={**STOCK_INPUTS, **ORDER_INPUTS},
    enums={
        "WebhookSubscriptionTopic": frozenset(TOPICS),
        "WebhookSubscriptionFormat": frozenset({"JSON", "XML"}),
        "OrderSortKeys": frozenset({"UPDATED_AT", "CREATED_AT", "PROCESSED_AT", "ORDER_NUMBER", "ID"}),
        "ProductVariantSortKeys": frozenset({"ID", "SKU", "TITLE", "POSITION", "NAME"}),
        "ProductSortKeys": frozenset({"ID", "TITLE", "UPDATED_AT"}),
        "LocationSortKeys": frozenset({"ID", "NAME", "RELEVANCE"}),
        "WebhookSubscriptionSortKeys": frozenset({"ID", "CREATED_AT"}),
        "BulkOperationsSortKeys": frozenset({"COMPLETED_AT", "CREATED_AT"}),
        "OrderCancelReason": frozenset({"CUSTOMER", "DECLINED", "FRAUD", "INVENTORY", "OTHER", "STAFF"}),
        "RefundLineItemRestockType": frozenset({"CANCEL", "LEGACY_RESTOCK", "NO_RESTOCK", "RETURN"}),
        "OrderTransactionKind": None,
        "CurrencyCode": None,
    },
    interfaces={"Node": _NODES, "LegacyInteroperability": _NODES - {"InventoryLevel", "FulfillmentOrder"}},
)
