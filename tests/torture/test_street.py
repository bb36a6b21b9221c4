"""What the street forges is refused by the door, and what is not would be noticed."""

import json
from collections.abc import Iterator

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from channels import accounts
from channels.accounts import open_connector
from tests.channels.senders import sender_of
from tests.channels.shop import Shop, open_shop
from tests.torture.street import Message, Street

pytestmark = pytest.mark.django_db
#: Platforms whose signature stands in a header that the street knows.
KINDS = ("woocommerce", "shopify", "bol", "wholesale")


class Door(Street):
    """A street that ends at the webhook view itself."""

    def __init__(self, client: Client) -> None:
        super().__init__(port=0, web_port=0, seed=1)
        self.client = client
        self.posted: list[tuple[Message, int]] = []

    def _post(self, message: Message) -> int:
        answer = self.client.post(
            message.path, data=message.body, content_type="application/json", headers=dict(message.headers)
        )
        self.posted.append((message, answer.status_code))
        return answer.status_code


@pytest.fixture
def street(client: Client, settings: Settings) -> Iterator[Door]:
    settings.ALLOW_LOOPBACK_PLATFORMS = True
    street = Door(client)
    yield street
    street.close()


def path_of(shop: Shop) -> str:
    return reverse("channels:webhook", args=[shop.channel.public_id])


@pytest.mark.parametrize("kind", KINDS)
def test_bodies_signatures_times_and_doors_are_forged_and_refused(street: Door, kind: str) -> None:
    accounts.forget_channels()
    shop = open_shop({"MUG": 9})
    with sender_of(kind) as sender:
        sender.connect(shop)
        street.know(path_of(shop), open_connector(shop.channel))
        message, other = (
            Message(
                path_of(shop), {name.lower(): value for name, value in sender.headers(body).items()}, body
            )
            for body in (json.dumps(sender.message(order_id=number)).encode() for number in (1001, 1002))
        )
        street._before[message.path] = other
        assert street._post(message) == 200
        street.posted.clear()
        street._forge(message)
    assert [status for _, status in street.posted] == [401] * 4
    assert street.record.taken_in == []


def test_a_forgery_that_is_taken_is_noticed(street: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    message = Message("/webhooks/1/", {"x-wc-webhook-signature": "a"}, b"{}")
    monkeypatch.setattr(street, "_post", lambda forged: 200)
    street._forge(message)
    assert len(street.record.taken_in) == 3
