"""Telling Shopify numbers: all of a batch or nothing, and still nobody waits for somebody else's mistake."""

import json
import uuid
from collections.abc import Sequence

import pytest

from channels.connectors.base import Address, CancelEffects, ItemOutcome, PushItem, PushResult
from channels.connectors.shopify import ShopifyConnector
from channels.errors import OutcomeUnknown, Rejected, TransientError
from channels.sandbox.book import CatalogueItem
from channels.sandbox.shopify.ids import number_of
from channels.sandbox.shopify.shop import ShopifySandbox

CALL = str(uuid.UUID(int=1))


def item(
    shop: ShopifySandbox, sku: str, quantity: int, compare_with: int | None = None, place: str = "here"
) -> PushItem:
    number = shop.item(sku).number
    address = Address(
        number, str(number_of("InventoryItem", number)), location_external_id=shop.location_id(place)
    )
    return PushItem(address, quantity, compare_with)


def outcomes(results: Sequence[PushResult]) -> list[ItemOutcome]:
    return [result.outcome for result in results]


def writes(shop: ShopifySandbox) -> list[dict[str, object]]:
    bodies = [json.loads(body) for _, target, body, _ in shop.requests_log if target.endswith("graphql.json")]
    return [body["variables"] for body in bodies if "inventorySetQuantities" in body["query"]]


@pytest.fixture
def many(shop: ShopifySandbox) -> list[str]:
    """250 SKUs with ten units each."""
    skus = [f"N{number:03}" for number in range(250)]
    shop.load_catalogue([CatalogueItem(sku, sku, quantities={"here": 10}) for sku in skus])
    return skus


def test_a_number_is_told_and_confirmed(shop: ShopifySandbox, shopify: ShopifyConnector) -> None:
    (result,) = shopify.push([item(shop, "A", 7, 12)], call_id=CALL)
    assert (result.outcome, result.listing_level_id) == (ItemOutcome.CONFIRMED, shop.item("A").number)
    assert shop.item("A").levels["here"].available == 7
    (write,) = writes(shop)
    assert write["input"]["reason"] == "correction"  # type: ignore[index]
    assert write["input"]["quantities"][0]["changeFromQuantity"] == 12  # type: ignore[index]


def test_without_a_number_to_compare_null_is_said(shop: ShopifySandbox, shopify: ShopifyConnector) -> None:
    assert outcomes(shopify.push([item(shop, "A", 7)], call_id=CALL)) == [ItemOutcome.CONFIRMED]
    entry = writes(shop)[0]["input"]["quantities"][0]  # type: ignore[index]
    assert entry["changeFromQuantity"] is None


def test_a_batch_of_250_takes_one_call(
    shop: ShopifySandbox, shopify: ShopifyConnector, many: list[str]
) -> None:
    results = shopify.push([item(shop, sku, 4, 10) for sku in many], call_id=CALL)
    assert set(outcomes(results)) == {ItemOutcome.CONFIRMED}
    assert len(writes(shop)) == 1
    assert all(shop.number(sku) == 4 for sku in many)


def test_one_stale_item_does_not_hold_249_others(
    shop: ShopifySandbox, shopify: ShopifyConnector, many: list[str]
) -> None:
    shop.place_order([(many[77], 3)])
    results = shopify.push([item(shop, sku, 4, 10) for sku in many], call_id=CALL)
    assert results[77].outcome is ItemOutcome.STALE
    assert "shows 7, not 10" in results[77].reason
    assert outcomes(results).count(ItemOutcome.CONFIRMED) == 249
    assert shop.number(many[77]) == 7
    assert shop.number(many[78]) == 4
    assert len(writes(shop)) == 2


def test_a_second_attempt_with_other_content_has_another_key(
    shop: ShopifySandbox, shopify: ShopifyConnector
) -> None:
    shopify.push([item(shop, "A", 1, 99), item(shop, "B", 1, 5)], call_id=CALL)
    first, second = writes(shop)
    assert first["key"] != second["key"]


def test_the_same_push_again_counts_once(shop: ShopifySandbox, shopify: ShopifyConnector) -> None:
    assert outcomes(shopify.push([item(shop, "A", 7, 12)], call_id=CALL)) == [ItemOutcome.CONFIRMED]
    shop.place_order([("A", 2)])
    again = shopify.push([item(shop, "A", 7, 12)], call_id=CALL)
    assert outcomes(again) == [ItemOutcome.CONFIRMED]
    assert shop.item("A").levels["here"].available == 5
    assert len({str(write["key"]) for write in writes(shop)}) == 1


def test_a_new_push_of_the_same_numbers_has_a_key_of_its_own(
    shop: ShopifySandbox, shopify: ShopifyConnector
) -> None:
    shopify.push([item(shop, "A", 7)], call_id=CALL)
    shopify.push([item(shop, "A", 7)], call_id=str(uuid.UUID(int=2)))
    first, second = writes(shop)
    assert first["key"] != second["key"]


def test_what_is_refused_for_good_says_why_and_the_rest_is_written(
    shop: ShopifySandbox, shopify: ShopifyConnector
) -> None:
    unknown = PushItem(Address(99, "9130000000000000999", location_external_id=shop.location_id("here")), 1)
    results = shopify.push([item(shop, "A", 7, 12), unknown, item(shop, "B", 2, 5)], call_id=CALL)
    assert outcomes(results) == [ItemOutcome.CONFIRMED, ItemOutcome.REJECTED, ItemOutcome.CONFIRMED]
    assert "INVALID_INVENTORY_ITEM" in results[1].reason


