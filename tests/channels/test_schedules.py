"""Schedules are rows that operations can edit, and sweeps wake what is due."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.utils import timezone
from django.utils.module_loading import import_string
from django_q.models import OrmQ, Schedule

from channels import deliveries
from channels.models import PollFeed, WebhookDelivery
from channels.orders import hint
from channels.schedules import _SCHEDULES, ensure_schedules
from channels.tasks import sweep
from config.jobs import task_of
from tests.channels.shop import open_shop

pytestmark = pytest.mark.django_db


def test_every_schedule_calls_a_function_that_exists() -> None:
    ensure_schedules()
    functions = [import_string(schedule.func) for schedule in Schedule.objects.all()]
    assert len(functions) == len(_SCHEDULES)
    assert all(callable(function) for function in functions)


def test_a_schedule_that_operations_changed_stays_as_it_is() -> None:
    ensure_schedules()
    Schedule.objects.filter(name="Sweep of what is due").update(minutes=7)
    ensure_schedules()
    assert Schedule.objects.get(name="Sweep of what is due").minutes == 7
    assert Schedule.objects.count() == len(_SCHEDULES)


@pytest.fixture
def ended_at_once() -> Iterator[None]:
    """Sends this process SIGTERM as soon as something handles it, and gives the handlers back in the end."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def end() -> None:
        until = time.monotonic() + 20
        while time.monotonic() < until:
            if all(signal.getsignal(number) is not handler for number, handler in before.items()):
                os.kill(os.getpid(), signal.SIGTERM)
                return
            time.sleep(0.01)

    thread = threading.Thread(target=end)
    thread.start()
    yield
    thread.join()
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.django_db(transaction=True)
def test_whoever_runs_the_pusher_gets_the_schedules(ended_at_once: None) -> None:
    call_command("run_pusher")
    assert Schedule.objects.count() == len(_SCHEDULES)


@pytest.mark.django_db(transaction=True)
def test_a_sweep_wakes_what_a_lost_wake_up_left_behind() -> None:
    shop = open_shop()
    WebhookDelivery.objects.create(
        channel=shop.channel, dedupe_key="1", topic="x", received_at=timezone.now()
    )
    hint(shop.channel, "1")
    OrmQ.objects.all().delete()
    sweep()
    woken = {task["func"] for queued in OrmQ.objects.all() if (task := task_of(queued.payload)) is not None}
    assert {"channels.tasks.process_deliveries", "channels.tasks.fetch_hinted"} <= woken


def test_a_sweep_adds_the_feeds_that_a_channel_lacks() -> None:
    shop = open_shop()
    sweep()
    sweep()
    assert set(PollFeed.objects.filter(channel=shop.channel).values_list("name", flat=True)) == {
        "orders",
        "listings",
    }


def test_a_postponed_delivery_says_when_it_is_due() -> None:
    shop = open_shop()
    assert deliveries.seconds_to_next_due() is None
    WebhookDelivery.objects.create(
        channel=shop.channel,
        dedupe_key="1",
        topic="x",
        received_at=timezone.now(),
        next_attempt_at=timezone.now() + timedelta(seconds=30),
    )
    due_in = deliveries.seconds_to_next_due()
    assert due_in is not None
    assert 20 < due_in <= 30
