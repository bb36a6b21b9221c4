"""Wholesale portals: orders as whole states, numbers in signed messages, refusals item by item."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from channels.connectors.base import InboundRequest, ItemOutcome, PushResult
from channels.connectors.wholesale import WholesaleConnector
from channels.connectors.wholesale.webhooks import parse
from channels.errors import (
    BadMessage,
    BadSignature,
    Misconfigured,
    OutcomeUnknown,
    Rejected,
    TransientError,
    Unauthorised,
)
from channels.events import Ignored, ListingChanged, OrderDeleted, OrderHint, OrderState, UnknownEvent
from channels.sandbox.book import CatalogueItem
from channels.sandbox.profiles import INSTANT
from channels.sandbox.wholesale import WholesaleSandbox
from channels.standard_webhooks import new_secret
from tests.channels.connectors.shops import Inbox, connect, item

pytestmark = pytest.mark.django_db

GOODS = [
    CatalogueItem("MUG", "Mug", "2000000000008", quantities={"": 10}),
    CatalogueItem("CUP", "Cup", quantities={"": 4}),
    CatalogueItem("JUG", "Jug", quantities={"": 1}),
]
SECRET = new_secret()


@pytest.fixture
def sandbox() -> Iterator[WholesaleSandbox]:
    with WholesaleSandbox(profile=INSTANT, limits="generous") as shop:
        shop.load_catalogue(GOODS)
        shop.messages.subscription.secret = SECRET
        yield shop


@pytest.fixture
def portal(sandbox: WholesaleSandbox) -> WholesaleConnector:
    connector = connect(sandbox, webhook_secret=SECRET)
    assert isinstance(connector, WholesaleConnector)
    return connector


def outcomes(results: list[PushResult]) -> list[ItemOutcome]:
    return [result.outcome for result in sorted(results, key=lambda each: each.listing_level_id)]


# -- numbers


def test_the_portal_names_itself_and_what_it_carries(
    sandbox: WholesaleSandbox, portal: WholesaleConnector
) -> None:
    assert portal.check() == sandbox.name
    assert [(each.external_id, each.sku, each.title) for each in portal.fetch_listings()] == [
        ("item-1", "MUG", "Mug"),
        ("item-2", "CUP", "Cup"),
        ("item-3", "JUG", "Jug"),
    ]


def test_long_assortments_come_page_by_page(sandbox: WholesaleSandbox, portal: WholesaleConnector) -> None:
    sandbox.load_catalogue([CatalogueItem(f"S{n}", f"S{n}", quantities={"": 1}) for n in range(250)])
    assert len({each.external_id for each in portal.fetch_listings()}) == 253
    assert len(list(portal.fetch_levels())) == 253


def test_a_number_is_told_and_read_again(sandbox: WholesaleSandbox, portal: WholesaleConnector) -> None:
    told = [item("item-1", 7, level=1), item("item-2", 0, level=2)]
    assert outcomes(portal.push(told, call_id="1")) == [ItemOutcome.CONFIRMED] * 2
    assert [each.quantity for each in portal.read_levels([each.address for each in told])] == [7, 0]


def test_an_item_that_the_portal_does_not_have_does_not_hold_up_the_rest(
    sandbox: WholesaleSandbox, portal: WholesaleConnector
) -> None:
    told = [item("item-1", 7, level=1), item("item-9", 3, level=2), item("item-3", 2, level=3)]
    results = portal.push(told, call_id="1")
    assert outcomes(results) == [ItemOutcome.CONFIRMED, ItemOutcome.REJECTED, ItemOutcome.CONFIRMED]
    assert {result.reason for result in results} == {"", "There is no such item."}
    assert (sandbox.number("MUG"), sandbox.number("JUG")) == (7, 2)


def test_a_batch_that_is_refused_as_a_whole_is_narrowed_down(
    sandbox: WholesaleSandbox, portal: WholesaleConnector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stands before a portal that refuses every message in which a certain item is named."""
    api = portal.api
    post = api.post_signed

    def refusing(path: str, body: bytes, headers: Any) -> dict[str, Any]:
        if b"item-2" in body:
            raise Rejected("item-2 is not ours.")
        return post(path, body, headers)

    monkeypatch.setattr(api, "post_signed", refusing)
    told = [item(f"item-{n}", 5, level=n) for n in (1, 2, 3)]
    assert outcomes(portal.push(told, call_id="1")) == [
        ItemOutcome.CONFIRMED,
        ItemOutcome.REJECTED,
        ItemOutcome.CONFIRMED,
    ]


