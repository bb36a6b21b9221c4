"""How many kits may be promised by a day: as many as their parts make whole at one place."""

from collections.abc import Mapping
from datetime import date, timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st

from inventory.eta import LeadTime
from inventory.kit_promises import PartAtPlace, by_day, kits_at
from inventory.promising import ALWAYS, eta_texts, first_arrivals, kits_by_location, promisable
from inventory.reservations import reserve
from inventory.transfer_drafts import TransferPlan, draft_transfer
from inventory.transfers import send_transfer
from tests.inventory.bundling import Kitchen
from tests.inventory.buying import Buying, in_days

DAY = date(2026, 1, 1)
PARTS = [(1, 2), (2, 1)]


@pytest.fixture
def kitchen(db: None) -> Kitchen:
    return Kitchen()


def sets(kitchen: Kitchen, days: int = 99) -> int:
    return promisable(kitchen.merchant.pk, [kitchen.set.pk], in_days(days))[kitchen.set.pk].units


def test_kits_are_promised_by_the_part_that_comes_last(kitchen: Kitchen) -> None:
    kitchen.stock(1, 1)
    buying = Buying(kitchen)
    buying.order(6, days=3)
    buying.order(2, days=8, variant=kitchen.spoon)
    assert [sets(kitchen, days) for days in (0, 3, 8)] == [0, 1, 3]
    assert first_arrivals(kitchen.merchant.pk, [kitchen.set.pk]) == {kitchen.set.pk: in_days(3)}
    found = promisable(kitchen.merchant.pk, [kitchen.set.pk, kitchen.mug.pk], in_days(8))
    assert (found[kitchen.set.pk].available, found[kitchen.set.pk].inbound, found[kitchen.mug.pk].units) == (
        0,
        3,
        7,
    )


def test_parts_at_two_places_make_no_kit(kitchen: Kitchen) -> None:
    kitchen.stock(9, 0)
    Buying(kitchen).order(5, days=2, variant=kitchen.spoon, place_at=kitchen.store)
    assert sets(kitchen) == 0
    assert kits_by_location(kitchen.merchant.pk, [kitchen.set.pk], ALWAYS) == {}


def test_kits_that_are_owed_and_parts_that_are_promised_are_taken_off(kitchen: Kitchen) -> None:
    buying = Buying(kitchen)
    kitchen.settle("order", wanted=1, variant=kitchen.set, places=[kitchen.warehouse.pk])
    buying.order(9, days=2)
    buying.order(9, days=2, variant=kitchen.spoon)
    buying.promise("mugs", 3)
    assert sets(kitchen) == 2


def test_parts_in_transit_count_where_they_go(kitchen: Kitchen) -> None:
    kitchen.stock(4, 0)
    kitchen.stock(0, 9, kitchen.store)
    plan = TransferPlan(kitchen.warehouse.pk, kitchen.store.pk, {kitchen.mug.pk: 4}, expected_on=in_days(2))
    transfer = draft_transfer(kitchen.merchant.pk, plan, key=uuid4())
    assert sets(kitchen) == 0
    send_transfer(kitchen.context(), transfer.pk)
    assert [sets(kitchen, days) for days in (1, 2)] == [0, 2]
    texts = eta_texts(kitchen.merchant.pk, [kitchen.set.pk], LeadTime(1, 2))
    assert texts == {kitchen.set.pk: "within 3 to 4 days"}


def test_what_is_promised_now_is_what_can_be_reserved(kitchen: Kitchen) -> None:
    kitchen.stock(5, 9)
    kitchen.stock(3, 1, kitchen.store)
    assert sets(kitchen, 0) == 3
    outcome = reserve(kitchen.context(), [kitchen.demand("order", 3)])
    assert {h.reference for h in outcome.held} == {"order"}
    assert sets(kitchen, 0) == 0


def test_the_statements_do_not_grow_with_the_kits(kitchen: Kitchen) -> None:
    others = [kitchen.new() for _ in range(5)]
    for other in others:
        kitchen.make(other, {kitchen.mug: 1})
    kitchen.stock(4, 4)
    counts = []
    for ids in ([kitchen.set.pk], [kitchen.set.pk, *(other.pk for other in others)]):
        with CaptureQueriesContext(connection) as captured:
            promisable(kitchen.merchant.pk, ids, in_days(1))
        counts.append(len(captured))
    assert counts == [3, 3]


UNITS = st.integers(0, 20)


@st.composite
def shelves(draw: st.DrawFn) -> Mapping[tuple[int, int], PartAtPlace]:
    found = {}
    for part in (1, 2):
        for place in (7, 8):
            each = PartAtPlace(draw(UNITS), draw(st.integers(0, 9)))
            for days in draw(st.lists(st.integers(0, 5), max_size=3)):
                each.confirmed[DAY + timedelta(days=days)] += draw(UNITS)
            for days in draw(st.lists(st.integers(0, 5), max_size=2)):
                each.in_transit[DAY + timedelta(days=days)] += draw(UNITS)
            found[part, place] = each
    return found


@given(shelves(), st.none() | st.integers(0, 6))
def test_the_number_is_the_largest_whose_parts_can_be_promised(
    shelf: Mapping[tuple[int, int], PartAtPlace], days: int | None
) -> None:
    by = None if days is None else DAY + timedelta(days=days)
    for place in (7, 8):
        kits = kits_at(PARTS, shelf, place, by)
        assert all(shelf[part, place].units(by) >= kits * per_kit for part, per_kit in PARTS)
        assert any(shelf[part, place].units(by) < (kits + 1) * per_kit for part, per_kit in PARTS)


@given(shelves())
def test_more_kits_may_be_promised_by_each_later_day(shelf: Mapping[tuple[int, int], PartAtPlace]) -> None:
    found = by_day(PARTS, shelf)
    assert [day for day, _ in found[1:]] == sorted({day for day, _ in found[1:] if day is not None})
    counts = [kits for _, kits in found]
    assert counts == sorted(set(counts))
