"""What every registered connector owes the engine."""

import dataclasses
import json
import logging
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest
from structlog.testing import capture_logs

from channels.accounts import open_connector
from channels.connectors import CONNECTORS, connector_class
from channels.connectors.base import Capabilities, Connector, InboundRequest, RateLimit
from channels.connectors.checks import connectors_are_complete, problems_of
from channels.connectors.shopify import ShopifyConnector
from channels.errors import BadMessage, BadSignature, ChannelError, Misconfigured, Unsupported
from channels.events import UnknownEvent
from tests.channels.senders import KINDS, Sender, sender_of
from tests.channels.shop import Shop, open_shop

pytestmark = pytest.mark.django_db


@pytest.fixture(params=KINDS)
def sender(request: pytest.FixtureRequest) -> Iterator[Sender]:
    with sender_of(request.param) as sender:
        yield sender


@pytest.fixture
def shop(sender: Sender) -> Shop:
    shop = open_shop({"MUG": 1})
    sender.connect(shop)
    return shop


@pytest.fixture
def connector(shop: Shop) -> Connector:
    return open_connector(shop.channel, deadline=5)


def message(sender: Sender, body: bytes) -> InboundRequest:
    headers = {name.lower(): value for name, value in sender.headers(body).items()}
    named = {"content-type": "application/json", **headers}
    return InboundRequest(named, body, datetime.now(UTC), sender.address, is_queued=sender.is_queued)


def order(sender: Sender) -> bytes:
    return json.dumps(sender.message()).encode()


# -- declarations


def test_every_registered_connector_declares_what_the_engine_relies_on() -> None:
    assert connectors_are_complete(None) == []
    assert set(CONNECTORS) >= {
        "shopify",
        "woocommerce",
        "bol",
        "square",
        "wholesale",
        "amazon_seller",
        "picqer",
    }
    assert "amazon_vendor" in CONNECTORS
    for kind in CONNECTORS:
        assert connector_class(kind).kind == kind


def test_a_kind_that_was_retired_or_never_existed_is_reported() -> None:
    with pytest.raises(Misconfigured, match="no connector"):
        connector_class("ebay")


class Broken(ShopifyConnector):
    """Spoilt by the cases below."""


CAPABLE = Capabilities(push_batch_size=1, poll_interval=timedelta(minutes=1))


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("kind", "other", "calls itself other"),
        ("rate_limits", {}, "no rate limit"),
        ("rate_limits", {"calls": RateLimit(0, 1)}, "never be spent"),
        ("capabilities", CAPABLE, "cancel_line and the capability cancels_lines contradict"),
        ("capabilities", dataclasses.replace(CAPABLE, push_batch_size=0), "neither push nor call"),
        ("capabilities", dataclasses.replace(CAPABLE, poll_interval=timedelta(0)), "more than once a second"),
        ("capabilities", dataclasses.replace(CAPABLE, asynchronous_push=True), "follow_push"),
    ],
)
def test_a_declaration_that_contradicts_itself_is_found(
    monkeypatch: pytest.MonkeyPatch, name: str, value: object, problem: str
) -> None:
    monkeypatch.setattr(Broken, name, value)
    assert any(problem in found for found in problems_of("shopify", Broken))


def test_a_connector_that_lacks_parts_is_found() -> None:
    class Bare(Connector):
        kind: ClassVar[str] = "bare"

    (problem,) = problems_of("bare", Bare)  # type: ignore[type-abstract]
    assert "label" in problem
    assert "push" in problem


# -- inbound


def test_an_authentic_message_is_read(sender: Sender, connector: Connector) -> None:
    request = message(sender, order(sender))
    connector.verify(request)
    received = connector.receive(request)
    assert received.topic
    assert received.dedupe_key
    assert connector.parse(received.topic, json.loads(json.dumps(received.payload)))


def test_a_message_that_was_changed_is_refused(sender: Sender, connector: Connector) -> None:
    if sender.is_queued:
        pytest.skip("What lies in a queue has no signature of its own.")
    request = message(sender, order(sender))
    for change in (b" ", b"x", b"\x00"):
        with pytest.raises(BadSignature):
            connector.verify(dataclasses.replace(request, body=request.body + change))


