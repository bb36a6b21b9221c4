"""The error log: one row a failure, with call, code and remedy; none while all goes well."""

from collections.abc import Callable, Sequence
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from channels import breaker, error_log, last_call
from channels.connectors import CONNECTORS
from channels.connectors.base import ItemOutcome, OrderPage, PushItem, PushResult, RateLimit
from channels.deliveries import process_due
from channels.errors import (
    BadMessage,
    ConnectorError,
    Misconfigured,
    OutcomeUnknown,
    Rejected,
    Throttled,
    TransientError,
    Unauthorised,
    Unsupported,
)
from channels.fetching import fetch_due
from channels.models import ChannelOrder, ErrorEntry, ListingLevel, PollFeed, Push
from channels.models.listings import Lane
from channels.orders import hint
from channels.polling import poll_feed
from channels.pushes import mark_listing_levels
from channels.retention import forget_old
from channels.transport import HttpClient
from inventory.errors import StockBusy
from tests.back_office import Business, person
from tests.channels.connectors.servers import answer, server
from tests.channels.shop import Shop, open_shop, order
from tests.channels.simple_platform import Book, SimpleConnector
from tests.channels.telling import tell_all, use_platform

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop() -> Shop:
    return open_shop({"MUG": 9, "CUP": 4}, kind="telling")


def mark_all(shop: Shop) -> None:
    levels = ListingLevel.objects.filter(channel=shop.channel)
    mark_listing_levels(list(levels.values_list("pk", flat=True)), lane=Lane.INCREASE)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (TransientError("Answered 503."), "unavailable"),
        (OutcomeUnknown("No answer."), "unknown_outcome"),
        (Unauthorised("No."), "unauthorised"),
        (Misconfigured("No domain."), "misconfigured"),
        (Unsupported(), "unsupported"),
        (Rejected("Not tracked."), "rejected"),
    ],
)
def test_every_failure_of_a_call_is_logged_with_its_code_and_remedy(
    shop: Shop, error: ConnectorError, code: str
) -> None:
    breaker.note_failure(shop.channel.pk, error, job="poll")
    (entry,) = ErrorEntry.objects.all()
    assert (entry.code, entry.message, entry.job) == (code, str(error), "poll")
    assert entry.remedy == error_log.REMEDIES[code]


def test_every_code_has_a_remedy() -> None:
    codes = {code for _, code in error_log._CODES} | set(error_log._ITEM_CODES.values())
    assert codes <= set(error_log.REMEDIES)
    assert error_log.code_of(StockBusy()) == "stock"
    assert error_log.code_of(RuntimeError("?")) == "failed"


def test_the_call_and_what_was_answered_are_named_without_the_query(shop: Shop) -> None:
    limits = {"calls": RateLimit(100, 100)}
    with server(lambda _: answer("503 Service Unavailable")) as address:
        client = HttpClient(shop.channel.pk, limits=limits)
        with pytest.raises(TransientError) as failure:
            client.request("GET", f"{address}/orders?token=s3cret", bucket="calls")
    breaker.note_failure(shop.channel.pk, failure.value)
    entry = ErrorEntry.objects.get()
    assert entry.status == 503
    assert entry.call == f"GET {address.removeprefix('http://')}/orders"


def test_what_a_connector_makes_of_an_answer_is_traced_to_its_call(shop: Shop) -> None:
    last_call.begin(shop.channel.pk, "POST shop/graphql")
    last_call.answered(401)
    error_log.note(shop.channel.pk, Unauthorised("No."), job="push")
    last_call.forget()
    error_log.note(shop.channel.pk, Misconfigured("No key."), job="push")
    calls = list(ErrorEntry.objects.order_by("id").values_list("call", "status"))
    assert calls == [("POST shop/graphql", 401), ("", None)]


def test_waiting_for_our_own_limit_is_no_failure_and_a_429_is(shop: Shop) -> None:
    last_call.begin(shop.channel.pk, "GET shop/orders")
    error_log.note(shop.channel.pk, Throttled("The limit is used up; nothing was sent."), job="poll")
    assert not ErrorEntry.objects.exists()
    last_call.answered(429)
    error_log.note(shop.channel.pk, Throttled("The platform asks for fewer calls (429)."), job="poll")
    assert ErrorEntry.objects.get().code == "throttled"


