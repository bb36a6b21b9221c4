"""Work that others are in the way of is tried again, counted and shown; nothing is lost, and nobody sees an error 500."""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection, connections, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from channels import deliveries, fetching, polling, retry_queue
from channels.connectors.base import OrderPage
from channels.models import ChannelOrder, PollFeed, Retry, WebhookDelivery
from channels.models.inbound import DeliveryState
from channels.models.retry_queue import RetryKind
from channels.orders import hint, record_state
from channels.retried_work import try_again
from inventory.errors import StockBusy
from inventory.models import StockLevel
from tests.back_office import Business, person
from tests.channels.shop import NOON, Shop, line, open_shop, order
from tests.channels.simple_platform import Book, SimpleConnector

pytestmark = pytest.mark.django_db


class Lock(Exception):
    """What psycopg raises for a state of PostgreSQL."""

    def __init__(self, sqlstate: str) -> None:
        self.sqlstate = sqlstate
        super().__init__(sqlstate)


def locked(sqlstate: str = "40P01") -> OperationalError:
    error = OperationalError("locked")
    error.__cause__ = Lock(sqlstate)
    return error


def busy(times: int, then: Callable[..., Any] | None = None) -> Callable[..., Any]:
    """Returns a function that others are in the way of so many times."""
    left = [times]

    def attempt(*args: Any, **more: Any) -> Any:
        if left[0]:
            left[0] -= 1
            raise StockBusy("deadlock")
        return then(*args, **more) if then else 7

    return attempt


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Notes pauses in place of waiting."""
    pauses: list[float] = []
    monkeypatch.setattr("channels.retry_queue.time.sleep", pauses.append)
    monkeypatch.setattr("channels.polling.time.sleep", pauses.append)
    return pauses


@pytest.fixture
def delivery(monkeypatch: pytest.MonkeyPatch) -> WebhookDelivery:
    business = Business()
    channel = business.add_channel()
    WebhookDelivery.objects.all().delete()
    return business.add_delivery(channel, state="received")


def due_again(delivery: WebhookDelivery) -> None:
    WebhookDelivery.objects.filter(pk=delivery.pk).update(next_attempt_at=timezone.now())


def test_pauses_double_up_to_a_minute_and_are_spread(no_waiting: list[float]) -> None:
    work = retry_queue.Work(RetryKind.JOB, "a job")
    pauses = [retry_queue.postpone(work, "deadlock") for _ in range(retry_queue.ATTEMPTS)]
    assert pauses[-1] is None
    seconds = [each.total_seconds() for each in pauses[:-1] if each is not None]
    for number, pause in enumerate(seconds):
        expected = min(0.15 * 2**number, 60.0)
        assert 0.70 * expected - 0.1 <= pause <= 1.25 * expected
    assert len({round(pause / (0.15 * 2**number), 3) for number, pause in enumerate(seconds[:6])}) > 1
    retry = Retry.objects.get()
    assert (retry.state, retry.attempts) == ("exhausted", retry_queue.ATTEMPTS)


def test_a_delivery_is_counted_until_it_is_done(
    delivery: WebhookDelivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "_dispatch", busy(2, lambda each: True))
    for _ in range(3):
        deliveries.process_due()
        due_again(delivery)
    delivery.refresh_from_db()
    retry = Retry.objects.get()
    assert (delivery.state, delivery.attempts) == ("processed", 0)
    assert (retry.state, retry.attempts, retry.reason) == ("done", 2, "deadlock")
    assert retry.channel_id == delivery.channel_id


def test_a_delivery_that_meets_nobody_writes_no_row(
    delivery: WebhookDelivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "_dispatch", lambda each: True)
    deliveries.process_due()
    assert not Retry.objects.exists()


def test_a_delivery_that_was_tried_too_often_is_a_dead_letter_that_can_be_tried_again(
    delivery: WebhookDelivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "_dispatch", busy(retry_queue.ATTEMPTS, lambda each: True))
    for _ in range(retry_queue.ATTEMPTS):
        due_again(delivery)
        deliveries.process_due()
    delivery.refresh_from_db()
    assert delivery.state == DeliveryState.DEAD
    assert "in the way 12 times" in delivery.error
    assert try_again(Retry.objects.all()) == 1
    deliveries.process_due()
    delivery.refresh_from_db()
    assert delivery.state == DeliveryState.PROCESSED
    assert Retry.objects.get().state == "done"


@pytest.fixture
def shop() -> Shop:
    shop = open_shop({"MUG": 9})
    shop.list_variant("MUG")
    return shop


def connector_with(*states: Any) -> SimpleConnector:
    return SimpleConnector(Book(orders={each.external_id: each for each in states}))


def make_due() -> None:
    ChannelOrder.objects.update(next_fetch_at=timezone.now())


def test_a_fetched_order_is_put_off_and_those_behind_it_are_not(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in ("1", "2"):
        hint(shop.channel, number)
    monkeypatch.setattr(fetching, "record_state", busy(1, record_state))
    monkeypatch.setattr(retry_queue, "FIRST_PAUSE", 60.0)
    connector = connector_with(order(line("MUG", 1), id="1"), order(line("MUG", 1), id="2"))
    assert fetching.fetch_due(shop.channel, connector) == 2
    assert shop.level("MUG") == (9, 1)
    assert Retry.objects.get().state == "waiting"
    make_due()
    fetching.fetch_due(shop.channel, connector)
    assert shop.level("MUG") == (9, 2)
    assert Retry.objects.get().state == "done"


def test_a_polled_order_is_fetched_when_others_stay_in_the_way(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, no_waiting: list[float]
) -> None:
    monkeypatch.setattr(polling, "apply_state", busy(99))
    state = order(line("MUG", 2), id="1")
    connector = SimpleConnector(Book(pages={"": OrderPage((state,), cursor="end")}, orders={"1": state}))
    feed = PollFeed.objects.create(channel=shop.channel, name="orders", next_poll_at=timezone.now())
    polling.poll_feed(feed, connector)
    assert Retry.objects.get().reason == "deadlock"
    make_due()
    fetching.fetch_due(shop.channel, connector)
    assert shop.level("MUG") == (9, 2)
    assert Retry.objects.get().state == "done"


@pytest.mark.parametrize("sqlstate", ["55P03", "40P01", "40001"])
def test_a_job_is_run_again_whatever_kind_of_lock_it_met(no_waiting: list[float], sqlstate: str) -> None:
    left = [locked(sqlstate), locked(sqlstate)]

    def job() -> int:
        if left:
            raise left.pop()
        return 7

    assert retry_queue.insist("a job", job) == 7
    assert len(no_waiting) == 2
    retry = Retry.objects.get()
    assert (retry.state, retry.attempts) == ("done", 2)


def test_a_job_that_always_meets_others_is_left_to_its_next_run_and_shown(no_waiting: list[float]) -> None:
    assert retry_queue.insist("a job", busy(99)) == 0
    assert Retry.objects.get().state == "exhausted"


def test_an_error_of_another_kind_is_not_tried_again(no_waiting: list[float]) -> None:
    def job() -> int:
        raise OperationalError("the database is gone")

    with pytest.raises(OperationalError):
        retry_queue.insist("a job", job)
    assert not Retry.objects.exists()


def test_work_that_was_done_on_another_way_does_not_wait_for_ever() -> None:
    retry_queue.postpone(retry_queue.Work(RetryKind.JOB, "a job"), "deadlock")
    assert retry_queue.settle_quiet() == 0
    Retry.objects.update(next_attempt_at=timezone.now() - timedelta(hours=2))
    assert retry_queue.settle_quiet() == 1
    assert Retry.objects.get().state == "done"


# -- people


@pytest.fixture
def operations(client: Client) -> Client:
    client.force_login(person("operations"))
    return client


def test_a_form_that_met_a_lock_is_answered_with_words_and_a_way_back(
    operations: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def page(*args: Any, **more: Any) -> None:
        raise locked("55P03")

    monkeypatch.setattr("inventory.admin.stock_forms.StockPage._record", page)
    business = Business.grown(1)
    form = {
        "key": "0a0a0a0a-0a0a-4a0a-8a0a-0a0a0a0a0a0a",
        "variant": business.variants[0].pk,
        "location": business.locations[0].pk,
        "quantity": "1",
        "reason": "purchase",
    }
    response = operations.post(reverse("admin:inventory_receive"), form)
    assert response.status_code == 503
    assert "Nothing was recorded" in response.content.decode()
    retry = Retry.objects.get(kind="page")
    assert (retry.state, retry.reason) == ("returned", "lock timeout")


def test_an_action_that_met_a_lock_leads_back_with_a_message(
    operations: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def replay(ids: object) -> None:
        raise StockBusy("deadlock")

    monkeypatch.setattr("channels.admin.inbound.deliveries.replay", replay)
    dead = Business.grown(1).channels[0].deliveries.get()
    listed = reverse("admin:channels_webhookdelivery_changelist")
    chosen = {"action": "replay_deliveries", "_selected_action": [dead.pk]}
    response = operations.post(listed, chosen, follow=True)
    assert response.status_code == 200
    assert "Nothing was recorded" in response.content.decode()
    page = reverse("admin:channels_webhookdelivery_change", args=[dead.pk])
    button = reverse("admin:channels_webhookdelivery_do", args=[dead.pk, "replay_deliveries"])
    response = operations.post(button, follow=True, headers={"referer": f"http://testserver{page}"})
    assert response.redirect_chain[0][0].endswith(page)
    assert "Nothing was recorded" in response.content.decode()


def test_an_error_of_another_kind_stays_an_error(operations: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def replay(ids: object) -> None:
        raise OperationalError("the database is gone")

    monkeypatch.setattr("channels.admin.inbound.deliveries.replay", replay)
    dead = Business.grown(1).channels[0].deliveries.get()
    chosen = {"action": "replay_deliveries", "_selected_action": [dead.pk]}
    with pytest.raises(OperationalError):
        operations.post(reverse("admin:channels_webhookdelivery_changelist"), chosen)


def test_given_up_work_is_begun_again_from_the_list(operations: Client) -> None:
    Retry.objects.create(
        kind="job", key="a job", reason="deadlock", state="exhausted", first_at=NOON, last_at=NOON
    )
    Retry.objects.create(kind="job", key="b", reason="deadlock", state="done", first_at=NOON, last_at=NOON)
    listed = reverse("admin:channels_retry_changelist")
    chosen = {"action": "try_again", "_selected_action": list(Retry.objects.values_list("pk", flat=True))}
    text = operations.post(listed, chosen, follow=True).content.decode()
    assert "1 piece of work begun again. Skipped 1: 1 not given up." in text
    assert set(Retry.objects.values_list("state", flat=True)) == {"done"}


# -- on real connections


@pytest.mark.django_db(transaction=True)
def test_stock_that_somebody_holds_is_waited_for_by_the_queue() -> None:
    shop = open_shop({"MUG": 9})
    shop.list_variant("MUG")
    hint(shop.channel, "1")
    connector = connector_with(order(line("MUG", 2), id="1"))

    def fetch() -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SET lock_timeout = '50ms'")
            fetching.fetch_due(shop.channel, connector, limit=1)
        finally:
            connections.close_all()

    with transaction.atomic():
        list(StockLevel.objects.select_for_update())
        thread = threading.Thread(target=fetch)
        thread.start()
        thread.join()
    retry = Retry.objects.get()
    assert (retry.state, retry.reason) == ("waiting", "lock timeout")
    make_due()
    fetching.fetch_due(shop.channel, connector)
    assert shop.level("MUG") == (9, 2)
    assert Retry.objects.get().state == "done"
