"""Rare sequences of sales, readings, failures and edits in which the engine once lost a unit, a poll or a minute."""

import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from channels import breaker, orders
from channels.breaker import BreakerState
from channels.connectors.base import ItemOutcome, OrderPage, PlatformListing, PushResult
from channels.desks import Desk, Done, Job
from channels.errors import OutcomeUnknown, Throttled, TransientError
from channels.events import ListingChanged
from channels.feeds import ask_for_poll, ensure_feeds, lease_due_feed
from channels.fetching import fetch_due
from channels.importing import import_channel
from channels.leases import lease
from channels.models import (
    ChannelHealth,
    ChannelLocation,
    ChannelLocationSource,
    ChannelOrder,
    Listing,
    PollFeed,
)
from channels.notices import note_listing_changes
from channels.orders import apply_state, hint
from channels.polling import poll_feed
from channels.survey import survey
from inventory.demands import settle as settle_in_ledger
from inventory.errors import StockBusy, StockError
from inventory.ledger import Context
from inventory.stock import AdjustmentLine, adjust
from tests.channels.senders import sender_of
from tests.channels.shop import Shop, line, open_shop, order
from tests.channels.simple_platform import Book, SimpleConnector
from tests.channels.telling import CAS, fresh, tell, tell_all, use_platform
from tests.channels.test_sending import change_stock, listed, mark, sell, told_once, wait_is_over

pytestmark = pytest.mark.django_db


def covered(shop: Shop) -> None:
    PollFeed.objects.update_or_create(
        channel=shop.channel,
        name="orders",
        defaults={
            "next_poll_at": timezone.now() + timedelta(days=1),
            "last_polled_at": timezone.now(),
            "covered_until": timezone.now() + timedelta(seconds=10),
        },
    )


def test_orders_are_polled_while_listings_are_imported() -> None:
    desk = Desk(1, limit=4)
    desk.ask(Job.POLL)
    desk.begin(Job.IMPORT)  # the daily import of listings
    desk.ask(Job.POLL)  # orders are due
    assert desk.next_job() is Job.POLL


def test_a_long_import_keeps_its_lease() -> None:
    shop = open_shop(kind="telling")
    ensure_feeds()
    PollFeed.objects.create(channel=shop.channel, name="listings", next_poll_at=timezone.now())
    feed = lease_due_feed(shop.channel.pk, "listings")
    assert feed is not None
    others: list[PollFeed | None] = []

    class Slow(SimpleConnector):
        def fetch_listings(self) -> Iterator[PlatformListing]:
            for number in range(1200):
                if number == 600:  # 91 seconds later
                    until = PollFeed.objects.get().leased_until
                    assert until is not None
                    PollFeed.objects.update(leased_until=until - timedelta(seconds=91))
                if number == 1100:
                    others.append(lease_due_feed(shop.channel.pk, "listings"))
                yield PlatformListing(external_id=str(number), sku="")

    poll_feed(feed, Slow(Book()))
    assert others == [None]


def test_a_second_look_does_not_hold_back_a_decrease(monkeypatch: pytest.MonkeyPatch) -> None:
    shelves = use_platform(monkeypatch, **CAS)
    shop = open_shop({"MUG": 10}, kind="telling")
    listing, _level = told_once(shop, shelves, 10)
    shelves.sell(listing, 1)  # not imported yet
    change_stock(shop, -1)  # one sold elsewhere
    tell(shop)
    assert shelves.number(listing) == 8
    change_stock(shop, -9)  # the rest is sold elsewhere
    tell(shop)
    assert shelves.number(listing) == 0


