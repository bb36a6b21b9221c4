"""Shopify's stock: compare-and-set, all or nothing, idempotency keys, places."""

import uuid
from typing import Any

import pytest

from channels.sandbox import CatalogueItem, Refused, ShopifySandbox
from channels.sandbox.shopify.ids import gid
from tests.channels.sandbox.callers import ShopifyCaller

SET = """
mutation Set($input: InventorySetQuantitiesInput!, $key: String!) {
  inventorySetQuantities(input: $input) @idempotent(key: $key) {
    inventoryAdjustmentGroup { id reason referenceDocumentUri changes { name delta quantityAfterChange item { sku } } }
    userErrors { code field message }
  }
}
"""
ADJUST = """
mutation Adjust($input: InventoryAdjustQuantitiesInput!, $key: String!) {
  inventoryAdjustQuantities(input: $input) @idempotent(key: $key) { userErrors { code field } }
}
"""


def item_gid(shop: ShopifySandbox, sku: str) -> str:
    return gid("InventoryItem", shop.item(sku).number)


def entry(shop: ShopifySandbox, sku: str, quantity: int, code: str = "AMS", **more: Any) -> dict[str, Any]:
    location = f"gid://shopify/Location/{shop.location_id(code)}"
    return {"inventoryItemId": item_gid(shop, sku), "locationId": location, "quantity": quantity, **more}


def change(caller: ShopifyCaller, *entries: dict[str, Any], key: str = "", **more: Any) -> Any:
    data = {"name": "available", "reason": "correction", "quantities": list(entries), **more}
    return caller.ask(SET, input=data, key=key or str(uuid.uuid4()))["inventorySetQuantities"]


def codes(answer: Any) -> list[str]:
    return [error["code"] for error in answer["userErrors"]]


def numbers(shop: ShopifySandbox, sku: str) -> dict[str, int]:
    found: dict[str, int] = shop.book()["numbers"][sku]
    return found


def test_a_number_is_set_when_the_expected_one_stands_there(
    shopify: ShopifySandbox, shopify_caller: ShopifyCaller
) -> None:
    reference = "gid://our-app/Push/1"
    answer = change(
        shopify_caller, entry(shopify, "MUG-1", 7, changeFromQuantity=10), referenceDocumentUri=reference
    )
    assert answer["userErrors"] == []
    assert answer["inventoryAdjustmentGroup"]["referenceDocumentUri"] == reference
    assert answer["inventoryAdjustmentGroup"]["changes"] == [
        {"name": "available", "delta": -3, "quantityAfterChange": 7, "item": {"sku": "MUG-1"}}
    ]
    assert numbers(shopify, "MUG-1") == {"AMS": 7, "RTM": 4}


def test_one_stale_entry_leaves_the_whole_batch_undone(
    shopify: ShopifySandbox, shopify_caller: ShopifyCaller
) -> None:
    answer = change(
        shopify_caller,
        entry(shopify, "SHIRT-S", 1, changeFromQuantity=5),
        entry(shopify, "MUG-1", 7, changeFromQuantity=9),
    )
    assert codes(answer) == ["CHANGE_FROM_QUANTITY_STALE"]
    assert answer["userErrors"][0]["field"] == ["input", "quantities", "1", "changeFromQuantity"]
    assert answer["inventoryAdjustmentGroup"] is None
    assert numbers(shopify, "SHIRT-S") == {"AMS": 5}


def test_null_skips_the_comparison_but_leaving_it_out_is_an_error(
    shopify: ShopifySandbox, shopify_caller: ShopifyCaller
) -> None:
    assert codes(change(shopify_caller, entry(shopify, "MUG-1", 2, changeFromQuantity=None))) == []
    assert numbers(shopify, "MUG-1")["AMS"] == 2
    data = {"name": "available", "reason": "correction", "quantities": [entry(shopify, "MUG-1", 3)]}
    assert "changeFromQuantity" in shopify_caller.errors(SET, input=data, key="k")[0]["message"]
    assert numbers(shopify, "MUG-1")["AMS"] == 2