def test_an_older_number_that_arrives_late_changes_nothing(
    sandbox: WholesaleSandbox, portal: WholesaleConnector
) -> None:
    now = datetime.now(UTC)
    portal.push([replace(item("item-1", 6), as_of=now)], call_id="2")
    portal.push([replace(item("item-1", 9), as_of=now - timedelta(seconds=1))], call_id="1")
    assert sandbox.number("MUG") == 6


def test_a_number_that_was_taken_and_not_answered_may_be_told_again(
    sandbox: WholesaleSandbox, portal: WholesaleConnector
) -> None:
    sandbox.set_faults(half_batch_rate=1.0)
    with pytest.raises(OutcomeUnknown):
        portal.push([item("item-1", 6)], call_id="1")
    sandbox.clear_faults()
    assert sandbox.number("MUG") == 6
    assert outcomes(portal.push([item("item-1", 6)], call_id="1")) == [ItemOutcome.CONFIRMED]


def test_a_number_without_the_portals_secret_is_not_taken(sandbox: WholesaleSandbox) -> None:
    with pytest.raises(Unauthorised, match="not signed"):
        connect(sandbox, webhook_secret=new_secret()).push([item("item-1", 6)], call_id="1")
    with pytest.raises(Misconfigured, match="register the webhooks"):
        connect(sandbox).push([item("item-1", 6)], call_id="1")
    with pytest.raises(Misconfigured, match="whsec_"):
        connect(sandbox, webhook_secret="whsec_***").push([item("item-1", 6)], call_id="1")
    assert sandbox.number("MUG") == 10


@pytest.mark.parametrize(
    "faults", [{"error_rate": 1.0}, {"html_rate": 1.0}, {"error_in_200_rate": 1.0}, {"throttle_rate": 1.0}]
)
def test_a_portal_in_trouble_is_no_success(
    sandbox: WholesaleSandbox, portal: WholesaleConnector, faults: dict[str, float]
) -> None:
    sandbox.set_faults(**faults)
    with pytest.raises(TransientError):
        portal.push([item("item-1", 6)], call_id="1")
    with pytest.raises(TransientError):
        portal.fetch_orders("")


# -- orders


def test_an_order_is_read_as_it_is(sandbox: WholesaleSandbox, portal: WholesaleConnector) -> None:
    placed = sandbox.place_order([("MUG", 3), ("CUP", 1)])
    sandbox.fulfil(placed.id, "MUG", 2)
    sandbox.cancel(placed.id, "CUP", 1)
    state = portal.fetch_order(placed.id)
    assert state is not None
    mug, cup = state.lines
    assert (mug.sku, mug.listing_external_id, mug.quantity, mug.fulfilled) == ("MUG", "item-1", 3, 2)
    assert (cup.quantity, cup.cancelled, str(cup.unit_price)) == (1, 1, "9.95")
    assert (state.number, state.country) == ("Purchase order 1", "NL")
    assert portal.fetch_order("PO-99") is None


