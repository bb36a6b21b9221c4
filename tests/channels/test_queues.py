"""Queues of platforms that post nothing: their messages come through the same door, and whatever happens to them."""

import time
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from django.db import connection, connections
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase
from structlog.testing import capture_logs

from channels import accounts, fetching
from channels.accounts import open_connector
from channels.connectors.base import Connector, QueuedMessage
from channels.deliveries import process_due
from channels.errors import Unsupported
from channels.feeds import ORDERS, ensure_feeds
from channels.importing import import_channel
from channels.models import (
    Channel,
    ChannelHealth,
    ChannelLocation,
    ChannelOrderLine,
    ErrorEntry,
    PollFeed,
    ShelfObservation,
    WebhookDelivery,
)
from channels.polling import _apply_page
from channels.queues import QueueReader, QueueReaders, read_queue
from channels.sandbox.amazon_seller import AmazonSellerSandbox
from channels.subscriptions import audit
from inventory.models import StockMovement
from tests.channels.connectors.amazon import opened, until
from tests.channels.senders import AmazonSender
from tests.channels.shop import Shop, open_shop
from tests.inventory.cast import assert_ledger_holds
from tests.properties import examples

pytestmark = pytest.mark.django_db


@pytest.fixture
def sandbox() -> Iterator[AmazonSellerSandbox]:
    with opened() as sandbox:
        yield sandbox


@pytest.fixture
def shop(sandbox: AmazonSellerSandbox) -> Shop:
    return connected(sandbox)


def connected(sandbox: AmazonSellerSandbox, units: int = 10) -> Shop:
    """A merchant with ten mugs whose channel is the account, imported and subscribed."""
    shop = open_shop({"MUG": units}, kind="amazon_seller")
    channel = shop.channel
    channel.settings, channel.credentials = sandbox.settings(), dict(sandbox.credentials())
    channel.save()
    import_channel(channel, open_connector(channel))
    assert audit(channel) == []
    ensure_feeds()
    accounts.forget_channels()
    channel.refresh_from_db()
    return shop


def drain(shop: Shop, sandbox: AmazonSellerSandbox) -> None:
    """Reads and applies all that is and will be in the queue."""
    until(
        lambda: (
            super(AmazonSellerSandbox, sandbox).is_idle()
            or read_queue(shop.channel, open_connector(shop.channel))
        )
    )
    while read_queue(shop.channel, open_connector(shop.channel)):
        pass
    process_due()


def test_a_sale_is_reserved_from_its_notification_alone(shop: Shop, sandbox: AmazonSellerSandbox) -> None:
    sandbox.place_order([("MUG", 2)])
    drain(shop, sandbox)
    assert shop.level("MUG") == (10, 2)
    assert sandbox.requests["getOrder"] == sandbox.requests["searchOrders"] == 0
    assert sandbox.queue.waiting == 0
    assert ChannelHealth.objects.get(channel=shop.channel).last_webhook_at is not None


def test_shelves_are_observed(shop: Shop, sandbox: AmazonSellerSandbox) -> None:
    sandbox.edit_stock("MUG", 3)
    drain(shop, sandbox)
    assert ShelfObservation.objects.get().quantity == 3


