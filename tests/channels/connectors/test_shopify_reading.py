"""Reading a Shopify shop: orders, listings, levels, places."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from channels.accounts import open_connector
from channels.connectors.base import Address, OrderPage, PushItem
from channels.connectors.shopify import ShopifyConnector
from channels.connectors.shopify.orders import order_state
from channels.errors import (
    BadMessage,
    ConnectorError,
    Misconfigured,
    Rejected,
    Throttled,
    TransientError,
    Unauthorised,
)
from channels.events import OrderLineState, OrderState
from channels.models import AccessToken, Channel, RateBucket
from channels.sandbox.book import CatalogueItem
from channels.sandbox.shopify.ids import number_of
from channels.sandbox.shopify.shop import ShopifySandbox
from tests.channels.connectors.servers import answer, server

START = json.dumps({"since": "2020-01-01T00:00:00Z"})


def fetched(shopify: ShopifyConnector, order_id: str) -> OrderState:
    state = shopify.fetch_order(order_id)
    assert state is not None
    return state


def counts(line: OrderLineState) -> tuple[int, int, int, int, int]:
    return line.quantity, line.cancelled, line.fulfilled, line.returned, line.restocked


def item_of(shop: ShopifySandbox, sku: str) -> str:
    return str(number_of("InventoryItem", shop.item(sku).number))


def all_pages(shopify: ShopifyConnector, cursor: str = START) -> list[OrderPage]:
    pages = [shopify.fetch_orders(cursor)]
    while pages[-1].has_more:
        pages.append(shopify.fetch_orders(pages[-1].cursor))
    return pages


# -- one order


def test_an_order_is_read_with_its_lines_items_and_places(
    shop: ShopifySandbox, shopify: ShopifyConnector
) -> None:
    placed = shop.place_order([("A", 2), ("B", 1)], country="BE")
    state = fetched(shopify, placed.id)
    assert (state.external_id, state.country, state.currency, state.is_test) == (
        placed.id,
        "BE",
        "EUR",
        False,
    )
    here = shop.location_id("here")
    assert [(line.sku, line.quantity, line.location_external_id) for line in state.lines] == [
        ("A", 2, here),
        ("B", 1, here),
    ]
    assert state.lines[0].listing_external_id == item_of(shop, "A")
    assert str(state.lines[0].unit_price) == "9.95"


def test_a_line_names_the_place_it_is_routed_to(shop: ShopifySandbox, shopify: ShopifyConnector) -> None:
    shop.edit_stock("A", 0, "here")
    (line,) = fetched(shopify, shop.place_order([("A", 2)]).id).lines
    assert line.location_external_id == shop.location_id("there")


def test_units_cancelled_before_shipping_are_cancelled_and_were_put_back(
    shop: ShopifySandbox, shopify: ShopifyConnector
) -> None:
    placed = shop.place_order([("A", 5)])
    shop.cancel(placed.id, "A", 2)
    (line,) = fetched(shopify, placed.id).lines
    assert counts(line) == (5, 2, 0, 0, 2)


def test_units_shipped_and_returned_are_both_counted(shop: ShopifySandbox, shopify: ShopifyConnector) -> None:
    placed = shop.place_order([("A", 5)])
    shop.fulfil(placed.id, "A", 4)
    shop.refund(placed.id, "A", 2, True)
    shop.cancel(placed.id, "A", 1)
    (line,) = fetched(shopify, placed.id).lines
    assert counts(line) == (5, 1, 4, 2, 3)


def test_a_refund_without_restock_moves_no_unit_back(shop: ShopifySandbox, shopify: ShopifyConnector) -> None:
    placed = shop.place_order([("A", 5)])
    shop.fulfil(placed.id, "A", 5)
    shop.refund(placed.id, "A", 2, False)
    (line,) = fetched(shopify, placed.id).lines
    assert counts(line) == (5, 0, 5, 2, 0)


def test_an_order_that_does_not_exist_is_none(shopify: ShopifyConnector) -> None:
    assert shopify.fetch_order("9150000000000000099") is None


def test_an_order_larger_than_the_frame_is_read_to_its_end(
    shop: ShopifySandbox, shopify: ShopifyConnector
) -> None:
    skus = [f"N{number}" for number in range(130)]
    shop.load_catalogue([CatalogueItem(sku, sku, quantities={"here": 9}) for sku in skus])
    placed = shop.place_order([(sku, 2) for sku in skus])
    for sku in skus[:4]:
        shop.cancel(placed.id, sku, 1)
    (page,) = all_pages(shopify)
    assert page.hints == (placed.id,)
    state = fetched(shopify, placed.id)
    assert len(state.lines) == 130
    assert sum(line.cancelled for line in state.lines) == 4
    assert all(line.location_external_id for line in state.lines)


def _node(**changes: Any) -> dict[str, Any]:
    """An order of five units, as GraphQL shows it, shipped by nobody yet."""
    line = {
        "id": "gid://shopify/LineItem/1",
        "sku": "A",
        "title": "Ant",
        "quantity": 5,
        "currentQuantity": 5,
        "unfulfilledQuantity": 5,
        "originalUnitPriceSet": {"shopMoney": {"amount": "9.95"}},
        "variant": {"inventoryItem": {"id": "gid://shopify/InventoryItem/7"}},
    }
    return {
        "id": "gid://shopify/Order/3",
        "name": "#3",
        "createdAt": "2026-11-21T12:00:00Z",
        "updatedAt": "2026-11-21T12:00:00Z",
        "cancelledAt": None,
        "test": False,
        "currencyCode": "EUR",
        "shippingAddress": None,
        "retailLocation": None,
        "lineItems": {"nodes": [{**line, **changes.pop("line", {})}]},
        "fulfillmentOrders": {"nodes": []},
        "refunds": [],
        **changes,
    }


def _part(location: int, total: int, remaining: int, status: str = "OPEN") -> dict[str, Any]:
    line = {
        "totalQuantity": total,
        "remainingQuantity": remaining,
        "lineItem": {"id": "gid://shopify/LineItem/1"},
    }
    return {
        "status": status,
        "assignedLocation": {"location": {"id": f"gid://shopify/Location/{location}"}},
        "lineItems": {"nodes": [line]},
    }


def _refund(quantity: int, kind: str, location: int | None = None) -> dict[str, Any]:
    part = {
        "quantity": quantity,
        "restockType": kind,
        "location": {"id": f"gid://shopify/Location/{location}"} if location else None,
        "lineItem": {"id": "gid://shopify/LineItem/1"},
    }
    return {"refundLineItems": {"nodes": [part]}}


def test_a_line_shipped_from_two_places_is_two_lines_of_ours() -> None:
    parts = {"nodes": [_part(8, 3, 1), _part(9, 1, 1)]}
    line = {"currentQuantity": 4, "unfulfilledQuantity": 2}
    node = _node(line=line, fulfillmentOrders=parts, refunds=[_refund(1, "CANCEL")])
    first, second = order_state(node).lines
    assert (first.external_id, first.location_external_id, counts(first)) == ("1", "8", (4, 1, 2, 0, 1))
    assert (second.external_id, second.location_external_id, counts(second)) == ("1@9", "9", (1, 0, 0, 0, 0))


def test_the_units_of_a_split_line_add_up() -> None:
    parts = {"nodes": [_part(8, 2, 0, "CLOSED"), _part(9, 3, 0, "CLOSED")]}
    line = {"currentQuantity": 1, "unfulfilledQuantity": 0}
    node = _node(line=line, fulfillmentOrders=parts, refunds=[_refund(4, "RETURN")])
    lines = order_state(node).lines
    assert tuple(sum(column) for column in zip(*map(counts, lines), strict=True)) == (5, 0, 5, 4, 4)
    assert all(line.returned <= line.fulfilled <= line.quantity for line in lines)


def test_a_refund_names_the_place_that_takes_the_goods_back() -> None:
    refunds = [
        _refund(1, "RETURN", 8),
        _refund(1, "RETURN", 9),
        _refund(1, "NO_RESTOCK"),
        _refund(1, "RETURN"),
    ]
    line = {"currentQuantity": 1, "unfulfilledQuantity": 0}
    (state,) = order_state(_node(line=line, refunds=refunds)).lines
    assert (state.returned, state.returned_to_external_id) == (3, "9")
    (unsaid,) = order_state(_node(refunds=[_refund(1, "CANCEL", 8)])).lines
    assert unsaid.returned_to_external_id == ""


def test_a_cancelled_fulfilment_order_ships_nothing() -> None:
    parts = {"nodes": [_part(8, 5, 0, "CANCELLED"), _part(9, 5, 5)]}
    (line,) = order_state(_node(fulfillmentOrders=parts)).lines
    assert (line.location_external_id, line.fulfilled) == ("9", 0)


def test_without_sight_of_fulfilment_orders_the_lines_own_counts_tell() -> None:
    (line,) = order_state(_node(line={"unfulfilledQuantity": 2})).lines
    assert (line.fulfilled, line.location_external_id) == (3, "")


def test_a_cancelled_order_holds_nothing_although_nothing_was_refunded() -> None:
    parts = {"nodes": [_part(8, 5, 5)]}
    (line,) = order_state(_node(cancelledAt="2026-11-21T13:00:00Z", fulfillmentOrders=parts)).lines
    assert counts(line) == (5, 5, 0, 0, 0)


def test_an_order_over_the_counter_is_taken_from_there() -> None:
    (line,) = order_state(_node(retailLocation={"id": "gid://shopify/Location/4"})).lines
    assert line.location_external_id == "4"


def test_an_order_of_another_shape_is_refused() -> None:
    for broken in ({"updatedAt": "soon"}, {"lineItems": None}, {"id": None}):
        with pytest.raises(BadMessage):
            order_state(_node(**broken))


# -- the feed


def test_the_feed_reads_every_order_page_by_page(shop: ShopifySandbox, shopify: ShopifyConnector) -> None:
    placed = [shop.place_order([("D", 1)], force=True).id for _ in range(17)]
    pages = all_pages(shopify)
    assert len(pages) == 3
    assert [order.external_id for page in pages for order in page.orders] == placed
    assert not pages[-1].hints


def test_the_next_poll_begins_before_the_newest_change_and_finds_later_ones(
    shop: ShopifySandbox, shopify: ShopifyConnector
) -> None:
    first = shop.place_order([("A", 1)]).id
    cursor = all_pages(shopify)[-1].cursor
    second = shop.place_order([("A", 1)]).id
    found = [order.external_id for page in all_pages(shopify, cursor) for order in page.orders]
    assert found == [first, second]


def test_a_feed_without_a_cursor_begins_now_less_the_overlap(
    shop: ShopifySandbox, shopify: ShopifyConnector
) -> None:
    placed = shop.place_order([("A", 1)]).id
    page = shopify.fetch_orders("")
    assert [order.external_id for order in page.orders] == [placed]
    assert shopify.fetch_orders(page.cursor).cursor == page.cursor


# -- what is sold, and where


def test_listings_come_with_what_a_person_should_know(
    shop: ShopifySandbox, shopify: ShopifyConnector
) -> None:
    found = {listing.sku: listing for listing in shopify.fetch_listings()}
    assert set(found) == {"A", "B", "C", "D"}
    assert (found["A"].external_id, found["A"].gtin) == (item_of(shop, "A"), "4006381333931")
    assert found["A"].warnings == ()
    assert found["A"].parent_external_id
    assert not found["C"].is_active
    assert "does not track" in found["C"].warnings[0]
    assert "at zero" in found["D"].warnings[0]


def test_levels_are_streamed_by_item_and_place(shop: ShopifySandbox, shopify: ShopifyConnector) -> None:
    here, there = shop.location_id("here"), shop.location_id("there")
    shown = {(n.listing_external_id, n.location_external_id): n.quantity for n in shopify.fetch_levels()}
    assert shown[item_of(shop, "A"), here] == 12
    assert shown[item_of(shop, "A"), there] == 3
    assert shown[item_of(shop, "C"), here] is None
    assert (item_of(shop, "B"), there) not in shown


def test_single_shelves_are_read_with_one_call_a_place(
    shop: ShopifySandbox, shopify: ShopifyConnector
) -> None:
    here, there = shop.location_id("here"), shop.location_id("there")
    addresses = [
        Address(1, item_of(shop, "A"), location_external_id=there),
        Address(2, item_of(shop, "B"), location_external_id=here),
        Address(3, item_of(shop, "B"), location_external_id=there),
        Address(4, "9130000000000000999", location_external_id=there),
    ]
    shown = {
        (n.listing_external_id, n.location_external_id): n.quantity for n in shopify.read_levels(addresses)
    }
    assert shown == {
        (item_of(shop, "A"), there): 3,
        (item_of(shop, "B"), here): 5,
        (item_of(shop, "B"), there): None,
        ("9130000000000000999", there): None,
    }
    assert shop.requests["graphql nodes"] == 2


def test_places_are_read(shop: ShopifySandbox, shopify: ShopifyConnector) -> None:
    found = {place.name: place for place in shopify.fetch_locations()}
    assert found["Here"].external_id == shop.location_id("here")
    assert found["Here"].is_sellable
    assert not found["Here"].is_foreign


# -- who we are


def test_the_shop_tells_its_name(shopify: ShopifyConnector) -> None:
    assert shopify.check() == "Corner Shop"


def test_an_expired_token_is_renewed_once(shop: ShopifySandbox, shopify: ShopifyConnector) -> None:
    shopify.check()
    shop.expire_tokens()
    assert shopify.check() == "Corner Shop"
    assert shop.requests["POST access_token"] == 2
    assert AccessToken.objects.count() == 1


def test_a_wrong_secret_is_reported(shop: ShopifySandbox, shopify: ShopifyConnector) -> None:
    shop.client_secret = "another"
    with pytest.raises(Unauthorised):
        shopify.check()


def test_the_shops_limits_are_learnt_from_its_answers(shopify: ShopifyConnector) -> None:
    shopify.check()
    bucket = RateBucket.objects.get(name="graphql")
    assert (bucket.capacity, bucket.refill_per_second) == (40_000, 4_000)


def test_a_throttled_call_says_so_although_its_status_is_200(
    shop: ShopifySandbox, shopify: ShopifyConnector
) -> None:
    shopify.check()
    shop.set_faults(throttle_rate=1.0)
    with pytest.raises(Throttled) as caught:
        shopify.check()
    assert caught.value.retry_after is not None


@pytest.mark.parametrize("fault", ["error_rate", "html_rate", "error_in_200_rate", "drop_rate"])
def test_a_shop_that_stumbles_is_tried_again(
    shop: ShopifySandbox, shopify: ShopifyConnector, fault: str
) -> None:
    shopify.check()
    shop.set_faults(**{fault: 1.0})
    with pytest.raises(TransientError):
        shopify.check()


def test_an_api_version_or_address_that_does_not_exist_is_reported(
    shop: ShopifySandbox, shopify: ShopifyConnector
) -> None:
    account = shopify.account
    object.__setattr__(account, "settings", {**account.settings, "base_url": f"{shop.base_url}/nowhere"})
    with pytest.raises((Misconfigured, Unauthorised)):
        ShopifyConnector(account, shopify.client).check()


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b"[]",
        b"null",
        b'{"data": null}',
        b'{"data": {}}',
        b'{"data": []}',
        b'{"data": {"orders": null, "shop": null, "nodes": null, "inventorySetQuantities": null}}',
        b'{"data": {"orders": {"nodes": [{}]}, "shop": {}, "nodes": [3]}}',
        b'{"data": {"inventorySetQuantities": {"userErrors": ["no"]}}}',
        b'{"errors": "no"}',
        b'{"errors": [{"message": "no", "extensions": {"code": "INTERNAL_SERVER_ERROR"}}]}',
        b'{"errors": {"query": "missing"}}',
    ],
)
def test_an_answer_of_another_shape_is_a_failure_of_the_call_and_no_crash(
    shop_channel: Channel, body: bytes
) -> None:
    shop_channel.credentials = {"access_token": "shpat_static", "client_secret": "secret"}
    data = answer("200 OK", body, Content_Type="application/json")
    with server(lambda connection: data) as url:
        shop_channel.settings = {**shop_channel.settings, "base_url": url}
        shopify = open_connector(shop_channel)
        push = [PushItem(Address(1, "1", location_external_id="2"), 1, 1)]
        calls: list[Callable[[], object]] = [
            shopify.check,
            lambda: shopify.fetch_orders(""),
            lambda: shopify.fetch_order("1"),
            lambda: shopify.read_levels([push[0].address]),
            lambda: shopify.push(push, call_id="call"),
        ]
        for call in calls:
            with pytest.raises(ConnectorError):
                call()


def test_details_that_an_app_may_not_see_are_left_out_but_never_a_whole_order(shop_channel: Channel) -> None:
    denied = {"message": "no", "extensions": {"code": "ACCESS_DENIED"}}
    shown = _node(
        lineItems={"nodes": [], "pageInfo": {"hasNextPage": False}},
        fulfillmentOrders={"nodes": [], "pageInfo": {"hasNextPage": False}},
    )
    hidden = {"errors": [{**denied, "path": ["order", "shippingAddress"]}], "data": {"order": shown}}
    withheld = {"errors": [{**denied, "path": ["order", "lineItems"]}], "data": {"order": None}}
    bodies = iter([json.dumps(hidden).encode(), json.dumps(withheld).encode()])
    shop_channel.credentials = {"access_token": "shpat_static", "client_secret": "secret"}
    with server(lambda connection: answer("200 OK", next(bodies))) as url:
        shop_channel.settings = {**shop_channel.settings, "base_url": url}
        shopify = open_connector(shop_channel)
        state = shopify.fetch_order("3")
        assert state is not None
        assert state.country == ""
        with pytest.raises(Misconfigured, match="access scope"):
            shopify.fetch_order("3")


@pytest.mark.parametrize(
    ("status", "error"),
    [
        ("401 Unauthorized", Unauthorised),
        ("402 Payment Required", Misconfigured),
        ("403 Forbidden", Unauthorised),
        ("404 Not Found", Misconfigured),
        ("423 Locked", Misconfigured),
        ("430 Security Rejection", Throttled),
        ("422 Odd", Rejected),
    ],
)
def test_a_refusal_of_the_shop_says_what_is_to_be_done(
    shop_channel: Channel, status: str, error: type[ConnectorError]
) -> None:
    shop_channel.credentials = {"access_token": "shpat_static", "client_secret": "secret"}
    with server(lambda connection: answer(status)) as url:
        shop_channel.settings = {**shop_channel.settings, "base_url": url}
        with pytest.raises(error, match=status[:3]):
            open_connector(shop_channel).check()
