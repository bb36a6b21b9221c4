"""Polling applies page after page, and a poll that fails or dies is repeated from where it was."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from channels.connectors.base import OrderPage
from channels.errors import Throttled, TransientError, Unauthorised
from channels.fetching import fetch_due
from channels.models import ChannelHealth, ChannelOrder, PollFeed
from channels.orders import hint
from channels.polling import LeaseLost, ask_for_poll, poll_feed, recheck_open_orders
from channels.survey import survey
from tests.channels.shop import NOON, Shop, line, open_shop, order
from tests.channels.simple_platform import Book, SimpleConnector

pytestmark = pytest.mark.django_db


def leased_feed(shop: Shop, *, cursor: str = "") -> PollFeed:
    now = timezone.now()
    return PollFeed.objects.create(
        channel=shop.channel,
        name="orders",
        cursor=cursor,
        next_poll_at=now,
        lease_token=uuid4(),
        leased_until=now + timedelta(seconds=60),
    )


def fresh(feed: PollFeed) -> PollFeed:
    return PollFeed.objects.get(pk=feed.pk)


def test_a_poll_reads_all_pages_applies_their_orders_and_keeps_the_last_cursor() -> None:
    shop = open_shop({"MUG": 9})
    feed = leased_feed(shop)
    book = Book(
        pages={
            "": OrderPage((order(line("MUG", 1), id="1"),), cursor="a", has_more=True),
            "a": OrderPage((order(line("MUG", 2), id="2"),), hints=("3",), cursor="b"),
        }
    )
    poll_feed(feed, SimpleConnector(book))
    after = fresh(feed)
    assert shop.level("MUG") == (9, 3)
    assert (after.cursor, after.polls, after.failures, after.lease_token) == ("b", 1, 0, None)
    assert after.next_poll_at > timezone.now() + timedelta(minutes=4)
    assert ChannelHealth.objects.get(channel=shop.channel).last_poll_at is not None
    assert ChannelOrder.objects.get(external_id="3").fetch_wanted == 1


def test_a_page_that_was_applied_is_not_lost_when_the_next_one_fails() -> None:
    shop = open_shop({"MUG": 9})
    feed = leased_feed(shop)
    book = Book(
        pages={
            "": OrderPage((order(line("MUG", 1), id="1"),), cursor="a", has_more=True),
            "a": TransientError("The platform answered HTML."),
        }
    )
    poll_feed(feed, SimpleConnector(book))
    after = fresh(feed)
    assert shop.level("MUG") == (9, 1)
    assert (after.cursor, after.failures, after.last_error) == ("a", 1, "The platform answered HTML.")
    assert after.next_poll_at > timezone.now()
    assert after.lease_token is None


@pytest.mark.parametrize(
    ("error", "least", "most"),
    [(Throttled(retry_after=60), 40, 80), (Unauthorised(), 600, 1200), (TransientError(), 2, 10)],
)
def test_a_failed_poll_waits_as_the_failure_asks(error: Exception, least: int, most: int) -> None:
    shop = open_shop()
    feed = leased_feed(shop)
    poll_feed(feed, SimpleConnector(Book(pages={"": error})))
    pause = fresh(feed).next_poll_at - timezone.now()
    assert timedelta(seconds=least) < pause < timedelta(seconds=most)


def test_a_poll_that_lost_its_lease_moves_no_cursor() -> None:
    shop = open_shop({"MUG": 9})
    feed = leased_feed(shop, cursor="a")
    other = uuid4()
    PollFeed.objects.update(lease_token=other)
    with pytest.raises(LeaseLost):
        poll_feed(feed, SimpleConnector(Book(pages={"a": OrderPage((), cursor="b")})))
    assert (fresh(feed).cursor, fresh(feed).lease_token) == ("a", other)


def test_an_order_that_cannot_be_does_not_hold_up_the_others_and_is_shown() -> None:
    shop = open_shop({"MUG": 9})
    feed = leased_feed(shop)
    page = OrderPage((order(line("MUG", -1), id="1"), order(line("MUG", 2), id="2")), cursor="a")
    poll_feed(feed, SimpleConnector(Book(pages={"": page})))
    assert shop.level("MUG") == (9, 2)
    assert fresh(feed).cursor == "a"
    assert "below 0" in ChannelOrder.objects.get(external_id="1").fetch_error


def test_a_poll_asked_for_while_one_runs_is_not_forgotten() -> None:
    shop = open_shop()
    feed = leased_feed(shop)

    class Asking(SimpleConnector):
        def fetch_orders(self, cursor: str) -> OrderPage:
            PollFeed.objects.update(next_poll_at=timezone.now())
            return super().fetch_orders(cursor)

    poll_feed(feed, Asking(Book(pages={"": OrderPage((), cursor="a")})))
    assert fresh(feed).next_poll_at <= timezone.now()


def test_asking_for_a_poll_makes_it_due() -> None:
    shop = open_shop()
    feed = leased_feed(shop)
    PollFeed.objects.update(next_poll_at=timezone.now() + timedelta(hours=1))
    ask_for_poll(shop.channel.pk)
    assert fresh(feed).next_poll_at <= timezone.now()


def test_a_hinted_order_is_fetched_and_applied_once() -> None:
    shop = open_shop({"MUG": 9})
    hint(shop.channel, "1")
    hint(shop.channel, "1")
    assert survey()[shop.channel.pk].fetches
    book = Book(orders={"1": order(line("MUG", 2), id="1")})
    assert fetch_due(shop.channel, SimpleConnector(book)) == 1
    assert shop.level("MUG") == (9, 2)
    assert book.calls == ["order 1"]
    assert not survey()[shop.channel.pk].fetches


def test_an_order_that_the_platform_no_longer_has_is_deleted() -> None:
    shop = open_shop({"MUG": 9})
    fetch_due(shop.channel, SimpleConnector(Book()))
    hint(shop.channel, "1")
    fetch_due(shop.channel, SimpleConnector(Book(orders={"1": order(line("MUG", 2), id="1")})))
    hint(shop.channel, "1")
    fetch_due(shop.channel, SimpleConnector(Book(orders={"1": None})))
    assert shop.level("MUG") == (9, 0)
    assert ChannelOrder.objects.get().is_deleted


def test_a_fetch_that_fails_is_due_again_later_with_its_reason() -> None:
    shop = open_shop()
    hint(shop.channel, "1")
    hint(shop.channel, "2")
    book = Book(orders={"1": TransientError("Down for maintenance."), "2": TransientError("Down.")})
    assert fetch_due(shop.channel, SimpleConnector(book)) == 1
    kept = ChannelOrder.objects.get(external_id="1")
    assert kept.fetch_error == "Down for maintenance."
    assert kept.fetch_wanted > kept.fetched
    assert kept.next_fetch_at is not None
    assert kept.next_fetch_at > timezone.now()


def test_a_hint_that_comes_while_its_order_is_fetched_leads_to_another_fetch() -> None:
    shop = open_shop({"MUG": 9})
    hint(shop.channel, "1")

    class Late(SimpleConnector):
        def fetch_order(self, external_id: str):  # type: ignore[no-untyped-def]
            if not self.book.calls:
                hint(shop.channel, external_id)
            return super().fetch_order(external_id)

    book = Book(orders={"1": order(line("MUG", 2), id="1")})
    fetch_due(shop.channel, Late(book))
    assert book.calls == ["order 1", "order 1"]


def test_the_answer_to_a_contradiction_is_not_asked_for_again() -> None:
    shop = open_shop({"MUG": 9})
    connector = SimpleConnector(Book(orders={"1": order(line("MUG", 2), id="1")}))
    hint(shop.channel, "1")
    fetch_due(shop.channel, connector)
    connector.book.orders["1"] = order(line("MUG", 3), id="1")
    hint(shop.channel, "1")
    fetch_due(shop.channel, connector)
    assert shop.level("MUG") == (9, 3)
    assert not survey()[shop.channel.pk].fetches


def test_an_order_open_for_long_is_looked_up_within_a_week() -> None:
    shop = open_shop({"MUG": 99})
    feed = leased_feed(shop)
    orders = tuple(order(line("MUG", 1), id=str(number)) for number in range(14))
    poll_feed(feed, SimpleConnector(Book(pages={"": OrderPage(orders, cursor="a")})))
    ChannelOrder.objects.update(updated_at=NOON - timedelta(days=400))
    assert recheck_open_orders() == 2