def test_the_idempotency_directive_is_compulsory_and_its_key_not_blank(
    shopify: ShopifySandbox, shopify_caller: ShopifyCaller
) -> None:
    data = {
        "name": "available",
        "reason": "correction",
        "quantities": [entry(shopify, "MUG-1", 3, changeFromQuantity=None)],
    }
    bare = SET.replace("@idempotent(key: $key)", "").replace(", $key: String!", "")
    assert "@idempotent" in shopify_caller.errors(bare, input=data)[0]["message"]
    assert "blank" in shopify_caller.errors(SET, input=data, key=" ")[0]["message"]
    assert numbers(shopify, "MUG-1")["AMS"] == 10


def test_a_repeated_key_writes_once_and_other_arguments_under_it_are_refused(
    shopify: ShopifySandbox, shopify_caller: ShopifyCaller
) -> None:
    first = change(shopify_caller, entry(shopify, "MUG-1", 7, changeFromQuantity=10), key="a")
    shopify.place_order([("MUG-1", 1)])
    again = change(shopify_caller, entry(shopify, "MUG-1", 7, changeFromQuantity=10), key="a")
    other = change(shopify_caller, entry(shopify, "MUG-1", 8, changeFromQuantity=None), key="a")
    assert again["inventoryAdjustmentGroup"]["id"] == first["inventoryAdjustmentGroup"]["id"]
    assert codes(other) == ["IDEMPOTENCY_KEY_PARAMETER_MISMATCH"]
    assert numbers(shopify, "MUG-1")["AMS"] == 6


def test_a_failed_attempt_spoils_its_key(shopify: ShopifySandbox, shopify_caller: ShopifyCaller) -> None:
    stale = entry(shopify, "MUG-1", 7, changeFromQuantity=1)
    assert codes(change(shopify_caller, stale, key="a")) == ["CHANGE_FROM_QUANTITY_STALE"]
    assert codes(change(shopify_caller, stale, key="a")) == ["IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED"]


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"reason": "because"}, "INVALID_REASON"),
        ({"name": "committed"}, "INVALID_NAME"),
        ({"referenceDocumentUri": "nowhere"}, "INVALID_REFERENCE_DOCUMENT"),
    ],
)
def test_the_vocabulary_of_a_write_is_checked(
    shopify: ShopifySandbox, shopify_caller: ShopifyCaller, more: dict[str, str], code: str
) -> None:
    assert codes(change(shopify_caller, entry(shopify, "MUG-1", 1, changeFromQuantity=None), **more)) == [
        code
    ]


def test_entries_are_checked_one_by_one(shopify: ShopifySandbox, shopify_caller: ShopifyCaller) -> None:
    good = entry(shopify, "MUG-1", 1, changeFromQuantity=None)
    unknown = {**good, "inventoryItemId": "gid://shopify/InventoryItem/1"}
    nowhere = {**good, "locationId": "gid://shopify/Location/1"}
    unstocked = entry(shopify, "SHIRT-S", 1, "RTM", changeFromQuantity=None)
    huge = entry(shopify, "SHIRT-S", 1_000_000_001, changeFromQuantity=None)
    assert codes(change(shopify_caller, unknown, nowhere, unstocked, huge)) == [
        "INVALID_INVENTORY_ITEM",
        "INVALID_LOCATION",
        "INVALID_LOCATION",
        "INVALID_QUANTITY_TOO_HIGH",
    ]
    assert codes(change(shopify_caller, good, good)) == ["NO_DUPLICATE_INVENTORY_ITEM_ID_GROUP_ID_PAIR"]
    many = [good] * 251
    data = {"name": "available", "reason": "correction", "quantities": many}
    assert (
        shopify_caller.errors(SET, input=data, key="k")[0]["extensions"]["code"] == "MAX_INPUT_SIZE_EXCEEDED"
    )


def test_an_older_version_names_a_place_without_the_item(
    shopify: ShopifySandbox, shopify_caller: ShopifyCaller
) -> None:
    data = {
        "name": "available",
        "reason": "correction",
        "quantities": [entry(shopify, "SHIRT-S", 1, "RTM", changeFromQuantity=None)],
    }
    answer = shopify_caller.post(SET, version="2026-07", input=data, key="k").json()["data"][
        "inventorySetQuantities"
    ]
    assert codes(answer) == ["ITEM_NOT_STOCKED_AT_LOCATION"]


