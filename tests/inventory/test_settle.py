"""Law 6 for demands from outside: a sale, a cancellation and a shipment are facts, in every combination."""

from typing import Any

import pytest

from inventory.demands import DemandChange, settle
from inventory.errors import UnknownStock
from inventory.models import Conflict, StockLevel
from inventory.posting_rows import Short
from tests.inventory.cast import (
    LONG_AGO,
    Cast,
    assert_ledger_holds,
    held,
    ledger_size,
    level_of,
    owed,
)


@pytest.fixture(autouse=True)
def _the_ledger_holds_after_each(cast: Cast) -> object:
    yield
    assert_ledger_holds()


def test_a_sale_holds_what_there_is_and_is_owed_the_rest(cast: Cast) -> None:
    cast.receive(3)
    outcome = cast.settle("order", wanted=5)
    assert [h.quantity for h in outcome.held] == [3]
    assert outcome.short == (Short("order", cast.mug.pk, 2),)
    assert level_of(cast.mug, cast.warehouse) == (3, 3, 0)
    conflict = Conflict.objects.get()
    assert (conflict.cause, conflict.quantity, conflict.open_quantity) == ("shortage", 2, 2)
    assert conflict.location_ids == list(cast.places)
    assert conflict.operation_id == outcome.operation_id


def test_a_sale_draws_on_places_in_the_order_given(cast: Cast) -> None:
    cast.receive(2)
    cast.receive(2, place=cast.store)
    cast.settle("order", wanted=3)
    assert level_of(cast.mug, cast.warehouse) == (2, 2, 0)
    assert level_of(cast.mug, cast.store) == (2, 1, 0)


def test_lines_of_one_order_share_what_there_is_in_their_order(cast: Cast) -> None:
    cast.receive(5)
    settle(cast.context(), [cast.change(f"line {n}", wanted=3) for n in (1, 2, 3)])
    assert held() == {"line 1": 3, "line 2": 2}
    assert owed() == {("line 2", "shortage"): 1, ("line 3", "shortage"): 3}


def test_a_sale_does_not_count_expired_holds(cast: Cast) -> None:
    cast.receive(3)
    cast.hold("cart", 3, expires_at=LONG_AGO)
    cast.settle("order", wanted=2)
    assert held() == {"order": 2}


def test_a_demand_that_grows_stays_one_conflict(cast: Cast) -> None:
    cast.settle("order", wanted=2)
    cast.settle("order", wanted=3)
    conflict = Conflict.objects.get()
    assert (conflict.quantity, conflict.open_quantity) == (5, 5)


def test_a_cancellation_takes_the_shortage_first(cast: Cast) -> None:
    cast.receive(3)
    cast.settle("order", wanted=5)
    cast.settle("order", cancelled=1)
    assert (held(), owed()) == ({"order": 3}, {("order", "shortage"): 1})
    cast.settle("order", cancelled=2)
    assert (held(), owed()) == ({"order": 2}, {})
    assert Conflict.objects.get().resolved_at is not None
    cast.settle("order", cancelled=2)
    assert held() == {}
    assert level_of(cast.mug, cast.warehouse) == (3, 0, 0)


def test_a_cancellation_takes_what_was_broken_before_what_is_held(cast: Cast) -> None:
    cast.receive(3)
    cast.settle("order", wanted=3)
    cast.count(1)
    cast.settle("order", cancelled=2)
    assert (held(), owed()) == ({"order": 1}, {})


def test_what_a_cancellation_frees_goes_to_who_waits_before_a_new_sale(cast: Cast) -> None:
    cast.receive(3)
    cast.settle("first", wanted=3)
    cast.settle("waiting", wanted=2)
    settle(cast.context(), [cast.change("new", wanted=2), cast.change("first", cancelled=3)])
    assert held() == {"waiting": 2, "new": 1}
    assert owed() == {("new", "shortage"): 1}


