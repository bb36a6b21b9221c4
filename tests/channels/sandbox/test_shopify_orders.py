"""Shopify's orders: cancelled, refunded, edited, fulfilled; what their snapshots and webhooks say."""

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest

from channels.sandbox import PlacedOrder, ShopifySandbox
from channels.sandbox.httpd import Request
from channels.sandbox.shopify.ids import gid
from channels.sandbox.shopify.subscriptions import RETRY_WAITS
from tests.channels.sandbox.callers import Receiver, ShopifyCaller, eventually

SUBSCRIBE = """
mutation Subscribe($topic: WebhookSubscriptionTopic!, $uri: String!) {
  webhookSubscriptionCreate(topic: $topic, webhookSubscription: { uri: $uri, format: JSON }) {
    webhookSubscription { id topic uri } userErrors { field message } } }
"""
SNAPSHOT = """
query Order($id: ID!) {
  order(id: $id) {
    cancelledAt displayFulfillmentStatus
    lineItems(first: 5) { nodes { id quantity currentQuantity unfulfilledQuantity } }
    refunds { refundLineItems(first: 5) { nodes { quantity restockType location { name } } } }
    fulfillmentOrders(first: 5) {
      nodes {
        id status assignedLocation { location { name } }
        lineItems(first: 5) { nodes { id remainingQuantity totalQuantity } }
      }
    }
  }
}
"""


def order_gid(order: PlacedOrder) -> str:
    return f"gid://shopify/Order/{order.id}"


def snapshot(caller: ShopifyCaller, order: PlacedOrder) -> Any:
    return caller.ask(SNAPSHOT, id=order_gid(order))["order"]


def subscribe(caller: ShopifyCaller, receiver: Receiver, *topics: str) -> None:
    for topic in topics:
        answer = caller.ask(SUBSCRIBE, topic=topic, uri=receiver.url)["webhookSubscriptionCreate"]
        assert answer["userErrors"] == []


def topics(requests: list[Request]) -> list[str]:
    return sorted(request.headers["x-shopify-topic"] for request in requests)


@pytest.fixture
def order(shopify: ShopifySandbox) -> PlacedOrder:
    return shopify.place_order([("MUG-1", 3), ("SHIRT-S", 1)])


def test_a_cancelled_order_says_so_and_is_restocked(
    shopify: ShopifySandbox, shopify_caller: ShopifyCaller, order: PlacedOrder
) -> None:
    document = """
    mutation C($id: ID!) {
      orderCancel(orderId: $id, reason: INVENTORY, restock: true, refundMethod: { originalPaymentMethodsRefund: true }) {
        job { id done } orderCancelUserErrors { code message } } }
    """
    assert shopify_caller.ask(document, id=order_gid(order))["orderCancel"]["orderCancelUserErrors"] == []
    found = snapshot(shopify_caller, order)
    assert found["cancelledAt"]
    assert [line["currentQuantity"] for line in found["lineItems"]["nodes"]] == [0, 0]
    assert (shopify.number("MUG-1"), shopify.number("SHIRT-S")) == (14, 5)
    again = shopify_caller.ask(document, id=order_gid(order))["orderCancel"]["orderCancelUserErrors"]
    assert again[0]["code"] == "INVALID"


def test_a_refund_without_restock_leaves_the_shelf_as_it_is(
    shopify: ShopifySandbox, shopify_caller: ShopifyCaller, order: PlacedOrder
) -> None:
    document = """
    mutation R($input: RefundInput!) { refundCreate(input: $input) { refund { id } userErrors { field message } } }
    """
    line = snapshot(shopify_caller, order)["lineItems"]["nodes"][0]["id"]

    def refund(quantity: int, kind: str) -> Any:
        part = {"lineItemId": line, "quantity": quantity, "restockType": kind}
        data = {"orderId": order_gid(order), "refundLineItems": [part]}
        return shopify_caller.ask(document, input=data)["refundCreate"]["userErrors"]

    assert refund(1, "NO_RESTOCK") == []
    assert shopify.number("MUG-1") == 11
    assert refund(1, "CANCEL") == []
    assert shopify.number("MUG-1") == 12
    assert refund(2, "CANCEL")[0]["field"] == ["refundLineItems", "0", "quantity"]
    found = snapshot(shopify_caller, order)
    assert found["lineItems"]["nodes"][0]["currentQuantity"] == 1
    assert found["refunds"][1]["refundLineItems"]["nodes"] == [
        {"quantity": 1, "restockType": "CANCEL", "location": {"name": "Amsterdam"}}
    ]


