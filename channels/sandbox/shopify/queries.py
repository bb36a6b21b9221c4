"""What can be asked of the shop: the roots of the Admin API's queries."""

from collections.abc import Iterator
from operator import attrgetter
from typing import Any, Final

from channels.sandbox.book import Item, Order
from channels.sandbox.shopify.definitions import Call, FieldType, Typed
from channels.sandbox.shopify.goods import (
    SINGLE_PRODUCTS,
    Fields,
    Product,
    connection,
    field,
    legacy,
    product_of,
)
from channels.sandbox.shopify.ids import gid, parse_gid
from channels.sandbox.shopify.orders import financial_status, fulfilment_orders, fulfilment_status
from channels.sandbox.shopify.paging import (
    PAGE_ARGUMENTS,
    Page,
    Term,
    iso,
    lower_bound,
    page_of,
    position,
    terms,
)
from channels.sandbox.shopify.stock import Shelf

SCOPES: Final = (
    "read_inventory",
    "write_inventory",
    "read_locations",
    "read_products",
    "read_orders",
    "write_orders",
    "read_merchant_managed_fulfillment_orders",
    "write_merchant_managed_fulfillment_orders",
)


def find(type_name: str, number: int, item_number: int, call: Call) -> Any:
    """Returns the thing behind a gid's parts; None when there is none."""
    book = call.context.records
    if type_name in ("InventoryItem", "ProductVariant"):
        return book.items_by_number.get(number)
    if type_name == "InventoryLevel":
        return _level(number, item_number, call)
    if type_name == "Location":
        return next((place for place in book.places.values() if place.number == number), None)
    if type_name == "Order":
        order = book.orders.get(number)
        return None if order is None or order.is_deleted else order
    if type_name == "FulfillmentOrder":
        order = book.orders.get(number // 100)
        parts = fulfilment_orders(book, order) if order else []
        return next((part for part in parts if part.number == number), None)
    if type_name == "Refund":
        refunds = (refund for order in book.orders.values() for refund in order.refunds)
        return next((refund for refund in refunds if refund.number == number), None)
    if type_name == "Product":
        return _product(number, call)
    if type_name == "WebhookSubscription":
        return call.context.webhooks.by_number.get(number)
    return None


def _level(number: int, item_number: int, call: Call) -> Shelf | None:
    book = call.context.records
    item = book.items_by_number.get(item_number)
    place = next((place for place in book.places.values() if place.number == number), None)
    if item is None or place is None or place.code not in item.levels:
        return None
    return Shelf(item, place, item.levels[place.code])


def _product(number: int, call: Call) -> Product | None:
    book = call.context.records
    if number > SINGLE_PRODUCTS:
        item = book.items_by_number.get(number - SINGLE_PRODUCTS)
        return product_of(item, call) if item and not item.parent_number else None
    if number not in book.parent_items:
        return None
    return Product(number, book.parent_titles[number], book.parent_items[number])


def _by_id(type_name: str) -> FieldType:
    def resolve(source: Any, call: Call) -> Any:
        found, number, item_number = parse_gid(str(call.arguments["id"]))
        return find(type_name, number, item_number, call) if found == type_name else None

    return field(type_name, resolve, id="ID!")


def _location(source: Any, call: Call) -> Any:
    """A location by its gid; without one the first."""
    if call.arguments.get("id") is None:
        return find("Location", 1, 0, call)
    kind, number, _ = parse_gid(str(call.arguments["id"]))
    return find("Location", number, 0, call) if kind == "Location" else None


def _node(text: str, call: Call) -> Typed | None:
    type_name, number, item_number = parse_gid(text)
    found = find(type_name, number, item_number, call)
    return None if found is None else Typed(type_name, found)


def _items(source: Any, call: Call) -> Iterator[Item]:
    conditions = terms(call.arguments.get("query"))
    after = position(call.arguments.get("after")) or 0
    items = call.context.records.items_by_number
    start = 1 if call.arguments.get("reverse") else after + 1
    for number in range(start, len(items) + 1):
        item = items[number]
        if all(_item_matches(item, condition) for condition in conditions):
            yield item


def _item_matches(item: Item, condition: Term) -> bool:
    if condition.field == "sku":
        return item.sku == condition.value
    if condition.field == "barcode":
        return item.source.gtin == condition.value
    if condition.field == "updated_at":
        return condition.holds(item.updated_at)
    return True


def _products(source: Any, call: Call) -> list[Product]:
    book = call.context.records
    parents = [
        Product(number, title, book.parent_items[number]) for number, title in book.parent_titles.items()
    ]
    return parents + [
        product_of(item, call) for item in book.items_by_number.values() if not item.parent_number
    ]


def _orders(source: Any, call: Call) -> Page:
    """Orders by their last change when sorted so; by number, which is also their age, otherwise."""
    book = call.context.records
    conditions = terms(call.arguments.get("query"))
    since = lower_bound(conditions, "updated_at")
    is_by_change = call.arguments.get("sortKey") == "UPDATED_AT"
    is_forward = not (call.arguments.get("reverse") or call.arguments.get("last"))
    after = (position(call.arguments.get("after")) or 0) if is_by_change and is_forward else 0
    found = (
        order
        for order in book.changes(since=since, after=after)
        if not order.is_deleted and all(_order_matches(order, condition) for condition in conditions)
    )
    if is_by_change:
        return page_of(found, attrgetter("sequence"), call)
    return page_of(sorted(found, key=attrgetter("number")), attrgetter("number"), call)


def _order_matches(order: Order, condition: Term) -> bool:
    if condition.field == "updated_at":
        return condition.holds(order.updated_at)
    if condition.field in ("created_at", "processed_at"):
        return condition.holds(order.committed_at)
    if condition.field == "name":
        return condition.value.lstrip("#") == str(1000 + order.number)
    if condition.field == "fulfillment_status":
        return condition.value.upper() in (fulfilment_status(order), "ANY")
    if condition.field == "financial_status":
        return condition.value.upper() in (financial_status(order), "ANY")
    if condition.field == "status":
        return condition.value in ("any", "cancelled" if order.cancelled_at else "open")
    return True


def _subscriptions(source: Any, call: Call) -> list[Any]:
    topics, uri = call.arguments.get("topics"), call.arguments.get("uri") or call.arguments.get("callbackUrl")
    return [
        each
        for each in call.context.webhooks.by_number.values()
        if (not topics or each.topic in topics) and (not uri or each.uri == uri)
    ]


def _places(source: Any, call: Call) -> list[Any]:
    places = call.context.records.places.values()
    return [place for place in places if place.is_active or call.arguments.get("includeInactive")]


QUERIES: Final[dict[str, Fields]] = {
    "QueryRoot": {
        "shop": field("Shop!", lambda source, call: call.context),
        "node": field("Node", lambda source, call: _node(str(call.arguments["id"]), call), id="ID!"),
        "nodes": field(
            "[Node]!",
            lambda source, call: [_node(str(each), call) for each in call.arguments["ids"]],
            ids="[ID!]!",
        ),
        "inventoryItem": _by_id("InventoryItem"),
        "inventoryLevel": _by_id("InventoryLevel"),
        "location": field("Location", _location, id="ID"),
        "order": _by_id("Order"),
        "fulfillmentOrder": _by_id("FulfillmentOrder"),
        "refund": _by_id("Refund"),
        "product": _by_id("Product"),
        "productVariant": _by_id("ProductVariant"),
        "webhookSubscription": _by_id("WebhookSubscription"),
        "inventoryItems": connection("InventoryItem", _items, attrgetter("number"), query="String"),
        "productVariants": connection(
            "ProductVariant", _items, attrgetter("number"), query="String", sortKey="ProductVariantSortKeys"
        ),
        "products": connection(
            "Product", _products, attrgetter("number"), query="String", sortKey="ProductSortKeys"
        ),
        "locations": connection(
            "Location",
            _places,
            attrgetter("number"),
            query="String",
            sortKey="LocationSortKeys",
            includeInactive="Boolean",
            includeLegacy="Boolean",
        ),
        "orders": FieldType(
            "OrderConnection!", _orders, {**PAGE_ARGUMENTS, "query": "String", "sortKey": "OrderSortKeys"}
        ),
        "webhookSubscriptions": connection(
            "WebhookSubscription",
            _subscriptions,
            attrgetter("number"),
            query="String",
            topics="[WebhookSubscriptionTopic!]",
            uri="String",
            callbackUrl="URL",
            format="WebhookSubscriptionFormat",
            sortKey="WebhookSubscriptionSortKeys",
        ),
        "inventoryProperties": field("InventoryProperties!", lambda source, call: call.context),
        "currentAppInstallation": field("AppInstallation!", lambda source, call: call.context),
        "publicApiVersions": field(
            "[ApiVersion!]!", lambda source, call: list(call.context.supported_versions)
        ),
    },
    "Shop": {
        "id": field("ID!", lambda shop, call: gid("Shop", 1)),
        "name": field("String!", lambda shop, call: shop.name),
        "email": field("String!", lambda shop, call: "shop@example.invalid"),
        "myshopifyDomain": field("String!", lambda shop, call: shop.shop_domain),
        "url": field("URL!", lambda shop, call: f"https://{shop.shop_domain}"),
        "currencyCode": field("CurrencyCode!", lambda shop, call: shop.currency),
        "ianaTimezone": field("String!", lambda shop, call: "Europe/Amsterdam"),
        "plan": field("ShopPlan!", lambda shop, call: shop),
    },
    "ShopPlan": {
        "publicDisplayName": field(
            "String!", lambda shop, call: "Basic" if shop.limits == "true" else "Plus"
        ),
        "partnerDevelopment": field("Boolean!", lambda shop, call: False),
        "shopifyPlus": field("Boolean!", lambda shop, call: shop.limits != "true"),
    },
    "AppInstallation": {
        "id": field("ID!", lambda shop, call: gid("AppInstallation", 1)),
        "accessScopes": field("[AccessScope!]!", lambda shop, call: list(SCOPES)),
        "app": field("App!", lambda shop, call: shop),
    },
    "App": {
        "id": field("ID!", lambda shop, call: gid("App", 1)),
        "title": field("String!", lambda shop, call: "Stock engine"),
        "apiKey": field("String!", lambda shop, call: shop.client_id),
        "webhookApiVersion": field("String!", lambda shop, call: shop.api_version),
    },
    "AccessScope": {
        "handle": field("String!", lambda scope, call: scope),
        "description": field("String!", lambda scope, call: scope.replace("_", " ")),
    },
    "ApiVersion": {
        "handle": field("String!", lambda version, call: version),
        "displayName": field("String!", lambda version, call: version),
        "supported": field("Boolean!", lambda version, call: True),
    },
    "WebhookSubscription": {
        **legacy("WebhookSubscription", attrgetter("number")),
        "topic": field("WebhookSubscriptionTopic!", lambda each, call: each.topic),
        "uri": field("String!", lambda each, call: each.uri),
        "callbackUrl": field("URL!", lambda each, call: each.uri),
        "format": field("WebhookSubscriptionFormat!", lambda each, call: "JSON"),
        "filter": field("String", lambda each, call: each.filter or None),
        "name": field("String", lambda each, call: each.name or None),
        "includeFields": field("[String!]!", lambda each, call: each.include_fields),
        "apiVersion": field("ApiVersion!", lambda each, call: call.context.api_version),
        "createdAt": field("DateTime!", lambda each, call: iso(each.created_at)),
        "updatedAt": field("DateTime!", lambda each, call: iso(each.updated_at)),
    },
}
