"""Whatever is sent to the webhook door is answered with a clear 4xx, and stores nothing."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client

from channels import accounts
from channels.models import ChannelOrder, WebhookDelivery
from tests.channels.senders import KINDS, Sender, sender_of
from tests.channels.shop import Shop, open_shop

pytestmark = pytest.mark.django_db


@pytest.fixture(params=KINDS)
def sender(request: pytest.FixtureRequest) -> Iterator[Sender]:
    accounts.forget_channels()
    with sender_of(request.param) as sender:
        yield sender


@pytest.fixture
def shop(sender: Sender) -> Shop:
    shop = open_shop({"MUG": 9})
    sender.connect(shop)
    return shop


def text_of(sender: Sender) -> str:
    return json.dumps(sender.message(2, order_id=424242))


#: How a body is spoilt: from the sender, so that each platform's own message is what is wrong.
SPOILT: dict[str, Callable[[Sender], bytes]] = {
    "nothing": lambda s: b"",
    "not JSON": lambda s: b"<html>Hello</html>",
    "a truncated body": lambda s: text_of(s).encode()[:-20],
    "JSON nested 10,000 deep": lambda s: b'{"id":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    "objects nested 10,000 deep": lambda s: b'{"id":' * 10_000 + b"1" + b"}" * 10_000,
    "a list": lambda s: b"[1, 2]",
    "a number": lambda s: b"7",
    "duplicate keys": lambda s: text_of(s).replace("{", '{"zz": 1, "zz": 2, ', 1).encode(),
    "NaN": lambda s: text_of(s).replace("{", '{"zz": NaN, ', 1).encode(),
    "1e999": lambda s: text_of(s).replace("{", '{"zz": 1e999, ', 1).encode(),
    "not UTF-8": lambda s: text_of(s).encode().replace(b"424242", b"42\xff42", 1),
    "a NUL in an id": lambda s: text_of(s).replace("424242", '"42\\u000042"', 1).encode(),
    "half a character in an id": lambda s: text_of(s).replace("424242", '"42\\ud80042"', 1).encode(),
}
#: Numbers that no order line can have.
NUMBERS: dict[str, Any] = {
    "a negative quantity": -2,
    "2^63": 2**63,
    "1e308": 1e308,
    "half a unit": 1.5,
    "digits of another script": "１２",
    "a word": "two",
    "a list": [2],
    "an object": {"units": 2},
    "true": True,
}


def test_an_authentic_body_that_cannot_be_read_is_refused(client: Client, sender: Sender, shop: Shop) -> None:
    for what, spoil in SPOILT.items():
        answer = sender.send(client, shop.channel, spoil(sender))
        assert answer.status_code in {400, 415}, what  # without a body there is no content type
        assert len(answer.content) > 10, what
        assert not WebhookDelivery.objects.exists(), what


def test_a_quantity_that_cannot_be_is_refused_or_never_read(
    client: Client, sender: Sender, shop: Shop
) -> None:
    for what, number in NUMBERS.items():
        answer = sender.send(client, shop.channel, sender.message(number))
        if sender.tells_states:
            assert answer.status_code == 400, what
            assert not WebhookDelivery.objects.exists(), what
        else:
            assert answer.status_code == 200, what  # a hint carries no quantity
        assert not ChannelOrder.objects.exists(), what


def test_a_body_of_50_megabytes_is_refused_unread(client: Client, sender: Sender, shop: Shop) -> None:
    body = b" " * (50 * 1024 * 1024)
    answer = client.post(f"/webhooks/{shop.channel.public_id}/", data=body, content_type="application/json")
    assert answer.status_code == 413
    assert not WebhookDelivery.objects.exists()


def test_another_content_type_is_refused(client: Client, sender: Sender, shop: Shop) -> None:
    for content_type in ("text/html", "application/xml", "multipart/form-data; boundary=x", ""):
        answer = sender.send(client, shop.channel, sender.message(), content_type=content_type)
        assert answer.status_code == 415, content_type
        assert not WebhookDelivery.objects.exists(), content_type


def test_a_signed_form_is_no_message(client: Client, sender: Sender, shop: Shop) -> None:
    answer = sender.send(
        client, shop.channel, b"id=1&quantity=2", content_type="application/x-www-form-urlencoded"
    )
    assert answer.status_code in {200, 400, 401}  # 200 is WooCommerce's ping
    assert not WebhookDelivery.objects.exists()


@pytest.mark.parametrize("topic", ["x" * 5000, "", "no/such/topic"])
def test_a_topic_nobody_knows_is_kept_or_refused_but_never_an_error(
    client: Client, sender: Sender, shop: Shop, topic: str
) -> None:
    if sender.is_queued:
        pytest.skip("Its topic stands in the body alone.")
    names = {"shopify": "X-Shopify-Topic", "woocommerce": "X-WC-Webhook-Topic"}
    answer = sender.send(client, shop.channel, sender.message(), **{names.get(sender.kind, "X-Topic"): topic})
    assert answer.status_code in {200, 400}
    assert not ChannelOrder.objects.exists()
