"""What every platform's messages lead to, as its simulated shop sends them: authentic ones alone, whatever they say."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from django.test import Client

from channels.connectors.base import InboundRequest
from channels.models import ChannelOrder, WebhookDelivery
from tests.channels.contract.stand import Stand, stand_of
from tests.channels.senders import CUSTOMER


@pytest.fixture
def stand(stand: Stand) -> Stand:
    if not (stand.able.order_webhooks or stand.able.inventory_webhooks):
        pytest.skip(f"{stand.kind} tells nothing by itself.")
    stand.subscribe()
    return stand


def one_message(stand: Stand) -> InboundRequest:
    """Returns a message of a sale; of another number where sales are not told."""
    if stand.able.order_webhooks:
        stand.sandbox.place_order([("MUG", 2)])
    else:
        stand.sandbox.edit_stock("MUG", 7)
    return stand.messages()[0]


def forgeries(message: InboundRequest) -> Iterator[InboundRequest]:
    """Yields the message as somebody else might send it."""
    if message.is_queued:
        yield replace(message, is_queued=False)
        return
    for change in (b" ", b"x", b"\x00"):
        yield replace(message, body=message.body + change)
    for spoil in (lambda text: "", lambda text: "é", lambda text: text[:-8], lambda text: text.swapcase()):
        headers = {
            name: spoil(text) if "signature" in name or "hmac" in name else text
            for name, text in message.headers.items()
        }
        yield replace(message, headers=headers)


def test_what_is_not_authentic_is_refused_and_stored_nowhere(stand: Stand) -> None:
    message = one_message(stand)
    for forged in forgeries(message):
        assert stand.deliver(forged) == 401
    assert not WebhookDelivery.objects.exists()
    assert stand.deliver(message) == 200


def test_a_message_of_another_account_is_refused(stand: Stand) -> None:
    message = one_message(stand)
    with stand_of(stand.kind, name="Another shop", seed=7) as other:
        other.subscribe()
        assert other.deliver(message) == 401
    assert not WebhookDelivery.objects.exists()


def test_the_same_message_again_is_stored_once_counted_and_holds_nothing_of_the_customer(
    stand: Stand,
) -> None:
    message = one_message(stand)
    for _ in range(3):
        assert stand.deliver(message) == 200
    delivery = WebhookDelivery.objects.get()
    assert (delivery.channel, delivery.state, delivery.repeats) == (stand.channel, "received", 2)
    assert delivery.topic
    assert CUSTOMER not in str(delivery.payload)


def test_a_topic_that_nobody_taught_us_is_kept_and_shown(stand: Stand, admin_client: Client) -> None:
    strange = stand.adapter.retitled(stand.sandbox, one_message(stand))
    assert stand.deliver(strange) == 200
    stand.work_off()
    delivery = WebhookDelivery.objects.get()
    assert delivery.state == "unknown"
    assert not ChannelOrder.objects.exists()
    shown = admin_client.get("/admin/channels/webhookdelivery/").content.decode()
    assert delivery.topic in shown
