"""Writing stock: set and adjust with compare-and-set, activation.

Sources: the vendor's schema (error codes); changelog posts of 2025-12-12 on concurrency protection and idempotency.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from channels.sandbox.book import Level
from channels.sandbox.shopify.definitions import Call, FieldType, GraphQLFault, fault
from channels.sandbox.shopify.goods import Fields, field
from channels.sandbox.shopify.idempotency import IdempotencyKeys, UserError, Written
from channels.sandbox.shopify.ids import gid
from channels.sandbox.shopify.paging import iso
from channels.sandbox.shopify.stock import NAMES, Shelf, quantity, set_quantity, stamp

MOST_ENTRIES: Final = 250
_LARGEST_SET: Final = 1_000_000_000
_LARGEST_DELTA: Final = 2_000_000_000
REASONS: Final = frozenset(
    {
        "correction",
        "cycle_count_available",
        "damaged",
        "movement_created",
        "movement_updated",
        "movement_received",
        "movement_canceled",
        "other",
        "promotion",
        "quality_control",
        "received",
        "reservation_created",
        "reservation_updated",
        "reservation_deleted",
        "restock",
        "safety_stock",
        "shrinkage",
    }
)


@dataclass(frozen=True, slots=True)
class Change:
    shelf: Shelf
    name: str
    delta: int
    after: int


@dataclass(frozen=True, slots=True)
class Group:
    """What one write changed."""

    number: int
    created_at: float
    reason: str
    reference: str | None
    changes: list[Change]


def _shelf(entry: Mapping[str, Any], path: list[str], call: Call) -> Shelf | UserError:
    """Finds the shelf of an entry."""
    shop = call.context
    item = shop.records.items_by_number.get(shop.parse("InventoryItem", entry["inventoryItemId"]))
    if item is None:
        message = "The specified inventory item could not be found."
        return UserError(message, [*path, "inventoryItemId"], "INVALID_INVENTORY_ITEM")
    place = shop.place_by_number(shop.parse("Location", entry["locationId"]))
    if place is None:
        message = "The specified location could not be found."
        return UserError(message, [*path, "locationId"], "INVALID_LOCATION")
    level = item.levels.get(place.code)
    if level is None or not level.is_active:
        is_older = shop.serving_version < "2026-10"
        code = "ITEM_NOT_STOCKED_AT_LOCATION" if is_older else "INVALID_LOCATION"
        return UserError("The inventory item is not stocked at the location.", [*path, "locationId"], code)
    return Shelf(item, place, level)


def _compared(entry: Mapping[str, Any], path: list[str], shelf: Shelf, name: str) -> UserError | None:
    """Checks `changeFromQuantity`: it has to be said; a number has to be the one that stands there."""
    if "changeFromQuantity" not in entry:
        message = "changeFromQuantity is required; pass null to skip the check."
        raise GraphQLFault(fault(message, "BAD_REQUEST", field=[*path, "changeFromQuantity"]))
    expected = entry["changeFromQuantity"]
    if expected is None or expected == quantity(shelf.level, name):
        return None
    message = "The changeFromQuantity argument no longer matches the persisted quantity."
    return UserError(message, [*path, "changeFromQuantity"], "CHANGE_FROM_QUANTITY_STALE")


def _common(data: Mapping[str, Any], entries: list[Any], list_name: str) -> list[UserError]:
    """Checks what set and adjust have in common."""
    if len(entries) > MOST_ENTRIES:
        message = (
            f"The input array size of {len(entries)} is greater than the maximum allowed of {MOST_ENTRIES}."
        )
        path = ["input", list_name]
        raise GraphQLFault(fault(message, "MAX_INPUT_SIZE_EXCEEDED", path=path))
    errors = []
    if data["reason"] not in REASONS:
        errors.append(UserError("The specified reason is invalid.", ["input", "reason"], "INVALID_REASON"))
    reference = data.get("referenceDocumentUri")
    if reference is not None and not ("://" in reference and reference.split("://", 1)[1]):
        message = "The specified reference document is invalid."
        errors.append(UserError(message, ["input", "referenceDocumentUri"], "INVALID_REFERENCE_DOCUMENT"))
    return errors


def _write(
    data: Mapping[str, Any],
    list_name: str,
    check: Callable[[Mapping[str, Any], list[str], Shelf], UserError | None],
    target: Callable[[Mapping[str, Any], Level], int],
    call: Call,
) -> Written:
    """Checks every entry, then writes all of them, or none."""
    entries = data[list_name]
    errors = _common(data, entries, list_name)
    shelves: list[Shelf] = []
    for position, entry in enumerate(entries):
        path = ["input", list_name, str(position)]
        shelf = _shelf(entry, path, call)
        if isinstance(shelf, UserError):
            errors.append(shelf)
            continue
        error = check(entry, path, shelf) or _compared(entry, path, shelf, data["name"])
        shelves.append(shelf)
        errors += [error] if error else []
    pairs = {(entry["inventoryItemId"], entry["locationId"]) for entry in entries}
    if len(pairs) < len(entries):
        message = "The combination of inventoryItemId and locationId must be unique."
        errors.append(
            UserError(message, ["input", list_name], "NO_DUPLICATE_INVENTORY_ITEM_ID_GROUP_ID_PAIR")
        )
    if errors:
        return Written(None, errors)
    changes = [
        _apply(shelf, data["name"], target(entry, shelf.level), call)
        for shelf, entry in zip(shelves, entries, strict=True)
    ]
    return Written(_group(data, changes, call), [])


def _apply(shelf: Shelf, name: str, units: int, call: Call) -> Change:
    delta = set_quantity(shelf, name, units)
    call.context.announce_stock(shelf.item, shelf.place.code)
    return Change(shelf, name, delta, units)


def _group(data: Mapping[str, Any], changes: list[Change], call: Call) -> Group:
    reference = data.get("referenceDocumentUri")
    number = call.context.records.next_number()
    return Group(number, time.time(), data["reason"], reference, changes)


def _once(call: Call, name: str, write: Callable[[], Written]) -> Written:
    keys: IdempotencyKeys = call.context.idempotency
    return keys.once(call, name, write)


def _set_quantities(source: Any, call: Call) -> Written:
    data = call.arguments["input"]
    name = data["name"]

    def check(entry: Mapping[str, Any], path: list[str], shelf: Shelf) -> UserError | None:
        if abs(entry["quantity"]) <= _LARGEST_SET:
            return None
        side, words = ("TOO_HIGH", "greater") if entry["quantity"] > 0 else ("TOO_LOW", "less")
        message = f"The quantity can't be {words} than {_LARGEST_SET:,}."
        return UserError(message, [*path, "quantity"], f"INVALID_QUANTITY_{side}")

    def write() -> Written:
        if name not in ("available", "on_hand"):
            message = "The quantity name must be either 'available' or 'on_hand'."
            return Written(None, [UserError(message, ["input", "name"], "INVALID_NAME")])
        return _write(data, "quantities", check, lambda entry, level: int(entry["quantity"]), call)

    return _once(call, "inventorySetQuantities", write)


def _adjust_quantities(source: Any, call: Call) -> Written:
    data = call.arguments["input"]
    name = data["name"]

    def check(entry: Mapping[str, Any], path: list[str], shelf: Shelf) -> UserError | None:
        if abs(entry["delta"]) > _LARGEST_DELTA:
            side = "TOO_HIGH" if entry["delta"] > 0 else "TOO_LOW"
            return UserError("The delta is out of range.", [*path, "delta"], f"INVALID_QUANTITY_{side}")
        return _ledger_document_problem(entry.get("ledgerDocumentUri"), name, [*path, "ledgerDocumentUri"])

    def write() -> Written:
        if name not in NAMES - {"on_hand", "committed"}:
            message = "The specified quantity name is invalid."
            return Written(None, [UserError(message, ["input", "name"], "INVALID_QUANTITY_NAME")])
        if len({entry.get("ledgerDocumentUri") for entry in data["changes"]}) > 1:
            message = "All changes must have the same ledger document URI or, in the case of adjusting available, none."
            return Written(None, [UserError(message, ["input", "changes"], "MAX_ONE_LEDGER_DOCUMENT")])
        return _write(
            data, "changes", check, lambda entry, level: quantity(level, name) + int(entry["delta"]), call
        )

    return _once(call, "inventoryAdjustQuantities", write)


def _ledger_document_problem(document: str | None, name: str, path: list[str]) -> UserError | None:
    if name == "available":
        message = "A ledger document URI is not allowed when adjusting available."
        return UserError(message, path, "INVALID_AVAILABLE_DOCUMENT") if document else None
    if not document:
        message = "A ledger document URI is required except when adjusting available."
        return UserError(message, path, "INVALID_QUANTITY_DOCUMENT")
    if document.startswith("gid://shopify/"):
        return UserError(
            "Internal (gid://shopify/) ledger documents are not allowed.", path, "INTERNAL_LEDGER_DOCUMENT"
        )
    return (
        None
        if "://" in document
        else UserError("The ledger document is invalid.", path, "INVALID_LEDGER_DOCUMENT")
    )


def _activate(source: Any, call: Call) -> Written:
    return _once(call, "inventoryActivate", lambda: _activated(call))


def _activated(call: Call) -> Written:
    shop, arguments = call.context, call.arguments
    item = shop.records.items_by_number.get(shop.parse("InventoryItem", arguments["inventoryItemId"]))
    place = shop.place_by_number(shop.parse("Location", arguments["locationId"]))
    if item is None:
        return Written(
            None, [UserError("The product couldn't be stocked because it wasn't found.", ["inventoryItemId"])]
        )
    if place is None:
        return Written(None, [UserError("The location couldn't be found.", ["locationId"])])
    level = item.levels.get(place.code)
    units = arguments.get("available")
    if level is not None and level.is_active:
        if units is not None or arguments.get("onHand") is not None:
            message = "Not allowed to set available quantity when the item is already active at the location."
            return Written(None, [UserError(message, ["available"])])
        return Written(Shelf(item, place, level), [])
    units = arguments.get("onHand") if units is None else units
    level = item.levels[place.code] = Level(units or 0)
    stamp(item, level)
    shop.announce_level(item, place.code, "INVENTORY_LEVELS_CONNECT")
    return Written(Shelf(item, place, level), [])


def _deactivate(source: Any, call: Call) -> Written:
    shop = call.context
    shelf = shop.shelf_by_gid(call.arguments["inventoryLevelId"])
    if shelf is None:
        return Written(None, [UserError("The inventory level couldn't be found.", ["inventoryLevelId"])])
    if shelf.level.committed:
        return Written(
            None, [UserError("The item has committed inventory at the location.", ["inventoryLevelId"])]
        )
    shelf.level.is_active = False
    stamp(shelf.item, shelf.level)
    shop.announce_level(shelf.item, shelf.place.code, "INVENTORY_LEVELS_DISCONNECT")
    return Written(None, [])


def _errors(type_name: str) -> FieldType:
    return FieldType(f"[{type_name}!]!", lambda written, call: written.errors, is_free=True)


def _changes(group: Group, call: Call) -> list[Change]:
    names = call.arguments.get("quantityNames")
    return [change for change in group.changes if not names or change.name in names]


_ERROR: Final[dict[str, FieldType]] = {
    "field": field("[String!]", lambda error, call: error.field or None),
    "message": field("String!", lambda error, call: error.message),
}

STOCK_WRITES: Final[dict[str, FieldType]] = {
    "inventorySetQuantities": field(
        "InventorySetQuantitiesPayload", _set_quantities, input="InventorySetQuantitiesInput!"
    ),
    "inventoryAdjustQuantities": field(
        "InventoryAdjustQuantitiesPayload", _adjust_quantities, input="InventoryAdjustQuantitiesInput!"
    ),
    "inventoryActivate": field(
        "InventoryActivatePayload",
        _activate,
        inventoryItemId="ID!",
        locationId="ID!",
        available="Int",
        onHand="Int",
    ),
    "inventoryDeactivate": field("InventoryDeactivatePayload", _deactivate, inventoryLevelId="ID!"),
}

STOCK_PAYLOADS: Final[dict[str, Fields]] = {
    "InventorySetQuantitiesPayload": {
        "inventoryAdjustmentGroup": field("InventoryAdjustmentGroup", lambda written, call: written.result),
        "userErrors": _errors("InventorySetQuantitiesUserError"),
    },
    "InventoryAdjustQuantitiesPayload": {
        "inventoryAdjustmentGroup": field("InventoryAdjustmentGroup", lambda written, call: written.result),
        "userErrors": _errors("InventoryAdjustQuantitiesUserError"),
    },
    "InventoryActivatePayload": {
        "inventoryLevel": field("InventoryLevel", lambda written, call: written.result),
        "userErrors": _errors("UserError"),
    },
    "InventoryDeactivatePayload": {"userErrors": _errors("UserError")},
    "InventorySetQuantitiesUserError": {
        **_ERROR,
        "code": field("InventorySetQuantitiesUserErrorCode", lambda error, call: error.code or None),
    },
    "InventoryAdjustQuantitiesUserError": {
        **_ERROR,
        "code": field("InventoryAdjustQuantitiesUserErrorCode", lambda error, call: error.code or None),
    },
    "UserError": _ERROR,
    "InventoryAdjustmentGroup": {
        "id": field("ID!", lambda group, call: gid("InventoryAdjustmentGroup", group.number)),
        "createdAt": field("DateTime!", lambda group, call: iso(group.created_at)),
        "reason": field("String!", lambda group, call: group.reason),
        "referenceDocumentUri": field("String", lambda group, call: group.reference),
        "changes": field(
            "[InventoryChange!]!",
            _changes,
            inventoryItemIds="[ID!]",
            locationIds="[ID!]",
            quantityNames="[String!]",
        ),
    },
    "InventoryChange": {
        "name": field("String!", lambda change, call: change.name),
        "delta": field("Int!", lambda change, call: change.delta),
        "quantityAfterChange": field("Int", lambda change, call: change.after),
        "item": field("InventoryItem", lambda change, call: change.shelf.item),
        "location": field("Location", lambda change, call: change.shelf.place),
    },
}

STOCK_INPUTS: Final[dict[str, dict[str, str]]] = {
    "InventorySetQuantitiesInput": {
        "name": "String!",
        "reason": "String!",
        "referenceDocumentUri": "String",
        "quantities": "[InventoryQuantityInput!]!",
    },
    "InventoryQuantityInput": {
        "inventoryItemId": "ID!",
        "locationId": "ID!",
        "quantity": "Int!",
        "changeFromQuantity": "Int",
    },
    "InventoryAdjustQuantitiesInput": {
        "name": "String!",
        "reason": "String!",
        "referenceDocumentUri": "String",
        "changes": "[InventoryChangeInput!]!",
    },
    "InventoryChangeInput": {
        "inventoryItemId": "ID!",
        "locationId": "ID!",
        "delta": "Int!",
        "changeFromQuantity": "Int",
        "ledgerDocumentUri": "String",
    },
}
