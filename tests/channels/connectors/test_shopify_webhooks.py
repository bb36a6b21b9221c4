"""Shopify's webhooks: authentic, reduced, and translated."""

import dataclasses
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from channels.connectors.base import InboundRequest
from channels.connectors.messages import sign
from channels.connectors.shopify import ShopifyConnector
from channels.connectors.shopify.units import Units, units_of
from channels.errors import BadMessage, BadSignature
from channels.events import (
    ChannelEvent,
    Disconnected,
    Ignored,
    LevelObserved,
    ListingChanged,
    OrderDeleted,
    OrderHint,
    OrderState,
    UnknownEvent,
)

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
ORDER: dict[str, Any] = {
    "id": 9100000000000000001,
    "name": "#1001",
    "created_at": "2026-11-21T12:00:00Z",
    "updated_at": "2026-11-21T12:00:05Z",
    "test": False,
    "currency": "EUR",
    "location_id": None,
    "email": "ann@example.com",
    "shipping_address": {"country_code": "NL", "first_name": "Ann", "city": "Delft"},
    "line_items": [
        {"id": 11, "sku": "A", "title": "Ant", "quantity": 3, "current_quantity": 3, "price": "9.95"},
        {"id": 12, "sku": "", "variant_id": None, "quantity": 1, "current_quantity": 1, "price": "1.00"},
    ],
}


