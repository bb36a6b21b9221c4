"""Square: what is sold at a till, what came back, and counts that say when they were made."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest

from channels.connectors.base import Address, InboundRequest, ItemOutcome, PushItem, PushResult
from channels.connectors.square import SquareConnector
from channels.connectors.square.orders import Window, order_state
from channels.connectors.square.webhooks import TOPICS, parse, verify
from channels.errors import BadMessage, BadSignature, OutcomeUnknown, TransientError, Unauthorised
from channels.events import (
    Disconnected,
    LevelObserved,
    ListingChanged,
    OrderHint,
    OrderLineState,
    OrderState,
    UnknownEvent,
)
from channels.sandbox.book import CatalogueItem
from channels.sandbox.profiles import INSTANT
from channels.sandbox.square import SquareSandbox
from tests.channels.connectors.shops import Inbox, connect

pytestmark = pytest.mark.django_db

GOODS = [
    CatalogueItem("MUG", "Mug", "2000000000008", quantities={"AMS": 10, "RTM": 4}),
    CatalogueItem("SHIRT-S", "Small", quantities={"AMS": 5}, parent="Shirt"),
    CatalogueItem("SHIRT-M", "Medium", quantities={"AMS": 3}, parent="Shirt"),
    CatalogueItem("BAG", "Bag", quantities={"AMS": 1}, is_tracked=False),
]


@pytest.fixture
def sandbox() -> Iterator[SquareSandbox]:
    with SquareSandbox(profile=INSTANT, limits="generous") as shop:
        shop.add_location("AMS", "Amsterdam")
        shop.add_location("RTM", "Rotterdam")
        shop.load_catalogue(GOODS)
        yield shop


@pytest.fixture
def square(sandbox: SquareSandbox) -> SquareConnector:
    connector = connect(sandbox)
    assert isinstance(connector, SquareConnector)
    return connector


_serial = count(1)


def number(sandbox: SquareSandbox, sku: str, units: int, code: str = "AMS", **more: Any) -> PushItem:
    """Makes a number to tell."""
    place = sandbox.location_id(code) if code in sandbox.records.places else code
    listing = sandbox.variation_id(sandbox.item(sku)) if sku in sandbox.records.items else sku
    return PushItem(Address(next(_serial), listing, location_external_id=place), units, **more)


def outcomes(results: list[PushResult]) -> list[ItemOutcome]:
    return [result.outcome for result in sorted(results, key=lambda each: each.listing_level_id)]


def shown(sandbox: SquareSandbox, sku: str, code: str = "AMS") -> int:
    return sandbox.item(sku).levels[code].available


def only(state: OrderState | None) -> OrderLineState:
    assert state is not None
    (line,) = state.lines
    return line


# -- what it is


def test_the_account_names_itself_and_its_tills(sandbox: SquareSandbox, square: SquareConnector) -> None:
    sandbox.records.places["RTM"].is_active = False
    assert square.check() == sandbox.name
    assert [(place.name, place.is_sellable) for place in square.fetch_locations()] == [
        ("Amsterdam", True),
        ("Rotterdam", False),
    ]


def test_a_token_that_is_not_accepted_says_so(sandbox: SquareSandbox) -> None:
    with pytest.raises(Unauthorised, match="could not be authorized"):
        connect(sandbox, access_token="another").check()


def test_variations_are_the_listings(sandbox: SquareSandbox, square: SquareConnector) -> None:
    listings = {listing.sku: listing for listing in square.fetch_listings()}
    assert [listings[sku].title for sku in listings] == ["Mug", "Shirt, Small", "Shirt, Medium", "Bag"]
    assert listings["MUG"].gtin == "2000000000008"
    assert listings["SHIRT-S"].parent_external_id == listings["SHIRT-M"].parent_external_id != ""
    assert "not tracked" in listings["BAG"].warnings[0]
    assert all(listing.is_active for listing in listings.values())


def test_what_is_sold_by_measure_is_listed_and_never_told(
    sandbox: SquareSandbox, square: SquareConnector, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = sandbox._variation

    def measured(*given: Any) -> dict[str, Any]:
        made = whole(*given)
        made["item_variation_data"]["measurement_unit_id"] = "KILO"
        return made

    monkeypatch.setattr(sandbox, "_variation", measured)
    listing = next(iter(square.fetch_listings()))
    assert not listing.is_active
    assert "by measure" in listing.warnings[0]


# -- numbers


def test_a_number_is_told_and_read_again(sandbox: SquareSandbox, square: SquareConnector) -> None:
    item = number(sandbox, "MUG", 7)
    assert outcomes(square.push([item], call_id="1")) == [ItemOutcome.CONFIRMED]
    assert shown(sandbox, "MUG") == 7
    (shelf,) = square.read_levels([item.address])
    assert (shelf.quantity, shelf.location_external_id) == (7, item.address.location_external_id)
    assert len(list(square.fetch_levels())) == 4


def test_a_count_takes_nothing_away_from_what_was_sold_after_it(
    sandbox: SquareSandbox, square: SquareConnector
) -> None:
    computed_at = datetime.now(UTC)
    sandbox.place_order([("MUG", 3)])
    square.push([number(sandbox, "MUG", 10, as_of=computed_at)], call_id="1")
    assert shown(sandbox, "MUG") == 7
    # The control: without that instant the sale would be sold twice.
    square.push([number(sandbox, "MUG", 10)], call_id="2")
    assert shown(sandbox, "MUG") == 10


def test_a_number_that_stands_already_is_counted_anew(
    sandbox: SquareSandbox, square: SquareConnector
) -> None:
    square.push([number(sandbox, "MUG", 9)], call_id="1")
    sandbox.place_order([("MUG", 2)])
    # Square tells by milliseconds whether the count or the sale was later.
    time.sleep(0.005)
    assert outcomes(square.push([number(sandbox, "MUG", 9)], call_id="2")) == [ItemOutcome.CONFIRMED]
    assert shown(sandbox, "MUG") == 9
    assert all('"ignore_unchanged_counts": false' in body for *_, body, _ in _changes(sandbox))


def _changes(sandbox: SquareSandbox) -> list[tuple[str, str, str, int]]:
    return [entry for entry in sandbox.requests_log if entry[1].endswith("changes/batch-create")]


def test_what_square_refuses_of_a_batch_does_not_hold_up_the_rest(
    sandbox: SquareSandbox, square: SquareConnector
) -> None:
    items = [
        number(sandbox, "MUG", 1),
        number(sandbox, "GONE", 2),
        number(sandbox, "SHIRT-S", 3),
        number(sandbox, "SHIRT-M", 4, "L9999999"),
    ]
    results = square.push(items, call_id="1")
    confirmed, rejected = ItemOutcome.CONFIRMED, ItemOutcome.REJECTED
    assert outcomes(results) == [confirmed, rejected, confirmed, rejected]
    assert {result.reason.split(" (")[0] for result in results if result.reason} == {
        "No such variation.",
        "No such location.",
    }
    assert (shown(sandbox, "MUG"), shown(sandbox, "SHIRT-S")) == (1, 3)


def test_a_refusal_that_names_nothing_is_narrowed_down(
    sandbox: SquareSandbox, square: SquareConnector
) -> None:
    items = [number(sandbox, "MUG", 1), number(sandbox, "BAG", 2), number(sandbox, "SHIRT-S", 3)]
    assert outcomes(square.push(items, call_id="1")) == [
        ItemOutcome.CONFIRMED,
        ItemOutcome.REJECTED,
        ItemOutcome.CONFIRMED,
    ]


def test_a_call_that_was_done_and_not_answered_may_be_made_again(
    sandbox: SquareSandbox, square: SquareConnector
) -> None:
    items = [number(sandbox, "MUG", 6, as_of=datetime.now(UTC))]
    sandbox.set_faults(half_batch_rate=1.0)
    with pytest.raises(OutcomeUnknown):
        square.push(items, call_id="1")
    sandbox.clear_faults()
    assert shown(sandbox, "MUG") == 6
    assert outcomes(square.push(items, call_id="1")) == [ItemOutcome.CONFIRMED]
    assert outcomes(square.push(items, call_id="2")) == [ItemOutcome.CONFIRMED]
    assert shown(sandbox, "MUG") == 6


def test_a_key_with_other_numbers_is_no_success(sandbox: SquareSandbox, square: SquareConnector) -> None:
    item = number(sandbox, "MUG", 6)
    square.push([item], call_id="1")
    with pytest.raises(OutcomeUnknown, match="other numbers"):
        square.push([replace(item, quantity=5)], call_id="1")


def test_a_clock_that_is_ahead_is_named(
    sandbox: SquareSandbox, square: SquareConnector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("channels.connectors.square.stock.rfc3339", lambda at: "2099-01-01T00:00:00Z")
    with pytest.raises(TransientError, match="clock"):
        square.push([number(sandbox, "MUG", 6)], call_id="1")


@pytest.mark.parametrize(
    "faults", [{"error_rate": 1.0}, {"html_rate": 1.0}, {"error_in_200_rate": 1.0}, {"throttle_rate": 1.0}]
)
def test_a_square_in_trouble_is_no_success(
    sandbox: SquareSandbox, square: SquareConnector, faults: dict[str, float]
) -> None:
    sandbox.set_faults(**faults)
    with pytest.raises(TransientError):
        square.push([number(sandbox, "MUG", 6)], call_id="1")
    with pytest.raises(TransientError):
        list(square.fetch_listings())


# -- orders


def test_what_is_sold_at_a_till_has_left(sandbox: SquareSandbox, square: SquareConnector) -> None:
    placed = sandbox.place_order([("MUG", 2)])
    state = square.fetch_order(placed.id)
    line = only(state)
    assert (line.quantity, line.fulfilled, line.cancelled, line.returned) == (2, 2, 0, 0)
    assert line.listing_external_id == sandbox.variation_id(sandbox.item("MUG"))
    assert line.location_external_id == sandbox.location_id("AMS")
    assert (str(line.unit_price), state.country, state.currency) == ("9.95", "", "EUR")  # type: ignore[union-attr]


def test_an_online_order_is_shipped_bit_by_bit(sandbox: SquareSandbox, square: SquareConnector) -> None:
    order_id = sandbox.order_online([("MUG", 3)])
    first = square.fetch_order(order_id)
    sandbox.fulfil(order_id, "MUG", 1)
    second = square.fetch_order(order_id)
    sandbox.fulfil(order_id, "MUG", 2)
    third = square.fetch_order(order_id)
    assert [only(state).fulfilled for state in (first, second, third)] == [0, 1, 3]
    assert first is not None
    assert first.country == "NL"


def test_an_order_that_is_cancelled_is_owed_to_nobody(
    sandbox: SquareSandbox, square: SquareConnector
) -> None:
    order_id = sandbox.order_online([("MUG", 3)])
    sandbox.cancel(order_id, "MUG", 1)
    assert only(square.fetch_order(order_id)).quantity == 2
    sandbox.cancel(order_id, "MUG", 2)
    line = only(square.fetch_order(order_id))
    assert (line.quantity, line.cancelled, line.fulfilled) == (3, 3, 0)


def test_what_came_back_is_an_order_of_its_own(sandbox: SquareSandbox, square: SquareConnector) -> None:
    placed = sandbox.place_order([("MUG", 3)])
    sandbox.refund(placed.id, "MUG", 2, restock=True)
    sale, back = square.fetch_orders("").orders
    assert (only(sale).returned, only(sale).fulfilled) == (0, 3)
    line = only(back)
    assert (line.quantity, line.fulfilled, line.returned) == (0, 0, 2)
    assert line.returned_to_external_id == line.location_external_id == sandbox.location_id("AMS")


def order(**changes: Any) -> dict[str, Any]:
    """An order of one mug as Square tells it."""
    line = {"uid": "l1", "quantity": "2", "name": "Mug", "catalog_object_id": "V1", "item_type": "ITEM"}
    return {
        "id": "O1",
        "location_id": "L1",
        "state": "OPEN",
        "created_at": "2026-11-21T12:00:00.000Z",
        "updated_at": "2026-11-21T12:00:01.500Z",
        "line_items": [line],
        **changes,
    }


@pytest.mark.parametrize(
    ("changes", "units"),
    [
        ({}, 0),
        ({"state": "DRAFT"}, 0),
        ({"tenders": [{"id": "T1"}]}, 2),
        ({"net_amount_due_money": {"amount": 0, "currency": "EUR"}}, 2),
        ({"net_amount_due_money": {"amount": 995, "currency": "EUR"}}, 0),
        ({"state": "COMPLETED"}, 2),
    ],
)
def test_an_order_takes_stock_once_it_is_paid(changes: dict[str, Any], units: int) -> None:
    assert only(order_state(order(**changes))).quantity == units


def test_amounts_and_gift_cards_are_no_goods() -> None:
    typed = {"uid": "l2", "quantity": "1", "name": "Coffee", "item_type": "CUSTOM_AMOUNT"}
    card = {"uid": "l3", "quantity": "1", "item_type": "GIFT_CARD", "catalog_object_id": "V9"}
    assert order_state(order(state="COMPLETED", line_items=[typed, card])).lines == ()


def test_goods_by_measure_wait_for_a_person_and_are_not_rounded() -> None:
    cheese = {"uid": "l1", "quantity": "0.35", "name": "Cheese", "catalog_object_id": "V1"}
    line = only(order_state(order(state="COMPLETED", line_items=[cheese])))
    assert (line.listing_external_id, line.sku, line.title) == ("", "", "Cheese (0.35 by measure)")


@pytest.mark.parametrize("quantity", ["", "1e3", "NaN", "-1", "1.1234567", "9" * 15, None])
def test_a_quantity_that_is_none_is_refused(quantity: str | None) -> None:
    line = {"uid": "l1", "quantity": quantity, "catalog_object_id": "V1"}
    with pytest.raises(BadMessage):
        order_state(order(line_items=[line]))


# -- the feed


def read_all(square: SquareConnector, cursor: str) -> tuple[list[str], str]:
    """Reads the feed to its end."""
    ids: list[str] = []
    while True:
        page = square.fetch_orders(cursor)
        ids += [state.external_id for state in page.orders]
        cursor = page.cursor
        if not page.has_more:
            return ids, cursor


def test_orders_are_read_page_by_page_over_all_tills(
    sandbox: SquareSandbox, square: SquareConnector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("channels.connectors.square.orders.PAGE_SIZE", 2)
    for position in range(11):
        sandbox.add_location(f"T{position}", f"Till {position}")
    placed = [sandbox.place_order([("MUG", 1)], force=True).id for _ in range(5)]
    ids, cursor = read_all(square, "")
    assert ids == placed
    later = sandbox.place_order([("MUG", 1)], force=True).id
    assert later in read_all(square, cursor)[0]


def test_a_place_in_a_list_that_square_forgot_begins_anew(
    sandbox: SquareSandbox, square: SquareConnector
) -> None:
    placed = sandbox.place_order([("MUG", 1)])
    window = Window.load(square.fetch_orders("").cursor).begin((sandbox.location_id("AMS"),))
    lost = replace(window, cursor="?")
    assert read_all(square, lost.dump())[0] == [placed.id]


def test_a_till_that_sends_old_sales_late_is_found_by_the_sweep(
    sandbox: SquareSandbox, square: SquareConnector
) -> None:
    sandbox.go_offline(3600.0)
    sandbox.place_order([("MUG", 1)])
    sandbox.come_back(keeps_times=True)
    cursor = square.fetch_orders("").cursor
    assert square.fetch_orders(cursor).orders == ()
    window = Window.load(cursor)
    due = replace(window, swept=window.swept - timedelta(hours=2))
    page = square.fetch_orders(due.dump())
    assert len(page.orders) == 1
    assert Window.load(page.cursor).swept > due.swept


def test_an_order_that_cannot_be_read_does_not_hold_up_the_others(
    sandbox: SquareSandbox, square: SquareConnector, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = (sandbox.place_order([("MUG", 1)]).id for _ in range(2))
    whole = sandbox.orders.document
    monkeypatch.setattr(
        sandbox.orders,
        "document",
        lambda each: whole(each) | ({"created_at": "soon"} if sandbox.order_id(each) == bad else {}),
    )
    page = square.fetch_orders("")
    assert [state.external_id for state in page.orders] == [good]
    assert page.hints == (bad,)


def test_an_order_that_square_does_not_have_is_none(square: SquareConnector) -> None:
    assert square.fetch_order("nothing") is None


def test_an_account_without_a_till_has_no_orders() -> None:
    with SquareSandbox(profile=INSTANT) as sandbox:
        assert connect(sandbox).fetch_orders("").orders == ()


# -- webhooks

KEY = "sq-key-1"
URL = "https://sync.example.test/hooks/square"
BODY = (
    b'{"merchant_id":"M1","type":"inventory.count.updated","event_id":"e-1","created_at":"2026-11-20T12:00:00Z",'
    b'"data":{"type":"inventory_counts","id":"d-1","object":{"inventory_counts":[{"calculated_at":'
    b'"2026-11-20T12:00:00Z","catalog_object_id":"V1","catalog_object_type":"ITEM_VARIATION","location_id":"L1",'
    b'"quantity":"9","state":"IN_STOCK"}]}}}'
)


def request(
    url: str = URL, signature: str = "7eGnr2WJ0UNtGHN0mMq4lK8cdNdW5n99ay/FnRXBMNo="
) -> InboundRequest:
    headers = {"x-square-hmacsha256-signature": signature, "content-type": "application/json"}
    return InboundRequest(headers, BODY, datetime.now(UTC), url)


def test_the_signature_is_over_address_and_body() -> None:
    """The vector was made with the vendor's own library."""
    verify(request(), ("another", KEY))