def test_a_line_is_lowered_by_an_edit_that_is_begun_set_and_committed(
    shopify: ShopifySandbox, shopify_caller: ShopifyCaller, order: PlacedOrder
) -> None:
    begun = shopify_caller.ask(
        """
        mutation B($id: ID!) {
          orderEditBegin(id: $id) {
            calculatedOrder { id lineItems(first: 5) { nodes { id quantity } } } userErrors { message }
          }
        }
        """,
        id=order_gid(order),
    )["orderEditBegin"]["calculatedOrder"]
    set_quantity = """
    mutation S($id: ID!, $line: ID!, $quantity: Int!) {
      orderEditSetQuantity(id: $id, lineItemId: $line, quantity: $quantity, restock: true) {
        calculatedLineItem { quantity } userErrors { field } } }
    """
    line = begun["lineItems"]["nodes"][0]["id"]
    too_many = shopify_caller.ask(set_quantity, id=begun["id"], line=line, quantity=4)["orderEditSetQuantity"]
    assert too_many["userErrors"] == [{"field": ["quantity"]}]
    assert shopify_caller.ask(set_quantity, id=begun["id"], line=line, quantity=1)[
        "orderEditSetQuantity"
    ] == {
        "calculatedLineItem": {"quantity": 1},
        "userErrors": [],
    }
    assert shopify.number("MUG-1") == 11
    commit = "mutation C($id: ID!) { orderEditCommit(id: $id) { order { id } userErrors { message } } }"
    assert shopify_caller.ask(commit, id=begun["id"])["orderEditCommit"]["order"]["id"] == order_gid(order)
    assert snapshot(shopify_caller, order)["lineItems"]["nodes"][0]["currentQuantity"] == 1
    assert shopify.number("MUG-1") == 13


def test_a_fulfilment_of_a_part_leaves_the_rest_open(
    shopify: ShopifySandbox, shopify_caller: ShopifyCaller, order: PlacedOrder
) -> None:
    part = snapshot(shopify_caller, order)["fulfillmentOrders"]["nodes"][0]
    assert part["assignedLocation"]["location"]["name"] == "Amsterdam"
    document = """
    mutation F($fulfillment: FulfillmentInput!) {
      fulfillmentCreate(fulfillment: $fulfillment) { fulfillment { status } userErrors { message } } }
    """
    lines = [{"id": part["lineItems"]["nodes"][0]["id"], "quantity": 2}]
    data = {
        "lineItemsByFulfillmentOrder": [
            {"fulfillmentOrderId": part["id"], "fulfillmentOrderLineItems": lines}
        ]
    }
    answer = shopify_caller.ask(document, fulfillment=data)["fulfillmentCreate"]
    assert answer == {"fulfillment": {"status": "SUCCESS"}, "userErrors": []}
    found = snapshot(shopify_caller, order)
    assert found["displayFulfillmentStatus"] == "PARTIALLY_FULFILLED"
    assert [line["unfulfilledQuantity"] for line in found["lineItems"]["nodes"]] == [1, 1]
    assert shopify.refund(order.id, "MUG-1", 5, restock=True) == 2
    assert shopify.number("MUG-1") == 13


def test_returned_units_count_as_returned_and_not_as_cancelled(
    shopify: ShopifySandbox, order: PlacedOrder
) -> None:
    shopify.fulfil(order.id, "MUG-1", 2)
    shopify.cancel(order.id, "MUG-1", 9)
    shopify.refund(order.id, "MUG-1", 1, restock=False)
    line = shopify.book()["orders"][0]["lines"][0]
    assert (line["quantity"], line["cancelled"], line["fulfilled"], line["returned"]) == (3, 1, 2, 1)


# -- webhooks