def message(
    connector: ShopifyConnector, topic: str, payload: object, *, secret: str = "", **headers: str
) -> InboundRequest:
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    sent = {
        "content-type": "application/json",
        "x-shopify-topic": topic,
        "x-shopify-shop-domain": connector.account.settings["shop_domain"],
        "x-shopify-webhook-id": "delivery-1",
        "x-shopify-triggered-at": "2026-11-21T12:00:00.123456789Z",
        "x-shopify-hmac-sha256": sign(body, secret or connector.account.credentials["client_secret"]),
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    return InboundRequest(sent, body, NOON)


def events(connector: ShopifyConnector, topic: str, payload: object) -> list[ChannelEvent]:
    request = message(connector, topic, payload)
    connector.verify(request)
    received = connector.receive(request)
    return connector.parse(received.topic, json.loads(json.dumps(received.payload)))


def test_a_signed_message_of_this_shop_is_accepted(shopify: ShopifyConnector) -> None:
    shopify.verify(message(shopify, "orders/create", ORDER))
    shopify.verify(
        message(shopify, "orders/create", ORDER, x_shopify_shop_domain="CORNER-SHOP.myshopify.com")
    )


def test_a_message_of_another_shop_of_the_same_app_is_refused(shopify: ShopifyConnector) -> None:
    for domain in ("other.myshopify.com", ""):
        with pytest.raises(BadSignature, match="another shop"):
            shopify.verify(message(shopify, "orders/create", ORDER, x_shopify_shop_domain=domain))


def test_a_replaced_secret_counts_as_long_as_it_is_live(shopify: ShopifyConnector) -> None:
    request = message(shopify, "orders/create", ORDER, secret="the old one")
    with pytest.raises(BadSignature):
        shopify.verify(request)
    secrets = (*shopify.account.webhook_secrets, "the old one")
    account = dataclasses.replace(shopify.account, webhook_secrets=secrets)
    ShopifyConnector(account, shopify.client).verify(request)


def test_nothing_of_the_customer_is_kept(shopify: ShopifyConnector) -> None:
    received = shopify.receive(message(shopify, "orders/create", ORDER))
    text = json.dumps(received.payload)
    assert "Ann" not in text
    assert "ann@example.com" not in text
    assert "Delft" not in text
    assert received.payload["shipping_address"] == {"country_code": "NL"}


def test_a_delivery_is_known_by_the_vendors_id_else_by_its_content(shopify: ShopifyConnector) -> None:
    keys = [
        shopify.receive(message(shopify, "orders/create", payload, x_shopify_webhook_id=delivery)).dedupe_key
        for payload, delivery in [(ORDER, "1"), (ORDER, "1"), (ORDER, "2"), (ORDER, ""), ({"id": 1}, "")]
    ]
    assert keys[0] == keys[1]
    assert len(set(keys)) == 4


def test_a_message_without_a_topic_is_refused(shopify: ShopifyConnector) -> None:
    for topic in ("", "x" * 101):
        with pytest.raises(BadMessage, match="Topic"):
            shopify.receive(message(shopify, topic, ORDER))


def test_a_new_order_is_a_state_and_is_fetched_for_its_place(shopify: ShopifyConnector) -> None:
    state, hint = events(shopify, "orders/create", ORDER)
    assert isinstance(state, OrderState)
    assert hint == OrderHint("9100000000000000001")
    assert (state.external_id, state.number, state.country) == ("9100000000000000001", "#1001", "NL")
    assert state.updated_at == datetime(2026, 11, 21, 12, 0, 5, tzinfo=UTC)
    assert [(line.external_id, line.sku, line.quantity) for line in state.lines] == [
        ("11", "A", 3),
        ("12", "", 1),
    ]


def test_an_order_over_the_counter_names_its_place_and_is_not_fetched(shopify: ShopifyConnector) -> None:
    (state,) = events(shopify, "orders/create", {**ORDER, "location_id": 77})
    assert isinstance(state, OrderState)
    assert {line.location_external_id for line in state.lines} == {"77"}


@pytest.mark.parametrize("topic", ["updated", "cancelled", "fulfilled", "partially_fulfilled"])
def test_a_changed_order_is_a_hint(shopify: ShopifyConnector, topic: str) -> None:
    assert events(shopify, f"orders/{topic}", ORDER) == [OrderHint("9100000000000000001")]


def test_edits_and_refunds_are_hints_and_a_deletion_is_one(shopify: ShopifyConnector) -> None:
    edit = {
        "order_edit": {"order_id": 5, "line_items": {"additions": [{"id": 1, "delta": 2}], "removals": []}}
    }
    assert events(shopify, "orders/edited", edit) == [OrderHint("5")]
    refund = {"id": 1, "order_id": 6, "refund_line_items": [{"line_item_id": 11, "quantity": 1}]}
    assert events(shopify, "refunds/create", refund) == [OrderHint("6")]
    assert events(shopify, "orders/delete", {"id": 7}) == [OrderDeleted("7")]


@pytest.mark.parametrize(("available", "quantity"), [(7, 7), (-2, -2), (None, None)])
def test_a_level_is_an_observation(
    shopify: ShopifyConnector, available: int | None, quantity: int | None
) -> None:
    level = {
        "inventory_item_id": 1,
        "location_id": 2,
        "available": available,
        "updated_at": "2026-11-21T12:00:00Z",
    }
    for topic in ("update", "connect"):
        assert events(shopify, f"inventory_levels/{topic}", level) == [
            LevelObserved("1", "2", quantity, NOON)
        ]


def test_a_level_that_is_gone_shows_nothing_from_the_time_of_the_event_on(shopify: ShopifyConnector) -> None:
    gone = {"inventory_item_id": 1, "location_id": 2}
    assert events(shopify, "inventory_levels/disconnect", gone) == [LevelObserved("1", "2", None, NOON)]


def test_products_and_the_end_of_access_are_told(shopify: ShopifyConnector) -> None:
    assert events(shopify, "products/update", {"id": 3, "body_html": "x"}) == [ListingChanged("3")]
    assert events(shopify, "products/delete", {"id": 3}) == [ListingChanged("3", is_deleted=True)]
    (ended,) = events(shopify, "app/uninstalled", {"myshopify_domain": "x", "email": "ann@example.com"})
    assert isinstance(ended, Disconnected)
    (ignored,) = events(shopify, "customers/redact", {"customer": {"email": "ann@example.com"}})
    assert isinstance(ignored, Ignored)


def test_a_topic_that_nobody_taught_us_is_kept_with_its_id_alone(shopify: ShopifyConnector) -> None:
    received = shopify.receive(message(shopify, "metaobjects/create", {"id": 4, "email": "ann@example.com"}))
    assert received.payload == {"id": 4}
    assert shopify.parse(received.topic, received.payload) == [UnknownEvent("metaobjects/create")]


@pytest.mark.parametrize(
    "change",
    [
        {"id": None},
        {"updated_at": "yesterday"},
        {"line_items": [{"id": 1, "quantity": -1}]},
        {"line_items": [{"id": 1, "quantity": "１２"}]},
        {"line_items": [{"id": 1, "quantity": 1e308}]},
        {"line_items": [{"id": 1}]},
        {"line_items": [{"quantity": 1}]},
        {"line_items": "many"},
        {"refunds": [{"refund_line_items": [{"line_item_id": 11, "quantity": -1}]}]},
    ],
)
@pytest.mark.parametrize("topic", ["orders/create", "orders/updated"])
def test_an_order_that_cannot_be_is_refused(
    shopify: ShopifyConnector, topic: str, change: dict[str, Any]
) -> None:
    with pytest.raises(BadMessage):
        events(shopify, topic, {**ORDER, **change})


def test_shipped_and_returned_units_are_read_from_the_body(shopify: ShopifyConnector) -> None:
    line = {"id": 11, "sku": "A", "quantity": 5, "current_quantity": 3}
    body = {
        **ORDER,
        "line_items": [line],
        "fulfillments": [
            {"status": "success", "line_items": [{"id": 11, "quantity": 3}]},
            {"status": "cancelled", "line_items": [{"id": 11, "quantity": 2}]},
        ],
        "refunds": [
            {"refund_line_items": [{"line_item_id": 11, "quantity": 1, "restock_type": "return"}]},
            {"refund_line_items": [{"line_item_id": 11, "quantity": 1, "restock_type": "cancel"}]},
        ],
    }
    state = events(shopify, "orders/create", body)[0]
    assert isinstance(state, OrderState)
    (found,) = state.lines
    assert (found.quantity, found.cancelled, found.fulfilled, found.returned) == (5, 1, 3, 1)


@pytest.mark.parametrize(
    ("quantity", "current", "fulfilled", "returned", "units"),
    [
        (5, 5, 0, 0, Units(0, 0, 0)),
        (5, 3, 0, 0, Units(2, 0, 0)),
        (5, 3, 5, 0, Units(0, 5, 2)),
        (5, 3, 4, 0, Units(1, 4, 1)),
        (5, 3, 3, 1, Units(1, 3, 1)),
        (5, 0, 0, 0, Units(5, 0, 0)),
        (5, 0, 5, 5, Units(0, 5, 5)),
        (5, 4, 0, 3, Units(1, 0, 0)),
        (2, 3, 9, 9, Units(0, 2, 0)),
    ],
)
def test_units_lost_before_shipping_are_cancelled_and_after_it_returned(
    quantity: int, current: int, fulfilled: int, returned: int, units: Units
) -> None:
    found = units_of(quantity, current=current, fulfilled=fulfilled, returned=returned, is_cancelled=False)
    assert found == units


@pytest.mark.parametrize(
    ("current", "fulfilled", "returned", "units"),
    [
        (5, 0, 0, Units(5, 0, 0)),
        (5, 2, 0, Units(3, 2, 0)),
        (0, 2, 0, Units(3, 2, 2)),
        (1, 2, 1, Units(3, 2, 1)),
    ],
)
def test_a_cancelled_order_ships_nothing_more_even_if_nothing_was_refunded(
    current: int, fulfilled: int, returned: int, units: Units
) -> None:
    found = units_of(5, current=current, fulfilled=fulfilled, returned=returned, is_cancelled=True)
    assert found == units
