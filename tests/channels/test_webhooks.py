"""The webhook door: verified, stored once, committed, then answered with 200."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django_q.models import OrmQ

from channels import accounts, health
from channels.models import Channel, ChannelHealth, WebhookDelivery
from tests.channels.senders import Sender, WooSender
from tests.channels.shop import Shop, open_shop

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def fresh_process() -> None:
    accounts.forget_channels()
    health._noted_at.clear()


@pytest.fixture
def woo() -> Sender:
    return WooSender()


@pytest.fixture
def woo_shop(woo: Sender) -> Shop:
    shop = open_shop({"MUG": 9})
    woo.connect(shop)
    return shop


def test_another_channels_signature_is_refused(client: Client, woo: Sender, woo_shop: Shop) -> None:
    other = open_shop()
    woo.connect(other)
    other.channel.credentials = {**other.channel.credentials, "webhook_secret": "another secret"}
    other.channel.save()
    assert woo.send(client, other.channel, woo.message()).status_code == 401
    assert not WebhookDelivery.objects.exists()


def test_an_unknown_or_inactive_channel_is_answered_alike(
    client: Client, woo: Sender, woo_shop: Shop
) -> None:
    Channel.objects.update(is_active=False)
    inactive = woo.send(client, woo_shop.channel, woo.message())
    unknown = woo.send(client, Channel(public_id="nobody"), woo.message())
    assert (inactive.status_code, inactive.content) == (unknown.status_code, unknown.content)
    assert unknown.status_code == 404


def test_a_replaced_secret_is_accepted_for_its_overlap_only(
    client: Client, woo: Sender, woo_shop: Shop
) -> None:
    channel = woo_shop.channel
    for valid_for, status in ((timedelta(hours=1), 200), (-timedelta(hours=1), 401)):
        until = datetime.now(UTC) + valid_for
        channel.credentials = {
            **channel.credentials,
            "webhook_secret": "new",
            "previous_webhook_secrets": [{"secret": WooSender.secret, "valid_until": until.isoformat()}],
        }
        channel.save()
        accounts.forget_channels()
        assert woo.send(client, channel, woo.message()).status_code == status


def test_the_first_ping_of_woocommerce_is_answered_and_not_stored(client: Client, woo_shop: Shop) -> None:
    answer = client.post(
        f"/webhooks/{woo_shop.channel.public_id}/",
        data=b"webhook_id=7",
        content_type="application/x-www-form-urlencoded",
    )
    assert answer.status_code == 200
    assert not WebhookDelivery.objects.exists()


def test_only_post_is_accepted(client: Client, woo_shop: Shop) -> None:
    answer = client.get(f"/webhooks/{woo_shop.channel.public_id}/")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")


def test_a_message_costs_one_read_and_one_insert(client: Client, woo: Sender, woo_shop: Shop) -> None:
    woo.send(client, woo_shop.channel, woo.message(order_id=1))
    counts = []
    for order_id in (2, 3):
        with CaptureQueriesContext(connection) as queries:
            woo.send(client, woo_shop.channel, woo.message(order_id=order_id))
        counts.append([query["sql"].split()[0] for query in queries.captured_queries])
    assert counts == [["INSERT"], ["INSERT"]]
    accounts.forget_channels()
    with CaptureQueriesContext(connection) as queries:
        woo.send(client, woo_shop.channel, woo.message(order_id=4))
    assert [query["sql"].split()[0] for query in queries.captured_queries] == ["SELECT", "INSERT"]


def test_the_last_webhook_is_noted_on_the_channels_health(
    client: Client, woo: Sender, woo_shop: Shop
) -> None:
    woo.send(client, woo_shop.channel, woo.message())
    assert ChannelHealth.objects.get(channel=woo_shop.channel).last_webhook_at is not None


@pytest.mark.django_db(transaction=True)
def test_a_worker_is_woken_once_the_message_is_committed(client: Client, woo: Sender, woo_shop: Shop) -> None:
    woo.send(client, woo_shop.channel, woo.message(order_id=1))
    woo.send(client, woo_shop.channel, woo.message(order_id=2))
    assert OrmQ.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_database_that_is_gone_is_answered_with_503(
    client: Client, woo: Sender, woo_shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection.close()
    with monkeypatch.context() as patch:
        patch.setitem(connection.settings_dict, "HOST", "/nowhere")
        answer = woo.send(client, woo_shop.channel, woo.message())
    assert answer.status_code == 503
    assert not WebhookDelivery.objects.exists()
    connection.close()