def test_each_listing_that_a_platform_refuses_is_logged_with_its_shelf(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelves = use_platform(monkeypatch)
    refused = shop.shelf(shop.list_variant("MUG"))
    shop.list_variant("CUP")
    shelves.reaction = _refusing(refused.listing.external_id)
    mark_all(shop)
    tell_all(shop)
    (entry,) = ErrorEntry.objects.all()
    assert (entry.object_label, entry.object_id) == ("channels.listinglevel", refused.pk)
    assert (entry.code, entry.message, entry.job) == ("rejected", "Not tracked.", "push")


def _refusing(external_id: str) -> Callable[[PushItem], PushResult | None]:
    def react(item: PushItem) -> PushResult | None:
        if item.address.listing_external_id != external_id:
            return None
        return PushResult(item.address.listing_level_id, ItemOutcome.REJECTED, "Not tracked.")

    return react


def test_a_call_that_fails_for_all_its_listings_is_one_row(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelves = use_platform(monkeypatch)
    shop.list_variant("MUG")
    shop.list_variant("CUP")
    shelves.before_call = _failing
    mark_all(shop)
    tell_all(shop)
    assert list(ErrorEntry.objects.values_list("code", "job")) == [("unavailable", "push")]


def _failing(items: Sequence[PushItem]) -> None:
    raise TransientError("Answered 502.")


def test_pushes_that_work_write_nothing_to_the_log(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    use_platform(monkeypatch)
    shop.list_variant("MUG")
    mark_all(shop)
    with CaptureQueriesContext(connection) as captured:
        tell_all(shop)
    assert Push.objects.exists()
    assert not [query for query in captured if "errorentry" in query["sql"]]


def test_a_message_that_cannot_be_processed_is_logged_each_time(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivery = Business(merchant=shop.merchant).add_delivery(shop.channel, state="received")
    monkeypatch.setattr("channels.deliveries._dispatch", _unreadable)
    process_due()
    entry = ErrorEntry.objects.get()
    assert (entry.code, entry.job) == ("bad_message", "delivery")
    assert (entry.object_label, entry.object_id) == ("channels.webhookdelivery", delivery.pk)


def _unreadable(delivery: object) -> bool:
    raise BadMessage("The line has no id.")


def test_a_poll_and_a_fetch_that_fail_name_feed_and_order(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CONNECTORS, "simple", SimpleConnector)
    feed = PollFeed.objects.create(channel=shop.channel, name="orders", next_poll_at=timezone.now())
    book = Book(pages={"": TransientError("Answered 500.")}, orders={"1001": Rejected("No such order.")})
    poll_feed(feed, SimpleConnector(book))
    hint(shop.channel, "1001")
    fetch_due(shop.channel, SimpleConnector(book))
    known = ChannelOrder.objects.get()
    logged = list(ErrorEntry.objects.order_by("id").values_list("job", "object_label", "object_id"))
    assert logged == [("poll", "channels.pollfeed", feed.pk), ("fetch", "channels.channelorder", known.pk)]


def test_an_order_that_cannot_be_applied_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    shop = open_shop()
    feed = PollFeed.objects.create(channel=shop.channel, name="orders", next_poll_at=timezone.now())
    monkeypatch.setattr("channels.polling.apply_state", _unreadable_state)
    poll_feed(feed, SimpleConnector(Book(pages={"": OrderPage((order(),), cursor="end")})))
    entry = ErrorEntry.objects.get()
    assert (entry.job, entry.object_label) == ("poll", "channels.channelorder")
    assert entry.object_id == ChannelOrder.objects.get(external_id="1001").pk


def _unreadable_state(*args: object, **kwargs: object) -> None:
    raise BadMessage("The order has no lines.")


def test_refused_webhooks_are_logged_once_a_minute(client: Client) -> None:
    shop = open_shop()
    shop.channel.credentials = {"consumer_key": "k", "consumer_secret": "s", "webhook_secret": "w"}
    shop.channel.settings = {"base_url": "https://shop.example"}
    shop.channel.save()
    for _ in range(3):
        answered = client.post(
            f"/webhooks/{shop.channel.public_id}/", b'{"id": 1}', content_type="application/json"
        )
        assert answered.status_code == 401
    (entry,) = ErrorEntry.objects.all()
    assert (entry.code, entry.job) == ("bad_signature", "webhook")


def test_old_failures_are_forgotten(shop: Shop, settings: Settings) -> None:
    settings.KEEP_ERRORS_DAYS = 90
    for days in (1, 89, 91):
        breaker.note_failure(shop.channel.pk, TransientError(f"{days} days ago."))
        newest = ErrorEntry.objects.latest("id")
        ErrorEntry.objects.filter(pk=newest.pk).update(at=timezone.now() - timedelta(days=days))
    # The oldest come first by id; a younger one before them ends the search.
    ErrorEntry.objects.filter(message__startswith="91").update(id=1)
    assert forget_old()["errors"] == 1
    assert ErrorEntry.objects.count() == 2


def test_the_log_is_filtered_by_channel_code_and_time_and_leads_to_what_it_is_about(client: Client) -> None:
    business = Business.grown(2)
    first, second = business.channels
    breaker.note_failure(first.pk, Unauthorised("Key revoked."))
    client.force_login(person("read-only"))
    url = reverse("admin:channels_errorentry_changelist")
    text = client.get(url).content.decode()
    assert "Key revoked." in text
    assert reverse("admin:channels_channel_change", args=[first.pk]) in text
    only_second = client.get(f"{url}?channel__id__exact={second.pk}").content.decode()
    assert "Key revoked." not in only_second
    by_code = client.get(f"{url}?code=unauthorised&since=hour").content.decode()
    assert "Key revoked." in by_code
    assert "not available (503)" not in by_code
    assert "Key revoked." in client.get(f"{url}?q=revoked").content.decode()
