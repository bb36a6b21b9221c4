"""Messages of a WooCommerce shop, and the subscriptions behind them."""

import base64
import hashlib
import hmac
import html
import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from channels.connectors.base import Connector, InboundRequest
from channels.connectors.woocommerce.webhooks import PING, TOPICS
from channels.errors import BadMessage, BadSignature
from channels.events import Ignored, LevelObserved, ListingChanged, OrderHint, OrderState, UnknownEvent
from channels.sandbox.book import CatalogueItem
from channels.sandbox.profiles import INSTANT
from channels.sandbox.woocommerce import WooCommerceSandbox
from channels.sandbox.woocommerce.webhooks import Webhook
from tests.channels.connectors.shops import Inbox, connect, message
from tests.channels.connectors.test_woocommerce_orders import an_order

SECRET = "the secret of the webhooks"
PRODUCT = {
    "id": 11,
    "type": "simple",
    "parent_id": 0,
    "sku": "MUG",
    "manage_stock": True,
    "stock_quantity": 4,
    "date_modified_gmt": "2026-11-21T12:00:00",
}


@pytest.fixture
def sandbox() -> Iterator[WooCommerceSandbox]:
    with WooCommerceSandbox(profile=INSTANT, limits="generous") as shop:
        shop.load_catalogue([CatalogueItem(sku="MUG", title="Mug", quantities={"main": 10})])
        yield shop


@pytest.fixture
def connector(sandbox: WooCommerceSandbox, db: None) -> Connector:
    return connect(sandbox, webhook_secret=SECRET)


def signed(
    body: Mapping[str, Any] | bytes,
    *,
    topic: str = "order.updated",
    secret: str = SECRET,
    delivery_id: str = "d1",
) -> InboundRequest:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    signature = base64.b64encode(hmac.new(secret.encode(), raw, hashlib.sha256).digest()).decode()
    headers = {
        "X-WC-Webhook-Signature": signature,
        "X-WC-Webhook-Topic": topic,
        "X-WC-Webhook-Delivery-ID": delivery_id,
    }
    return message(raw, headers)


def events_of(connector: Connector, request: InboundRequest) -> list[object]:
    connector.verify(request)
    received = connector.receive(request)
    return list(connector.parse(received.topic, json.loads(json.dumps(received.payload))))


# -- authentic or not


def test_a_message_with_the_right_signature_is_authentic(connector: Connector) -> None:
    connector.verify(signed(an_order()))


def test_the_unsigned_first_ping_is_let_in_and_says_nothing(connector: Connector) -> None:
    ping = message(b"webhook_id=12", {"Content-Type": "application/x-www-form-urlencoded"})
    connector.verify(ping)
    received = connector.receive(ping)
    assert (received.topic, received.dedupe_key, received.payload) == (PING, "", {})
    assert isinstance(connector.parse(received.topic, received.payload)[0], Ignored)


@pytest.mark.parametrize(
    "body", [b"webhook_id=12&order=5", b"webhook_id=x", b"webhook_id=1\n", b'{"id":1}', b""]
)
def test_nothing_else_passes_for_a_ping(connector: Connector, body: bytes) -> None:
    with pytest.raises(BadSignature):
        connector.verify(message(body, {"Content-Type": "application/x-www-form-urlencoded"}))


# -- the same or not


def test_the_delivery_id_is_no_identity(connector: Connector) -> None:
    first = connector.receive(signed(an_order()))
    other = connector.receive(signed(an_order(status="completed")))
    again = connector.receive(signed(an_order(), delivery_id="d2"))
    assert first.dedupe_key != other.dedupe_key
    assert first.dedupe_key == again.dedupe_key


def test_topics_of_one_resource_are_told_apart(connector: Connector) -> None:
    created = connector.receive(signed(an_order(), topic="order.created"))
    updated = connector.receive(signed(an_order(), topic="order.updated"))
    assert created.dedupe_key != updated.dedupe_key


