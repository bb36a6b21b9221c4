"""bol's events: signatures by rotating keys, envelopes of ids, subscriptions that bol switches off."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from channels.connectors.base import Connector, InboundRequest
from channels.connectors.bol import signatures
from channels.connectors.bol.signatures import CREDENTIAL, forget_keys
from channels.errors import BadMessage, BadSignature, Rejected, TransientError
from channels.events import Ignored, ListingChanged, OrderHint
from channels.sandbox.bol import BolSandbox
from channels.sandbox.book import CatalogueItem
from channels.sandbox.profiles import INSTANT
from tests.channels.connectors.shops import Inbox, connect, message

pytestmark = pytest.mark.django_db

KEYS_CALL = "GET /retailer/subscriptions/signature-keys"


@pytest.fixture
def sandbox() -> Iterator[BolSandbox]:
    forget_keys()
    with BolSandbox(profile=INSTANT, limits="generous") as shop:
        shop.load_catalogue([CatalogueItem(sku="MUG", title="Mug", quantities={"main": 10})])
        yield shop


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def connector(sandbox: BolSandbox, key: rsa.RSAPrivateKey) -> Connector:
    """Knows the key `kept` from its credentials."""
    return connect(sandbox, **{CREDENTIAL: json.dumps({"kept": public_text(key)})})


def public_text(key: rsa.RSAPrivateKey) -> str:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return base64.b64encode(key.public_key().public_bytes(serialization.Encoding.DER, form)).decode()


def an_event(resource: str = "ORDER", resource_id: str = "A2K8290LP8") -> dict[str, Any]:
    event = {"resource": resource, "type": "CREATED", "resourceId": resource_id}
    return {"retailerId": "1", "timestamp": "2026-11-21T12:00:00+01:00", "event": event}


def signed(
    key: rsa.RSAPrivateKey,
    body: dict[str, Any] | bytes,
    form: str = 'keyId={id}, algorithm="rsa-sha256", signature={signature}',
    *,
    key_id: str = "kept",
) -> InboundRequest:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    signature = base64.b64encode(key.sign(raw, padding.PKCS1v15(), hashes.SHA256())).decode()
    return message(raw, {"Signature": form.format(id=key_id, signature=signature)})


# -- authentic or not


@pytest.mark.parametrize(
    "form",
    [
        'keyId={id}, algorithm="rsa-sha256", signature={signature}',
        'keyId="{id}",algorithm="rsa-sha256",signature="{signature}"',
        "keyId={id}, signature={signature}",
    ],
)
def test_a_signature_by_a_kept_key_needs_no_call(
    sandbox: BolSandbox, connector: Connector, key: rsa.RSAPrivateKey, form: str
) -> None:
    connector.verify(signed(key, an_event(), form))
    assert not sandbox.requests


@pytest.mark.parametrize(
    "header",
    [
        "",
        "keyId=kept",
        "keyId=kept, signature=no-base64!",
        "signature=AAAA",
        'keyId=kept, algorithm="none", signature=AA==',
    ],
)
def test_a_message_without_a_proper_signature_is_refused(connector: Connector, header: str) -> None:
    with pytest.raises(BadSignature):
        connector.verify(message(an_event(), {"Signature": header}))


def test_a_key_that_is_new_is_asked_for_once_and_forgers_cannot_make_us_call(
    sandbox: BolSandbox, connector: Connector, key: rsa.RSAPrivateKey
) -> None:
    for _ in range(3):
        with pytest.raises(BadSignature):
            connector.verify(signed(key, an_event(), key_id="invented"))
    assert sandbox.requests[KEYS_CALL] == 1


def test_after_a_minute_a_rotated_key_is_found(
    sandbox: BolSandbox, connector: Connector, key: rsa.RSAPrivateKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Inbox.open() as inbox:
        connector.register_webhooks(inbox.url)
        sandbox.place_order([("MUG", 1)])
        connector.verify(inbox.next())
        sandbox.subscriptions.rotate_key()
        sandbox.place_order([("MUG", 1)])
        rotated = inbox.next()
        with pytest.raises(BadSignature):
            connector.verify(rotated)
        monkeypatch.setattr(signatures, "_PAUSE", 0.0)
        connector.verify(rotated)


def test_while_bol_cannot_be_asked_nothing_is_judged(
    sandbox: BolSandbox, connector: Connector, key: rsa.RSAPrivateKey
) -> None:
    sandbox.set_faults(is_down=True)
    for _ in range(2):
        with pytest.raises(TransientError):
            connector.verify(signed(key, an_event(), key_id="unseen"))


# -- what events mean


def events_of(connector: Connector, request: InboundRequest) -> list[object]:
    received = connector.receive(request)
    return list(connector.parse(received.topic, received.payload))


def test_an_order_event_is_a_hint(connector: Connector, key: rsa.RSAPrivateKey) -> None:
    assert events_of(connector, signed(key, an_event())) == [OrderHint("A2K8290LP8")]


@pytest.mark.parametrize("resource", ["OFFER_FOR_SALE", "OFFER_NOT_FOR_SALE"])
def test_an_offer_event_is_a_change_of_the_listing(
    connector: Connector, key: rsa.RSAPrivateKey, resource: str
) -> None:
    assert events_of(connector, signed(key, an_event(resource, "offer-1"))) == [ListingChanged("offer-1")]


@pytest.mark.parametrize("resource", ["PROCESS_STATUS", "SHIPMENT", "COMPETING_OFFER", "PRICE_STAR_BOUNDARY"])
def test_other_events_say_nothing_about_stock(
    connector: Connector, key: rsa.RSAPrivateKey, resource: str
) -> None:
    assert isinstance(events_of(connector, signed(key, an_event(resource)))[0], Ignored)


def test_a_test_event_is_a_ping(connector: Connector, key: rsa.RSAPrivateKey) -> None:
    received = connector.receive(signed(key, an_event("TEST")))
    assert received.dedupe_key == ""
    assert isinstance(connector.parse(received.topic, received.payload)[0], Ignored)


def test_envelopes_are_told_apart_by_what_they_say(connector: Connector, key: rsa.RSAPrivateKey) -> None:
    first = connector.receive(signed(key, an_event()))
    again = connector.receive(signed(key, json.dumps(an_event(), indent=1).encode()))
    later = connector.receive(signed(key, an_event() | {"timestamp": "2026-11-21T12:00:01+01:00"}))
    assert first.dedupe_key == again.dedupe_key != later.dedupe_key


def test_only_the_envelope_is_kept(connector: Connector, key: rsa.RSAPrivateKey) -> None:
    received = connector.receive(signed(key, an_event() | {"customer": {"name": "Someone"}}))
    assert "Someone" not in repr(received.payload)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"event":1}', b'{"event":{"resource":{}}}', b'{"event":null}']
)
def test_a_body_that_cannot_be_read_is_a_bad_message(
    connector: Connector, key: rsa.RSAPrivateKey, body: bytes
) -> None:
    with pytest.raises(BadMessage):
        events_of(connector, signed(key, body))


def test_an_order_event_without_an_id_is_a_bad_message(connector: Connector, key: rsa.RSAPrivateKey) -> None:
    received = connector.receive(signed(key, an_event(resource_id="")))
    with pytest.raises(BadMessage):
        connector.parse(received.topic, received.payload)


# -- subscriptions


def test_a_subscription_is_created_once_with_the_keys_to_keep(
    sandbox: BolSandbox, connector: Connector
) -> None:
    with Inbox.open() as inbox:
        for _ in range(2):
            kept = connector.register_webhooks(inbox.url)
        assert len(sandbox.subscriptions.by_number) == 1
        keeper = connect(sandbox, **kept)
        assert keeper.audit_webhooks(inbox.url) == []
        placed = sandbox.place_order([("MUG", 1)])
        received = inbox.next()
        sandbox.requests.clear()
        keeper.verify(received)
        assert events_of(keeper, received) == [OrderHint(placed.id)]
        assert not sandbox.requests


def test_what_is_wrong_with_a_subscription_is_found_and_mended(
    sandbox: BolSandbox, connector: Connector
) -> None:
    with Inbox.open() as inbox:
        assert "there is no subscription" in [each.problem for each in connector.audit_webhooks(inbox.url)]
        connector.register_webhooks(inbox.url)
        (subscription,) = sandbox.subscriptions.by_number.values()
        subscription.is_enabled = False
        subscription.url = inbox.url.replace("127.0.0.1", "localhost")
        subscription.resources = ["SHIPMENT"]
        problems = {each.problem for each in connector.audit_webhooks(inbox.url)}
        assert problems >= {
            "bol switched it off after failed deliveries",
            "it leads to another address",
            "it leaves out ORDER",
        }
        kept = connector.register_webhooks(inbox.url)
        assert connect(sandbox, **kept).audit_webhooks(inbox.url) == []


def test_a_new_signature_key_is_a_problem_until_it_is_fetched(
    sandbox: BolSandbox, connector: Connector
) -> None:
    with Inbox.open() as inbox:
        kept = connector.register_webhooks(inbox.url)
        sandbox.subscriptions.rotate_key()
        (problem,) = connect(sandbox, **kept).audit_webhooks(inbox.url)
        assert "keys" in problem.problem
        assert connector.register_webhooks(inbox.url) != kept


def test_an_address_that_bol_does_not_take_is_rejected_with_its_reason(connector: Connector) -> None:
    with pytest.raises(Rejected, match="https"):
        connector.register_webhooks("http://shop-tool.example/webhooks/x/")