def test_a_drop_is_not_foreign_while_an_order_waits_to_be_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    shelves = use_platform(monkeypatch, **CAS)
    shop = open_shop({"MUG": 10}, kind="telling")
    listing, _level = told_once(shop, shelves, 10)
    shelves.sell(listing, 3)
    hint(shop.channel, "big")  # the poll saw it, and it is too large for a page
    change_stock(shop, 1)
    tell(shop)
    assert shelves.number(listing) == 8
    covered(shop)
    wait_is_over(shop)
    tell(shop)
    shown_while_pending = shelves.number(listing)
    apply_state(shop.channel, order(line("MUG", 3), id="big"), arrived_at=timezone.now())
    wait_is_over(shop)
    tell_all(shop)
    assert (shown_while_pending, shelves.number(listing)) == (8, 8)


def test_an_order_that_the_platform_does_not_show_yet_is_not_lost() -> None:
    shop = open_shop({"MUG": 9})
    hint(shop.channel, "1")  # bol's ORDER event
    fetch_due(shop.channel, SimpleConnector(Book(orders={"1": None})))  # its detail is not there yet
    apply_state(shop.channel, order(line("MUG", 2), id="1"), arrived_at=timezone.now())  # the poll shows it
    assert shop.level("MUG") == (9, 2)


def test_an_open_order_that_cannot_be_read_any_more_and_then_again_keeps_its_units() -> None:
    shop = open_shop({"MUG": 9})
    apply_state(shop.channel, order(line("MUG", 2), id="1"), arrived_at=timezone.now())
    hint(shop.channel, "1")
    fetch_due(shop.channel, SimpleConnector(Book(orders={"1": None})))
    apply_state(shop.channel, order(line("MUG", 2), id="1", at=60), arrived_at=timezone.now())
    assert shop.level("MUG") == (9, 2)


def test_a_half_open_breaker_lets_polls_through_although_pushes_fail() -> None:
    desk = Desk(1, limit=6)
    begun: list[Job] = []
    for _ in range(20):
        desk.breaker = BreakerState.HALF_OPEN
        for kind in Job:
            desk.ask(kind)
        job = desk.next_job()
        assert job is not None
        desk.end(job, Done(4, has_failed=True), asked=desk.begin(job))
        begun.append(job)
    assert Job.POLL in begun


def test_a_platform_that_answers_reads_and_fails_at_writes_makes_no_dead_letters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shelves = use_platform(monkeypatch)
    shop = open_shop({"MUG": 10}, kind="telling")
    _listing, level = told_once(shop, shelves, 10)

    def down(items: Any) -> None:
        raise OutcomeUnknown("The platform failed (503).")

    shelves.before_call = down
    mark(level)
    for _ in range(8):
        breaker.note_success(shop.channel.pk)  # an order was fetched
        ChannelHealth.objects.update(breaker_open_until=None)
        wait_is_over(shop)
        tell(shop)
    assert fresh(level).dead_at is None


def test_items_that_were_not_sent_do_not_count_as_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    shelves = use_platform(monkeypatch)
    shop = open_shop({"MUG": 10, "CUP": 10}, kind="telling")
    _, mug = listed(shop, "MUG")
    _, cup = listed(shop, "CUP")

    def later(item: Any) -> PushResult | None:
        if item.address.listing_level_id == cup.pk:
            return PushResult(
                cup.pk, ItemOutcome.NOT_SENT, "Not sent: an earlier call of the same push failed."
            )
        return None

    shelves.reaction = later
    mark(mug)
    mark(cup)
    tell(shop)
    assert fresh(cup).attempts == 0


def test_a_product_created_soon_after_an_import_is_read_within_the_hour() -> None:
    shop = open_shop()
    now = timezone.now()
    PollFeed.objects.create(
        channel=shop.channel,
        name="listings",
        last_polled_at=now - timedelta(minutes=10),
        next_poll_at=now + timedelta(hours=23, minutes=50),
    )
    note_listing_changes([(shop.channel, ListingChanged("new product"))])
    assert PollFeed.objects.get().next_poll_at <= now + timedelta(hours=1)


