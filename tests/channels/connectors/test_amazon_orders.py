"""Amazon orders, from the Orders API and from notifications: pending ones reserve, Amazon's own leave our stock alone."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from channels.connectors.amazon_seller import AmazonSellerConnector, orders
from channels.connectors.amazon_seller.connector import WANTED
from channels.errors import BadMessage, BadSignature, Misconfigured, Unauthorised, Unsupported
from channels.events import (
    Ignored,
    LevelObserved,
    ListingChanged,
    OrderHint,
    OrderState,
    UnknownEvent,
    WarehouseChanged,
)
from channels.order_states import is_newer, state_key
from channels.sandbox.amazon_seller import AmazonSellerSandbox
from tests.channels.connectors.amazon import (
    MISSING,
    SCHEMAS,
    answer_schema,
    connector_to,
    opened,
    queued,
    schema,
    until,
    validate,
)
from tests.channels.connectors.shops import item, make_channel

pytestmark = pytest.mark.django_db


@pytest.fixture
def sandbox() -> Iterator[AmazonSellerSandbox]:
    with opened() as shop:
        yield shop


@pytest.fixture
def connector(sandbox: AmazonSellerSandbox) -> AmazonSellerConnector:
    return connector_to(sandbox)


def fetched(connector: AmazonSellerConnector, order_id: str) -> OrderState:
    state = connector.fetch_order(order_id)
    assert state is not None
    return state


# -- the Orders API


def test_a_pending_order_demands_its_units_and_nothing_of_the_buyer_is_asked_for(
    sandbox: AmazonSellerSandbox, connector: AmazonSellerConnector
) -> None:
    placed = sandbox.place_order([("MUG", 2)])
    state = fetched(connector, placed.id)
    (line,) = state.lines
    assert (line.sku, line.listing_external_id, line.quantity, line.cancelled) == ("MUG", "MUG", 2, 0)
    assert (line.location_external_id, state.currency, str(line.unit_price)) == ("", "EUR", "9.95")
    assert not sandbox.asked_for_personal_data


def test_shipped_and_cancelled_units_are_cumulative(
    sandbox: AmazonSellerSandbox, connector: AmazonSellerConnector
) -> None:
    placed = sandbox.place_order([("MUG", 5)])
    sandbox.cancel(placed.id, "MUG", 2)
    sandbox.fulfil(placed.id, "MUG", 1)
    (line,) = fetched(connector, placed.id).lines
    assert (line.quantity, line.cancelled, line.fulfilled) == (5, 2, 1)
    sandbox.cancel(placed.id, "MUG", 2)
    (line,) = fetched(connector, placed.id).lines
    assert (line.quantity, line.cancelled, line.fulfilled) == (5, 4, 1)


def test_a_buyer_who_asks_to_cancel_has_not_cancelled(
    sandbox: AmazonSellerSandbox, connector: AmazonSellerConnector
) -> None:
    placed = sandbox.place_order([("MUG", 2)])
    sandbox.request_cancellation(placed.id, "MUG")
    (line,) = fetched(connector, placed.id).lines
    assert (line.quantity, line.cancelled) == (2, 0)
    sandbox.cancel(placed.id, "MUG", 2)
    (line,) = fetched(connector, placed.id).lines
    assert (line.quantity, line.cancelled) == (2, 2)


def test_what_amazon_ships_is_taken_from_amazons_warehouse(
    sandbox: AmazonSellerSandbox, connector: AmazonSellerConnector
) -> None:
    placed = sandbox.place_order([("FBA-JUG", 1)])
    (line,) = fetched(connector, placed.id).lines
    assert line.location_external_id == "FBA"


def test_an_order_that_is_not_there_is_none(connector: AmazonSellerConnector) -> None:
    assert connector.fetch_order("302-0000000-0000009") is None


def test_changed_orders_are_read_page_by_page_and_then_only_what_is_new(
    sandbox: AmazonSellerSandbox, connector: AmazonSellerConnector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orders, "PAGE_SIZE", 2)
    placed = [sandbox.place_order([("MUG", 1)]).id for _ in range(5)]
    seen, cursor, pages = [], "", 0
    while True:
        page = connector.fetch_orders(cursor)
        seen += [state.external_id for state in page.orders]
        cursor, pages = page.cursor, pages + 1
        if not page.has_more:
            break
    assert (seen, pages) == (placed, 3)
    again = connector.fetch_orders(cursor)
    assert [state.external_id for state in again.orders][:2] == placed[:2], "pages overlap by five minutes"


def test_a_search_whose_token_has_ended_begins_anew(
    sandbox: AmazonSellerSandbox, connector: AmazonSellerConnector
) -> None:
    page = connector.fetch_orders("")
    stale = json.dumps({**json.loads(page.cursor), "token": "stale"})
    again = connector.fetch_orders(stale)
    assert (again.orders, again.has_more) == ((), True)
    assert json.loads(again.cursor)["token"] == ""


def test_an_order_that_cannot_be_read_is_fetched_alone_and_holds_up_no_other() -> None:
    good = {
        "orderId": "1",
        "createdTime": "2026-11-21T12:00:00Z",
        "lastUpdatedTime": "2026-11-21T12:00:00Z",
        "fulfillment": {"fulfillmentStatus": "UNFULFILLABLE"},
        "orderItems": [{"orderItemId": "1", "quantityOrdered": 2, "product": {"sellerSku": "MUG"}}],
    }
    (line,) = orders.order_state(good).lines
    assert (line.quantity, line.cancelled) == (2, 2)
    spoilings: list[dict[str, Any]] = [
        {"fulfillment": {}},
        {"lastUpdatedTime": "soon"},
        {"orderItems": [{"orderItemId": "1"}]},
    ]
    for spoilt in spoilings:
        with pytest.raises(BadMessage):
            orders.order_state({**good, **spoilt})


# -- notifications


@pytest.fixture
def subscribed(sandbox: AmazonSellerSandbox) -> AmazonSellerConnector:
    connector = connector_to(sandbox)
    return connector_to(sandbox, **connector.register_webhooks("https://unused.example/"))


def next_messages(connector: AmazonSellerConnector, topic: str, count: int = 1) -> list[dict[str, Any]]:
    """Takes messages of a type out of the queue, and acknowledges whatever came."""
    found: list[dict[str, Any]] = []

    def look() -> bool:
        taken = connector.take_messages(seconds=1)
        found.extend(json.loads(each.body) for each in taken)
        if taken:
            connector.acknowledge([each.receipt for each in taken])
        return len([each for each in found if each["NotificationType"] == topic]) >= count

    until(look)
    return [each for each in found if each["NotificationType"] == topic]


def parsed(connector: AmazonSellerConnector, message: dict[str, Any]) -> Any:
    request = queued(message)
    connector.verify(request)
    received = connector.receive(request)
    (event,) = connector.parse(received.topic, json.loads(json.dumps(received.payload)))
    return event


def test_an_order_change_names_the_whole_order_and_reserves_without_a_call(
    sandbox: AmazonSellerSandbox, subscribed: AmazonSellerConnector
) -> None:
    placed = sandbox.place_order([("MUG", 2), ("CUP/2, blue", 1)])
    (message,) = next_messages(subscribed, "ORDER_CHANGE")
    event = parsed(subscribed, message)
    assert isinstance(event, OrderState)
    assert event.external_id == placed.id
    assert [(each.sku, each.quantity, each.cancelled) for each in event.lines] == [
        ("MUG", 2, 0),
        ("CUP/2, blue", 1, 0),
    ]
    from_api = fetched(subscribed, placed.id)
    assert is_newer(state_key(from_api), state_key(event)), "the API outranks it within the second"
    assert [each.external_id for each in event.lines] == [each.external_id for each in from_api.lines]


def test_a_cancelled_order_and_one_that_amazon_ships_are_told_as_such(
    sandbox: AmazonSellerSandbox, subscribed: AmazonSellerConnector
) -> None:
    placed = sandbox.place_order([("FBA-JUG", 3)])
    sandbox.cancel(placed.id, "FBA-JUG", 3)
    events = [parsed(subscribed, each) for each in next_messages(subscribed, "ORDER_CHANGE", 2)]
    lines = sorted((each.lines[0].quantity, each.lines[0].cancelled) for each in events)
    assert lines == [(3, 0), (3, 3)]
    assert {each.lines[0].location_external_id for each in events} == {"FBA"}


def test_what_names_only_part_of_an_order_is_a_hint(subscribed: AmazonSellerConnector) -> None:
    change = {
        "NotificationLevel": "OrderItemLevel",
        "SellerId": subscribed.account.settings["seller_id"],
        "AmazonOrderId": "302-1",
        "OrderChangeTrigger": {"TimeOfOrderChange": "2026-11-21T12:00:00Z"},
        "Summary": {"OrderStatus": "Unshipped", "OrderItems": [{"OrderItemId": "1", "Quantity": 1}]},
    }
    whole = {**change, "NotificationLevel": "OrderLevel"}
    undated = {**whole, "OrderChangeTrigger": {"TimeOfOrderChange": None}}
    unknown = {**whole, "Summary": {**change["Summary"], "OrderStatus": "Levitating"}}
    for hint in (change, undated, unknown):
        small = {name.lower(): value for name, value in _small(hint).items()}
        assert subscribed.parse("ORDER_CHANGE", {"orderchangenotification": small}) == [OrderHint("302-1")]


def _small(value: Any) -> Any:
    if isinstance(value, dict):
        return {name.lower(): _small(each) for name, each in value.items()}
    return [_small(each) for each in value] if isinstance(value, list) else value


def test_the_other_notifications_mean_shelves_warehouses_and_listings(
    sandbox: AmazonSellerSandbox, subscribed: AmazonSellerConnector
) -> None:
    sandbox.edit_stock("MUG", 4)
    (message,) = next_messages(subscribed, "LISTINGS_ITEM_MFN_QUANTITY_CHANGE")
    event = parsed(subscribed, message)
    assert isinstance(event, LevelObserved)
    assert (event.listing_external_id, event.location_external_id, event.quantity) == ("MUG", "", 4)
    other = {**message, "Payload": {**message["Payload"], "FulfillmentChannelCode": "supply-source-7"}}
    assert isinstance(parsed(subscribed, other), Ignored)
    sandbox.edit_stock("FBA-JUG", 5)
    (warehouse,) = next_messages(subscribed, "FBA_INVENTORY_AVAILABILITY_CHANGES")
    assert "NotificationMetadata" not in warehouse
    assert parsed(subscribed, warehouse) == WarehouseChanged()
    gone = {"sku": "MUG", "status": ["DELETED"]}
    assert subscribed.parse("LISTINGS_ITEM_STATUS_CHANGE", gone) == [ListingChanged("MUG", is_deleted=True)]
    assert subscribed.parse("MOON_RISE", {}) == [UnknownEvent("MOON_RISE")]


def test_a_type_that_spells_its_names_in_camel_case_is_read_alike(
    sandbox: AmazonSellerSandbox, subscribed: AmazonSellerConnector
) -> None:
    inner = {"sellerId": sandbox.seller_id, "feedId": "7", "processingStatus": "DONE"}
    message = {
        "notificationType": "FEED_PROCESSING_FINISHED",
        "payload": {"feedProcessingFinishedNotification": inner},
        "notificationMetadata": {
            "notificationId": "n1",
            "subscriptionId": sandbox.notifications.subscriptions["ORDER_CHANGE"].id,
        },
    }
    assert isinstance(parsed(subscribed, message), Ignored)


def test_foreign_and_forged_messages_are_refused(
    sandbox: AmazonSellerSandbox, subscribed: AmazonSellerConnector
) -> None:
    sandbox.place_order([("MUG", 2)])
    (message,) = next_messages(subscribed, "ORDER_CHANGE")
    subscribed.verify(queued(message))
    metadata = message["NotificationMetadata"]
    text = json.dumps(message)
    forged = [
        json.loads(text.replace(sandbox.seller_id, "ASOMEBODYELSE")),
        {**message, "NotificationMetadata": {**metadata, "SubscriptionId": "guessed"}},
        {name: value for name, value in message.items() if name != "NotificationMetadata"},
    ]
    for each in forged:
        with pytest.raises(BadSignature):
            subscribed.verify(queued(each))
    with pytest.raises(BadSignature):
        subscribed.verify(replace(queued(message), is_queued=False))


# -- the queue and the subscriptions


def test_a_message_that_is_not_acknowledged_comes_again(
    sandbox: AmazonSellerSandbox, subscribed: AmazonSellerConnector
) -> None:
    sandbox.edit_stock("MUG", 4)
    (first,) = until(lambda: subscribed.take_messages(seconds=1))
    assert subscribed.take_messages(seconds=0) == []
    sandbox.queue.show_hidden()
    (again,) = subscribed.take_messages(seconds=0)
    assert again.body == first.body
    subscribed.acknowledge([again.receipt])
    sandbox.queue.show_hidden()
    assert subscribed.take_messages(seconds=0) == []


def test_wrong_keys_and_a_missing_queue_are_said(sandbox: AmazonSellerSandbox) -> None:
    with pytest.raises(Unauthorised):
        connector_to(sandbox, aws_secret_access_key="wrong").take_messages(seconds=0)
    with pytest.raises(Unauthorised):
        connector_to(sandbox, aws_access_key_id="AKIAWRONG").take_messages(seconds=0)
    for without in ("aws_access_key_id", "aws_secret_access_key"):
        with pytest.raises(Unsupported, match="polled"):
            connector_to(sandbox, **{without: ""}).take_messages(seconds=0)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("https://sqs.eu-west-1.example.com/123456789012/q", "amazonaws.com"),
        ("https://sqs.eu-west-1.amazonaws.com/123456789012/q.fifo", "FIFO"),
        ("https://sqs.eu-west-1.amazonaws.com/q", "AWS account"),
    ],
)
def test_what_is_no_standard_queue_at_aws_is_not_read(
    sandbox: AmazonSellerSandbox, url: str, message: str
) -> None:
    channel = make_channel(sandbox)
    channel.settings = {**sandbox.settings(), "queue_url": url}
    channel.save()
    connector = connector_to(sandbox)
    connector.account = replace(connector.account, settings=channel.settings)
    with pytest.raises(Misconfigured, match=message):
        connector.take_messages(seconds=0)


def test_subscriptions_are_made_once_mended_and_kept(sandbox: AmazonSellerSandbox) -> None:
    connector = connector_to(sandbox)
    assert [each.topic for each in connector.audit_webhooks("")] == ["queue"]
    kept = connector.register_webhooks("")
    assert kept == connector.register_webhooks("")
    assert set(json.loads(kept["subscriptions"])) == {each.topic for each in WANTED}
    assert connector_to(sandbox, **kept).audit_webhooks("") == []
    assert {each.problem for each in connector.audit_webhooks("")} == {"its id is not the one that is kept"}
    sandbox.notifications.destinations["elsewhere"] = ("Other", "arn:aws:sqs:us-east-1:1:other")
    there = sandbox.notifications.subscriptions["ORDER_CHANGE"]
    sandbox.notifications.subscriptions["ORDER_CHANGE"] = replace(there, destination="elsewhere")
    del sandbox.notifications.subscriptions["LISTINGS_ITEM_STATUS_CHANGE"]
    problems = {each.topic: each.problem for each in connector_to(sandbox, **kept).audit_webhooks("")}
    assert problems == {
        "ORDER_CHANGE": "it leads to another queue",
        "LISTINGS_ITEM_STATUS_CHANGE": "there is no subscription",
    }
    mended = connector_to(sandbox, **kept).register_webhooks("")
    assert connector_to(sandbox, **mended).audit_webhooks("") == []


# -- the vendor's schemas


@pytest.mark.skipif(not SCHEMAS.is_dir(), reason=MISSING)
def test_what_the_sandbox_says_is_what_the_vendor_says(
    sandbox: AmazonSellerSandbox, subscribed: AmazonSellerConnector
) -> None:
    sandbox.place_order([("MUG", 1)])
    sandbox.edit_stock("FBA-JUG", 5)
    orders_model = schema("models/orders_2026-01-01.json")
    found = subscribed.api.read(
        "/orders/2026-01-01/orders",
        {"lastUpdatedAfter": "2026-01-01T00:00:00Z", "includedData": "FULFILLMENT"},
        bucket="search-orders",
    )
    validate(answer_schema(orders_model, "/orders/2026-01-01/orders", "get"), found, orders_model)
    for topic, name in {
        "ORDER_CHANGE": "OrderChangeNotification",
        "LISTINGS_ITEM_MFN_QUANTITY_CHANGE": "ListingsItemMfnQuantityChange",
        "FBA_INVENTORY_AVAILABILITY_CHANGES": "FBAInventoryAvailabilityChangeNotification",
    }.items():
        rules = schema(f"notifications/{name}.json")
        for message in next_messages(subscribed, topic):
            jsonschema.Draft7Validator(rules).validate(message)
        if topic == "ORDER_CHANGE":
            sandbox.edit_stock("MUG", 3)
        sandbox.edit_stock("FBA-JUG", 6)


@pytest.mark.skipif(not SCHEMAS.is_dir(), reason=MISSING)
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("OrderChangeNotification", OrderState),
        ("ListingsItemMfnQuantityChange", LevelObserved),
        ("ListingsItemStatusChangeNotification", ListingChanged),
        ("ListingsItemIssuesChangeNotification_2023-12-13", Ignored),
        ("FeedProcessingFinishedNotification", Ignored),
        ("ReportProcessingFinishedNotification", Ignored),
    ],
)
def test_the_vendors_own_examples_are_understood(
    subscribed: AmazonSellerConnector, name: str, kind: type
) -> None:
    for example in schema(f"notifications/{name}.json")["examples"]:
        received = subscribed.receive(queued(example))
        (event,) = subscribed.parse(received.topic, received.payload)
        assert isinstance(event, kind)
        assert "48110" not in json.dumps(received.payload), "the buyer's postal code is not kept"


@pytest.mark.skipif(not SCHEMAS.is_dir(), reason=MISSING)
def test_a_feed_is_what_the_vendor_takes(sandbox: AmazonSellerSandbox) -> None:
    connector = connector_to(sandbox)
    connector.push_increases([item("MUG", 15)], call_id="1")
    (body,) = [body for method, target, body, _ in sandbox.requests_log if method == "PUT"]
    feed = json.loads(body)
    jsonschema.Draft7Validator(schema("feeds/listings-feed-schema-v2.json")).validate(feed)
    rules = schema("feeds/listings-feed-message-schema-v2.json")
    for message in feed["messages"]:
        jsonschema.Draft7Validator(rules).validate(message)