def test_an_order_is_announced_with_a_signed_full_body(
    shopify: ShopifySandbox, shopify_caller: ShopifyCaller, receiver: Receiver
) -> None:
    subscribe(shopify_caller, receiver, "ORDERS_CREATE", "INVENTORY_LEVELS_UPDATE")
    order = shopify.place_order([("MUG-1", 1)], country="BE")
    messages = receiver.wait_for(2)
    assert topics(messages) == ["inventory_levels/update", "orders/create"]
    message = next(each for each in messages if each.headers["x-shopify-topic"] == "orders/create")
    secret = shopify.credentials()["client_secret"].encode()
    expected = base64.b64encode(hmac.new(secret, message.body, hashlib.sha256).digest()).decode()
    assert message.headers["x-shopify-hmac-sha256"] == expected
    assert message.headers["x-shopify-shop-domain"] == shopify.settings()["shop_domain"]
    assert {
        "x-shopify-webhook-id",
        "x-shopify-event-id",
        "x-shopify-triggered-at",
        "x-shopify-api-version",
    } <= set(message.headers)
    body = json.loads(message.body)
    assert (str(body["id"]), body["admin_graphql_api_id"]) == (order.id, order_gid(order))
    assert body["shipping_address"]["country_code"] == "BE"
    assert body["email"].endswith("@example.invalid")


def test_what_happens_to_an_order_is_told_in_its_topics(
    shopify: ShopifySandbox, shopify_caller: ShopifyCaller, receiver: Receiver, order: PlacedOrder
) -> None:
    wanted = (
        "ORDERS_UPDATED",
        "REFUNDS_CREATE",
        "ORDERS_PARTIALLY_FULFILLED",
        "ORDERS_FULFILLED",
        "ORDERS_CANCELLED",
    )
    subscribe(shopify_caller, receiver, *wanted)
    shopify.fulfil(order.id, "SHIRT-S", 1)
    shopify.cancel(order.id, "MUG-1", 3)
    assert topics(receiver.wait_for(4)) == [
        "orders/partially_fulfilled",
        "orders/updated",
        "orders/updated",
        "refunds/create",
    ]
    refund = next(
        json.loads(each.body)
        for each in receiver.received
        if each.headers["x-shopify-topic"] == "refunds/create"
    )
    assert refund["refund_line_items"][0]["restock_type"] == "cancel"
    assert refund["refund_line_items"][0]["location_id"] == int(shopify.location_id("AMS"))


def test_a_subscription_needs_https_and_is_not_made_twice(
    shopify_caller: ShopifyCaller, receiver: Receiver
) -> None:
    plain = shopify_caller.ask(SUBSCRIBE, topic="ORDERS_CREATE", uri="http://shop.example/x")
    assert plain["webhookSubscriptionCreate"]["userErrors"][0]["message"].startswith("Address protocol")
    subscribe(shopify_caller, receiver, "ORDERS_CREATE")
    twice = shopify_caller.ask(SUBSCRIBE, topic="ORDERS_CREATE", uri=receiver.url)[
        "webhookSubscriptionCreate"
    ]
    assert twice["userErrors"][0]["message"] == "Address for this topic has already been taken"


def test_after_eight_retries_the_subscription_is_deleted(
    shopify: ShopifySandbox, shopify_caller: ShopifyCaller, receiver: Receiver
) -> None:
    shopify.set_faults(retry_speed=1e9)
    receiver.status = 500
    subscribe(shopify_caller, receiver, "ORDERS_CREATE")
    shopify.place_order([("MUG-1", 1)])
    listing = "{ webhookSubscriptions(first: 5) { nodes { id } } }"
    eventually(lambda: not shopify_caller.ask(listing)["webhookSubscriptions"]["nodes"], "the deletion")
    assert len(receiver.received) == 1 + len(RETRY_WAITS) == 9
    assert len({message.headers["x-shopify-webhook-id"] for message in receiver.received}) == 1
    assert len({message.body for message in receiver.received}) == 1


def test_a_subscription_is_listed_changed_and_deleted(
    shopify_caller: ShopifyCaller, receiver: Receiver
) -> None:
    subscribe(shopify_caller, receiver, "ORDERS_CREATE", "APP_UNINSTALLED")
    listing = "{ webhookSubscriptions(first: 5, topics: [ORDERS_CREATE]) { edges { node { id topic uri format } } } }"
    found = shopify_caller.ask(listing)["webhookSubscriptions"]["edges"][0]["node"]
    assert found == {
        "id": gid("WebhookSubscription", 1),
        "topic": "ORDERS_CREATE",
        "uri": receiver.url,
        "format": "JSON",
    }
    delete = """
    mutation D($id: ID!) { webhookSubscriptionDelete(id: $id) { deletedWebhookSubscriptionId userErrors { message } } }
    """
    assert shopify_caller.ask(delete, id=found["id"])["webhookSubscriptionDelete"] == {
        "deletedWebhookSubscriptionId": found["id"],
        "userErrors": [],
    }
    assert shopify_caller.ask(delete, id=found["id"])["webhookSubscriptionDelete"]["userErrors"]