def test_a_restored_listing_is_told_again_soon() -> None:
    shop = open_shop({"MUG": 9})
    shop.list_variant("MUG")
    now = timezone.now()
    PollFeed.objects.create(
        channel=shop.channel,
        name="listings",
        last_polled_at=now - timedelta(hours=5),
        next_poll_at=now + timedelta(hours=19),
    )
    note_listing_changes([(shop.channel, ListingChanged("listing-MUG", is_deleted=True))])
    note_listing_changes([(shop.channel, ListingChanged("listing-MUG"))])
    assert Listing.objects.get().is_active or PollFeed.objects.get().next_poll_at <= now + timedelta(hours=1)


def test_a_listing_that_is_off_is_not_due() -> None:
    shop = open_shop({"MUG": 9})
    _listing, level = listed(shop)
    Listing.objects.update(is_active=False)
    mark(level)
    assert lease(shop.channel.pk, size=10) is None
    assert not survey()[shop.channel.pk].pushes


def test_a_sale_before_the_first_contact_does_not_stay_on_the_shelf(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shelves = use_platform(monkeypatch, **CAS)
    shop = open_shop({"MUG": 10}, kind="telling")
    listing, level = listed(shop)
    shelves.numbers[listing.external_id, ""] = 10
    shelves.sell(listing, 1)  # its webhook is on its way
    mark(level)
    tell_all(shop)
    sell(shop, 1, id="1")
    covered(shop)
    for _ in range(4):
        wait_is_over(shop)
        tell_all(shop)
    assert shelves.number(listing) == 9


def test_a_fetch_that_met_busy_stock_is_tried_again_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    shop = open_shop({"MUG": 9})
    hint(shop.channel, "1")
    from channels import fetching

    def busy(*args: Any, **options: Any) -> None:
        raise StockBusy

    monkeypatch.setattr(fetching, "record_state", busy)
    fetch_due(shop.channel, SimpleConnector(Book(orders={"1": order(line("MUG", 2), id="1")})))
    kept = ChannelOrder.objects.get()
    assert kept.next_fetch_at is not None
    assert kept.next_fetch_at < timezone.now() + timedelta(seconds=5)


def test_a_listing_that_a_person_switched_off_stays_off() -> None:
    shop = open_shop({"MUG": 9})
    listing = shop.list_variant("MUG")
    Listing.objects.update(
        is_active=False, is_switched_off=True
    )  # the one field that the back office can edit

    class One(SimpleConnector):
        def fetch_listings(self) -> Iterator[PlatformListing]:
            return iter([PlatformListing(external_id=listing.external_id, sku="MUG")])

    import_channel(shop.channel, One(Book()))
    assert not Listing.objects.get().is_active


@pytest.mark.parametrize("signature", ['keyId=0, algorithm="rsa-sha256", signature=\u00e9'])
def test_a_signature_with_odd_letters_is_refused(client: Client, signature: str) -> None:
    client.raise_request_exception = False
    shop = open_shop({"MUG": 9})
    with sender_of("bol") as sender:
        sender.connect(shop)
        answer = sender.send(client, shop.channel, sender.message(), Signature=signature)
    assert answer.status_code == 401


def test_an_address_that_is_a_list_is_refused(client: Client) -> None:
    client.raise_request_exception = False
    shop = open_shop({"MUG": 9})
    with sender_of("shopify") as sender:
        sender.connect(shop)
        body = sender.message() | {"shipping_address": [{"country_code": "NL"}]}
        answer = sender.send(client, shop.channel, body)
    assert answer.status_code == 400


def test_a_poll_really_asked_for_while_one_runs_is_not_forgotten() -> None:
    shop = open_shop()
    now = timezone.now()
    PollFeed.objects.create(channel=shop.channel, name="orders", next_poll_at=now)
    feed = lease_due_feed(shop.channel.pk)
    assert feed is not None

    class Asking(SimpleConnector):
        def fetch_orders(self, cursor: Any) -> OrderPage:
            ask_for_poll(shop.channel.pk)
            return super().fetch_orders(cursor)

    poll_feed(feed, Asking(Book(pages={"": OrderPage((), cursor="a")})))
    assert PollFeed.objects.get().next_poll_at <= timezone.now()


def test_an_urgent_decrease_does_not_wait_for_the_reading_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    shelves = use_platform(monkeypatch, **CAS)
    shop = open_shop({"MUG": 10, "CUP": 10}, kind="telling")
    listing, _level = told_once(shop, shelves, 10)
    _other, other_level = listed(shop, "CUP")  # first contact
    mark(other_level)
    change_stock(shop, -10)

    from tests.channels.telling import TellingConnector

    def throttled(self: Any, addresses: Any) -> None:
        raise Throttled("The limit graphql is used up for 7.5 s; nothing was sent.", retry_after=7.5)

    monkeypatch.setattr(TellingConnector, "read_levels", throttled)
    tell(shop)
    assert shelves.number(listing) == 0


def test_a_text_that_no_database_holds_does_not_stop_an_import() -> None:
    shop = open_shop({"MUG": 9})
    PollFeed.objects.create(channel=shop.channel, name="listings", next_poll_at=timezone.now())
    feed = lease_due_feed(shop.channel.pk, "listings")
    assert feed is not None

    class Odd(SimpleConnector):
        def fetch_listings(self) -> Iterator[PlatformListing]:
            return iter(
                [
                    PlatformListing(external_id="1", sku="A", title="a\x00b"),
                    PlatformListing(external_id="2", sku="B"),
                ]
            )

    poll_feed(feed, Odd(Book()))
    assert Listing.objects.count() == 2


def test_a_fetch_by_a_worker_respects_an_open_breaker(monkeypatch: pytest.MonkeyPatch) -> None:
    from channels import tasks

    use_platform(monkeypatch)
    shop = open_shop({"MUG": 9}, kind="telling")
    for _ in range(3):
        breaker.note_failure(shop.channel.pk, TransientError("down"))
    hint(shop.channel, "1")
    assert tasks.fetch_hinted() == 0


@pytest.mark.django_db(transaction=True)
def test_a_line_that_gets_its_place_locks_in_the_common_order(monkeypatch: pytest.MonkeyPatch) -> None:
    shop = open_shop(kind="shopify")
    ChannelLocation.objects.all().delete()
    one = shop.locations["main"]
    shop.add_source(one, "P1")
    two = shop.add_location("two", place="P2")
    other = shop.add_channel("Woo", kind="woocommerce")  # sells from main
    ChannelLocationSource.objects.create(
        channel_location=ChannelLocation.objects.get(channel=other), location=two, priority=1
    )
    shop.add_variant("MUG", {"main": 10, "two": 10})
    shop.list_variant("MUG")
    shop.list_variant("MUG", channel=other, external_id="w1")
    apply_state(
        shop.channel, order(line("MUG", 2, fulfilled=1, place="P1"), id="1"), arrived_at=timezone.now()
    )

    between, real = threading.Event(), settle_in_ledger
    started = threading.Event()

    def settle(context: Any, changes: Any, **options: Any) -> Any:
        outcome = real(context, changes, **options)
        if context.key.endswith(":moved"):
            between.set()
            started.wait(5)
            time.sleep(0.4)
        return outcome

    monkeypatch.setattr(orders, "settle", settle)
    found: dict[str, str] = {}

    def fetched() -> None:
        try:
            state = order(line("MUG", 2, fulfilled=1, place="P2"), id="1", at=1)
            apply_state(shop.channel, state, arrived_at=timezone.now())
            found["fetched"] = "ok"
        except StockError as error:
            found["fetched"] = repr(error)
        finally:
            connection.close()

    def counted() -> None:
        try:
            between.wait(5)
            started.set()
            adjust(
                Context(shop.merchant.pk, f"f:{uuid4()}"),
                [AdjustmentLine(shop.variants["MUG"].pk, two.pk, -1)],
            )
            found["counted"] = "ok"
        except StockError as error:
            found["counted"] = repr(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=each) for each in (fetched, counted)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert between.is_set()
    assert found == {"fetched": "ok", "counted": "ok"}