def test_what_is_stored_holds_no_customer(connector: Connector) -> None:
    order = an_order(customer_note="Ring twice", billing={"country": "NL", "email": "someone@example.com"})
    stored = json.dumps(connector.receive(signed(order)).payload)
    assert "someone" not in stored
    assert "Ring" not in stored


# -- what messages mean


def test_a_full_order_is_a_state(connector: Connector) -> None:
    (event,) = events_of(connector, signed(an_order()))
    assert isinstance(event, OrderState)
    assert event.external_id == "1001"
    assert event.lines[0].quantity == 3


@pytest.mark.parametrize(
    ("topic", "body"),
    [
        ("order.deleted", {"id": 1001}),
        ("order.updated", {"id": 1001}),
        ("order.updated", an_order(refunds=[{"id": 5, "total": "-9.50"}])),
        ("order.updated", an_order(date_modified_gmt=None)),
    ],
)
def test_what_is_no_full_snapshot_is_a_hint(connector: Connector, topic: str, body: dict[str, Any]) -> None:
    assert events_of(connector, signed(body, topic=topic)) == [OrderHint("1001")]


def test_a_status_of_a_plugin_is_kept_and_shown(connector: Connector) -> None:
    events = events_of(connector, signed(an_order(status="awaiting-pixie-dust")))
    assert events == [OrderHint("1001"), UnknownEvent("order status awaiting-pixie-dust")]


def test_an_error_in_the_place_of_an_order_is_ignored(connector: Connector) -> None:
    error = {
        "code": "woocommerce_rest_shop_order_invalid_id",
        "message": "Invalid ID.",
        "data": {"status": 404},
    }
    request = signed(error, topic="order.created")
    assert isinstance(events_of(connector, request)[0], Ignored)
    assert connector.receive(request).dedupe_key


def test_a_product_shows_its_shelf(connector: Connector) -> None:
    changed, observed = events_of(connector, signed(PRODUCT, topic="product.updated"))
    assert changed == ListingChanged("11")
    assert isinstance(observed, LevelObserved)
    assert (observed.listing_external_id, observed.quantity) == ("11", 4)


def test_an_oversold_product_shows_a_negative_shelf(connector: Connector) -> None:
    events = events_of(connector, signed(PRODUCT | {"stock_quantity": -3}, topic="product.updated"))
    assert [event.quantity for event in events if isinstance(event, LevelObserved)] == [-3]


def test_a_variation_on_its_parents_pool_shows_nothing_of_its_own(connector: Connector) -> None:
    variation = PRODUCT | {"type": "variation", "parent_id": 10, "manage_stock": "parent"}
    assert isinstance(events_of(connector, signed(variation, topic="product.updated"))[0], Ignored)


def test_a_deleted_product_is_gone(connector: Connector) -> None:
    events = events_of(connector, signed({"id": 11}, topic="product.deleted"))
    assert events == [ListingChanged("11", is_deleted=True)]


@pytest.mark.parametrize("body", [b"", b"[1]", b"{", b'{"id":1,"id":2}', b'{"id":NaN}', b'{"id":"\\ud800"}'])
def test_a_body_that_cannot_be_read_is_a_bad_message(connector: Connector, body: bytes) -> None:
    with pytest.raises(BadMessage):
        connector.receive(signed(body))


# -- subscriptions


def test_subscriptions_are_created_once_and_audited(
    sandbox: WooCommerceSandbox, connector: Connector
) -> None:
    with Inbox.open() as inbox:
        assert {problem.topic for problem in connector.audit_webhooks(inbox.url)} == set(TOPICS)
        for _ in range(2):
            assert connector.register_webhooks(inbox.url) == {}
        assert len(sandbox.webhooks.by_number) == len(TOPICS)
        assert connector.audit_webhooks(inbox.url) == []


def test_a_new_secret_is_made_that_the_shop_does_not_change(sandbox: WooCommerceSandbox, db: None) -> None:
    with Inbox.open() as inbox:
        secret = connect(sandbox).register_webhooks(inbox.url)["webhook_secret"]
    assert html.unescape(secret) == secret
    assert len(secret) >= 32
    assert {webhook.secret for webhook in sandbox.webhooks.by_number.values()} == {secret}