def test_the_feed_goes_on_where_it_ended(
    sandbox: WholesaleSandbox, portal: WholesaleConnector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("channels.connectors.wholesale.orders.PAGE_SIZE", 2)
    placed = [sandbox.place_order([("MUG", 1)]).id for _ in range(3)]
    first = portal.fetch_orders("")
    second = portal.fetch_orders(first.cursor)
    assert [state.external_id for page in (first, second) for state in page.orders] == placed
    assert (first.has_more, second.has_more) == (True, False)
    assert portal.fetch_orders(second.cursor).orders == ()
    sandbox.fulfil(placed[0], "MUG", 1)
    (changed,) = portal.fetch_orders(second.cursor).orders
    assert (changed.external_id, changed.lines[0].fulfilled) == (placed[0], 1)


def test_a_line_is_cancelled_once_for_its_key(sandbox: WholesaleSandbox, portal: WholesaleConnector) -> None:
    placed = sandbox.place_order([("MUG", 3)])
    state = portal.fetch_order(placed.id)
    assert state is not None
    line_id = state.lines[0].external_id
    for _ in range(2):
        assert portal.cancel_line(placed.id, line_id, 2, call_id="1").cancelled == 2
    after = portal.fetch_order(placed.id)
    assert after is not None
    assert after.lines[0].cancelled == 2
    with pytest.raises(Rejected, match="open units"):
        portal.cancel_line(placed.id, line_id, 2, call_id="2")


# -- messages


def test_an_order_is_told_with_a_signature_that_fits_and_nothing_of_its_buyer(
    sandbox: WholesaleSandbox, portal: WholesaleConnector
) -> None:
    with Inbox.open() as inbox:
        portal.register_webhooks(inbox.url)
        placed = sandbox.place_order([("MUG", 2)])
        message = inbox.next()
    portal.verify(message)
    received = portal.receive(message)
    (state,) = portal.parse(received.topic, received.payload)
    assert isinstance(state, OrderState)
    assert (state.external_id, state.lines[0].quantity) == (placed.id, 2)
    assert received.dedupe_key == message.headers["webhook-id"]
    assert b"sample.customer" in message.body
    assert "sample.customer" not in repr(received.payload)


@pytest.mark.parametrize("minutes", [-6, 6])
def test_a_message_of_another_time_is_refused(
    sandbox: WholesaleSandbox, portal: WholesaleConnector, minutes: int
) -> None:
    with Inbox.open() as inbox:
        portal.register_webhooks(inbox.url)
        sandbox.place_order([("MUG", 2)])
        message = inbox.next()
    with pytest.raises(BadSignature, match="tolerance"):
        portal.verify(replace(message, received_at=message.received_at + timedelta(minutes=minutes)))


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"webhook-id": "1", "webhook-timestamp": "soon", "webhook-signature": "v1,AAAA"},
        {"webhook-id": "", "webhook-timestamp": "1", "webhook-signature": "v1,AAAA"},
    ],
)
def test_a_message_without_its_headers_is_refused(
    portal: WholesaleConnector, headers: dict[str, str]
) -> None:
    with pytest.raises(BadSignature):
        portal.verify(InboundRequest(headers, b"{}", datetime.now(UTC)))


def test_each_event_has_its_meaning() -> None:
    assert parse("order.changed", {"data": {"external_id": "1"}}) == [OrderHint("1")]
    assert parse("reservation.expired", {"data": {"external_id": "1"}}) == [OrderHint("1")]
    assert parse("order.deleted", {"data": {"external_id": "1"}}) == [OrderDeleted("1")]
    assert parse("item.changed", {"data": {"external_id": "item-1"}}) == [ListingChanged("item-1")]
    (ping,) = parse("webhook.test", {})
    assert isinstance(ping, Ignored)
    assert parse("buyer.changed", {}) == [UnknownEvent("buyer.changed")]
    with pytest.raises(BadMessage):
        parse("order.changed", {"data": {"external_id": "1", "lines": [{"external_id": "1"}]}})


def test_the_subscription_is_compared_and_mended(
    sandbox: WholesaleSandbox, portal: WholesaleConnector
) -> None:
    url = "http://127.0.0.1:9/webhooks/unguessable/"
    assert [each.problem for each in portal.audit_webhooks(url)] == ["there is no subscription"]
    portal.register_webhooks(url)
    assert portal.audit_webhooks(url) == []
    sandbox.messages.subscription.is_enabled = False
    sandbox.messages.subscription.events = ["order.changed"]
    assert len(portal.audit_webhooks("http://localhost:9/webhooks/unguessable/")) == 3
    portal.register_webhooks(url)
    assert portal.audit_webhooks(url) == []
    assert portal.new_webhook_secret().startswith("whsec_")