@pytest.mark.parametrize(
    "wrong", [request(url=f"{URL}/"), request(url=""), request(signature=""), request(signature="AAAA")]
)
def test_another_address_or_signature_is_refused(wrong: InboundRequest) -> None:
    with pytest.raises(BadSignature):
        verify(wrong, (KEY,))


def test_only_what_is_for_sale_is_a_shelf_s_number(square: SquareConnector) -> None:
    payload = json.loads(BODY)
    sold = {**payload["data"]["object"]["inventory_counts"][0], "state": "SOLD", "quantity": "3.5"}
    payload["data"]["object"]["inventory_counts"].append(sold)
    instant = datetime(2026, 11, 20, 12, tzinfo=UTC)
    assert parse("inventory.count.updated", payload) == [LevelObserved("V1", "L1", 9, instant)]
    assert square.receive(request()).dedupe_key == "e-1"


def test_each_event_has_its_meaning() -> None:
    named = {"data": {"type": "order", "id": "O1", "object": {"order_created": {"order_id": "O2"}}}}
    assert parse("order.created", named) == [OrderHint("O2")]
    assert parse("order.fulfillment.updated", {"data": {"id": "O1", "object": {}}}) == [OrderHint("O1")]
    (changed,) = parse("catalog.version.updated", {"data": {"id": "x"}})
    assert isinstance(changed, ListingChanged)
    (ended,) = parse("oauth.authorization.revoked", {"data": {}})
    assert isinstance(ended, Disconnected)
    assert parse("customer.created", {}) == [UnknownEvent("customer.created")]


