"""A wrong number in a shop is written over, and is not taken for sales."""

import pytest
from django.db import transaction

from channels.corrections import WrongShelf, write_over
from channels.models import ListingLevel
from channels.models.listings import Lane
from channels.orders import apply_state
from channels.pushes import mark_listing_levels
from tests.channels.shop import NOON, Shop, line, open_shop, order
from tests.channels.telling import CAS, Shelves, fresh, tell_all, use_platform
from tests.inventory.racing import race

pytestmark = pytest.mark.django_db


def opened(monkeypatch: pytest.MonkeyPatch, *, compares: bool) -> tuple[Shop, Shelves, ListingLevel]:
    """A shop that shows 20 mugs."""
    shelves = use_platform(monkeypatch, **(CAS if compares else {}))
    shop = open_shop({"MUG": 20}, kind="telling")
    level = shop.shelf(shop.list_variant("MUG"))
    shelves.numbers["listing-MUG", ""] = 0
    mark_listing_levels([level.pk], lane=Lane.INCREASE)
    tell_all(shop)
    # A shop that compares is looked at once more after the first contact.
    ListingLevel.objects.update(next_attempt_at=None)
    tell_all(shop)
    return shop, shelves, fresh(level)


@pytest.mark.parametrize("compares", [False, True])
@pytest.mark.parametrize(("shown", "lane"), [(15, Lane.INCREASE), (26, Lane.DECREASE)])
def test_the_right_number_is_written_over_a_wrong_one(
    monkeypatch: pytest.MonkeyPatch, compares: bool, shown: int, lane: Lane
) -> None:
    shop, shelves, level = opened(monkeypatch, compares=compares)
    shelves.numbers["listing-MUG", ""] = shown
    assert write_over([WrongShelf(level.pk, 20, shown)]) == {level.pk: level.wanted + 1}
    assert fresh(level).lane == lane
    tell_all(shop)
    assert shelves.numbers["listing-MUG", ""] == 20
    assert (fresh(level).expected, fresh(level).is_due) == (20, False)


def test_marked_alone_a_lowered_number_is_taken_for_sales(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: what the shop shows has to count as expected."""
    shop, shelves, level = opened(monkeypatch, compares=True)
    shelves.numbers["listing-MUG", ""] = 15
    mark_listing_levels([level.pk], lane=Lane.INCREASE, read_first=True)
    tell_all(shop)
    assert shelves.numbers["listing-MUG", ""] == 15


def test_a_sale_that_is_imported_after_the_correction_is_taken_off_both(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shop, shelves, level = opened(monkeypatch, compares=True)
    shelves.numbers["listing-MUG", ""] = 15
    write_over([WrongShelf(level.pk, 20, 15)])
    shelves.numbers["listing-MUG", ""] = 13
    apply_state(shop.channel, order(line("MUG", 2)), arrived_at=NOON)
    tell_all(shop)
    assert shelves.numbers["listing-MUG", ""] == 18


@pytest.mark.parametrize(
    "change", [{"expected": 19}, {"wanted": 99}, {"dead_at": "2026-11-21T12:00Z"}], ids=str
)
def test_a_shelf_of_which_anything_is_known_anew_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, change: dict[str, object]
) -> None:
    _, _, level = opened(monkeypatch, compares=False)
    ListingLevel.objects.filter(pk=level.pk).update(**change)
    assert write_over([WrongShelf(level.pk, 20, 15)]) == {}


@pytest.mark.django_db(transaction=True)
def test_two_corrections_at_once_mark_a_shelf_once(monkeypatch: pytest.MonkeyPatch) -> None:
    _, _, level = opened(monkeypatch, compares=False)

    def correct() -> int:
        with transaction.atomic():
            return len(write_over([WrongShelf(level.pk, 20, 15)]))

    assert sorted(race([correct] * 4)) == [0, 0, 0, 1]