@pytest.mark.parametrize("status", ["disabled", "paused"])
def test_a_webhook_that_was_switched_off_is_found_and_mended(
    sandbox: WooCommerceSandbox, connector: Connector, status: str
) -> None:
    with Inbox.open() as inbox:
        connector.register_webhooks(inbox.url)
        sandbox.webhooks.by_number[1].status = status
        (problem,) = connector.audit_webhooks(inbox.url)
        assert status in problem.problem
        connector.register_webhooks(inbox.url)
        assert connector.audit_webhooks(inbox.url) == []


def test_many_failures_in_a_row_are_told_before_the_shop_switches_off(
    sandbox: WooCommerceSandbox, connector: Connector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plugins and later versions may show the counter; the REST interface of today does not."""
    with Inbox.open() as inbox:
        connector.register_webhooks(inbox.url)
        plain = Webhook.document
        monkeypatch.setattr(Webhook, "document", lambda self: plain(self) | {"failure_count": self.failures})
        sandbox.webhooks.by_number[1].failures = 2
        assert connector.audit_webhooks(inbox.url) == []
        sandbox.webhooks.by_number[1].failures = 5
        (problem,) = connector.audit_webhooks(inbox.url)
        assert "last 5 deliveries failed" in problem.problem


def test_a_wrong_address_a_wrong_secret_and_a_twin_are_mended(
    sandbox: WooCommerceSandbox, connector: Connector
) -> None:
    with Inbox.open() as inbox:
        connector.register_webhooks(inbox.url)
        first, second, third = list(sandbox.webhooks.by_number.values())[:3]
        first.delivery_url = inbox.url.replace("127.0.0.1", "old.example")
        second.secret = "somebody's"
        third.topic = second.topic
        problems = {problem.problem for problem in connector.audit_webhooks(inbox.url)}
        assert problems == {
            "the webhook leads to another address",
            "there are 2 webhooks",
            "there is no webhook",
        }
        connector.register_webhooks(inbox.url)
        assert connector.audit_webhooks(inbox.url) == []
        assert {webhook.secret for webhook in sandbox.webhooks.by_number.values()} == {SECRET}


def test_webhooks_of_others_are_left_alone(sandbox: WooCommerceSandbox, connector: Connector) -> None:
    with Inbox.open() as inbox:
        other = connect(sandbox, webhook_secret="another")
        other.register_webhooks("https://shop-tool.example/hook/")
        connector.register_webhooks(inbox.url)
    assert len(sandbox.webhooks.by_number) == 2 * len(TOPICS)
    assert {webhook.secret for webhook in sandbox.webhooks.by_number.values()} == {SECRET, "another"}


def test_a_channel_without_a_secret_is_told_to_register(
    sandbox: WooCommerceSandbox, connector: Connector
) -> None:
    with Inbox.open() as inbox:
        connector.register_webhooks(inbox.url)
        (problem,) = connect(sandbox).audit_webhooks(inbox.url)
    assert "no secret" in problem.problem


def test_what_the_shop_really_sends_is_verified_and_understood(
    sandbox: WooCommerceSandbox, connector: Connector
) -> None:
    with Inbox.open() as inbox:
        connector.register_webhooks(inbox.url)
        pings = [inbox.next_with(b"webhook_id=") for _ in TOPICS]
        for ping in pings:
            assert isinstance(events_of(connector, ping)[0], Ignored)
        placed = sandbox.place_order([("MUG", 2)])
        (state,) = events_of(connector, inbox.next_with(b'"line_items"'))
        assert isinstance(state, OrderState)
        assert state.external_id == placed.id
        sandbox.edit_stock("MUG", 5)
        seen = events_of(connector, inbox.next_with(b'"stock_quantity":5'))
        assert [event.quantity for event in seen if isinstance(event, LevelObserved)] == [5]
