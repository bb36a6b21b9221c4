"""Stored messages are processed once, by any number of workers, and a bad one holds up nobody."""

import json
import threading
from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.db import connection, connections, transaction
from django.test import Client
from django.utils import timezone

from channels import accounts, deliveries
from channels.deliveries import LARGEST_ATTEMPTS, process_due, replay
from channels.models import ChannelOrder, WebhookDelivery
from channels.tasks import process_deliveries
from inventory.models import StockLevel
from tests.channels.senders import CUSTOMER, KINDS, WooSender, sender_of
from tests.channels.shop import Shop, open_shop

pytestmark = pytest.mark.django_db
SENDER = WooSender()


@pytest.fixture
def shop() -> Shop:
    accounts.forget_channels()
    shop = open_shop({"MUG": 99})
    SENDER.connect(shop)
    return shop


def send(client: Client, shop: Shop, message: dict[str, Any]) -> WebhookDelivery:
    assert SENDER.send(client, shop.channel, message).status_code == 200
    return WebhookDelivery.objects.latest("id")


def spoil(delivery: WebhookDelivery) -> None:
    """Makes a stored delivery one that no connector can read, as after a change of its format."""
    spoilt = {**delivery.payload, "line_items": [{"id": 1, "sku": "MUG", "quantity": "two"}]}
    WebhookDelivery.objects.filter(pk=delivery.pk).update(payload=spoilt)


def test_a_delivery_is_applied_to_the_ledger(client: Client, shop: Shop) -> None:
    delivery = send(client, shop, SENDER.message(2))
    assert process_due() == 1
    delivery.refresh_from_db()
    assert (delivery.state, delivery.error) == ("processed", "")
    assert delivery.processed_at is not None
    assert shop.level("MUG") == (99, 2)
    assert ChannelOrder.objects.get().arrived_at == delivery.received_at


def test_deliveries_are_processed_once(client: Client, shop: Shop) -> None:
    send(client, shop, SENDER.message(2))
    assert process_deliveries() == 1
    assert process_deliveries() == 0
    assert shop.level("MUG") == (99, 2)


def test_a_bad_delivery_is_a_dead_letter_with_its_reason_and_holds_up_nobody(
    client: Client, shop: Shop
) -> None:
    bad = send(client, shop, SENDER.message(1, order_id=1))
    spoil(bad)
    send(client, shop, SENDER.message(2, order_id=2))
    assert process_due() == 2
    bad.refresh_from_db()
    assert bad.state == "dead"
    assert bad.error
    assert shop.level("MUG") == (99, 2)


def test_a_replayed_dead_letter_is_processed_and_counts_nothing_twice(client: Client, shop: Shop) -> None:
    delivery = send(client, shop, SENDER.message(2))
    payload = delivery.payload
    spoil(delivery)
    process_due()
    WebhookDelivery.objects.update(payload=payload)
    for _ in range(2):
        assert replay([delivery.pk]) == 1
        assert process_due() == 1
    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts) == ("processed", 0)
    assert shop.level("MUG") == (99, 2)


def test_a_delivery_that_keeps_failing_is_tried_later_and_later_and_then_dead(
    client: Client, shop: Shop
) -> None:
    delivery = send(client, shop, SENDER.message(2))
    # A database that refuses the order stands for every failure that nobody foresaw.
    with connection.cursor() as cursor:
        cursor.execute(
            "ALTER TABLE channels_channelorder ADD CONSTRAINT refused CHECK (external_id <> '1001')"
        )
    pauses = []
    for attempt in range(1, LARGEST_ATTEMPTS + 1):
        assert process_due() == 1
        delivery.refresh_from_db()
        assert delivery.attempts == attempt
        if delivery.next_attempt_at is not None and delivery.state == "received":
            pauses.append(delivery.next_attempt_at - timezone.now())
            assert process_due() == 0
        WebhookDelivery.objects.update(next_attempt_at=None)
    assert delivery.state == "dead"
    assert "refused" in delivery.error
    assert pauses[0] < timedelta(seconds=10) < timedelta(minutes=5) < pauses[-1]
    assert shop.level("MUG") == (99, 0)


def test_an_unknown_topic_is_kept_and_shown(client: Client, shop: Shop) -> None:
    body = json.dumps({"id": 5}).encode()
    assert SENDER.send(client, shop.channel, body, **{"X-WC-Webhook-Topic": "moon.rise"}).status_code == 200
    process_due()
    assert WebhookDelivery.objects.get().state == "unknown"


@pytest.mark.parametrize("kind", KINDS)
def test_no_customer_data_is_anywhere_in_the_database(client: Client, kind: str) -> None:
    shop = open_shop({"MUG": 9})
    accounts.forget_channels()
    with sender_of(kind) as sender:
        sender.connect(shop)
        assert sender.send(client, shop.channel, sender.message()).status_code == 200
        process_due()
    assert ChannelOrder.objects.exists() == sender.brings_orders
    for model in apps.get_models(include_auto_created=True):
        assert not holds(model._meta.db_table, CUSTOMER), model


def test_the_search_for_customer_data_would_find_it(shop: Shop) -> None:
    ChannelOrder.objects.create(
        channel=shop.channel, external_id="1", number=CUSTOMER, arrived_at=timezone.now()
    )
    assert holds("channels_channelorder", CUSTOMER)


def holds(table: str, text: str) -> bool:
    """Tells whether any column of any row of a table holds this text."""
    quoted = connection.ops.quote_name(table)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT EXISTS (SELECT FROM {quoted} AS kept WHERE kept::text LIKE %s)", [f"%{text}%"]
        )
        return bool(cursor.fetchone()[0])


def in_threads(number: int, work: Any) -> None:
    def run() -> None:
        try:
            work()
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def process_without_patience() -> None:
    """Processes over a connection that waits for locks only a moment."""
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '100ms'")
    process_due()


@pytest.mark.django_db(transaction=True)
def test_several_workers_process_each_delivery_once(client: Client, shop: Shop) -> None:
    for number in range(24):
        send(client, shop, SENDER.message(1, order_id=number // 2 + 1) | {"customer_id": number})
    in_threads(4, process_deliveries)
    assert set(WebhookDelivery.objects.values_list("state", flat=True)) == {"processed"}
    assert shop.level("MUG") == (99, ChannelOrder.objects.count())


@pytest.mark.django_db(transaction=True)
def test_stock_that_somebody_else_holds_postpones_a_delivery_without_counting_a_failure(
    client: Client, shop: Shop
) -> None:
    delivery = send(client, shop, SENDER.message(2))
    with transaction.atomic():
        list(StockLevel.objects.select_for_update())
        in_threads(1, process_without_patience)
    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts) == ("received", 0)
    assert delivery.error
    assert process_deliveries() == 1
    assert shop.level("MUG") == (99, 2)


@pytest.mark.django_db(transaction=True)
def test_a_delivery_that_a_worker_holds_is_passed_over(client: Client, shop: Shop) -> None:
    held = send(client, shop, SENDER.message(1, order_id=1))
    send(client, shop, SENDER.message(2, order_id=2))
    with transaction.atomic():
        list(WebhookDelivery.objects.select_for_update().filter(pk=held.pk))
        in_threads(1, deliveries.process_due)
    assert list(ChannelOrder.objects.values_list("external_id", flat=True)) == ["2"]
