"""What a WooCommerce shop sells, what it shows, and what it makes of new numbers."""

from collections.abc import Iterator

import pytest

from channels.connectors.base import Connector, ItemOutcome, PlatformListing, PushItem
from channels.connectors.woocommerce.api import PAGE_SIZE
from channels.connectors.woocommerce.listings import stock_quantity
from channels.errors import OutcomeUnknown, TransientError
from channels.sandbox.book import CatalogueItem
from channels.sandbox.profiles import INSTANT
from channels.sandbox.woocommerce import WooCommerceSandbox
from tests.channels.connectors.shops import connect, item

CATALOGUE = [
    CatalogueItem(sku="MUG", title="Mug", gtin="8712345678906", quantities={"main": 10}),
    CatalogueItem(sku="TEE-S", title="S", parent="T-shirt", quantities={"main": 4}),
    CatalogueItem(sku="TEE-M", title="M", parent="T-shirt", quantities={"main": 5}, sells_beyond_stock=True),
    CatalogueItem(sku="BOX-RED", title="Red", parent="Box", quantities={"main": 6}, shares_parent_stock=True),
    CatalogueItem(
        sku="BOX-BLUE", title="Blue", parent="Box", quantities={"main": 6}, shares_parent_stock=True
    ),
    CatalogueItem(sku="EBOOK", title="E-book", is_tracked=False),
]


@pytest.fixture
def sandbox() -> Iterator[WooCommerceSandbox]:
    with WooCommerceSandbox(profile=INSTANT, limits="generous") as shop:
        shop.load_catalogue(CATALOGUE)
        yield shop


@pytest.fixture
def connector(sandbox: WooCommerceSandbox, db: None) -> Connector:
    return connect(sandbox)


def listings_by_title(connector: Connector) -> dict[str, PlatformListing]:
    return {listing.title: listing for listing in connector.fetch_listings()}


def to_push(listing: PlatformListing, quantity: int, level: int = 1) -> PushItem:
    return item(listing.external_id, quantity, level=level, parent=listing.parent_external_id)


# -- reading


def test_products_and_variations_are_listed_with_what_a_person_should_know(connector: Connector) -> None:
    found = listings_by_title(connector)
    assert set(found) == {"Mug", "T-shirt – S", "T-shirt – M", "Box", "Box – Red", "Box – Blue", "E-book"}
    assert found["Mug"].sku == "MUG"
    assert found["Mug"].gtin == "8712345678906"
    assert found["Mug"].parent_external_id == ""
    assert found["T-shirt – S"].parent_external_id == found["T-shirt – M"].parent_external_id != ""
    assert "backorders" in found["T-shirt – M"].warnings[0]
    assert "Manage stock" in found["E-book"].warnings[0]
    assert found["Mug"].warnings == ()


def test_variations_on_their_parents_pool_are_listed_but_only_the_parent_is_active(
    connector: Connector,
) -> None:
    found = listings_by_title(connector)
    assert found["Box"].is_active
    assert not found["Box – Red"].is_active
    assert found["Box – Red"].parent_external_id == found["Box"].external_id
    assert "shares the stock" in found["Box – Red"].warnings[0]


def test_levels_show_each_pool_once_and_negative_numbers_as_they_are(
    sandbox: WooCommerceSandbox, connector: Connector
) -> None:
    sandbox.edit_stock("TEE-S", -2)
    found = listings_by_title(connector)
    titles = {listing.external_id: title for title, listing in found.items()}
    shown = {titles[level.listing_external_id]: level.quantity for level in connector.fetch_levels()}
    assert shown["Mug"] == 10
    assert shown["T-shirt – S"] == -2
    assert {title: found[title].shown for title in shown} == shown
    assert shown["T-shirt – M"] == 5
    assert shown["E-book"] is None
    assert "Box" in shown
    assert "Box – Red" not in shown


def test_single_levels_are_read_by_address_and_what_is_gone_is_none(connector: Connector) -> None:
    found = listings_by_title(connector)
    pushes = [to_push(found["T-shirt – S"], 0), item("999999", 0), to_push(found["Mug"], 0)]
    levels = connector.read_levels([each.address for each in pushes])
    assert [level.quantity for level in levels] == [4, None, 10]


def test_a_long_catalogue_is_read_to_its_end(sandbox: WooCommerceSandbox, connector: Connector) -> None:
    count = 2 * PAGE_SIZE + 30
    sandbox.load_catalogue(
        [CatalogueItem(sku=f"S{n}", title=f"S{n}", quantities={"main": 1}) for n in range(count)]
    )
    skus = [listing.sku for listing in connector.fetch_listings() if listing.sku.startswith("S")]
    assert sorted(skus) == sorted(f"S{n}" for n in range(count))


