"""Shopify's ids: numbers per type beyond 2^53, and the gids that carry them."""

import re
from typing import Final

#: Beyond what a float holds exactly, as real ids are (2^53 is 9007199254740992).
_FIRST: Final = 9_100_000_000_000_000
_STEP: Final = 10_000_000_000_000
_TYPES: Final = (
    "Location",
    "Product",
    "ProductVariant",
    "InventoryItem",
    "InventoryLevel",
    "Order",
    "LineItem",
    "FulfillmentOrder",
    "FulfillmentOrderLineItem",
    "Fulfillment",
    "FulfillmentLineItem",
    "Refund",
    "RefundLineItem",
    "WebhookSubscription",
    "InventoryAdjustmentGroup",
    "InventoryQuantity",
    "CalculatedOrder",
    "CalculatedLineItem",
    "Shop",
    "App",
    "AppInstallation",
    "Job",
    "MailingAddress",
    "BulkOperation",
)
_BASES: Final = {name: _FIRST + _STEP * position for position, name in enumerate(_TYPES)}
_GID: Final = re.compile(r"gid://shopify/(?P<type>\w+)/(?P<number>\d+)(?:\?inventory_item_id=(?P<item>\d+))?")


def number_of(type_name: str, number: int) -> int:
    """Returns the platform's number for the `number`th thing of a type."""
    return _BASES[type_name] + number


def gid(type_name: str, number: int) -> str:
    """Returns the gid of the `number`th thing of a type."""
    return f"gid://shopify/{type_name}/{_BASES[type_name] + number}"


def level_gid(place_number: int, item_number: int) -> str:
    """Returns the gid of a level, which names its inventory item in a query."""
    item = number_of("InventoryItem", item_number)
    return f"{gid('InventoryLevel', place_number)}?inventory_item_id={item}"


def parse_gid(text: str) -> tuple[str, int, int]:
    """Returns type, number and (of a level) the item's number; an empty type when it is none of ours."""
    match = _GID.fullmatch(text)
    if match is None or match["type"] not in _BASES:
        return "", 0, 0
    item = int(match["item"]) - _BASES["InventoryItem"] if match["item"] else 0
    return match["type"], int(match["number"]) - _BASES[match["type"]], item


def parse_id(type_name: str, text: str) -> int:
    """Returns the book's number for a gid or a bare number of this type; 0 when it is none."""
    if text.isdigit():
        return max(int(text) - _BASES[type_name], 0)
    found, number, _ = parse_gid(text)
    return number if found == type_name else 0
