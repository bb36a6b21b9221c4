"""Goods and stock as the Admin API shows them: types, their fields, and how each is found."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from channels.sandbox.book import Book, Item
from channels.sandbox.shopify.definitions import Call, FieldType
from channels.sandbox.shopify.ids import gid, level_gid, number_of
from channels.sandbox.shopify.paging import PAGE_ARGUMENTS, iso, page_of
from channels.sandbox.shopify.stock import (
    NAMES,
    QUANTITY_NAMES,
    Shelf,
    quantity,
    shelves_of_item,
    shelves_of_place,
)

Resolve = Callable[[Any, Call], Any]
Fields = Mapping[str, FieldType]


@dataclass(frozen=True, slots=True)
class Product:
    """A product: the parent of its variants, or an item that stands for itself."""

    number: int
    title: str
    items: list[Item]


@dataclass(frozen=True, slots=True)
class State:
    """How many units of a shelf are in one state."""

    shelf: Shelf
    name: str


#: Products that are single items have numbers above this.
SINGLE_PRODUCTS: Final = 1_000_000


def field(kind: str, resolve: Resolve, **arguments: str) -> FieldType:
    """A field with its arguments."""
    return FieldType(kind, resolve, arguments)


def connection(
    name: str, items: Callable[[Any, Call], Any], key: Callable[[Any], int], **more: str
) -> FieldType:
    """A connection over items in ascending keys."""
    arguments = {**PAGE_ARGUMENTS, **more}
    return FieldType(
        f"{name}Connection!", lambda source, call: page_of(items(source, call), key, call), arguments
    )


def legacy(type_name: str, number: Callable[[Any], int]) -> dict[str, FieldType]:
    """The two ids of a thing."""
    return {
        "id": field("ID!", lambda source, call: gid(type_name, number(source))),
        "legacyResourceId": field(
            "UnsignedInt64!", lambda source, call: str(number_of(type_name, number(source)))
        ),
    }


def product_of(item: Item, call: Call) -> Product:
    """The product an item belongs to."""
    return product_of_item(call.context.records, item)


def product_of_item(book: Book, item: Item) -> Product:
    """The product an item belongs to."""
    if item.parent_number:
        number = item.parent_number
        return Product(number, book.parent_titles[number], book.parent_items[number])
    return Product(SINGLE_PRODUCTS + item.number, item.source.title, [item])


def sellable_units(item: Item) -> int:
    """Units that the online store may sell."""
    return item.available


def _shelf_at(item: Item, call: Call) -> Shelf | None:
    number = call.context.parse("Location", call.arguments["locationId"])
    is_any = bool(call.arguments.get("includeInactive"))
    shelves = shelves_of_item(call.context.records, item, inactive=is_any)
    return next((shelf for shelf in shelves if shelf.place.number == number), None)


def _levels_of_item(item: Item, call: Call) -> list[Shelf]:
    return shelves_of_item(call.context.records, item, inactive=bool(call.arguments.get("includeInactive")))


def _levels_of_place(place: Any, call: Call) -> list[Shelf]:
    return shelves_of_place(call.context.records, place, inactive=bool(call.arguments.get("includeInactive")))


def _states(shelf: Shelf, call: Call) -> list[State]:
    return [State(shelf, name) for name in call.arguments["names"] if name in NAMES]


def _variant_title(item: Item) -> str:
    return item.source.title if item.parent_number else "Default Title"


INVENTORY: Final[dict[str, Fields]] = {
    "InventoryItem": {
        **legacy("InventoryItem", lambda item: item.number),
        "sku": field("String", lambda item, call: item.sku),
        "tracked": field("Boolean!", lambda item, call: item.source.is_tracked),
        "duplicateSkuCount": field("Int!", lambda item, call: 0),
        "requiresShipping": field("Boolean!", lambda item, call: True),
        "createdAt": field("DateTime!", lambda item, call: iso(call.context.opened_at)),
        "updatedAt": field("DateTime!", lambda item, call: iso(item.updated_at)),
        "variant": field("ProductVariant!", lambda item, call: item),
        "variants": FieldType(
            "ProductVariantConnection",
            lambda item, call: page_of([item], lambda each: each.number, call),
            {name: kind for name, kind in PAGE_ARGUMENTS.items() if name != "reverse"},
        ),
        "inventoryLevel": field("InventoryLevel", _shelf_at, locationId="ID!", includeInactive="Boolean"),
        "inventoryLevels": connection(
            "InventoryLevel",
            _levels_of_item,
            lambda shelf: shelf.place.number,
            query="String",
            includeInactive="Boolean",
        ),
    },
    "InventoryLevel": {
        "id": field("ID!", lambda shelf, call: level_gid(shelf.place.number, shelf.item.number)),
        "isActive": field("Boolean!", lambda shelf, call: shelf.level.is_active),
        "canDeactivate": field("Boolean!", lambda shelf, call: not shelf.level.committed),
        "createdAt": field("DateTime!", lambda shelf, call: iso(call.context.opened_at)),
        "updatedAt": field("DateTime!", lambda shelf, call: iso(shelf.level.updated_at)),
        "item": field("InventoryItem!", lambda shelf, call: shelf.item),
        "location": field("Location!", lambda shelf, call: shelf.place),
        "quantities": field("[InventoryQuantity!]!", _states, names="[String!]!"),
    },
    "InventoryQuantity": {
        "id": field(
            "ID!",
            lambda state, call: (
                f"{gid('InventoryQuantity', state.shelf.place.number)}?inventory_item_id="
                f"{number_of('InventoryItem', state.shelf.item.number)}&name={state.name}"
            ),
        ),
        "name": field("String!", lambda state, call: state.name),
        "quantity": field("Int!", lambda state, call: quantity(state.shelf.level, state.name)),
        "updatedAt": field("DateTime", lambda state, call: iso(state.shelf.level.updated_at)),
    },
    "Location": {
        **legacy("Location", lambda place: place.number),
        "name": field("String!", lambda place, call: place.name),
        "isActive": field("Boolean!", lambda place, call: place.is_active),
        "fulfillsOnlineOrders": field("Boolean!", lambda place, call: place.is_active),
        "shipsInventory": field("Boolean!", lambda place, call: place.is_active),
        "hasActiveInventory": field("Boolean!", lambda place, call: bool(_levels_of_place(place, call))),
        "isFulfillmentService": field("Boolean!", lambda place, call: False),
        "isPrimary": field("Boolean!", lambda place, call: place.number == 1),
        "createdAt": field("DateTime!", lambda place, call: iso(call.context.opened_at)),
        "updatedAt": field("DateTime!", lambda place, call: iso(call.context.opened_at)),
        "inventoryLevels": connection(
            "InventoryLevel",
            _levels_of_place,
            lambda shelf: shelf.item.number,
            query="String",
            includeInactive="Boolean",
        ),
    },
    "InventoryProperties": {
        "quantityNames": field("[InventoryQuantityName!]!", lambda source, call: list(QUANTITY_NAMES)),
    },
    "InventoryQuantityName": {
        "name": field("String!", lambda names, call: names[0]),
        "displayName": field("String", lambda names, call: names[1]),
        "isInUse": field("Boolean!", lambda names, call: True),
        "belongsTo": field("[String!]!", lambda names, call: list(names[2])),
        "comprises": field("[String!]!", lambda names, call: list(names[3])),
    },
    "ProductVariant": {
        **legacy("ProductVariant", lambda item: item.number),
        "sku": field("String", lambda item, call: item.sku),
        "barcode": field("String", lambda item, call: item.source.gtin or None),
        "title": field("String!", lambda item, call: _variant_title(item)),
        "displayName": field(
            "String!", lambda item, call: f"{product_of(item, call).title} - {_variant_title(item)}"
        ),
        "price": field("Money!", lambda item, call: f"{item.source.price:.2f}"),
        "position": field("Int!", lambda item, call: product_of(item, call).items.index(item) + 1),
        "availableForSale": field("Boolean!", lambda item, call: call.context.sells(item, 1)),
        "inventoryItem": field("InventoryItem!", lambda item, call: item),
        "inventoryPolicy": field(
            "ProductVariantInventoryPolicy!",
            lambda item, call: "CONTINUE" if item.source.sells_beyond_stock else "DENY",
        ),
        "inventoryQuantity": field("Int", lambda item, call: sellable_units(item)),
        "sellableOnlineQuantity": field("Int!", lambda item, call: max(sellable_units(item), 0)),
        "product": field("Product!", product_of),
        "createdAt": field("DateTime!", lambda item, call: iso(call.context.opened_at)),
        "updatedAt": field("DateTime!", lambda item, call: iso(item.updated_at)),
    },
    "Product": {
        **legacy("Product", lambda product: product.number),
        "title": field("String!", lambda product, call: product.title),
        "handle": field("String!", lambda product, call: product.title.lower().replace(" ", "-")),
        "status": field("ProductStatus!", lambda product, call: "ACTIVE"),
        "vendor": field("String!", lambda product, call: call.context.name),
        "productType": field("String!", lambda product, call: ""),
        "tags": field("[String!]!", lambda product, call: []),
        "totalInventory": field("Int!", lambda product, call: sum(map(sellable_units, product.items))),
        "tracksInventory": field(
            "Boolean!", lambda product, call: any(i.source.is_tracked for i in product.items)
        ),
        "hasOnlyDefaultVariant": field("Boolean!", lambda product, call: product.number > SINGLE_PRODUCTS),
        "createdAt": field("DateTime!", lambda product, call: iso(call.context.opened_at)),
        "updatedAt": field("DateTime!", lambda product, call: iso(max(i.updated_at for i in product.items))),
        "variants": connection(
            "ProductVariant",
            lambda product, call: product.items,
            lambda item: item.number,
            sortKey="ProductVariantSortKeys",
        ),
    },
}