def test_a_sale_is_told_with_a_signature_that_fits(sandbox: SquareSandbox) -> None:
    with Inbox.open() as inbox:
        kept = connect(sandbox).register_webhooks(inbox.url)
        connector = connect(sandbox, **kept)
        placed = sandbox.place_order([("MUG", 2)])
        events = []
        for _ in range(2):
            message = replace(inbox.next(), url=inbox.url)
            connector.verify(message)
            received = connector.receive(message)
            events += connector.parse(received.topic, received.payload)
        assert OrderHint(placed.id) in events
        assert [each.quantity for each in events if isinstance(each, LevelObserved)] == [8]
        with pytest.raises(BadSignature):
            connector.verify(replace(message, url=f"{inbox.url}?"))


def test_subscriptions_are_compared_and_mended(sandbox: SquareSandbox) -> None:
    url = "http://127.0.0.1:9/webhooks/unguessable/"
    connector = connect(sandbox)
    assert [each.problem for each in connector.audit_webhooks(url)] == ["there is no subscription"]
    kept = connector.register_webhooks(url)
    connector = connect(sandbox, **kept)
    assert connector.audit_webhooks(url) == []
    assert connector.register_webhooks(url) == {}
    (ours,) = sandbox.subscriptions.by_id.values()
    ours.is_enabled, ours.event_types, ours.signature_key = False, ["order.created"], "sig_other"
    assert len(connector.audit_webhooks(url)) == 3
    moved = url.replace("127.0.0.1", "localhost")
    assert len(connector.audit_webhooks(moved)) == 4
    assert connector.register_webhooks(moved) == {"webhook_secret": "sig_other"}
    assert connect(sandbox, webhook_secret="sig_other").audit_webhooks(moved) == []
    assert len(sandbox.subscriptions.by_id) == 1
    assert set(ours.event_types) == set(TOPICS)