def test_a_message_without_or_with_a_spoilt_signature_is_refused(
    sender: Sender, connector: Connector
) -> None:
    if sender.is_queued:
        pytest.skip("What lies in a queue has no signature of its own.")
    request = message(sender, order(sender))
    for spoil in (lambda text: "", lambda text: "é", lambda text: text[:-8], lambda text: text.swapcase()):
        headers = {
            name: spoil(value) if "signature" in name or "hmac" in name else value
            for name, value in request.headers.items()
        }
        with pytest.raises(BadSignature):
            connector.verify(dataclasses.replace(request, headers=headers))


def test_a_topic_that_nobody_taught_it_is_kept_and_not_an_error(sender: Sender, connector: Connector) -> None:
    body = order(sender).replace(f'"{sender.topic}"'.encode(), b'"metaobject.created"')
    sender.topic = "metaobject.created"
    request = message(sender, body)
    connector.verify(request)
    received = connector.receive(request)
    (event,) = connector.parse(received.topic, received.payload)
    assert isinstance(event, UnknownEvent)


def test_a_platform_with_a_queue_takes_nothing_that_is_posted(sender: Sender, connector: Connector) -> None:
    if not sender.is_queued:
        pytest.skip("It posts its messages.")
    request = message(sender, order(sender))
    with pytest.raises(BadSignature):
        connector.verify(dataclasses.replace(request, is_queued=False))


def test_a_body_that_cannot_be_read_is_a_bad_message(sender: Sender, connector: Connector) -> None:
    for body in (b"", b"{", b"[]", b'{"a": NaN}', b"<html>", b'{"a": 1, "a": 2}', b"\xff"):
        with pytest.raises(BadMessage):
            connector.receive(message(sender, body))


# -- capabilities

OPTIONAL: dict[str, Callable[[Connector], object]] = {
    "cancels_lines": lambda connector: connector.cancel_line("1", "1", 1, call_id="call"),
    "asynchronous_push": lambda connector: connector.follow_push([]),
    "message_queue": lambda connector: connector.take_messages(seconds=0),
    "own_warehouse": lambda connector: connector.fetch_warehouse(None),
    "bulk_increases": lambda connector: connector.push_increases([], call_id="call"),
    "acknowledges_orders": lambda connector: connector.acknowledge_order("1", []),
    "keeps_stock": lambda connector: connector.fetch_stock(["1"]),
    "takes_requests": lambda connector: connector.cancel_request("1"),
    "manages_subscriptions": lambda connector: connector.register_webhooks("https://stock.example.com/"),
}


def test_what_is_not_declared_is_unsupported(connector: Connector) -> None:
    for capability, use in OPTIONAL.items():
        if not getattr(connector.capabilities, capability):
            with pytest.raises(Unsupported):
                use(connector)


# -- credentials


def secrets_of(shop: Shop) -> list[str]:
    """Fills every credential with something that can be looked for."""
    kind = connector_class(shop.channel.kind)
    shop.channel.credentials = {
        field.name: f"very-secret-{field.name}-0123456789" for field in kind.credential_fields
    }
    shop.channel.save()
    return list(shop.channel.credentials.values())


def everything(connector: Connector) -> Iterator[Callable[[], Any]]:
    """Every call that a connector makes to its platform."""
    yield connector.check
    yield lambda: connector.fetch_orders("")
    yield lambda: connector.fetch_order("1")
    yield lambda: list(connector.fetch_listings())
    yield connector.fetch_locations
    yield lambda: connector.audit_webhooks("https://stock.example.com/webhooks/x/")


def test_no_credential_shows_in_a_representation_an_error_or_a_log(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    secrets = secrets_of(shop)
    dead = "http://127.0.0.1:1"
    shop.channel.settings = {
        name: dead if name.endswith("_url") else value for name, value in shop.channel.settings.items()
    }
    shown = []
    with caplog.at_level(logging.DEBUG), capture_logs() as logs:
        connector = open_connector(shop.channel, deadline=2)
        shown += [repr(connector), repr(connector.account), str(connector.account), repr(connector.client)]
        for call in everything(connector):
            try:
                shown.append(repr(call()))
            except ChannelError as error:
                shown += [repr(error), "".join(traceback.format_exception(error))]
    text = "\n".join([*shown, repr(logs), caplog.text])
    assert "cannot be reached" in text
    for secret in secrets:
        assert secret not in text


def test_a_missing_credential_is_named(shop: Shop) -> None:
    required = [field for field in connector_class(shop.channel.kind).credential_fields if field.is_required]
    assert required
    shop.channel.credentials = {}
    with pytest.raises(Misconfigured, match=required[0].label):
        open_connector(shop.channel)
