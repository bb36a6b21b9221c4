"""bol orders: which have changed, what they are, and cancelling an item."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from channels.connectors.base import CancelEffects, Connector
from channels.connectors.bol import BolConnector, processes
from channels.connectors.bol.orders import OVERLAP, PAGE_SIZE, Feed, order_state
from channels.errors import BadMessage, OutcomeUnknown, Rejected
from channels.events import OrderLineState
from channels.sandbox.bol import BolSandbox
from channels.sandbox.book import CatalogueItem
from channels.sandbox.profiles import INSTANT
from tests.channels.connectors.shops import connect


def an_order(*items: dict[str, Any]) -> dict[str, Any]:
    return {
        "orderId": "A2K8290LP8",
        "orderPlacedDateTime": "2026-11-21T12:00:00+01:00",
        "shipmentDetails": {"firstName": "Someone", "city": "Ghent", "countryCode": "BE"},
        "orderItems": list(items) or [an_item()],
    }


def an_item(**fields: Any) -> dict[str, Any]:
    return {
        "orderItemId": "2012345678",
        "cancellationRequest": False,
        "fulfilment": {"method": "FBR"},
        "offer": {"offerId": "offer-1", "reference": "MUG"},
        "product": {"ean": "8712345678906", "title": "Mug"},
        "quantity": 5,
        "quantityShipped": 0,
        "quantityCancelled": 0,
        "unitPrice": 12.99,
        "latestChangedDateTime": "2026-11-21T12:30:00+01:00",
        **fields,
    }


def counts(line: OrderLineState) -> tuple[int, int, int]:
    return line.quantity, line.cancelled, line.fulfilled


# -- what an order says


def test_an_item_says_what_was_ordered_shipped_and_cancelled() -> None:
    state = order_state(an_order(an_item(quantityShipped=2, quantityCancelled=1)))
    (line,) = state.lines
    assert counts(line) == (5, 1, 2)
    assert (line.external_id, line.listing_external_id, line.sku) == ("2012345678", "offer-1", "MUG")
    assert str(line.unit_price) == "12.99"


def test_the_state_is_as_new_as_its_newest_item_and_keeps_only_the_country() -> None:
    older = an_item(orderItemId="1", latestChangedDateTime="2026-11-21T11:00:00+01:00")
    state = order_state(an_order(older, an_item(orderItemId="2")))
    assert state.updated_at == datetime(2026, 11, 21, 11, 30, tzinfo=UTC)
    assert (state.country, state.currency) == ("BE", "EUR")
    assert "Someone" not in repr(state)


def test_a_request_to_cancel_is_only_a_request() -> None:
    assert counts(order_state(an_order(an_item(cancellationRequest=True))).lines[0]) == (5, 0, 0)


def test_items_that_bol_fulfils_take_nothing_from_own_stock_and_say_where_they_lie() -> None:
    state = order_state(an_order(an_item(fulfilment={"method": "FBB"}, quantityShipped=5)))
    assert counts(state.lines[0]) == (0, 0, 0)
    assert state.lines[0].location_external_id == "FBB"


def test_an_ean_names_what_was_sold_only_where_no_offer_does() -> None:
    assert order_state(an_order(an_item(offer=None))).lines[0].sku == "8712345678906"
    assert order_state(an_order(an_item(offer={"offerId": "offer-1"}))).lines[0].sku == ""


@pytest.mark.parametrize(
    "fields", [{"quantity": -1}, {"quantity": "many"}, {"orderItemId": ""}, {"quantity": None}]
)
def test_an_impossible_item_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(BadMessage):
        order_state(an_order(an_item(**fields)))


# -- read from an account


@pytest.fixture
def sandbox() -> Iterator[BolSandbox]:
    with BolSandbox(profile=INSTANT, limits="generous") as shop:
        stock = {"main": 900}
        shop.load_catalogue(
            [
                CatalogueItem(sku="MUG", title="Mug", quantities=stock),
                CatalogueItem(sku="CUP", title="Cup", quantities=stock, is_fulfilled_by_channel=True),
            ]
        )
        yield shop


@pytest.fixture
def connector(sandbox: BolSandbox, db: None) -> Connector:
    return connect(sandbox)


def poll(connector: Connector, cursor: str = "") -> tuple[list[str], str]:
    hints: list[str] = []
    while True:
        page = connector.fetch_orders(cursor)
        assert page.orders == ()
        assert page.hints == ()
        hints += [glimpse.external_id for glimpse in page.glimpses]
        cursor = page.cursor
        if not page.has_more:
            return hints, cursor


def test_a_poll_names_changed_orders_and_the_detail_says_what_they_are(
    sandbox: BolSandbox, connector: Connector
) -> None:
    placed = sandbox.place_order([("MUG", 3)])
    hints, _ = poll(connector)
    assert hints == [placed.id]
    sandbox.fulfil(placed.id, "MUG", 1)
    sandbox.cancel(placed.id, "MUG", 1)
    state = connector.fetch_order(placed.id)
    assert state is not None
    assert counts(state.lines[0]) == (3, 1, 1)
    assert state.lines[0].sku == "MUG"


def test_many_orders_are_read_until_a_short_page(sandbox: BolSandbox, connector: Connector) -> None:
    placed = [sandbox.place_order([("MUG", 1)]).id for _ in range(2 * PAGE_SIZE)]
    hints, _ = poll(connector)
    assert sorted(hints) == sorted(placed)


def test_orders_known_from_the_poll_before_are_not_asked_for_again(
    sandbox: BolSandbox, connector: Connector
) -> None:
    old, changed = (sandbox.place_order([("MUG", 2)]) for _ in range(2))
    _, cursor = poll(connector)
    later = datetime.now(UTC) + OVERLAP + timedelta(seconds=5)
    ahead = Feed(since=later).dump()
    sandbox.find_order(changed.id).updated_at = later.timestamp()
    assert poll(connector, ahead)[0] == [changed.id]
    assert old.id in poll(connector, cursor)[0]


def test_an_unreadable_order_is_asked_for_and_holds_up_no_other(
    sandbox: BolSandbox, connector: Connector, monkeypatch: pytest.MonkeyPatch
) -> None:
    placed = [sandbox.place_order([("MUG", 1)]).id for _ in range(2)]
    monkeypatch.setattr("channels.sandbox.bol.orders.moment", lambda at: "yesterday")
    assert sorted(poll(connector)[0]) == sorted(placed)
    with pytest.raises(BadMessage):
        connector.fetch_order(placed[0])


def test_orders_of_bols_own_warehouse_are_not_polled(sandbox: BolSandbox, connector: Connector) -> None:
    sandbox.place_order([("CUP", 1)])
    mixed = sandbox.place_order([("CUP", 1), ("MUG", 1)])
    assert poll(connector)[0] == [mixed.id]
    state = connector.fetch_order(mixed.id)
    assert state is not None
    assert {line.sku: line.quantity for line in state.lines} == {"CUP": 0, "MUG": 1}


def test_after_a_long_silence_whole_days_are_read(sandbox: BolSandbox, connector: Connector) -> None:
    placed = sandbox.place_order([("MUG", 1)])
    feed = Feed(since=datetime.now(UTC) - timedelta(days=2))
    hints, cursor = poll(connector, feed.dump())
    assert placed.id in hints
    asked = [target for _, target, _, _ in sandbox.requests_log if "latest-change-date" in target]
    assert len(asked) >= 3
    assert Feed.load(cursor).days == ()
    assert Feed.load(cursor).since > datetime.now(UTC) - timedelta(minutes=1)


@pytest.mark.parametrize(("seconds", "minutes"), [(-30, 2), (5, 2), (59, 2), (61, 3), (3500, 60)])
def test_the_interval_is_a_minute_longer_than_the_time_since_the_last_poll(
    seconds: int, minutes: int
) -> None:
    now = datetime.now(UTC)
    assert Feed(since=now - timedelta(seconds=seconds)).begin(now).minutes == minutes


def test_a_cursor_survives_being_stored() -> None:
    feed = Feed(since=datetime.now(UTC), started=datetime.now(UTC), days=("2026-11-20", "2026-11-21"), page=3)
    assert Feed.load(feed.dump()) == feed
    assert "page" not in json.loads(Feed(since=datetime.now(UTC)).dump())


def test_an_order_that_bol_does_not_have_is_none(connector: Connector) -> None:
    assert connector.fetch_order("A999999999") is None


# -- cancelling


def item_of(connector: Connector, order_id: str) -> OrderLineState:
    state = connector.fetch_order(order_id)
    assert state is not None
    return state.lines[0]


def test_an_item_is_cancelled_and_followed_until_bol_has_done_it(
    sandbox: BolSandbox, connector: Connector
) -> None:
    placed = sandbox.place_order([("MUG", 3)])
    item_id = item_of(connector, placed.id).external_id
    for _ in range(2):
        outcome = connector.cancel_line(placed.id, item_id, 3, call_id="1")
        assert (outcome.cancelled, outcome.refunds, outcome.restocks, outcome.tracking_id) == (
            3,
            True,
            True,
            "",
        )
    assert connector.cancel_effects({}) == CancelEffects(refunds=True, restocks=True, whole_lines=True)
    assert counts(item_of(connector, placed.id)) == (3, 3, 0)


def test_a_part_of_an_item_cannot_be_cancelled(sandbox: BolSandbox, connector: Connector) -> None:
    placed = sandbox.place_order([("MUG", 3)])
    with pytest.raises(Rejected, match="whole items"):
        connector.cancel_line(placed.id, item_of(connector, placed.id).external_id, 2, call_id="1")
    assert counts(item_of(connector, placed.id)) == (3, 0, 0)


def test_a_cancellation_that_bol_has_not_decided_leaves_its_process(
    sandbox: BolSandbox, connector: BolConnector, monkeypatch: pytest.MonkeyPatch
) -> None:
    placed = sandbox.place_order([("MUG", 1)])
    item_id = item_of(connector, placed.id).external_id
    monkeypatch.setattr(processes, "_WAITS", ())
    monkeypatch.setattr(sandbox, "processing_seconds", lambda: 0.3)
    outcome = connector.cancel_line(placed.id, item_id, 1, call_id="1")
    assert outcome.cancelled == 0
    assert connector.is_process_open(outcome.tracking_id)


@pytest.mark.parametrize(
    ("process", "error"),
    [
        ({"processStatusId": "1", "status": "FAILURE", "errorMessage": "Shipped already."}, Rejected),
        ({"processStatusId": "1", "status": "TIMEOUT"}, OutcomeUnknown),
        ({"status": "SUCCESS"}, OutcomeUnknown),
        (None, OutcomeUnknown),
    ],
)
def test_a_process_that_ended_badly_says_so(
    connector: BolConnector, process: Any, error: type[Exception]
) -> None:
    with pytest.raises(error):
        processes.follow(connector.api, process)


# -- returns


def test_returns_are_read_while_open_and_by_id_when_handled(
    sandbox: BolSandbox, connector: BolConnector
) -> None:
    placed = sandbox.place_order([("MUG", 3)])
    sandbox.fulfil(placed.id, "MUG", 3)
    sandbox.refund(placed.id, "MUG", 2, restock=False)
    (found,) = connector.fetch_open_returns()
    assert (found.lines[0].order_id, found.lines[0].expected, found.lines[0].processed) == (placed.id, 2, 0)
    assert not found.lines[0].is_handled
    sandbox.orders.returns[int(found.external_id)].results.append(
        {"quantity": 2, "processingResult": "ACCEPTED"}
    )
    assert list(connector.fetch_open_returns()) == []
    ended = connector.fetch_return(found.external_id)
    assert ended is not None
    assert (ended.lines[0].processed, ended.lines[0].is_handled, ended.lines[0].results) == (
        2,
        True,
        ("ACCEPTED",),
    )
    assert connector.fetch_return("99999") is None