def test_a_message_leaves_the_queue_once_it_is_stored_and_is_known_when_it_comes_again(
    shop: Shop, sandbox: AmazonSellerSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox.pending_seconds = 3600.0
    sandbox.place_order([("MUG", 2)])
    until(lambda: sandbox.queue.waiting == 2)
    connector = open_connector(shop.channel)
    with monkeypatch.context() as patch:
        patch.setattr("channels.connectors.amazon.queue.acknowledge", lambda account, receipts: None)
        assert read_queue(shop.channel, connector) == 2
    sandbox.queue.show_hidden()
    assert read_queue(shop.channel, connector) == 2
    assert sandbox.queue.waiting == 0
    assert list(WebhookDelivery.objects.values_list("repeats", flat=True)) == [1, 1]
    process_due()
    assert shop.level("MUG") == (10, 2)


def test_a_foreign_message_stays_for_whom_it_is_and_stores_nothing(
    shop: Shop, sandbox: AmazonSellerSandbox
) -> None:
    sandbox.set_faults(webhook_bad_signature_rate=1.0)
    sandbox.place_order([("MUG", 2)])
    until(lambda: sandbox.queue.waiting == 2)
    read_queue(shop.channel, open_connector(shop.channel))
    assert not WebhookDelivery.objects.exists()
    assert sandbox.queue.waiting == 2
    assert ErrorEntry.objects.get().code == "bad_signature"


def test_a_message_that_cannot_be_read_has_the_orders_polled_and_does_not_come_again(
    shop: Shop, sandbox: AmazonSellerSandbox
) -> None:
    later = timezone.now() + timedelta(hours=1)
    PollFeed.objects.update(next_poll_at=later)
    sandbox.queue.put("<html>")
    read_queue(shop.channel, open_connector(shop.channel))
    assert sandbox.queue.waiting == 0
    assert PollFeed.objects.get(name=ORDERS).next_poll_at < later
    assert ErrorEntry.objects.get().code == "bad_message"


def test_what_amazon_ships_leaves_own_stock_alone(shop: Shop, sandbox: AmazonSellerSandbox) -> None:
    shop.add_variant("FBA-JUG", {"main": 7})
    placed = sandbox.place_order([("FBA-JUG", 2)])
    drain(shop, sandbox)
    sandbox.fulfil(placed.id, "FBA-JUG", 2)
    drain(shop, sandbox)
    assert shop.level("FBA-JUG") == (7, 0)
    place = ChannelOrderLine.objects.get().channel_location
    assert place is not None
    assert place.external_id == "FBA"
    assert not ChannelLocation.objects.get(external_id="FBA").is_active


def test_without_a_queue_the_audit_says_so_and_orders_are_polled(
    shop: Shop, sandbox: AmazonSellerSandbox
) -> None:
    shop.channel.settings = {**sandbox.settings(), "queue_url": ""}
    shop.channel.save()
    (problem,) = audit(shop.channel)
    assert "only polled" in problem.problem
    assert ChannelHealth.objects.get(channel=shop.channel).subscription_problems[0]["topic"] == "queue"
    sandbox.place_order([("MUG", 2)])
    _apply_page(shop.channel, open_connector(shop.channel).fetch_orders(""))
    assert shop.level("MUG") == (10, 2)


# -- the threads


@pytest.mark.django_db(transaction=True)
def test_readers_come_and_go_with_the_channels(
    shop: Shop, sandbox: AmazonSellerSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("channels.queues.WAIT", 1.0)
    readers = QueueReaders()
    try:
        readers.follow({shop.channel.pk})
        (reader,) = readers._readers.values()
        readers.follow({shop.channel.pk})
        assert list(readers._readers.values()) == [reader]
        sandbox.place_order([("MUG", 2)])
        until(lambda: WebhookDelivery.objects.filter(topic="ORDER_CHANGE").exists())
    finally:
        readers.stop()
        reader.join(5.0)
    assert not reader.is_alive()


@pytest.mark.django_db(transaction=True)
def test_a_channel_without_a_queue_rests_and_one_that_fails_rests_ever_longer(
    shop: Shop, sandbox: AmazonSellerSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = QueueReader(shop.channel.pk)
    monkeypatch.setattr("channels.queues.WAIT", 0.0)
    sandbox.set_faults(is_down=True)
    assert [reader._look() for _ in range(3)] == [1.0, 2.0, 4.0]
    assert ErrorEntry.objects.filter(channel=shop.channel).count() == 3
    sandbox.clear_faults()
    assert reader._look() == 0.0
    Channel.objects.filter(pk=shop.channel.pk).update(settings={**shop.channel.settings, "queue_url": ""})
    accounts.forget_channels()
    assert reader._look() > 10
    connection.close()


def test_no_key_shows_in_an_error_or_a_log(shop: Shop, sandbox: AmazonSellerSandbox) -> None:
    sandbox.set_faults(is_down=True)
    with capture_logs() as logs:
        QueueReader(shop.channel.pk)._look()
    shown = repr(logs) + repr(list(ErrorEntry.objects.values()))
    assert "queue" in shown
    for secret in sandbox.credentials().values():
        assert secret not in shown


# -- repeat, reorder, loss

STEPS = st.lists(
    st.tuples(st.sampled_from(["buy", "cancel", "ship"]), st.integers(0, 3), st.integers(1, 3)),
    min_size=1,
    max_size=7,
)


class AnySequence(TestCase):
    """Whatever becomes of the messages, a poll at the end leaves the same ledger."""

    @pytest.mark.property
    @settings(max_examples=examples(18), deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        steps=STEPS, shuffled=st.randoms(use_true_random=False), lost=st.sets(st.integers(0, 15), max_size=6)
    )
    def test_messages_repeated_reordered_and_lost_leave_what_amazon_has(
        self, steps: list[tuple[str, int, int]], shuffled: object, lost: set[int]
    ) -> None:
        accounts.forget_channels()
        with opened() as sandbox:
            sandbox.pending_seconds = 3600.0
            shop = connected(sandbox)
            messages = _played(sandbox, steps)
            kept = [each for number, each in enumerate(messages) if number not in lost] * 2
            shuffled.shuffle(kept)  # type: ignore[attr-defined]
            connector = open_connector(shop.channel)
            for body in kept:
                sandbox.queue.put(body)
            while read_queue(shop.channel, connector):
                pass
            process_due()
            _apply_page(shop.channel, connector.fetch_orders(""))
            fetching.fetch_due(shop.channel, connector)
            expected = _open_units(sandbox)
            shipped = sum(line.fulfilled for order in sandbox.records.orders.values() for line in order.lines)
            assert shop.level("MUG") == (10 - shipped, expected)
            assert shop.owed("MUG") == 0
            assert_ledger_holds()
            before = StockMovement.objects.count()
            _apply_page(shop.channel, connector.fetch_orders(""))
            assert StockMovement.objects.count() == before


def _played(sandbox: AmazonSellerSandbox, steps: list[tuple[str, int, int]]) -> list[str]:
    """Has customers buy, cancel and get their goods; returns the messages that this caused."""
    placed: list[str] = []
    for step, which, units in steps:
        if step == "buy" and sandbox.number("MUG") >= units:
            placed.append(sandbox.place_order([("MUG", units)]).id)
        elif step == "cancel" and placed:
            sandbox.cancel(placed[which % len(placed)], "MUG", units)
        elif step == "ship" and placed:
            sandbox.fulfil(placed[which % len(placed)], "MUG", units)
    time.sleep(0.02)
    with sandbox.queue._arrived:
        bodies = [each.body for each in sandbox.queue._messages]
        sandbox.queue._messages.clear()
    return bodies


def _open_units(sandbox: AmazonSellerSandbox) -> int:
    return sum(line.open_units for order in sandbox.records.orders.values() for line in order.lines)


def test_a_platform_without_a_queue_has_none_to_read() -> None:
    shop = open_shop({"MUG": 1})
    AmazonSender().connect(shop)
    shop.channel.settings = {**shop.channel.settings, "queue_url": ""}
    connector: Connector = open_connector(shop.channel)
    calls: list[Callable[[], object]] = [
        lambda: connector.take_messages(seconds=0),
        lambda: connector.acknowledge(["1"]),
    ]
    for call in calls:
        with pytest.raises(Unsupported):
            call()
    assert "body" not in repr(QueuedMessage(b"body", "receipt"))
    connections.close_all()
