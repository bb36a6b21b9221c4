"""A large Shopify catalogue comes as a bulk query: started once, followed, fetched to disk and read line by line."""

import json
from typing import Any

import pytest

from channels.accounts import open_connector
from channels.connectors.shopify import ShopifyConnector, bulk, catalogue
from channels.errors import Misconfigured, Rejected, TransientError
from channels.models import Channel
from channels.sandbox.shopify.shop import ShopifySandbox

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first two listings are paged through; the rest comes in bulk."""
    monkeypatch.setattr(catalogue, "PAGED", 2)
    monkeypatch.setattr(bulk, "_WAITS", (0.05,) * 40)


def roots(shop: ShopifySandbox, name: str) -> int:
    return shop.requests[f"graphql {name}"]


def test_a_large_catalogue_is_read_whole_and_each_listing_once(
    shop: ShopifySandbox, shopify: ShopifyConnector
) -> None:
    found = [listing.sku for listing in shopify.fetch_listings()]
    assert sorted(found) == ["A", "B", "C", "D"]
    assert roots(shop, "bulkOperationRunQuery") == 1
    assert roots(shop, "productVariants") == 1
    listed = {listing.sku: listing for listing in shopify.fetch_listings()}
    assert (listed["A"].gtin, listed["C"].is_active) == ("4006381333931", False)
    assert "at zero" in listed["D"].warnings[0]


def test_a_small_catalogue_needs_none(
    shop: ShopifySandbox, shopify: ShopifyConnector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue, "PAGED", 4)
    assert len(list(shopify.fetch_listings())) == 4
    assert roots(shop, "bulkOperationRunQuery") == 0


def test_whoever_comes_back_takes_up_the_query_that_was_started(
    shop: ShopifySandbox, shopify: ShopifyConnector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "_WAITS", ())
    with pytest.raises(TransientError) as early:
        _start(shopify, shop)
    assert early.value.retry_after
    monkeypatch.setattr(bulk, "_WAITS", (0.05,) * 40)
    assert len(list(shopify.fetch_listings())) == 4
    assert roots(shop, "bulkOperationRunQuery") == 1


def _start(shopify: ShopifyConnector, shop: ShopifySandbox) -> None:
    """Has a query run that finds no end: whoever would work it off is kept waiting."""
    shop.bulk._run = lambda operation, root: None  # type: ignore[method-assign]
    try:
        list(shopify.fetch_listings())
    finally:
        del shop.bulk._run
        for operation in shop.bulk.by_number.values():
            shop.bulk._run(operation, shop.bulk._root(operation.query))


@pytest.mark.parametrize(
    ("code", "error"),
    [("LIMIT_REACHED", TransientError), ("OPERATION_IN_PROGRESS", TransientError), ("INVALID", Rejected)],
)
def test_a_query_that_is_not_begun_says_why(
    shop: ShopifySandbox, shopify: ShopifyConnector, code: str, error: type[Exception]
) -> None:
    refusal: Any = (None, [{"field": ["query"], "message": "Not now.", "code": code}])
    shop.bulk.start = lambda query: refusal  # type: ignore[method-assign]
    with pytest.raises(error, match="Not now"):
        list(shopify.fetch_listings())


def test_a_query_that_failed_is_no_empty_catalogue(shop: ShopifySandbox, shopify: ShopifyConnector) -> None:
    def fail(operation: Any, root: Any) -> None:
        operation.is_failed = True

    shop.bulk._run = fail  # type: ignore[method-assign]
    with pytest.raises(TransientError, match="FAILED"):
        list(shopify.fetch_listings())
    assert isinstance(bulk._failed("FAILED", "ACCESS_DENIED"), Misconfigured)


def test_a_file_that_is_gone_or_too_large_is_a_failure(
    shop: ShopifySandbox, shopify: ShopifyConnector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "_LARGEST", 100)
    with pytest.raises(TransientError, match="larger than 100 bytes"):
        list(shopify.fetch_listings())
    monkeypatch.undo()
    client = shopify.client
    with (
        pytest.raises(TransientError, match="404"),
        client.download(f"{shop.base_url}/bulk/none.jsonl", bucket="downloads", seconds=5, largest=100),
    ):
        pass
    with (
        pytest.raises(Misconfigured, match="private network"),
        client.download("https://10.0.0.1/x", bucket="downloads", seconds=5, largest=100),
    ):
        pass


def test_children_stand_on_lines_of_their_own_and_name_their_parent(shop: ShopifySandbox) -> None:
    query = (
        "{ inventoryItems { edges { node { id sku inventoryLevels { edges { node { id isActive } } } } } } }"
    )
    operation, errors = shop.bulk.start(query)
    assert operation is not None
    assert not errors
    while operation.completed_at is None:
        pass
    lines = [json.loads(line) for line in b"".join(operation.pieces).splitlines()]
    (first, *_) = lines
    assert first["sku"] == "A"
    assert "inventoryLevels" not in first
    assert [line["__parentId"] for line in lines[1:3]] == [first["id"], first["id"]]


def test_what_is_no_bulk_query_is_refused(shop: ShopifySandbox) -> None:
    for query in ("{ shop { name } }", "{ productVariants { pageInfo { hasNextPage } } }", "{"):
        operation, errors = shop.bulk.start(query)
        assert operation is None
        assert errors[0]["code"] == "INVALID"


def test_reading_in_bulk_is_no_write(shop: ShopifySandbox, shop_channel: Channel) -> None:
    Channel.objects.filter(pk=shop_channel.pk).update(is_paused=True, in_shadow=True)
    assert len(list(open_connector(shop_channel).fetch_listings())) == 4
