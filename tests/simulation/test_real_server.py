"""What the simulation shows, once more on a real server: clocks that are off, and a disk that is full."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg.errors
import pytest
from django.db import OperationalError, connection
from django.db.models import F
from django.test import Client
from django.utils import timezone

from channels import accounts, deliveries, leases, limits
from channels.clock_steps import forget_the_future
from channels.connectors.base import RateLimit
from channels.feeds import ensure_feeds, lease_due_feed
from channels.models import ChannelHealth, ListingLevel, PollFeed, RateBucket, WebhookDelivery
from channels.models.listings import Lane
from channels.orders import apply_state
from channels.pushes import mark_listing_levels
from inventory.models import StockLevel, StockMovement
from tests.channels.senders import WooSender
from tests.channels.shop import NOON, Shop, ledger_of, line, open_shop, order

pytestmark = pytest.mark.django_db

LATER = timedelta(hours=6)


@pytest.fixture
def shop(db: None) -> Shop:
    shop = open_shop({"MUG": 9})
    shop.list_variant("MUG")
    return shop


def put_clock_back(by: timedelta) -> None:
    """Leaves the rows as they are after the server's clock was put back: written in the future."""
    ListingLevel.objects.update(
        leased_until=F("leased_until") + by, next_attempt_at=F("next_attempt_at") + by
    )
    PollFeed.objects.update(
        next_poll_at=F("next_poll_at") + by, last_polled_at=F("last_polled_at") + by, leased_until=F("leased_until") + by
    )  # fmt: skip
    RateBucket.objects.update(updated_at=F("updated_at") + by)
    ChannelHealth.objects.update(breaker_open_until=F("breaker_open_until") + by)


def test_what_was_leased_and_put_off_before_the_clock_was_put_back_is_due_again(shop: Shop) -> None:
    level = ListingLevel.objects.get()
    mark_listing_levels([level.pk], lane=Lane.DECREASE)
    assert leases.lease(shop.channel.pk, size=1) is not None
    ListingLevel.objects.update(next_attempt_at=timezone.now())
    put_clock_back(LATER)
    assert leases.lease(shop.channel.pk, size=1) is None
    forget_the_future()
    again = leases.lease(shop.channel.pk, size=1)
    assert again is not None
    assert again.levels[0].is_outcome_unknown


def test_feeds_limits_and_breakers_do_not_wait_for_the_clock(shop: Shop) -> None:
    declared = RateLimit(1.0, 10.0)
    ensure_feeds()
    PollFeed.objects.update(last_polled_at=timezone.now(), next_poll_at=timezone.now() + timedelta(minutes=5))
    ChannelHealth.objects.create(channel=shop.channel, breaker_open_until=timezone.now())
    while not limits.spend(shop.channel.pk, "calls", 1.0, declared=declared, priority=True).wait:
        pass
    put_clock_back(LATER)
    assert lease_due_feed(shop.channel.pk) is None
    forget_the_future()
    assert lease_due_feed(shop.channel.pk) is not None
    assert RateBucket.objects.get().updated_at <= timezone.now()
    health = ChannelHealth.objects.get()
    assert health.breaker_open_until is not None
    assert health.breaker_open_until <= timezone.now()


def test_what_waits_as_long_as_it_may_is_left_alone(shop: Shop) -> None:
    mark_listing_levels([ListingLevel.objects.get().pk], lane=Lane.DECREASE)
    ListingLevel.objects.update(next_attempt_at=timezone.now() + timedelta(seconds=370))
    ensure_feeds()
    PollFeed.objects.update(last_polled_at=timezone.now(), next_poll_at=timezone.now() + timedelta(days=1))
    ChannelHealth.objects.create(
        channel=shop.channel, breaker_open_until=timezone.now() + timedelta(seconds=370)
    )
    assert forget_the_future() == 0


@pytest.mark.parametrize(
    "ahead", [timedelta(days=-2), timedelta(hours=-1), timedelta(hours=3), timedelta(days=2)]
)
def test_a_platform_whose_clock_is_off_states_its_orders_all_the_same(shop: Shop, ahead: timedelta) -> None:
    at = int(ahead.total_seconds() + (timezone.now() - NOON).total_seconds())
    told = [order(line("MUG", 3), at=at), order(line("MUG", 3, cancelled=1), at=at + 1)]
    for state in (told[1], told[0], told[1]):
        apply_state(shop.channel, state, arrived_at=timezone.now())
    assert shop.level("MUG") == (9, 2)
    level = StockLevel.objects.get()
    assert level.recorded_at is not None
    assert level.recorded_at <= timezone.now()