@pytest.mark.parametrize("version", ["2026-07", "2026-10"])
def test_an_item_not_stocked_at_a_place_is_stocked_there(
    shop: ShopifySandbox, shopify: ShopifyConnector, version: str
) -> None:
    shop.api_version = version
    results = shopify.push(
        [item(shop, "B", 4, 0, place="there"), item(shop, "A", 2, 3, place="there")], call_id=CALL
    )
    assert outcomes(results) == [ItemOutcome.CONFIRMED] * 2
    assert shop.item("B").levels["there"].available == 4
    assert shop.item("A").levels["there"].available == 2


def test_a_place_that_does_not_exist_rejects_its_items(
    shop: ShopifySandbox, shopify: ShopifyConnector
) -> None:
    lost = PushItem(Address(1, str(number_of("InventoryItem", 1)), location_external_id="404"), 1)
    results = shopify.push([lost, item(shop, "B", 2, 5)], call_id=CALL)
    assert outcomes(results) == [ItemOutcome.REJECTED, ItemOutcome.CONFIRMED]


def test_a_refusal_that_names_nobody_halves_the_batch(
    shop: ShopifySandbox, shopify: ShopifyConnector
) -> None:
    twice = item(shop, "A", 7, 12)
    results = shopify.push([twice, item(shop, "B", 2, 5), item(shop, "D", 1, 0), twice], call_id=CALL)
    assert outcomes(results) == [ItemOutcome.CONFIRMED] * 4


def test_many_stale_items_are_told_apart_in_one_reading(
    shop: ShopifySandbox, shopify: ShopifyConnector, many: list[str]
) -> None:
    results = shopify.push(
        [item(shop, sku, 4, 10 if position % 2 else 9) for position, sku in enumerate(many)], call_id=CALL
    )
    assert outcomes(results).count(ItemOutcome.STALE) == 125
    assert outcomes(results).count(ItemOutcome.CONFIRMED) == 125
    assert shop.requests["graphql nodes"] == 1


def test_a_call_of_which_nothing_is_known_is_raised(shop: ShopifySandbox, shopify: ShopifyConnector) -> None:
    shopify.check()
    shop.set_faults(drop_rate=1.0)
    with pytest.raises(OutcomeUnknown):
        shopify.push([item(shop, "A", 7, 12)], call_id=CALL)


def test_a_throttled_push_did_nothing(shop: ShopifySandbox, shopify: ShopifyConnector) -> None:
    shopify.check()
    shop.set_faults(throttle_rate=1.0)
    with pytest.raises(TransientError) as caught:
        shopify.push([item(shop, "A", 7, 12)], call_id=CALL)
    assert not isinstance(caught.value, OutcomeUnknown)


def test_more_than_a_batch_is_refused(shop: ShopifySandbox, shopify: ShopifyConnector) -> None:
    with pytest.raises(Rejected):
        shopify.push([item(shop, "A", 7, 12)] * 251, call_id=CALL)
    assert shopify.push([], call_id=CALL) == []


# -- cancelling and subscriptions


def test_units_of_a_line_are_cancelled_without_going_back_on_the_shelf(
    shop: ShopifySandbox, shopify: ShopifyConnector
) -> None:
    placed = shop.place_order([("B", 5)])
    state = shopify.fetch_order(placed.id)
    assert state is not None
    outcome = shopify.cancel_line(placed.id, state.lines[0].external_id, 2, call_id=CALL)
    assert (outcome.cancelled, outcome.restocks, outcome.refunds) == (2, False, False)
    assert shopify.cancel_effects({}) == CancelEffects()
    assert shop.number("B") == 0
    state = shopify.fetch_order(placed.id)
    assert state is not None
    assert (state.lines[0].cancelled, state.lines[0].restocked) == (2, 0)


def test_more_units_than_there_are_cannot_be_cancelled(
    shop: ShopifySandbox, shopify: ShopifyConnector
) -> None:
    placed = shop.place_order([("B", 2)])
    line = str(number_of("LineItem", shop.find_order(placed.id).lines[0].number))
    with pytest.raises(Rejected, match="cannot refund more"):
        shopify.cancel_line(placed.id, line, 3, call_id=CALL)


def test_missing_subscriptions_are_found_and_created(shop: ShopifySandbox, shopify: ShopifyConnector) -> None:
    url = "https://stock.example.com/webhooks/x/"
    assert len(shopify.audit_webhooks(url)) == 16
    assert shopify.register_webhooks(url) == {}
    assert shopify.audit_webhooks(url) == []
    created = shop.requests["graphql webhookSubscriptionCreate"]
    shopify.register_webhooks(url)
    assert shop.requests["graphql webhookSubscriptionCreate"] == created


def test_a_subscription_that_was_deleted_or_narrowed_is_mended(
    shop: ShopifySandbox, shopify: ShopifyConnector
) -> None:
    url = "https://stock.example.com/webhooks/x/"
    shopify.register_webhooks(url)
    first, second, *_ = sorted(shop.webhooks.by_number)
    shop.webhooks.delete(first)
    shop.webhooks.by_number[second].include_fields = ["id"]
    problems = {problem.problem for problem in shopify.audit_webhooks(url)}
    assert problems == {"There is no subscription.", "It delivers only a part."}
    shopify.register_webhooks(url)
    assert shopify.audit_webhooks(url) == []


def test_subscriptions_of_others_are_left_alone(shop: ShopifySandbox, shopify: ShopifyConnector) -> None:
    shopify.register_webhooks("https://other.example.com/hook")
    assert len(shopify.audit_webhooks("https://stock.example.com/webhooks/x/")) == 16
