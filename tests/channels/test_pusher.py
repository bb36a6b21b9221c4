"""The resident process: it wakes, takes turns, survives failures, and ends at once."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.utils import timezone

from channels.connectors.base import PushItem
from channels.errors import TransientError
from channels.models import Channel, ChannelHealth, ChannelOrder, Listing, PollFeed
from channels.models.listings import Lane
from channels.orders import apply_state
from channels.pusher import Pusher
from channels.pushes import mark_listing_levels
from tests.channels.shop import Shop, line, open_shop, order
from tests.channels.telling import use_platform

pytestmark = pytest.mark.django_db(transaction=True)

#: Long enough for any machine; nothing waits this long unless the test fails.
PATIENCE = 20.0


@contextmanager
def running(pusher: Pusher, *, polls: Sequence[str] = ()) -> Iterator[Pusher]:
    """Runs the process's loop in a thread while the block runs; reads only the feeds named."""
    keep_quiet(*{"orders", "listings"} - {*polls})
    thread = threading.Thread(target=pusher.run)
    thread.start()
    try:
        yield pusher
    finally:
        pusher.stop()
        thread.join(PATIENCE)
        assert not thread.is_alive()


def keep_quiet(*names: str) -> None:
    """Has these feeds of all channels read much later."""
    later = timezone.now() + timedelta(hours=1)
    for channel in Channel.objects.all():
        for name in names:
            PollFeed.objects.create(channel=channel, name=name, next_poll_at=later)


def wait_for(condition: Callable[[], object]) -> None:
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)


def offer(shop: Shop, channel: Channel, sku: str = "MUG") -> Listing:
    return shop.list_variant(sku, channel=channel, external_id=f"{channel.name}-{sku}")


def mark(*listings: Listing) -> None:
    mark_listing_levels([each.levels.get().pk for each in listings], lane=Lane.DECREASE)


def is_told(*listings: Listing) -> bool:
    return not any(each.levels.get().is_due for each in listings)


def test_a_sale_on_one_channel_reaches_the_others_and_is_noted_as_propagated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shelves = use_platform(monkeypatch)
    shop = open_shop({"MUG": 9}, kind="telling")
    other = shop.add_channel("other", kind="telling")
    mine, theirs = shop.list_variant("MUG"), offer(shop, other)
    with running(Pusher(threads=6)):
        mark(mine, theirs)
        wait_for(lambda: is_told(mine, theirs))
        apply_state(shop.channel, order(line("MUG", 4)), arrived_at=timezone.now())
        wait_for(lambda: shelves.number(theirs) == 5)
        wait_for(lambda: ChannelOrder.objects.get().propagated_at)
    placed = ChannelOrder.objects.get()
    assert placed.applied_at is not None
    assert placed.propagated_at is not None
    assert placed.propagated_at > placed.applied_at


def test_a_channel_that_hangs_does_not_delay_another(monkeypatch: pytest.MonkeyPatch) -> None:
    shelves = use_platform(monkeypatch, push_batch_size=1)
    skus = [f"S{number}" for number in range(8)]
    shop = open_shop(dict.fromkeys(skus, 5), kind="telling")
    other = shop.add_channel("other", kind="telling")
    slow = [shop.list_variant(sku) for sku in skus]
    quick = [offer(shop, other, sku) for sku in skus]
    release = threading.Event()

    def hang(items: Sequence[PushItem]) -> None:
        if not items[0].address.listing_external_id.startswith("other"):
            release.wait(PATIENCE)

    shelves.before_call = hang
    with running(Pusher(threads=4)):
        mark(*slow)
        wait_for(lambda: shelves.calls)
        mark(*quick)
        wait_for(lambda: is_told(*quick))
        assert not is_told(slow[0])
        release.set()
        wait_for(lambda: is_told(*slow))