def test_movements_stay_in_time_order_where_the_last_one_lies_in_the_future(shop: Shop) -> None:
    StockLevel.objects.update(recorded_at=timezone.now() + LATER)
    for number in range(3):
        state = order(line("MUG", 1), id=str(number))
        apply_state(shop.channel, state, arrived_at=timezone.now())
    recorded = list(StockMovement.objects.order_by("version").values_list("recorded_at", flat=True))
    assert recorded[1:] == sorted(set(recorded[1:]))
    assert recorded[1] > timezone.now() + LATER / 2


# -- the disk


def _is_writing(sql: str) -> bool:
    return any(word in sql for word in ("INSERT INTO", "UPDATE ", "DELETE "))


@contextmanager
def full_disk(*, after: int = 0) -> Iterator[list[int]]:
    """Has PostgreSQL refuse a writing statement, after so many that still work; counts those that were refused."""
    refused: list[int] = []
    left = after

    def execute(run: Callable[..., Any], sql: str, parameters: Any, many: bool, context: Any) -> Any:
        nonlocal left
        if not _is_writing(sql):
            return run(sql, parameters, many, context)
        left -= 1
        if left >= 0 or refused:
            return run(sql, parameters, many, context)
        refused.append(1)
        raise OperationalError(
            "could not extend file: No space left on device"
        ) from psycopg.errors.DiskFull()

    with connection.execute_wrapper(execute):
        yield refused


def test_a_message_that_the_disk_has_no_room_for_is_answered_with_503_and_comes_again(client: Client) -> None:
    accounts.forget_channels()
    sender, shop = WooSender(), open_shop({"MUG": 9})
    sender.connect(shop)
    message = sender.message()
    with full_disk() as refused:
        assert sender.send(client, shop.channel, message).status_code == 503
    assert refused
    assert not WebhookDelivery.objects.exists()
    assert sender.send(client, shop.channel, message).status_code == 200
    assert WebhookDelivery.objects.count() == 1


def test_an_order_for_which_there_is_no_room_at_any_statement_is_applied_as_a_whole_or_not_at_all() -> None:
    untouched, whole = applied_with_full_disk(None)
    for after in range(30):
        before, then = applied_with_full_disk(after)
        if before == whole:
            break
        assert before == untouched, after
        assert then == whole, after
    else:
        raise AssertionError("an order takes more statements than that")
    assert after >= 5


def applied_with_full_disk(after: int | None) -> tuple[dict[str, object], dict[str, object]]:
    """Applies an order while the disk is full at a statement; returns the ledger then, and once the order came again."""
    shop = open_shop({"MUG": 9})
    shop.list_variant("MUG")
    state = order(line("MUG", 12, fulfilled=2))
    if after is None:
        before = stock_of(shop)
    else:
        with full_disk(after=after) as refused:
            try:
                apply_state(shop.channel, state, arrived_at=timezone.now())
            except OperationalError:
                assert refused
        before = stock_of(shop)
    apply_state(shop.channel, state, arrived_at=timezone.now())
    return before, stock_of(shop)


def stock_of(shop: Shop) -> dict[str, object]:
    """Returns what the ledger holds, by name."""
    found = ledger_of(shop.merchant)
    return {name: found[name] for name in ("levels", "reservations", "conflicts")}


def test_a_stored_message_survives_a_disk_that_is_full_while_it_is_processed(client: Client) -> None:
    accounts.forget_channels()
    sender, shop = WooSender(), open_shop({"MUG": 9})
    sender.connect(shop)
    sender.send(client, shop.channel, sender.message())
    with full_disk(), pytest.raises(OperationalError):
        deliveries.process_due()
    delivery = WebhookDelivery.objects.get()
    assert (delivery.state, delivery.attempts) == ("received", 0)
    deliveries.process_due()
    delivery.refresh_from_db()
    assert delivery.state in ("processed", "unknown")