@pytest.mark.parametrize(
    ("quantity", "expected"), [(3, 3), (-3, -3), (2.7, 2), (0, 0), (None, None), (True, None), ("3", None)]
)
def test_only_whole_units_can_be_sold(quantity: object, expected: int | None) -> None:
    assert stock_quantity({"manage_stock": True, "stock_quantity": quantity}) == expected


# -- writing


def test_numbers_are_told_in_one_batch_a_parent_and_confirmed(
    sandbox: WooCommerceSandbox, connector: Connector
) -> None:
    found = listings_by_title(connector)
    pushes = [
        to_push(found["Mug"], 3, level=1),
        to_push(found["T-shirt – S"], 0, level=2),
        to_push(found["T-shirt – M"], 8, level=3),
        to_push(found["Box"], 2, level=4),
    ]
    sandbox.requests.clear()
    results = connector.push(pushes, call_id="1")
    assert {result.listing_level_id: result.outcome for result in results} == dict.fromkeys(
        (1, 2, 3, 4), ItemOutcome.CONFIRMED
    )
    assert [sandbox.number(sku) for sku in ("MUG", "TEE-S", "TEE-M", "BOX-RED", "BOX-BLUE")] == [
        3,
        0,
        8,
        2,
        2,
    ]
    assert sum(sandbox.requests.values()) == 2


def test_a_number_that_the_shop_ignores_is_rejected_with_the_remedy(connector: Connector) -> None:
    (result,) = connector.push([to_push(listings_by_title(connector)["E-book"], 3)], call_id="1")
    assert result.outcome is ItemOutcome.REJECTED
    assert "Manage stock" in result.reason


def test_a_variation_on_its_parents_pool_is_rejected_and_stays_there(
    sandbox: WooCommerceSandbox, connector: Connector
) -> None:
    (result,) = connector.push([to_push(listings_by_title(connector)["Box – Red"], 3)], call_id="1")
    assert result.outcome is ItemOutcome.REJECTED
    assert "parent" in result.reason
    assert sandbox.item("BOX-RED").source.shares_parent_stock


def test_one_unknown_product_does_not_spoil_the_batch(
    sandbox: WooCommerceSandbox, connector: Connector
) -> None:
    mug = listings_by_title(connector)["Mug"]
    results = connector.push([item("999999", 1, level=1), to_push(mug, 7, level=2)], call_id="1")
    outcomes = {result.listing_level_id: result.outcome for result in results}
    assert outcomes == {1: ItemOutcome.REJECTED, 2: ItemOutcome.CONFIRMED}
    assert sandbox.number("MUG") == 7


@pytest.mark.parametrize(
    "bad",
    [item("x7", 1), item("", 1), item("1", -1), item("1", 10**12), item("1", 1, parent="a/b"), item("١", 1)],
)
def test_what_the_shops_batches_would_not_check_is_never_sent(
    sandbox: WooCommerceSandbox, connector: Connector, bad: PushItem
) -> None:
    sandbox.requests.clear()
    (result,) = connector.push([bad], call_id="1")
    assert result.outcome is ItemOutcome.REJECTED
    assert result.reason
    assert not sandbox.requests


def test_a_batch_that_died_half_done_is_unknown_and_repeating_it_is_harmless(
    sandbox: WooCommerceSandbox, connector: Connector
) -> None:
    found = listings_by_title(connector)
    pushes = [to_push(found["T-shirt – S"], 1, level=1), to_push(found["T-shirt – M"], 2, level=2)]
    sandbox.set_faults(half_batch_rate=1.0)
    with pytest.raises(OutcomeUnknown):
        connector.push(pushes, call_id="1")
    assert (sandbox.number("TEE-S"), sandbox.number("TEE-M")) == (1, 5)
    sandbox.clear_faults()
    assert {r.outcome for r in connector.push(pushes, call_id="1")} == {ItemOutcome.CONFIRMED}
    assert (sandbox.number("TEE-S"), sandbox.number("TEE-M")) == (1, 2)


def test_a_batch_without_an_answer_is_unknown(sandbox: WooCommerceSandbox, connector: Connector) -> None:
    mug = listings_by_title(connector)["Mug"]
    sandbox.set_faults(drop_rate=1.0)
    with pytest.raises(OutcomeUnknown):
        connector.push([to_push(mug, 1)], call_id="1")


def test_an_error_document_with_status_200_is_no_confirmation(
    sandbox: WooCommerceSandbox, connector: Connector
) -> None:
    mug = listings_by_title(connector)["Mug"]
    sandbox.set_faults(error_in_200_rate=1.0)
    with pytest.raises(TransientError):
        connector.push([to_push(mug, 1)], call_id="1")
    assert sandbox.number("MUG") == 10