def test_a_cancellation_leaves_the_same_demands_other_variant_alone(cast: Cast) -> None:
    for variant in (cast.mug, cast.shirt):
        cast.receive(3, variant)
        cast.settle("order", variant=variant, wanted=4)
    cast.settle("order", cancelled=2)
    assert level_of(cast.mug, cast.warehouse) == (3, 2, 0)
    assert level_of(cast.shirt, cast.warehouse) == (3, 3, 0)
    assert owed(variant=cast.shirt) == {("order", "shortage"): 1}


def test_a_cancellation_of_what_nobody_wanted_changes_nothing(cast: Cast) -> None:
    cast.receive(3)
    cast.settle("order", wanted=1)
    before = ledger_size()[1:]
    cast.settle("stranger's order", cancelled=5)
    assert ledger_size()[1:] == before


def test_units_wanted_and_cancelled_in_one_breath_are_never_held(cast: Cast) -> None:
    cast.receive(1)
    outcome = cast.settle("order", wanted=5, cancelled=3)
    assert (held(), owed()) == ({"order": 1}, {("order", "shortage"): 1})
    assert outcome.short == (Short("order", cast.mug.pk, 1),)


def test_a_cancellation_finds_units_held_at_a_place_no_longer_a_candidate(cast: Cast) -> None:
    cast.receive(3, place=cast.store)
    cast.settle("order", wanted=3)
    cast.settle("order", cancelled=2, places=[cast.warehouse.pk])
    assert level_of(cast.mug, cast.store) == (3, 1, 0)


def test_a_shipment_takes_the_demands_own_units(cast: Cast) -> None:
    cast.receive(2)
    cast.receive(2, place=cast.store)
    cast.settle("order", wanted=4)
    cast.settle("order", fulfilled=3)
    assert level_of(cast.mug, cast.warehouse) == (0, 0, 0)
    assert level_of(cast.mug, cast.store) == (1, 1, 0)


def test_a_shipment_beyond_its_hold_takes_what_is_available_then_goes_beyond_record(cast: Cast) -> None:
    cast.receive(2)
    cast.receive(1, place=cast.store)
    cast.settle("order", wanted=1)
    cast.settle("order", fulfilled=5)
    assert level_of(cast.mug, cast.warehouse) == (0, 0, 0)
    assert level_of(cast.mug, cast.store) == (0, 0, 0)
    assert owed() == {("order", "beyond_record"): 2}


def test_shipping_what_was_owed_ends_the_debt(cast: Cast) -> None:
    cast.receive(1)
    cast.settle("order", wanted=4)
    cast.settle("order", fulfilled=3)
    assert held() == {}
    assert owed() == {("order", "shortage"): 1, ("order", "beyond_record"): 2}
    cast.receive(5)
    assert held() == {"order": 1}


def test_an_order_that_arrives_already_shipped_leaves_no_hold_behind(cast: Cast) -> None:
    cast.receive(2)
    cast.settle("order", wanted=5, fulfilled=5)
    assert held() == {}
    assert level_of(cast.mug, cast.warehouse) == (0, 0, 0)
    assert owed() == {("order", "beyond_record"): 3}
    cast.receive(9)
    assert level_of(cast.mug, cast.warehouse) == (9, 0, 0)


def test_a_shipment_never_takes_what_is_held_for_others(cast: Cast) -> None:
    cast.receive(3)
    cast.settle("somebody else", wanted=3)
    cast.settle("order", wanted=2, fulfilled=2)
    assert held() == {"somebody else": 3}
    assert level_of(cast.mug, cast.warehouse) == (3, 3, 0)


def test_a_shipment_from_places_without_any_stock_is_recorded_at_the_first(cast: Cast) -> None:
    cast.settle("order", wanted=2, fulfilled=2)
    assert StockLevel.objects.get(location=cast.warehouse).version == 2
    assert owed() == {("order", "beyond_record"): 2}


def test_a_fulfilment_taken_back_is_held_again(cast: Cast) -> None:
    cast.receive(5)
    cast.settle("order", wanted=4)
    cast.settle("order", fulfilled=4)
    cast.settle("order", unfulfilled=3)
    assert level_of(cast.mug, cast.warehouse) == (4, 3, 0)
    assert held() == {"order": 3}