def test_an_item_is_activated_at_a_place_once(shopify: ShopifySandbox, shopify_caller: ShopifyCaller) -> None:
    document = """
    mutation A($item: ID!, $place: ID!, $key: String!) {
      inventoryActivate(inventoryItemId: $item, locationId: $place, available: 6) @idempotent(key: $key) {
        inventoryLevel { isActive quantities(names: ["available"]) { quantity } } userErrors { field message } } }
    """
    where = {"item": item_gid(shopify, "SHIRT-S"), "place": shopify.location_id("RTM")}
    made = shopify_caller.ask(document, key="a", **where)["inventoryActivate"]
    assert made["inventoryLevel"] == {"isActive": True, "quantities": [{"quantity": 6}]}
    again = shopify_caller.ask(document, key="b", **where)["inventoryActivate"]
    assert again["userErrors"][0]["field"] == ["available"]
    assert shopify.number("SHIRT-S") == 11


def test_adjusting_moves_by_a_difference_and_guards_ledger_documents(
    shopify: ShopifySandbox, shopify_caller: ShopifyCaller
) -> None:
    base = {"inventoryItemId": item_gid(shopify, "MUG-1"), "locationId": shopify.location_id("AMS")}

    def adjust(name: str, **more: Any) -> list[str]:
        data = {
            "name": name,
            "reason": "correction",
            "changes": [{**base, "changeFromQuantity": None, **more}],
        }
        return codes(
            shopify_caller.ask(ADJUST, input=data, key=str(uuid.uuid4()))["inventoryAdjustQuantities"]
        )

    assert adjust("available", delta=-4) == []
    assert adjust("damaged", delta=2) == ["INVALID_QUANTITY_DOCUMENT"]
    assert adjust("damaged", delta=2, ledgerDocumentUri="gid://shopify/X/1") == ["INTERNAL_LEDGER_DOCUMENT"]
    assert adjust("available", delta=2, ledgerDocumentUri="app://x") == ["INVALID_AVAILABLE_DOCUMENT"]
    assert adjust("damaged", delta=2, ledgerDocumentUri="app://x") == []
    assert numbers(shopify, "MUG-1")["AMS"] == 6


def test_an_order_moves_units_from_available_to_committed(
    shopify: ShopifySandbox, shopify_caller: ShopifyCaller
) -> None:
    order = shopify.place_order([("MUG-1", 3)])
    document = """
    query Item($id: ID!) {
      inventoryItem(id: $id) {
        inventoryLevels(first: 1) { nodes { quantities(names: ["available", "committed", "on_hand"]) { quantity } } }
      }
    }
    """

    def states() -> list[int]:
        data = shopify_caller.ask(document, id=item_gid(shopify, "MUG-1"))
        level = data["inventoryItem"]["inventoryLevels"]["nodes"][0]
        return [state["quantity"] for state in level["quantities"]]

    assert states() == [7, 3, 10]
    shopify.fulfil(order.id, "MUG-1", 1)
    assert states() == [7, 2, 9]
    shopify.cancel(order.id, "MUG-1", 2)
    assert states() == [9, 0, 9]


def test_a_line_is_taken_whole_from_one_place(shopify: ShopifySandbox) -> None:
    shopify.load_catalogue([CatalogueItem("RARE", "Rare", quantities={"AMS": 1, "RTM": 2})])
    order = shopify.place_order([("MUG-1", 1), ("RARE", 2)])
    assert {line["location"] for line in shopify.book()["orders"][0]["lines"]} == {"RTM"}
    with pytest.raises(Refused):
        shopify.place_order([("RARE", 2)])
    assert order.lines == [("MUG-1", 1), ("RARE", 2)]
    assert shopify.book()["refused"] == 1


def test_only_a_policy_or_the_merchant_sells_beyond_stock(shopify: ShopifySandbox) -> None:
    shopify.load_catalogue(
        [CatalogueItem("ENDLESS", "Endless", quantities={"AMS": 0}, sells_beyond_stock=True)]
    )
    shopify.place_order([("ENDLESS", 5)])
    shopify.place_order([("SHIRT-M", 5)], force=True)
    assert (shopify.number("ENDLESS"), shopify.number("SHIRT-M")) == (-5, -2)
    with pytest.raises(Refused):
        shopify.place_order([("SHIRT-S", 3), ("SHIRT-S", 3)])
    assert shopify.number("SHIRT-S") == 5