def test_a_platform_gets_no_more_calls_at_once_than_it_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    shelves = use_platform(monkeypatch, push_batch_size=1, concurrency=3)
    skus = [f"S{number}" for number in range(30)]
    shop = open_shop(dict.fromkeys(skus, 5), kind="telling")
    listings = [shop.list_variant(sku) for sku in skus]
    going_on, most, lock = 0, 0, threading.Lock()

    def enter(items: Sequence[PushItem]) -> None:
        nonlocal going_on, most
        with lock:
            going_on += 1
            most = max(most, going_on)
        time.sleep(0.02)

    def leave(items: Sequence[PushItem]) -> None:
        nonlocal going_on
        with lock:
            going_on -= 1

    shelves.before_call, shelves.after_call = enter, leave
    with running(Pusher(threads=8)):
        mark(*listings)
        wait_for(lambda: is_told(*listings))
    assert most == 3


def test_a_channel_that_is_down_is_probed_with_its_most_urgent_decrease_and_comes_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shelves = use_platform(monkeypatch, push_batch_size=1, concurrency=1)
    skus = [f"S{number}" for number in range(9)]
    shop = open_shop(dict.fromkeys(skus, 5), kind="telling")
    listings = {sku: shop.list_variant(sku) for sku in skus}
    is_down = True

    def fail(items: Sequence[PushItem]) -> None:
        if is_down:
            raise TransientError("Down.")

    shelves.before_call = fail
    with running(Pusher(threads=6)):
        mark_listing_levels([listings["S0"].levels.get().pk], lane=Lane.INCREASE)
        ids = [listing.levels.get().pk for sku, listing in listings.items() if sku not in ("S0", "S8")]
        mark_listing_levels(ids, lane=Lane.DECREASE)
        wait_for(lambda: ChannelHealth.objects.filter(breaker_open_until__gt=timezone.now()))
        calls = len(shelves.calls)
        mark_listing_levels([listings["S8"].levels.get().pk], lane=Lane.TO_ZERO)
        ChannelHealth.objects.update(breaker_open_until=timezone.now() + timedelta(milliseconds=300))
        wait_for(lambda: len(shelves.calls) > calls)
        assert shelves.calls[calls][0].address.listing_external_id == listings["S8"].external_id
        is_down = False
        ChannelHealth.objects.update(breaker_open_until=timezone.now())
        wait_for(lambda: is_told(*listings.values()))
    health = ChannelHealth.objects.get()
    assert (health.consecutive_failures, health.breaker_open_until) == (0, None)


def test_a_paused_channel_is_polled_but_told_nothing_until_it_is_resumed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shelves = use_platform(monkeypatch)
    shop = open_shop({"MUG": 9}, kind="telling")
    listing = shop.list_variant("MUG")
    Channel.objects.update(is_paused=True)
    with running(Pusher(threads=4), polls=["orders"]):
        mark(listing)
        wait_for(lambda: PollFeed.objects.filter(name="orders", polls=1))
        assert shelves.calls == []
        Channel.objects.update(is_paused=False)
        wait_for(lambda: is_told(listing))


def test_a_channel_without_a_working_set_up_keeps_its_feeds_for_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shop = open_shop(kind="woocommerce")
    with running(Pusher(threads=4), polls=["orders"]):
        wait_for(lambda: PollFeed.objects.exclude(last_error="").exists())
    feed = PollFeed.objects.exclude(last_error="").order_by("id")[0]
    assert feed.lease_token is None
    assert feed.next_poll_at > timezone.now()
    assert ChannelHealth.objects.get(channel=shop.channel).breaker_open_until is not None


def test_the_process_ends_although_a_platform_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    shelves = use_platform(monkeypatch)
    shop = open_shop({"MUG": 9}, kind="telling")
    listing = shop.list_variant("MUG")
    release = threading.Event()

    def hang(items: Sequence[PushItem]) -> None:
        release.wait(PATIENCE)

    shelves.before_call = hang
    keep_quiet("orders", "listings")
    pusher = Pusher(threads=4)
    ended: list[bool] = []
    thread = threading.Thread(target=lambda: ended.append(pusher.run()))
    thread.start()
    mark(listing)
    wait_for(lambda: shelves.calls)
    pusher.stop()
    thread.join(PATIENCE)
    assert ended == [False]
    release.set()
    wait_for(lambda: is_told(listing))
