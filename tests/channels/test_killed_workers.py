"""A message that kills whoever takes it is given up after a few times, and holds up nobody meanwhile."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from channels import accounts, deliveries
from channels.deliveries import MOST_TAKES, process_due, replay, wake_for_due
from channels.models import ErrorEntry, WebhookDelivery
from channels.models.inbound import DeliveryPriority
from reconciliation.checks.queues import queues
from tests.channels.senders import WooSender
from tests.channels.shop import Shop, open_shop
from tests.dying import die_at
from tests.torture.patching import replace

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]
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


def die_of(delivery: WebhookDelivery, dispatch: Callable[[WebhookDelivery], bool]) -> None:
    """Has a worker process what is due, and be killed by this message."""

    def work(die: Callable[[], None]) -> None:
        def deadly(taken: WebhookDelivery) -> bool:
            if taken.pk == delivery.pk:
                die()
            return dispatch(taken)

        replace(deliveries, "_dispatch", deadly)
        process_due()

    die_at(work)


def wait_out_the_lease() -> None:
    WebhookDelivery.objects.filter(state="received").update(next_attempt_at=timezone.now())


def test_what_a_killed_worker_had_taken_is_left_alone_for_a_while_and_then_taken_again(
    client: Client, shop: Shop
) -> None:
    deadly = send(client, shop, SENDER.message(2, order_id=1))
    send(client, shop, SENDER.message(3, order_id=2))
    die_of(deadly, deliveries._dispatch)
    deadly.refresh_from_db()
    assert (deadly.state, deadly.takes, deadly.attempts) == ("received", 1, 0)
    assert process_due() == 1
    assert shop.level("MUG") == (99, 3)
    wait_out_the_lease()
    assert process_due() == 1
    deadly.refresh_from_db()
    assert (deadly.state, deadly.takes, deadly.next_attempt_at) == ("processed", 0, None)
    assert shop.level("MUG") == (99, 5)


def test_each_death_doubles_the_pause_and_after_the_last_the_message_is_a_dead_letter_that_can_be_replayed(
    client: Client, shop: Shop
) -> None:
    deadly = send(client, shop, SENDER.message(2))
    pauses = []
    for death in range(1, MOST_TAKES + 1):
        before = timezone.now()
        die_of(deadly, deliveries._dispatch)
        deadly.refresh_from_db()
        assert (deadly.state, deadly.takes) == ("received", death)
        assert deadly.next_attempt_at is not None
        pauses.append((deadly.next_attempt_at - before).total_seconds())
        wait_out_the_lease()
    assert pauses[0] < 60 < 150 < pauses[-1]
    assert process_due() == 1
    deadly.refresh_from_db()
    assert deadly.state == "dead"
    assert "worker died" in deadly.error
    assert ErrorEntry.objects.get().code == "failed"
    assert queues([shop.channel.pk])[shop.channel.pk].dead_deliveries == 1
    assert process_due() == 0
    assert replay([deadly.pk]) == 1
    assert process_due() == 1
    assert shop.level("MUG") == (99, 2)


def test_a_failure_is_no_death(client: Client, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    delivery = send(client, shop, SENDER.message(2))
    monkeypatch.setattr(deliveries, "_dispatch", lambda taken: 1 / 0)
    process_due()
    delivery.refresh_from_db()
    assert (delivery.attempts, delivery.takes) == (1, 0)


def test_a_notice_that_kills_is_found_out_among_those_that_were_taken_with_it(
    client: Client, shop: Shop
) -> None:
    deadly, other = (send(client, shop, SENDER.message(2, order_id=number)) for number in (1, 2))
    WebhookDelivery.objects.update(priority=DeliveryPriority.NOTICE)

    def work(die: Callable[[], None]) -> None:
        replace(deliveries, "_process_together", lambda taken: die())
        process_due()

    die_at(work)
    assert set(WebhookDelivery.objects.values_list("takes", flat=True)) == {1}
    wait_out_the_lease()
    for _ in range(MOST_TAKES - 1):
        die_of(deadly, deliveries._dispatch)
        wait_out_the_lease()
    process_due()
    other.refresh_from_db()
    deadly.refresh_from_db()
    assert (other.state, deadly.state) == ("processed", "dead")


def test_nobody_is_woken_for_what_somebody_has_taken(
    client: Client, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    woken: list[str] = []
    deadly = send(client, shop, SENDER.message(2))
    die_of(deadly, deliveries._dispatch)
    monkeypatch.setattr(deliveries, "wake", woken.append)
    wake_for_due()
    assert woken == []
    wait_out_the_lease()
    wake_for_due()
    assert len(woken) == 1
