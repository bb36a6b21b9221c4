"""bol offers: what is listed, what is shown, and new numbers; tokens and limits on the way."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from channels.accounts import open_connector
from channels.connectors.base import Connector, Convention, ItemOutcome, PlatformListing
from channels.connectors.bol import BolConnector
from channels.connectors.bol.api import RATE_LIMITS, read_limits
from channels.errors import Misconfigured, OutcomeUnknown, Throttled, TransientError, Unauthorised
from channels.limits import PACE
from channels.models import RateBucket
from channels.sandbox.bol import BolSandbox
from channels.sandbox.book import CatalogueItem
from channels.sandbox.profiles import INSTANT
from tests.channels.connectors.shops import connect, item, make_channel

pytestmark = pytest.mark.django_db

CATALOGUE = [
    CatalogueItem(sku="MUG", title="Mug", gtin="8712345678906", quantities={"main": 10}),
    CatalogueItem(sku="CUP", title="Cup", quantities={"main": 20}, is_fulfilled_by_channel=True),
    CatalogueItem(sku="JUG", title="Jug", quantities={"main": 30}),
]


@pytest.fixture
def sandbox() -> Iterator[BolSandbox]:
    with BolSandbox(profile=INSTANT, limits="generous") as shop:
        shop.load_catalogue(CATALOGUE)
        yield shop


@pytest.fixture
def connector(sandbox: BolSandbox) -> Connector:
    return connect(sandbox)


def by_sku(connector: Connector) -> dict[str, PlatformListing]:
    return {listing.sku: listing for listing in connector.fetch_listings()}


# -- reading


def test_offers_are_listed_and_those_that_bol_fulfils_are_not_active(connector: Connector) -> None:
    found = by_sku(connector)
    assert (found["MUG"].gtin, found["MUG"].title, found["MUG"].is_active) == ("8712345678906", "Mug", True)
    assert not found["CUP"].is_active
    assert "FBB" in found["CUP"].warnings[0]
    assert found["CUP"].data["fulfilment"] == "FBB"


def test_all_pages_of_offers_are_read(sandbox: BolSandbox, connector: Connector) -> None:
    sandbox.load_catalogue(
        [CatalogueItem(sku=f"S{n}", title=f"S{n}", quantities={"main": 1}) for n in range(250)]
    )
    assert len(by_sku(connector)) == 253


def test_what_is_read_back_is_the_number_we_gave(sandbox: BolSandbox, connector: Connector) -> None:
    offer = by_sku(connector)["MUG"]
    connector.push([item(offer.external_id, 7)], call_id="1")
    sandbox.place_order([("MUG", 3)])
    assert sandbox.number("MUG") == 4
    shown = {level.listing_external_id: level.quantity for level in connector.fetch_levels()}
    assert shown[offer.external_id] == 7
    assert len(shown) == 2


def test_single_numbers_are_none_where_the_offer_is_gone_or_bols(connector: Connector) -> None:
    found = by_sku(connector)
    ids = [found["JUG"].external_id, found["CUP"].external_id, "6ff736b5-cdd0-4150-8c67-78269ee986f5"]
    levels = connector.read_levels([item(each, 0).address for each in ids])
    assert [level.quantity for level in levels] == [30, None, None]


def test_bols_warehouse_is_a_foreign_place(connector: Connector) -> None:
    own, warehouse = connector.fetch_locations()
    assert (own.external_id, own.is_foreign) == ("", False)
    assert (warehouse.external_id, warehouse.is_foreign) == ("FBB", True)
    assert connector.capabilities.convention is Convention.INCLUDES_OPEN_ORDERS


def test_the_account_is_checked_and_named(sandbox: BolSandbox, connector: Connector) -> None:
    assert connector.check() == sandbox.name


# -- writing


def test_numbers_are_stored_one_offer_a_call_and_bol_keeps_the_orders(
    sandbox: BolSandbox, connector: Connector
) -> None:
    found = by_sku(connector)
    sandbox.item("MUG").is_managed_by_retailer = True
    pushes = [item(found["MUG"].external_id, 3, level=1), item(found["JUG"].external_id, 0, level=2)]
    results = connector.push(pushes, call_id="1")
    assert [(each.listing_level_id, each.outcome) for each in results] == [
        (1, ItemOutcome.CONFIRMED),
        (2, ItemOutcome.CONFIRMED),
    ]
    assert (sandbox.stored_number("MUG"), sandbox.stored_number("JUG")) == (3, 0)
    assert not sandbox.item("MUG").is_managed_by_retailer
    assert sandbox.requests["PATCH /retailer/offers/{id}"] == 2


def test_an_offer_that_bol_fulfils_is_never_written(sandbox: BolSandbox, connector: Connector) -> None:
    cup = by_sku(connector)["CUP"]
    (known,) = connector.push([item(cup.external_id, 1, data=cup.data)], call_id="1")
    assert known.outcome is ItemOutcome.REJECTED
    assert sandbox.requests["PATCH /retailer/offers/{id}"] == 0
    (changed_since,) = connector.push([item(cup.external_id, 1)], call_id="1")
    assert changed_since.outcome is ItemOutcome.REJECTED
    assert "FBB" in changed_since.reason
    assert sandbox.stored_number("CUP") == 20


@pytest.mark.parametrize("quantity", [-1, 1000, True])
def test_what_bol_would_refuse_is_not_sent(sandbox: BolSandbox, connector: Connector, quantity: int) -> None:
    (result,) = connector.push([item("6ff736b5-cdd0-4150-8c67-78269ee986f5", quantity)], call_id="1")
    assert result.outcome is ItemOutcome.REJECTED
    assert sandbox.requests["PATCH /retailer/offers/{id}"] == 0


def test_an_offer_that_is_gone_is_rejected_and_the_next_one_is_told(
    sandbox: BolSandbox, connector: Connector
) -> None:
    mug = by_sku(connector)["MUG"].external_id
    pushes = [item("6ff736b5-cdd0-4150-8c67-78269ee986f5", 1, level=1), item(mug, 2, level=2)]
    results = connector.push(pushes, call_id="1")
    assert [each.outcome for each in results] == [ItemOutcome.REJECTED, ItemOutcome.CONFIRMED]
    assert sandbox.stored_number("MUG") == 2


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("drop_rate", OutcomeUnknown),
        ("error_rate", OutcomeUnknown),
        ("html_rate", OutcomeUnknown),
        ("error_in_200_rate", TransientError),
        ("throttle_rate", Throttled),
    ],
)
def test_a_push_without_a_good_answer_is_no_confirmation(
    sandbox: BolSandbox, connector: Connector, fault: str, error: type[Exception]
) -> None:
    mug = by_sku(connector)["MUG"].external_id
    sandbox.set_faults(**{fault: 1.0})
    with pytest.raises(error):
        connector.push([item(mug, 2)], call_id="1")
    assert sandbox.stored_number("MUG") == 10


# -- tokens, addresses, limits


def test_one_token_serves_many_calls_and_many_connectors(sandbox: BolSandbox) -> None:
    channel = make_channel(sandbox)
    for _ in range(3):
        assert len(by_sku(open_connector(channel))) == 3
    assert sandbox.requests["POST /token"] == 1


def test_a_token_that_bol_no_longer_takes_is_replaced_once(sandbox: BolSandbox, connector: Connector) -> None:
    mug = by_sku(connector)["MUG"].external_id
    sandbox.expire_tokens()
    (result,) = connector.push([item(mug, 2)], call_id="1")
    assert result.outcome is ItemOutcome.CONFIRMED
    assert sandbox.requests["POST /token"] == 2


def test_wrong_credentials_are_unauthorised(sandbox: BolSandbox) -> None:
    with pytest.raises(Unauthorised):
        connect(sandbox, client_secret="wrong").check()


def test_a_wrong_address_deletes_no_order(sandbox: BolSandbox) -> None:
    channel = make_channel(sandbox)
    channel.settings = {**sandbox.settings(), "base_url": f"{sandbox.base_url}/_sandbox"}
    channel.save()
    with pytest.raises(Misconfigured):
        open_connector(channel).fetch_order("A000000001")


def test_what_bol_says_of_its_limits_is_learned(sandbox: BolSandbox, connector: Connector) -> None:
    connector.fetch_orders("")
    bucket = RateBucket.objects.get(channel_id=connector.account.channel_id, name="orders-list")
    assert bucket.capacity == 25 * 40
    assert bucket.refill_per_second == pytest.approx(25 * 40 / 60)
    assert bucket.tokens <= 25 * 40 - 1


class SomeAnswer:
    """An answer with nothing but headers."""

    status = 200
    body = b""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self.headers = headers

    def json(self) -> Any:
        return None


def test_limit_headers_are_read_leniently() -> None:
    empty = {"X-RateLimit-Limit": "25", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "12"}
    reading = BolConnector.read_limits("orders-list", SomeAnswer(empty))
    assert reading is not None
    assert (reading.capacity, reading.tokens, reading.blocked_for) == (25, 0, 12)
    as_a_date = read_limits("orders-list", SomeAnswer({**empty, "X-RateLimit-Reset": "1795000000"}))
    assert as_a_date is not None
    assert as_a_date.blocked_for is None
    assert read_limits("orders-list", SomeAnswer({"X-RateLimit-Limit": "plenty"})) is None
    assert read_limits("orders-list", SomeAnswer({})) is None


def test_what_goes_out_in_a_second_is_no_more_than_bol_takes_in_one() -> None:
    assert all(limit.capacity > 0 < limit.refill_per_second for limit in RATE_LIMITS.values())
    for bucket, calls in {"offers-write": 50, "offers-read": 25, "process-status": 100}.items():
        learned = read_limits(bucket, SomeAnswer({"X-RateLimit-Limit": str(calls)}))
        assert learned is not None
        for limit in (RATE_LIMITS[bucket], learned):
            assert limit.capacity is not None
            assert limit.refill_per_second == calls
            assert 1 <= limit.capacity <= calls * (1 - PACE) + 1e-9
