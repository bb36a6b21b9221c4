"""Amazon listings: what is listed and shown, numbers that are accepted first and live later, and what is never written."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from channels.accounts import open_connector
from channels.connectors.amazon import queue
from channels.connectors.amazon.plans import SELLER_PLANS, read_limits
from channels.connectors.amazon.regions import marketplace_ids
from channels.connectors.amazon_seller import AmazonSellerConnector, feeds, reports
from channels.connectors.amazon_seller.listings import LONGEST_WAIT
from channels.connectors.base import Address, ItemOutcome, PushItem
from channels.errors import (
    ConnectorError,
    Misconfigured,
    OutcomeUnknown,
    Rejected,
    Throttled,
    TransientError,
    Unauthorised,
)
from channels.models import RateBucket
from channels.sandbox.amazon_seller import AmazonSellerSandbox
from channels.sandbox.book import CatalogueItem
from tests.channels.connectors.amazon import accepted, connector_to, opened, until
from tests.channels.connectors.shops import connect, item, make_channel

pytestmark = pytest.mark.django_db

ODD = "CUP/2, blue"


@pytest.fixture
def sandbox() -> Iterator[AmazonSellerSandbox]:
    with opened() as shop:
        yield shop


@pytest.fixture
def connector(sandbox: AmazonSellerSandbox) -> AmazonSellerConnector:
    return connector_to(sandbox)


@pytest.mark.parametrize(
    ("host", "region"),
    [
        ("sqs.eu-west-1.amazonaws.com", "eu-west-1"),
        ("eu-west-1.queue.amazonaws.com", "eu-west-1"),
        ("queue.amazonaws.com", "us-east-1"),
    ],
)
def test_a_queue_is_asked_in_its_own_region(connector: AmazonSellerConnector, host: str, region: str) -> None:
    settings = {**connector.account.settings, "queue_url": f"https://{host}/123456789012/orders"}
    found = queue.address_of(replace(connector.account, settings=settings))
    assert (found.region, found.arn) == (region, f"arn:aws:sqs:{region}:123456789012:orders")


# -- reading


def test_listings_are_read_with_their_numbers_and_those_of_fba_are_not_active(
    connector: AmazonSellerConnector,
) -> None:
    found = {each.sku: each for each in connector.fetch_listings()}
    assert (found["MUG"].external_id, found["MUG"].title, found["MUG"].shown) == ("MUG", "Mug", 10)
    assert found["MUG"].is_active
    assert not found["FBA-JUG"].is_active
    assert (found["FBA-JUG"].shown, found["FBA-JUG"].data["fulfilment"]) == (None, "FBA")
    assert {each.listing_external_id: each.quantity for each in connector.fetch_levels()} == {
        "MUG": 10,
        ODD: 20,
    }


def test_more_than_a_thousand_listings_come_as_a_report(
    sandbox: AmazonSellerSandbox, connector: AmazonSellerConnector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("channels.connectors.amazon_seller.reports._WAITS", (0.05,) * 40)
    sandbox.load_catalogue(CatalogueItem(f"S{n}", f"S{n}", quantities={"main": n}) for n in range(1000))
    found = {each.sku: each for each in connector.fetch_listings()}
    assert len(found) == 1003
    assert (found["S7"].shown, found[ODD].shown) == (7, 20)
    assert not found["FBA-JUG"].is_active
    assert len(list(connector.fetch_listings())) == 1003
    assert sandbox.requests["createReport"] == 1, "a young report is taken again"


def test_a_report_that_is_not_ready_is_asked_after_later(
    sandbox: AmazonSellerSandbox, connector: AmazonSellerConnector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("channels.connectors.amazon_seller.reports._WAITS", (0.0,))
    sandbox.report_seconds = 60.0
    sandbox.load_catalogue(CatalogueItem(f"S{n}", f"S{n}", quantities={"main": n}) for n in range(1000))
    for _ in range(2):
        with pytest.raises(TransientError) as raised:
            list(connector.fetch_listings())
        assert raised.value.retry_after
    assert sandbox.requests["createReport"] == 1


def test_a_report_that_amazon_cancelled_is_no_empty_catalogue(
    sandbox: AmazonSellerSandbox, connector: AmazonSellerConnector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("channels.connectors.amazon_seller.reports._WAITS", (0.05,) * 40)
    monkeypatch.setattr(sandbox.batches, "_write", lambda work: setattr(work, "status", "CANCELLED"))
    sandbox.load_catalogue(CatalogueItem(f"S{n}", f"S{n}", quantities={"main": n}) for n in range(1000))
    with pytest.raises(TransientError, match="cancelled"):
        list(connector.fetch_listings())


@pytest.mark.parametrize("title", ["Caf\u00e9\u2028au lait", "Vertical\x0btab", "Next\x85line"])
def test_a_title_with_a_separator_of_lines_is_one_row_of_the_report(title: str) -> None:
    text = f"item-name\tseller-sku\tquantity\tfulfillment-channel\r\n{title}\tMUG\t7\tDEFAULT\r\n"
    (row,) = reports._rows(text.encode(), is_japanese=False)
    assert (row.title, row.sku, row.quantity) == (title, "MUG", 7)


@pytest.mark.parametrize(
    ("title", "encoding", "is_japanese"),
    [
        ("Th\u00e9i\u00e8re caf\u00e9s", "cp1252", False),
        ("\u8336\u7897", "cp932", True),
        ("\u8336 th\u00e9", "utf-8", False),
    ],
)
def test_a_report_is_read_as_its_marketplace_writes_it(title: str, encoding: str, is_japanese: bool) -> None:
    text = f"item-name\tseller-sku\tquantity\tfulfillment-channel\n{title}\tMUG\t7\tDEFAULT\n"
    (row,) = reports._rows(text.encode(encoding), is_japanese=is_japanese)
    assert row.title == title


def test_single_numbers_are_none_where_the_listing_is_gone_or_amazons(
    connector: AmazonSellerConnector,
) -> None:
    addresses = [item(sku, 0).address for sku in ("MUG", ODD, "FBA-JUG", "gone")]
    assert [each.quantity for each in connector.read_levels(addresses)] == [10, 20, None, None]


def test_the_account_is_checked_and_a_marketplace_it_is_not_in_is_named(
    sandbox: AmazonSellerSandbox, connector: AmazonSellerConnector
) -> None:
    assert connector.check() == sandbox.name
    channel = make_channel(sandbox)
    channel.settings = {**sandbox.settings(), "marketplaces": "DE, NL"}
    with pytest.raises(Misconfigured, match="A1805IZSGTT6HS"):
        open_connector(channel).check()


@pytest.mark.parametrize("text", ["", "Germany", "DE, US"])
def test_marketplaces_are_of_one_region_and_known(text: str) -> None:
    with pytest.raises(Misconfigured):
        marketplace_ids(text)
    assert marketplace_ids("de; A1805IZSGTT6HS, DE") == ("A1PA6795UKMFR9", "A1805IZSGTT6HS")


# -- writing


def test_a_number_is_accepted_first_and_confirmed_once_it_is_read_back(
    sandbox: AmazonSellerSandbox, connector: AmazonSellerConnector
) -> None:
    sandbox.set_faults(processing_delay_seconds=0.3)
    pushes = [item("MUG", 7, level=1), item(ODD, 0, level=2)]
    results = connector.push(pushes, call_id="1")
    assert [(each.listing_level_id, each.outcome) for each in results] == [
        (1, ItemOutcome.ACCEPTED),
        (2, ItemOutcome.ACCEPTED),
    ]
    open_pushes = [accepted(push, result) for push, result in zip(pushes, results, strict=True)]
    assert set(connector.follow_push(open_pushes).values()) == {None}
    assert sandbox.number("MUG") == 10
    until(lambda: sandbox.number("MUG") == 7 and sandbox.number(ODD) == 0)
    ends = connector.follow_push(open_pushes)
    assert {each.outcome for each in ends.values() if each} == {ItemOutcome.CONFIRMED}


def test_a_change_merges_the_number_alone(
    sandbox: AmazonSellerSandbox, connector: AmazonSellerConnector
) -> None:
    connector.push([item("MUG", 7)], call_id="1")
    (body,) = [json.loads(body) for method, _, body, _ in sandbox.requests_log if method == "PATCH"]
    assert body == {
        "productType": "HOME",
        "patches": [
            {
                "op": "merge",
                "path": "/attributes/fulfillment_availability",
                "value": [{"fulfillment_channel_code": "DEFAULT", "quantity": 7}],
            }
        ],
    }


def test_sales_since_the_push_do_not_keep_it_from_being_confirmed(
    sandbox: AmazonSellerSandbox, connector: AmazonSellerConnector
) -> None:
    push = item("MUG", 7)
    (result,) = connector.push([push], call_id="1")
    until(lambda: sandbox.number("MUG") == 7)
    sandbox.place_order([("MUG", 2)])
    assert connector.follow_push([accepted(push, result, sold_since=1)]) == {result.tracking_id: None}
    (end,) = connector.follow_push([accepted(push, result, sold_since=2)]).values()
    assert end is not None
    assert end.outcome is ItemOutcome.CONFIRMED


def test_what_is_accepted_and_never_live_is_sent_again_and_said(
    sandbox: AmazonSellerSandbox, connector: AmazonSellerConnector
) -> None:
    sandbox.set_faults(accepted_is_lost_rate=1.0)
    push = item("MUG", 7)
    (result,) = connector.push([push], call_id="1")
    long_ago = datetime.now(UTC) - LONGEST_WAIT
    (end,) = connector.follow_push([accepted(push, result, sent_at=long_ago)]).values()
    assert end is not None
    assert (end.outcome, "still shows 10" in end.reason) == (ItemOutcome.RETRY, True)


def test_a_listing_that_became_wrong_after_it_was_accepted_is_refused_with_the_reason(
    sandbox: AmazonSellerSandbox, connector: AmazonSellerConnector
) -> None:
    sandbox.set_faults(accepted_is_lost_rate=1.0)
    push = item("MUG", 7)
    (result,) = connector.push([push], call_id="1")
    issue = {"code": "90220", "message": "Not allowed.", "severity": "ERROR", "categories": []}
    sandbox.listings.issues["MUG"] = [{**issue, "attributeNames": ["item_name"]}]
    assert connector.follow_push([accepted(push, result)]) == {result.tracking_id: None}
    sandbox.listings.issues["MUG"] = [{**issue, "attributeNames": ["fulfillment_availability"]}]
    (end,) = connector.follow_push([accepted(push, result)]).values()
    assert end is not None
    assert (end.outcome, end.reason) == (ItemOutcome.REJECTED, "Not allowed. (90220)")


def test_nothing_is_ever_written_to_what_amazon_ships(
    sandbox: AmazonSellerSandbox, connector: AmazonSellerConnector
) -> None:
    jug = next(each for each in connector.fetch_listings() if each.sku == "FBA-JUG")
    known = item("FBA-JUG", 1, level=1, data=jug.data)
    changed_since = item("FBA-JUG", 2, level=2)
    at_amazons = PushItem(Address(3, "MUG", location_external_id="FBA"), 3)
    for tell in (connector.push, connector.push_increases):
        results = tell([known, changed_since, at_amazons], call_id="1")
        assert {each.outcome for each in results} == {ItemOutcome.REJECTED}
        assert all("own warehouse" in each.reason for each in results)
    assert sandbox.requests["patchListingsItem"] == sandbox.requests["createFeed"] == 0
    assert sandbox.listings.converted == []
    assert sandbox.number("FBA-JUG") == 30


def test_the_sandbox_would_strand_the_stock_of_such_a_listing(sandbox: AmazonSellerSandbox) -> None:
    """The control of the test above: what the guard keeps from happening."""
    sandbox.listings.apply(sandbox.item("FBA-JUG"), 1)
    assert sandbox.listings.converted == ["FBA-JUG"]


@pytest.mark.parametrize("quantity", [-1, 100_000_000, True])
def test_what_is_no_number_of_units_is_not_sent(
    sandbox: AmazonSellerSandbox, connector: AmazonSellerConnector, quantity: int
) -> None:
    (result,) = connector.push([item("MUG", quantity)], call_id="1")
    assert result.outcome is ItemOutcome.REJECTED
    assert sandbox.requests["patchListingsItem"] == 0


def test_one_refused_item_leaves_the_others_alone(
    sandbox: AmazonSellerSandbox, connector: AmazonSellerConnector, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushes = [item("gone", 1, level=1), item("MUG", 2, level=2), item("FBA-JUG", 3, level=3)]
    results = {each.listing_level_id: each.outcome for each in connector.push(pushes, call_id="1")}
    assert results == {1: ItemOutcome.REJECTED, 2: ItemOutcome.ACCEPTED, 3: ItemOutcome.REJECTED}
    monkeypatch.setattr("channels.connectors.amazon_seller.listings.OWN_STOCK", "NOWHERE")
    monkeypatch.setattr("channels.connectors.amazon_seller.listings._refusal", lambda found: "")
    (invalid,) = connector.push([item("MUG", 5)], call_id="2")
    assert (invalid.outcome, "90220" in invalid.reason) == (ItemOutcome.REJECTED, True)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("drop_rate", TransientError),
        ("error_rate", TransientError),
        ("html_rate", TransientError),
        ("error_in_200_rate", TransientError),
        ("throttle_rate", Throttled),
    ],
)
def test_a_push_without_a_good_answer_is_no_confirmation(
    sandbox: AmazonSellerSandbox, connector: AmazonSellerConnector, fault: str, error: type[ConnectorError]
) -> None:
    connector.check()  # a token is at hand
    sandbox.set_faults(**{fault: 1.0})
    with pytest.raises(error):
        connector.push([item("MUG", 2)], call_id="1")
    assert sandbox.number("MUG") == 10


def test_a_call_that_is_cut_off_after_it_arrived_has_an_unknown_outcome_and_converges(
    sandbox: AmazonSellerSandbox,
) -> None:
    connector = open_connector(make_channel(sandbox), deadline=0.6)
    connector.check()
    applied = sandbox.listings.patch

    def slow(request: object, sku: str) -> object:
        answer = applied(request, sku)  # type: ignore[arg-type]
        sandbox.wait(1.0)
        return answer

    sandbox.listings.patch = slow  # type: ignore[assignment,method-assign]
    with pytest.raises(OutcomeUnknown):
        connector.push([item("MUG", 4)], call_id="1")
    until(lambda: sandbox.number("MUG") == 4)
    sandbox.listings.patch = applied  # type: ignore[method-assign]
    push = item("MUG", 4)
    (result,) = connector.push([push], call_id="2")
    (end,) = connector.follow_push([accepted(push, result)]).values()
    assert end is not None
    assert end.outcome is ItemOutcome.CONFIRMED


# -- tokens and limits


def test_one_token_serves_many_calls_and_one_that_has_ended_is_replaced_once(
    sandbox: AmazonSellerSandbox, connector: AmazonSellerConnector
) -> None:
    for _ in range(3):
        connector.fetch_order("302-0000000-0000009")
    assert sandbox.requests["POST token"] == 1
    sandbox.tokens.expire()
    connector.fetch_order("302-0000000-0000009")
    assert sandbox.requests["POST token"] == 2


@pytest.mark.parametrize("name", ["client_id", "client_secret", "refresh_token"])
def test_wrong_credentials_are_unauthorised(sandbox: AmazonSellerSandbox, name: str) -> None:
    with pytest.raises(Unauthorised):
        connect(sandbox, **{name: "wrong"}).check()


def test_a_seller_who_withdrew_the_consent_stops_the_channel(
    sandbox: AmazonSellerSandbox, connector: AmazonSellerConnector
) -> None:
    sandbox.tokens.is_revoked = True
    with pytest.raises(Unauthorised, match="authorise the app again"):
        connector.check()


def test_a_wrong_address_is_no_missing_order(sandbox: AmazonSellerSandbox) -> None:
    channel = make_channel(sandbox)
    channel.settings = {**sandbox.settings(), "base_url": f"{sandbox.base_url}/_sandbox"}
    with pytest.raises((Misconfigured, Unauthorised)):
        open_connector(channel).fetch_order("302-0000000-0000009")


def test_the_rate_that_answers_name_is_learned(
    sandbox: AmazonSellerSandbox, connector: AmazonSellerConnector
) -> None:
    connector.fetch_orders("")
    bucket = RateBucket.objects.get(channel_id=connector.account.channel_id, name="search-orders")
    assert bucket.refill_per_second == pytest.approx(0.0056 * 400)
    assert bucket.capacity == 20


@pytest.mark.parametrize("text", ["", "plenty", "0", "-1", "nan", "1e99"])
def test_a_rate_that_makes_no_sense_is_not_learned(text: str) -> None:
    class SomeAnswer:
        status = 200
        headers = {"x-amzn-RateLimit-Limit": text}
        body = b""

        def json(self) -> None:
            return None

    assert read_limits("get-order", SomeAnswer()) is None
    assert all(limit.capacity > 0 < limit.refill_per_second for limit in SELLER_PLANS.values())


# -- in bulk


def test_increases_go_together_by_feed_and_each_message_has_its_own_end(
    sandbox: AmazonSellerSandbox, connector: AmazonSellerConnector
) -> None:
    pushes = [item("MUG", 15, level=1), item(ODD, 25, level=2)]
    results = connector.push_increases(pushes, call_id="1")
    assert [each.outcome for each in results] == [ItemOutcome.ACCEPTED] * 2
    open_pushes = [accepted(push, result) for push, result in zip(pushes, results, strict=True)]
    assert connector.follow_push(open_pushes) == {}
    ends = until(lambda: connector.follow_push(open_pushes))
    assert {each.outcome for each in ends.values()} == {ItemOutcome.CONFIRMED}
    assert (sandbox.number("MUG"), sandbox.number(ODD)) == (15, 25)
    assert sandbox.requests["patchListingsItem"] == 0


def test_what_is_no_increase_does_not_go_by_feed(
    sandbox: AmazonSellerSandbox, connector: AmazonSellerConnector
) -> None:
    pushes = [item("MUG", 10, level=1), item(ODD, 3, level=2)]
    assert {each.outcome for each in connector.push_increases(pushes, call_id="1")} == {ItemOutcome.NOT_SENT}
    assert sandbox.requests["createFeed"] == 0


def test_a_feed_that_is_done_may_have_refused_some_of_its_messages(
    sandbox: AmazonSellerSandbox, connector: AmazonSellerConnector
) -> None:
    pushes = [item("MUG", 15, level=1), item(ODD, 25, level=2)]
    results = connector.push_increases(pushes, call_id="1")
    del sandbox.records.items[ODD]
    open_pushes = [accepted(push, result) for push, result in zip(pushes, results, strict=True)]
    ends = until(lambda: connector.follow_push(open_pushes))
    assert [ends[each.tracking_id].outcome for each in results] == [
        ItemOutcome.CONFIRMED,
        ItemOutcome.REJECTED,
    ]
    assert "8541" in ends[results[1].tracking_id].reason


def test_a_feed_whose_answer_was_lost_is_found_and_followed(
    sandbox: AmazonSellerSandbox, connector: AmazonSellerConnector
) -> None:
    create = sandbox.batches.create_feed
    sandbox.batches.create_feed = lambda request: (create(request), sandbox.error_answer(500))[1]  # type: ignore[method-assign]
    push = item("MUG", 15)
    (result,) = connector.push_increases([push], call_id="1")
    assert result.tracking_id == f"feed:{next(iter(sandbox.batches.feeds))}:1"
    (end,) = until(lambda: connector.follow_push([accepted(push, result)])).values()
    assert end.outcome is ItemOutcome.CONFIRMED
    # Of two nobody can tell which one it was.
    with pytest.raises(OutcomeUnknown):
        connector.push_increases([item("MUG", 16)], call_id="2")


def test_the_report_of_a_feed_is_fetched_only_where_something_is_not_live(
    sandbox: AmazonSellerSandbox, connector: AmazonSellerConnector
) -> None:
    pushes = [item("MUG", 15, level=1), item(ODD, 25, level=2)]
    results = connector.push_increases(pushes, call_id="1")
    until(lambda: sandbox.number(ODD) == 25)
    ends = connector.follow_push([accepted(p, r) for p, r in zip(pushes, results, strict=True)])
    assert {end.outcome for end in ends.values() if end} == {ItemOutcome.CONFIRMED}
    assert sandbox.requests["getFeedDocument"] == 0


def test_a_feed_that_ended_badly_has_its_numbers_sent_again(
    sandbox: AmazonSellerSandbox, connector: AmazonSellerConnector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "FEED_TYPE", "POST_INVENTORY_AVAILABILITY_DATA")
    push = item("MUG", 15)
    (result,) = connector.push_increases([push], call_id="1")
    ends = until(lambda: connector.follow_push([accepted(push, result)]))
    assert ends[result.tracking_id].outcome is ItemOutcome.RETRY
    assert "FATAL" in ends[result.tracking_id].reason


def test_amazons_warehouse_is_a_foreign_place_with_numbers_of_its_own(
    sandbox: AmazonSellerSandbox, connector: AmazonSellerConnector
) -> None:
    own, warehouse = connector.fetch_locations()
    assert (own.external_id, own.is_foreign) == ("", False)
    assert (warehouse.external_id, warehouse.is_foreign) == ("FBA", True)
    sandbox.place_order([("FBA-JUG", 4)])
    (count,) = connector.fetch_warehouse(None)
    assert (count.sku, count.location_external_id, count.quantity) == ("FBA-JUG", "FBA", 30)
    assert sandbox.number("FBA-JUG") == 26
    assert list(connector.fetch_warehouse(datetime.now(UTC) + timedelta(hours=1))) == []


def test_all_pages_of_the_warehouse_are_read(
    sandbox: AmazonSellerSandbox, connector: AmazonSellerConnector
) -> None:
    sandbox.load_catalogue(
        CatalogueItem(f"F{n}", f"F{n}", quantities={"main": n}, is_fulfilled_by_channel=True)
        for n in range(120)
    )
    assert len(list(connector.fetch_warehouse(None))) == 121


def test_a_walk_through_the_warehouse_whose_token_ended_begins_anew(
    sandbox: AmazonSellerSandbox, connector: AmazonSellerConnector, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox.load_catalogue(
        CatalogueItem(f"F{n}", f"F{n}", quantities={"main": n}, is_fulfilled_by_channel=True)
        for n in range(60)
    )
    lasts = iter([30.0, -1.0])
    monkeypatch.setattr(sandbox.warehouse, "token_seconds", lambda: next(lasts, 30.0))
    found = [count.sku for count in connector.fetch_warehouse(None)]
    assert len(set(found)) == 61
    assert sandbox.requests["getInventorySummaries"] == 4
    monkeypatch.setattr(sandbox.warehouse, "token_seconds", lambda: -1.0)
    with pytest.raises(Rejected, match="expired"):
        list(connector.fetch_warehouse(None))


def test_an_app_without_the_role_for_fba_does_not_stop_the_channel(
    sandbox: AmazonSellerSandbox, connector: AmazonSellerConnector
) -> None:
    sandbox.forbidden = {"getInventorySummaries"}
    with pytest.raises(Rejected, match="roles"):
        list(connector.fetch_warehouse(None))
    assert connector.check() == sandbox.name
