"""Amazon's vendor side: cases in eaches, our word on orders, orders that can only be scanned, inventory that is never full."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from channels.connectors.amazon.plans import VENDOR_PLANS
from channels.connectors.amazon_vendor import AmazonVendorConnector, feed, inventory
from channels.connectors.amazon_vendor.account import VendorAccount
from channels.connectors.amazon_vendor.listings import _MOST_PAGES
from channels.connectors.base import (
    AcceptedPush,
    AcknowledgementStep,
    Address,
    InboundRequest,
    ItemOutcome,
    PromisedLine,
    PushItem,
    PushResult,
)
from channels.errors import BadMessage, BadSignature, Misconfigured, OutcomeUnknown, Unauthorised
from channels.sandbox.amazon_vendor import AmazonVendorSandbox
from channels.sandbox.book import CatalogueItem
from tests.channels.connectors.amazon import until
from tests.channels.connectors.amazon_vendor import connector_to, held, opened, read_on

pytestmark = pytest.mark.django_db

CUP = "4006381333931"


@pytest.fixture
def sandbox() -> Iterator[AmazonVendorSandbox]:
    with opened() as shop:
        yield shop


@pytest.fixture
def connector(sandbox: AmazonVendorSandbox) -> AmazonVendorConnector:
    return connector_to(sandbox)


def sent(sandbox: AmazonVendorSandbox, operation: str) -> list[dict[str, Any]]:
    """Returns the bodies that were posted to an address that ends so."""
    return [
        json.loads(body)
        for method, target, body, status in sandbox.requests_log
        if method == "POST" and target.endswith(operation) and status == 202
    ]


# -- the account


def test_the_account_names_itself_and_its_places(
    sandbox: AmazonVendorSandbox, connector: AmazonVendorConnector
) -> None:
    assert connector.check() == f"Amazon (vendor) {sandbox.vendor_code}"
    assert [(p.external_id, p.name, p.is_sellable) for p in connector.fetch_locations()] == [
        ("AMS", "Amsterdam warehouse", True),
        ("RTM", "Rotterdam store", True),
        ("retail", "Retail purchase orders", False),
    ]
    assert {name for name in sandbox.requests if "rder" in name} == {
        "getPurchaseOrders",
        "getPurchaseOrdersStatus",
        "getOrders",
    }


def test_what_an_account_does_not_take_part_in_is_never_asked_for(sandbox: AmazonVendorSandbox) -> None:
    read_on(connector_to(sandbox, warehouses=""))
    assert not sandbox.requests["getOrders"]
    read_on(connector_to(sandbox, takes_retail_orders=False))
    assert sandbox.requests["getPurchaseOrders"] == 2, "by the first one alone"
    with pytest.raises(Misconfigured, match="no retail orders"):
        connector_to(sandbox, takes_retail_orders=False, warehouses="").check()


@pytest.mark.parametrize("text", ["AMS, AMS", "retail", "a/b"])
def test_warehouses_that_contradict_each_other_are_refused(sandbox: AmazonVendorSandbox, text: str) -> None:
    with pytest.raises(Misconfigured, match="cannot be the id"):
        connector_to(sandbox, warehouses=text).fetch_locations()


def test_a_withdrawn_consent_is_said(sandbox: AmazonVendorSandbox, connector: AmazonVendorConnector) -> None:
    sandbox.tokens.is_revoked = True
    with pytest.raises(Unauthorised, match="withdrawn the consent"):
        connector.check()


def test_whatever_is_posted_is_refused(connector: AmazonVendorConnector) -> None:
    request = InboundRequest({"content-type": "application/json"}, b"{}", datetime.now(UTC))
    with pytest.raises(BadSignature, match="polled"):
        connector.verify(request)
    with pytest.raises(BadMessage):
        connector.receive(request)


def test_every_operation_has_its_usage_plan() -> None:
    rates = {name: (plan.capacity, plan.refill_per_second) for name, plan in VENDOR_PLANS.items()}
    assert rates.pop("retail-transaction") == (20, 10)
    assert rates.pop("search-listings") == (5, 5)
    assert rates.pop("lwa")
    assert set(rates.values()) == {(10, 10)}


# -- listings


def test_items_are_read_with_their_asins_and_a_sku_that_is_a_gtin_says_so(
    sandbox: AmazonVendorSandbox, connector: AmazonVendorConnector
) -> None:
    found = {each.sku: each for each in connector.fetch_listings()}
    assert (found["MUG"].external_id, found["MUG"].title) == (sandbox.asin_of("MUG"), "Mug")
    assert (found["MUG"].gtin, found[CUP].gtin) == ("", CUP)
    assert all(each.is_active for each in found.values())


def test_more_than_a_thousand_items_are_read_by_when_they_were_created(
    sandbox: AmazonVendorSandbox, connector: AmazonVendorConnector
) -> None:
    sandbox.load_catalogue(CatalogueItem(f"S{n}", f"S{n}", quantities={"AMS": n}) for n in range(1040))
    found = [each.sku for each in connector.fetch_listings()]
    assert len(found) == len(set(found)) == 1042
    assert sandbox.requests["searchListingsItems"] > _MOST_PAGES


# -- retail orders


def test_cases_are_ordered_and_kept_in_eaches(
    sandbox: AmazonVendorSandbox, connector: AmazonVendorConnector
) -> None:
    number = sandbox.retail.place([("MUG", 3), (CUP, 2)], in_cases=True, case_size=12)
    page = read_on(connector)
    (state,) = page.orders
    assert (state.external_id, state.number, state.country) == (f"retail:{number}", number, "DE")
    assert state.awaits_acknowledgement
    assert [(each.external_id, each.sku, each.quantity) for each in state.lines] == [
        ("1", "MUG", 36),
        ("2", CUP, 24),
    ]
    assert {each.location_external_id for each in state.lines} == {"retail"}
    assert state.lines[0].listing_external_id == sandbox.asin_of("MUG")
    # The same, with its status.
    assert connector.fetch_order(state.external_id) == state


def test_a_case_of_unknown_size_is_named_and_holds_up_no_other_order(
    sandbox: AmazonVendorSandbox, connector: AmazonVendorConnector
) -> None:
    odd = sandbox.retail.place([("MUG", 3)], in_cases=True, case_size=None)
    fine = sandbox.retail.place([("MUG", 3)])
    page = read_on(connector)
    assert [state.number for state in page.orders] == [fine]
    assert f"retail:{odd}" in page.hints
    with pytest.raises(BadMessage, match="unitSize"):
        connector.fetch_order(f"retail:{odd}")


def test_an_order_that_amazon_changed_is_read_as_it_is_now(
    sandbox: AmazonVendorSandbox, connector: AmazonVendorConnector
) -> None:
    number = sandbox.retail.place([("MUG", 5), (CUP, 4)])
    before = connector.fetch_order(f"retail:{number}")
    cursor = read_on(connector).cursor
    sandbox.retail.change(number, "MUG", 2)
    sandbox.retail.change(number, CUP, 0)
    after = read_on(connector, cursor).orders[-1]
    assert before is not None
    assert [each.quantity for each in before.lines] == [5, 4]
    assert [each.quantity for each in after.lines] == [2, 0]
    assert after.updated_at > before.updated_at


def test_what_we_rejected_is_cancelled_and_what_amazon_received_has_left(
    sandbox: AmazonVendorSandbox, connector: AmazonVendorConnector
) -> None:
    number = sandbox.retail.place([("MUG", 3)], in_cases=True, case_size=10)
    cursor = read_on(connector).cursor
    acknowledge(sandbox, connector, number, held((30, 20)))
    sandbox.retail.receive(number, "MUG", 15)
    page = read_on(connector, cursor)
    assert {each.external_id for each in page.glimpses} == {f"retail:{number}"}
    # By the order itself, and by its status.
    seen = [dict(each.lines)["1"] for each in page.glimpses]
    assert set(seen) == {(30, None, None), (30, 10, 15)}
    state = connector.fetch_order(f"retail:{number}")
    assert state is not None
    assert not state.awaits_acknowledgement
    (line,) = state.lines
    assert (line.quantity, line.cancelled, line.fulfilled) == (30, 10, 15)
    sandbox.retail.close(number)
    assert dict(read_on(connector, page.cursor).glimpses[-1].lines) == {"1": (30, 15, 15)}
    closed = connector.fetch_order(f"retail:{number}")
    assert closed is not None
    assert (closed.lines[0].cancelled, closed.lines[0].fulfilled) == (15, 15)


def test_nothing_is_known_of_orders_that_amazon_does_not_have(connector: AmazonVendorConnector) -> None:
    assert connector.fetch_order("retail:NONE") is None
    assert connector.fetch_order("direct:D000000009") is None
    assert connector.fetch_order("something else") is None


# -- our word on retail orders


def acknowledge(
    sandbox: AmazonVendorSandbox,
    connector: AmazonVendorConnector,
    number: str,
    lines: Any,
    *,
    programme: str = "retail",
) -> dict[str, Any]:
    """Says our word, waits until it is in force, and returns what was sent."""
    said = connector.acknowledge_order(f"{programme}:{number}", lines)
    assert said.step is AcknowledgementStep.SENT
    end = until(lambda: connector.follow_acknowledgements([said.tracking_id]).get(said.tracking_id))
    assert end.is_in_force, end.reason
    return sent(sandbox, "/acknowledgements")[-1]


def test_what_is_held_is_accepted_in_whole_cases_and_the_rest_rejected(
    sandbox: AmazonVendorSandbox, connector: AmazonVendorConnector
) -> None:
    number = sandbox.retail.place([("MUG", 3)], in_cases=True, case_size=10)
    said = connector.acknowledge_order(f"retail:{number}", held((30, 25)))
    assert [(each.accepted, each.rejected, each.reason) for each in said.lines] == [
        (20, 10, "TemporarilyUnavailable")
    ]
    (word,) = sent(sandbox, "/acknowledgements")[0]["acknowledgements"]
    assert word["sellingParty"] == {"partyId": sandbox.vendor_code}
    (item,) = word["items"]
    assert item["orderedQuantity"] == {"amount": 3, "unitOfMeasure": "Cases", "unitSize": 10}
    assert item["netCost"] == {"amount": "12.50", "currencyCode": "EUR"}
    assert item["itemAcknowledgements"] == [
        {
            "acknowledgementCode": "Accepted",
            "acknowledgedQuantity": {"amount": 2, "unitOfMeasure": "Cases", "unitSize": 10},
        },
        {
            "acknowledgementCode": "Rejected",
            "acknowledgedQuantity": {"amount": 1, "unitOfMeasure": "Cases", "unitSize": 10},
            "rejectionReason": "TemporarilyUnavailable",
        },
    ]


def test_what_is_to_come_is_backordered_where_amazon_waits_for_it(
    sandbox: AmazonVendorSandbox, connector: AmazonVendorConnector
) -> None:
    lines = held((30, 15), backordered=12, expected_on=date(2026, 12, 24))
    waiting = sandbox.retail.place([("MUG", 3)], in_cases=True, case_size=10)
    (word,) = acknowledge(sandbox, connector, waiting, lines)["acknowledgements"]
    parts = word["items"][0]["itemAcknowledgements"]
    assert [(p["acknowledgementCode"], p["acknowledgedQuantity"]["amount"]) for p in parts] == [
        ("Accepted", 1),
        # Five that are held and twelve to come make one whole case.
        ("Backordered", 1),
        ("Rejected", 1),
    ]
    assert parts[1]["scheduledShipDate"] == "2026-12-24T00:00:00Z"
    hasty = sandbox.retail.place([("MUG", 3)], in_cases=True, case_size=10, may_wait=False)
    (word,) = acknowledge(sandbox, connector, hasty, lines)["acknowledgements"]
    assert [p["acknowledgementCode"] for p in word["items"][0]["itemAcknowledgements"]] == [
        "Accepted",
        "Rejected",
    ]


@pytest.mark.parametrize(
    ("details", "reason"),
    [
        ({}, "TemporarilyUnavailable"),
        ({"is_known": False}, "InvalidProductIdentifier"),
        ({"is_sold": False}, "ObsoleteProduct"),
    ],
)
def test_a_rejection_says_why(
    sandbox: AmazonVendorSandbox, connector: AmazonVendorConnector, details: dict[str, Any], reason: str
) -> None:
    number = sandbox.retail.place([("MUG", 3)])
    acknowledge(sandbox, connector, number, held((3, 0), **details))
    item = sandbox.retail.orders[number].items[0]
    assert (item.accepted, item.rejected, item.reason) == (0, 3, reason)


def test_every_item_is_named_but_those_that_amazon_cancelled(
    sandbox: AmazonVendorSandbox, connector: AmazonVendorConnector
) -> None:
    number = sandbox.retail.place([("MUG", 3), (CUP, 2)])
    sandbox.retail.change(number, "MUG", 0)
    word = acknowledge(sandbox, connector, number, held((0, 0), (2, 2)))
    assert [each["itemSequenceNumber"] for each in word["acknowledgements"][0]["items"]] == ["2"]


def test_nothing_is_said_of_an_order_that_changed_or_does_not_wait(
    sandbox: AmazonVendorSandbox, connector: AmazonVendorConnector
) -> None:
    number = sandbox.retail.place([("MUG", 3)])
    sandbox.retail.change(number, "MUG", 4)
    assert connector.acknowledge_order(f"retail:{number}", held((3, 3))).step is AcknowledgementStep.CHANGED
    acknowledge(sandbox, connector, number, held((4, 4)))
    again = connector.acknowledge_order(f"retail:{number}", held((4, 4)))
    assert again.step is AcknowledgementStep.NOT_AWAITED
    assert connector.acknowledge_order("retail:NONE", []).step is AcknowledgementStep.NOT_AWAITED
    assert len(sent(sandbox, "/acknowledgements")) == 1


def test_a_word_whose_answer_was_lost_is_said_again_and_counts_once(
    sandbox: AmazonVendorSandbox, connector: AmazonVendorConnector, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = sandbox.retail.place([("MUG", 3)])
    sandbox.set_faults(processing_delay_seconds=3600.0)
    monkeypatch.setattr(
        "channels.connectors.amazon_vendor.transactions.read_text", lambda payload, name: "", raising=True
    )
    with pytest.raises(OutcomeUnknown, match="no transaction"):
        connector.acknowledge_order(f"retail:{number}", held((3, 3)))
    monkeypatch.undo()
    sandbox.clear_faults()
    acknowledge(sandbox, connector, number, held((3, 3)))
    assert sandbox.retail.orders[number].items[0].accepted == 3
    assert connector.acknowledge_order(f"retail:{number}", []).step is AcknowledgementStep.NOT_AWAITED


def test_a_word_that_amazon_refuses_says_why(
    sandbox: AmazonVendorSandbox, connector: AmazonVendorConnector
) -> None:
    number = sandbox.retail.place([("MUG", 3)])
    sandbox.fails["MUG"] = "The item is blocked"
    said = connector.acknowledge_order(f"retail:{number}", held((3, 3)))
    end = until(lambda: connector.follow_acknowledgements([said.tracking_id]).get(said.tracking_id))
    assert not end.is_in_force
    assert "The item is blocked" in end.reason
    (unknown,) = connector.follow_acknowledgements(["retail:none"]).values()
    assert unknown is not None
    assert not unknown.is_in_force


# -- direct fulfilment


def test_orders_of_direct_fulfilment_reserve_at_their_warehouse(
    sandbox: AmazonVendorSandbox, connector: AmazonVendorConnector
) -> None:
    placed = sandbox.place_order([("MUG", 2)], country="DE")
    (state,) = read_on(connector).orders
    assert (state.external_id, state.country) == (placed.id, "DE")
    assert state.awaits_acknowledgement
    (line,) = state.lines
    assert (line.quantity, line.cancelled, line.fulfilled) == (2, 0, 0)
    assert (line.listing_external_id, line.location_external_id) == (sandbox.asin_of("MUG"), "AMS")
    assert connector.fetch_order(placed.id) == state


def test_cancelled_and_shipped_orders_are_found_by_looking_at_recent_ones_anew(
    sandbox: AmazonVendorSandbox, connector: AmazonVendorConnector, monkeypatch: pytest.MonkeyPatch
) -> None:
    cancelled, shipped = (sandbox.place_order([("MUG", 2)]).id for _ in range(2))
    cursor = read_on(connector).cursor
    sandbox.cancel(cancelled, "MUG", 2)
    sandbox.ship(shipped)
    # Out of reach of the search for new orders; a minute has not passed yet.
    kept = json.loads(cursor)
    kept["since"] = (datetime.now(UTC) + timedelta(minutes=6)).isoformat()
    assert not read_on(connector, json.dumps(kept)).orders
    monkeypatch.setattr(feed, "RECENT_EVERY", timedelta(0))
    states = {state.external_id: state.lines[0] for state in read_on(connector, json.dumps(kept)).orders}
    assert (states[cancelled].cancelled, states[shipped].fulfilled) == (2, 2)


def test_every_hour_orders_of_two_weeks_are_looked_at_anew() -> None:
    now = datetime.now(UTC)
    account = VendorAccount("V", False, {"AMS": "AMS"}, True, None)

    def earliest(long_ago_at: datetime) -> datetime:
        begun = feed.Feed(now, now - timedelta(minutes=1), long_ago_at, until=now)
        starts = [search.parameters["createdAfter"] for search in feed.searches_of(begun, account)]
        return min(map(datetime.fromisoformat, starts))

    assert now - earliest(now) < timedelta(days=1, minutes=1)
    assert timedelta(days=14) <= now - earliest(now - timedelta(hours=1)) < timedelta(days=14, minutes=1)


def test_no_search_covers_more_than_a_week(
    sandbox: AmazonVendorSandbox, connector: AmazonVendorConnector
) -> None:
    """The simulated account refuses longer ones; nothing is left out between them."""
    now = datetime.now(UTC)
    begun = feed.Feed(now - timedelta(days=20), now, now)
    sandbox.place_order([("MUG", 1)])
    read_on(connector, begun.dump())
    windows = [
        (search.parameters["createdAfter"], search.parameters["createdBefore"])
        for search in feed.searches_of(feed.Feed(begun.since, now, now, until=now), connector._vendor)
        if search.parameters.get("status") == "NEW"
    ]
    assert [end for _, end in windows[:-1]] == [start for start, _ in windows[1:]]
    assert len(windows) == 3


def test_pages_are_read_to_their_end_and_a_token_that_ended_begins_the_search_anew(
    sandbox: AmazonVendorSandbox, connector: AmazonVendorConnector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "PAGE_SIZE", 2)
    for _ in range(5):
        sandbox.place_order([("MUG", 1)])
    found = {state.external_id for state in read_on(connector).orders}
    assert len(found) == 5
    spoilt = {**json.loads(connector.fetch_orders("").cursor), "token": "%%%"}
    again = connector.fetch_orders(json.dumps(spoilt))
    assert (again.orders, again.has_more) == ((), True)
    assert json.loads(again.cursor)["token"] == ""


def test_orders_of_another_vendor_code_are_another_channels(sandbox: AmazonVendorSandbox) -> None:
    sandbox.place_order([("MUG", 1)])
    other = connector_to(sandbox, vendor_code="OTHER")
    assert not read_on(other).orders


@pytest.mark.parametrize(
    ("line", "code", "status"),
    [
        (PromisedLine("00001", "", "", 2, 2), "00", "ACCEPTED"),
        (PromisedLine("00001", "", "", 2, 1), "03", "CANCELLED"),
        (PromisedLine("00001", "", "", 2, 0, is_known=False), "02", "CANCELLED"),
    ],
)
def test_an_order_of_direct_fulfilment_is_taken_or_refused_as_a_whole(
    sandbox: AmazonVendorSandbox,
    connector: AmazonVendorConnector,
    line: PromisedLine,
    code: str,
    status: str,
) -> None:
    placed = sandbox.place_order([("MUG", 2)])
    number = placed.id.removeprefix("direct:")
    word = acknowledge(sandbox, connector, number, [line], programme="direct")
    (order,) = word["orderAcknowledgements"]
    assert order["acknowledgementStatus"]["code"] == code
    assert order["shipFromParty"] == {"partyId": "AMS"}
    assert sandbox.find_order(placed.id).status == status
    again = connector.acknowledge_order(placed.id, [line])
    assert again.step is AcknowledgementStep.NOT_AWAITED


def test_orders_that_people_acknowledge_themselves_wait_for_nothing(sandbox: AmazonVendorSandbox) -> None:
    sandbox.place_order([("MUG", 2)])
    sandbox.retail.place([("MUG", 2)])
    states = read_on(connector_to(sandbox, acknowledges_orders=False)).orders
    assert {state.awaits_acknowledgement for state in states} == {False}


# -- inventory


def number_for(sandbox: AmazonVendorSandbox, sku: str, quantity: int, **at: Any) -> PushItem:
    level, place = at.get("level", 1), at.get("place", "AMS")
    address = Address(level, sandbox.asin_of(sku), "", place, {"sku": sku})
    return PushItem(address, quantity)


def followed(item: PushItem, result: PushResult, sent_at: datetime | None = None) -> AcceptedPush:
    return AcceptedPush(result.tracking_id, item.address, item.quantity, sent_at or datetime.now(UTC))


def ends_of(
    connector: AmazonVendorConnector, pushes: list[AcceptedPush]
) -> dict[int, tuple[ItemOutcome, str]]:
    ends = until(lambda: (found := connector.follow_push(pushes)) and all(found.values()) and found)
    return {end.listing_level_id: (end.outcome, end.reason) for end in ends.values()}


def test_numbers_go_to_their_warehouse_and_count_once_their_transaction_has_succeeded(
    sandbox: AmazonVendorSandbox, connector: AmazonVendorConnector
) -> None:
    items = [
        number_for(sandbox, "MUG", 7, level=1),
        number_for(sandbox, CUP, 0, level=2),
        number_for(sandbox, "MUG", 3, level=3, place="RTM"),
    ]
    results = connector.push(items, call_id="1")
    assert {each.outcome for each in results} == {ItemOutcome.ACCEPTED}
    assert sandbox.requests["submitInventoryUpdate"] == 2
    by_level = {each.listing_level_id: each for each in results}
    pushes = [followed(item, by_level[item.address.listing_level_id]) for item in items]
    assert ends_of(connector, pushes) == dict.fromkeys((1, 2, 3), (ItemOutcome.CONFIRMED, ""))
    assert sandbox.numbers(sandbox.item("MUG")) == {"AMS": 7, "RTM": 3}
    assert sandbox.number(CUP) == 0


def test_an_update_is_never_a_full_one(
    sandbox: AmazonVendorSandbox, connector: AmazonVendorConnector
) -> None:
    (result,) = connector.push([number_for(sandbox, "MUG", 7)], call_id="1")
    ends_of(connector, [followed(number_for(sandbox, "MUG", 7), result)])
    assert sandbox.number(CUP) == 20, "what an update leaves out stays"
    assert sandbox.inventory.full_updates == 0
    assert {each["inventory"]["isFullUpdate"] for each in sent(sandbox, "/items")} == {False}


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (PushItem(Address(1, "B0X", "", "retail"), 3), "no warehouse"),
        (PushItem(Address(1, "B0X"), 3), "no warehouse"),
        (PushItem(Address(1, "", "", "AMS"), 3), "no ASIN"),
        (PushItem(Address(1, "B0X", "", "AMS"), -1), "not a number of units"),
    ],
)
def test_what_cannot_be_told_is_refused_before_it_is_sent(
    sandbox: AmazonVendorSandbox, connector: AmazonVendorConnector, item: PushItem, reason: str
) -> None:
    (result,) = connector.push([item], call_id="1")
    assert result.outcome is ItemOutcome.REJECTED
    assert reason in result.reason
    assert not sandbox.requests["submitInventoryUpdate"]


def test_a_transaction_that_fails_in_part_names_what_is_wrong_and_has_the_rest_told_again(
    sandbox: AmazonVendorSandbox, connector: AmazonVendorConnector
) -> None:
    sandbox.fails["MUG"] = "The item is blocked"
    items = [number_for(sandbox, "MUG", 7, level=1), number_for(sandbox, CUP, 5, level=2)]
    results = connector.push(items, call_id="1")
    ends = ends_of(connector, [followed(i, r) for i, r in zip(items, results, strict=True)])
    assert ends[1][0] is ItemOutcome.REJECTED
    assert "The item is blocked" in ends[1][1]
    assert ends[2][0] is ItemOutcome.RETRY


def test_a_failure_that_names_nothing_condemns_nobody_but_the_one_that_was_alone(
    sandbox: AmazonVendorSandbox, connector: AmazonVendorConnector
) -> None:
    sandbox.set_faults(accepted_fails_rate=1.0)
    items = [number_for(sandbox, "MUG", 7, level=1), number_for(sandbox, CUP, 5, level=2)]
    results = connector.push(items, call_id="1")
    ends = ends_of(connector, [followed(i, r) for i, r in zip(items, results, strict=True)])
    assert {outcome for outcome, _ in ends.values()} == {ItemOutcome.RETRY}
    (alone,) = connector.push(items[:1], call_id="2")
    assert ends_of(connector, [followed(items[0], alone)])[1][0] is ItemOutcome.REJECTED


def test_a_transaction_that_stays_open_or_is_forgotten_counts_as_unknown(
    sandbox: AmazonVendorSandbox, connector: AmazonVendorConnector
) -> None:
    sandbox.set_faults(accepted_is_lost_rate=1.0)
    item = number_for(sandbox, "MUG", 7)
    (result,) = connector.push([item], call_id="1")
    assert connector.follow_push([followed(item, result)]) == {result.tracking_id: None}
    long_ago = datetime.now(UTC) - inventory.LONGEST_WAIT
    (end,) = connector.follow_push([followed(item, result, long_ago)]).values()
    assert end is not None
    assert (end.outcome, "still works" in end.reason) == (ItemOutcome.UNKNOWN, True)
    sandbox.transactions.by_id.clear()
    (end,) = connector.follow_push([followed(item, result)]).values()
    assert end is not None
    assert end.outcome is ItemOutcome.UNKNOWN


def test_an_update_that_is_refused_at_once_condemns_nobody_but_the_one_that_was_alone(
    sandbox: AmazonVendorSandbox,
) -> None:
    connector = connector_to(sandbox, warehouses="GONE")
    items = [number_for(sandbox, sku, 1, level=n, place="GONE") for n, sku in enumerate(("MUG", CUP), 1)]
    assert {each.outcome for each in connector.push(items, call_id="1")} == {ItemOutcome.RETRY}
    assert {each.outcome for each in connector.push(items[:1], call_id="2")} == {ItemOutcome.REJECTED}


def test_amazon_shows_nobody_what_it_was_told(
    sandbox: AmazonVendorSandbox, connector: AmazonVendorConnector
) -> None:
    assert list(connector.fetch_levels()) == []
    (shown,) = connector.read_levels([number_for(sandbox, "MUG", 1).address])
    assert shown.quantity is None