def test_a_fulfilment_taken_back_returns_to_where_it_left_from(cast: Cast) -> None:
    cast.receive(5, place=cast.store)
    cast.settle("order", wanted=4)
    cast.settle("order", fulfilled=4)
    cast.settle("order", unfulfilled=4)
    assert level_of(cast.mug, cast.store) == (5, 4, 0)
    assert level_of(cast.mug, cast.warehouse) == (0, 0, 0)


def test_a_fulfilment_taken_back_twice_returns_to_the_latest_place_first(cast: Cast) -> None:
    cast.receive(2, place=cast.store)
    cast.settle("order", wanted=2)
    cast.receive(2)
    cast.settle("order", wanted=2)
    cast.settle("order", fulfilled=4)
    cast.settle("order", unfulfilled=3)
    assert level_of(cast.mug, cast.warehouse) == (2, 2, 0)
    assert level_of(cast.mug, cast.store) == (1, 1, 0)
    cast.settle("order", unfulfilled=1)
    assert level_of(cast.mug, cast.store) == (2, 2, 0)


def test_units_taken_back_that_were_beyond_record_are_owed_again(cast: Cast) -> None:
    cast.receive(1)
    cast.settle("order", wanted=3)
    cast.settle("order", fulfilled=3)
    assert owed() == {("order", "beyond_record"): 2}
    cast.settle("order", unfulfilled=3)
    assert level_of(cast.mug, cast.warehouse) == (1, 1, 0)
    assert (held(), owed()) == ({"order": 1}, {("order", "shortage"): 2})


def test_units_taken_back_and_cancelled_at_once_are_available(cast: Cast) -> None:
    cast.receive(5)
    cast.settle("order", wanted=3)
    cast.settle("order", fulfilled=3)
    cast.settle("order", unfulfilled=2, cancelled=2)
    assert level_of(cast.mug, cast.warehouse) == (4, 0, 0)
    assert held() == {}


def test_units_taken_back_beyond_record_and_cancelled_at_once_leave_nothing(cast: Cast) -> None:
    cast.settle("order", wanted=3)
    cast.settle("order", fulfilled=3)
    cast.settle("order", unfulfilled=3, cancelled=3)
    assert level_of(cast.mug, cast.warehouse) == (0, 0, 0)
    assert (held(), owed()) == ({}, {})


def test_one_settlement_moves_many_demands_at_once(cast: Cast) -> None:
    cast.receive(4)
    cast.settle("a", wanted=2)
    cast.settle("b", wanted=2)
    changes = [
        cast.change("a", cancelled=1, fulfilled=1),
        cast.change("b", fulfilled=1),
        cast.change("c", wanted=2),
    ]
    settle(cast.context(), changes)
    assert held() == {"b": 1, "c": 1}
    assert owed() == {("c", "shortage"): 1}
    assert level_of(cast.mug, cast.warehouse) == (2, 2, 0)


@pytest.mark.parametrize("counts", [{"wanted": 1}, {"cancelled": 1}, {"fulfilled": 1}, {"unfulfilled": 1}])
def test_another_merchants_goods_and_places_are_refused(
    cast: Cast, stranger: Cast, counts: dict[str, Any]
) -> None:
    for change in (
        DemandChange("order", stranger.mug.pk, stranger.places, **counts),
        DemandChange("order", stranger.mug.pk, cast.places, **counts),
        DemandChange("order", cast.mug.pk, (*cast.places, stranger.store.pk), **counts),
        DemandChange("order", 2**40, cast.places, **counts),
    ):
        with pytest.raises(UnknownStock):
            settle(cast.context(), [change])
    assert ledger_size() == (0, 0, 0, 0)


def test_one_merchants_shortage_is_never_filled_from_anothers_stock(cast: Cast, stranger: Cast) -> None:
    cast.settle("order", wanted=2)
    Conflict.objects.update(variant=stranger.mug, location_ids=list(stranger.places))
    stranger.receive(5)
    assert level_of(stranger.mug, stranger.warehouse) == (5, 0, 0)
