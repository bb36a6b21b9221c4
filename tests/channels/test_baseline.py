"""First contact: what a shop shows already is not told again."""

from collections.abc import Iterator

import pytest

from channels.accounts import open_connector
from channels.baseline import has_first_contact, read_shelves
from channels.connectors.base import Connector, ShelfNumber
from channels.exposure import targets
from channels.models import ListingLevel
from channels.models.listings import Lane
from channels.pushes import mark_listing_levels
from tests.channels.shop import Shop, open_shop
from tests.channels.telling import fresh, tell_all, use_platform

pytestmark = pytest.mark.django_db


def connected(
    monkeypatch: pytest.MonkeyPatch, stock: dict[str, int], shown: dict[str, int | None]
) -> tuple[Shop, Connector, dict[str, ListingLevel]]:
    """A channel just imported, whose shop shows these numbers."""
    shelves = use_platform(monkeypatch)
    shop = open_shop(stock, kind="telling")
    levels = {sku: shop.shelf(shop.list_variant(sku)) for sku in stock}
    mark_listing_levels([level.pk for level in levels.values()], lane=Lane.INCREASE)
    for sku, number in shown.items():
        if number is not None:
            shelves.numbers[f"listing-{sku}", ""] = number
    connector = open_connector(shop.channel)

    def fetch_levels() -> Iterator[ShelfNumber]:
        yield ShelfNumber("unknown", "", 3)
        for sku, number in shown.items():
            yield ShelfNumber(f"listing-{sku}", "", number)

    monkeypatch.setattr(connector, "fetch_levels", fetch_levels)
    return shop, connector, levels


def test_a_shelf_that_is_right_already_is_not_told_and_counts_as_confirmed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shop, connector, levels = connected(
        monkeypatch, {"MUG": 9, "CUP": 4, "HAT": 2}, {"MUG": 9, "CUP": 5, "HAT": None}
    )
    assert has_first_contact(shop.channel)
    assert read_shelves(shop.channel, connector) == 1
    mug = fresh(levels["MUG"])
    assert (mug.is_due, mug.published_quantity, mug.expected) == (False, 9, 9)
    assert mug.confirmed_at is not None
    assert mug.due_since is None
    assert fresh(levels["CUP"]).is_due
    assert fresh(levels["HAT"]).is_due


def test_what_the_listings_said_of_their_shelves_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    shop, connector, levels = connected(monkeypatch, {"MUG": 9, "CUP": 4}, {})
    monkeypatch.setattr(connector, "fetch_levels", lambda: pytest.fail("nothing is read"))
    shown = [ShelfNumber("listing-MUG", "", 9), ShelfNumber("listing-CUP", "", 5)]
    assert read_shelves(shop.channel, connector, shown=shown) == 1
    assert not fresh(levels["MUG"]).is_due
    assert fresh(levels["CUP"]).is_due


def test_what_is_marked_while_shelves_are_read_stays_due(monkeypatch: pytest.MonkeyPatch) -> None:
    shop, connector, levels = connected(monkeypatch, {"MUG": 9}, {"MUG": 9})

    def marked_meanwhile(ids: list[int]) -> dict[int, int]:
        numbers = targets(ids)
        mark_listing_levels([levels["MUG"].pk], lane=Lane.DECREASE)
        return numbers

    monkeypatch.setattr("channels.baseline.targets", marked_meanwhile)
    read_shelves(shop.channel, connector)
    mug = fresh(levels["MUG"])
    assert mug.is_due
    assert mug.due_since is not None


def test_a_shelf_that_was_ever_confirmed_is_left_to_pushes(monkeypatch: pytest.MonkeyPatch) -> None:
    shop, connector, levels = connected(monkeypatch, {"MUG": 9}, {"MUG": 9})
    tell_all(shop)
    assert not has_first_contact(shop.channel)
    mark_listing_levels([levels["MUG"].pk], lane=Lane.DECREASE)
    assert read_shelves(shop.channel, connector) == 0
    assert fresh(levels["MUG"]).is_due
