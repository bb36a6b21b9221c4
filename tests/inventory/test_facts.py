"""Law 6: what has physically happened is recorded, and what it breaks is owed."""

import pytest

from inventory.models import Conflict, Reservation
from inventory.models.stock import Reason
from inventory.stock import (
    AdjustmentLine,
    CountLine,
    ShipmentLine,
    StockLine,
    adjust,
    count,
    receive,
    ship,
)
from inventory.validation import LARGEST_QUANTITY
from tests.inventory.cast import (
    LONG_AGO,
    Cast,
    assert_ledger_holds,
    held,
    level_of,
    owed,
    story,
)


def _ship(cast: Cast, quantity: int, reference: str = "", *, from_store: bool = False) -> None:
    place = cast.store if from_store else cast.warehouse
    ship(cast.context(), [ShipmentLine(cast.mug.pk, place.pk, quantity, reference)])
    assert_ledger_holds()


def _adjust(cast: Cast, *deltas: int, key: str = "") -> None:
    lines = [AdjustmentLine(cast.mug.pk, cast.warehouse.pk, d, Reason.LOSS) for d in deltas]
    adjust(cast.context(key), lines)
    assert_ledger_holds()


def test_goods_that_arrive_are_on_hand_and_available(cast: Cast) -> None:
    receive(cast.context(), [StockLine(cast.mug.pk, cast.warehouse.pk, q) for q in (3, 4)])
    assert level_of(cast.mug, cast.warehouse) == (7, 0, 0)
    assert story(cast.mug, cast.warehouse) == [
        ("receipt", "purchase", 3, 0, 0),
        ("receipt", "purchase", 4, 0, 0),
    ]


def test_an_opening_balance_says_so(cast: Cast) -> None:
    receive(cast.context(), [StockLine(cast.mug.pk, cast.warehouse.pk, 3)], reason=Reason.OPENING)
    assert story(cast.mug, cast.warehouse) == [("receipt", "opening", 3, 0, 0)]


def test_arrivals_fill_shortages_oldest_first(cast: Cast) -> None:
    for reference in ("first", "second", "third"):
        cast.settle(reference, wanted=2)
    cast.receive(3)
    assert held() == {"first": 2, "second": 1}
    assert owed() == {("second", "shortage"): 1, ("third", "shortage"): 2}
    cast.receive(5)
    assert held() == {"first": 2, "second": 2, "third": 2}
    assert level_of(cast.mug, cast.warehouse) == (8, 6, 0)
    assert Conflict.objects.filter(resolved_at=None).count() == 0
    assert_ledger_holds()


def test_arrivals_fill_only_what_may_be_served_from_there(cast: Cast) -> None:
    cast.settle("only from the store", wanted=2, places=[cast.store.pk])
    cast.receive(5)
    assert held() == {}
    cast.receive(1, place=cast.store)
    assert held() == {"only from the store": 1}


def test_arrivals_of_one_variant_leave_the_shortage_of_another_alone(cast: Cast) -> None:
    cast.settle("shirt order", variant=cast.shirt, wanted=2)
    cast.receive(5)
    assert owed() == {("shirt order", "shortage"): 2}


def test_a_shipment_takes_its_own_reservation_first(cast: Cast) -> None:
    cast.receive(5)
    cast.hold("order", 2)
    cast.hold("somebody else", 3)
    _ship(cast, 2, "order")
    assert level_of(cast.mug, cast.warehouse) == (3, 3, 0)
    assert held() == {"somebody else": 3}
    assert owed() == {}


def test_a_shipment_then_takes_what_is_available(cast: Cast) -> None:
    cast.receive(5)
    cast.hold("order", 2)
    _ship(cast, 4, "order")
    assert level_of(cast.mug, cast.warehouse) == (1, 0, 0)
    assert owed() == {}


def test_the_rest_of_a_shipment_is_found_and_shipped_beyond_record(cast: Cast) -> None:
    cast.receive(5)
    cast.hold("order", 2)
    cast.hold("somebody else", 2)
    _ship(cast, 7, "order")
    assert level_of(cast.mug, cast.warehouse) == (2, 2, 0)
    assert held() == {"somebody else": 2}
    assert owed() == {("order", "beyond_record"): 4}
    assert story(cast.mug, cast.warehouse)[-4:] == [
        ("shipment", "sale", -2, -2, 0),
        ("shipment", "sale", -1, 0, 0),
        ("adjustment", "beyond_record", 4, 0, 0),
        ("shipment", "sale", -4, 0, 0),
    ]


def test_a_shipment_from_a_place_that_never_had_stock_is_recorded(cast: Cast) -> None:
    _ship(cast, 3)
    assert level_of(cast.mug, cast.warehouse) == (0, 0, 0)
    assert list(owed().values()) == [3]


def test_a_shipment_spares_what_is_unavailable(cast: Cast) -> None:
    cast.receive(5)
    cast.make_unavailable(4)
    _ship(cast, 3)
    assert level_of(cast.mug, cast.warehouse) == (4, 0, 4)
    assert list(owed().values()) == [2]


def test_shipping_from_elsewhere_releases_what_was_held_for_the_same_units(cast: Cast) -> None:
    cast.receive(5)
    cast.receive(5, place=cast.store)
    cast.hold("order", 4)
    _ship(cast, 3, "order", from_store=True)
    assert level_of(cast.mug, cast.store) == (2, 0, 0)
    assert level_of(cast.mug, cast.warehouse) == (5, 1, 0)


def test_shipping_what_was_owed_meets_the_debt(cast: Cast) -> None:
    cast.settle("order", wanted=3)
    _ship(cast, 2, "order")
    assert owed() == {("order", "shortage"): 1, ("order", "beyond_record"): 2}
    cast.receive(9)
    assert held() == {"order": 1}


def test_a_unit_shipped_from_elsewhere_is_taken_off_the_debt_or_the_hold_but_not_off_both(cast: Cast) -> None:
    cast.receive(1, place=cast.store)
    cast.settle("order", wanted=2)
    _ship(cast, 1, "order")
    assert sum(held().values()) + owed().get(("order", "shortage"), 0) == 1


def test_a_shipment_uses_goods_whose_hold_has_expired(cast: Cast) -> None:
    cast.receive(3)
    cast.hold("cart", 3, expires_at=LONG_AGO)
    _ship(cast, 3)
    assert level_of(cast.mug, cast.warehouse) == (0, 0, 0)
    assert owed() == {}


def test_a_shipment_leaves_another_demands_debt_alone(cast: Cast) -> None:
    cast.settle("order", wanted=3)
    _ship(cast, 2, "another")
    _ship(cast, 1)
    assert owed()["order", "shortage"] == 3


def test_two_lines_of_one_shipment_share_one_reservation(cast: Cast) -> None:
    cast.receive(5)
    cast.hold("order", 3)
    lines = [ShipmentLine(cast.mug.pk, cast.warehouse.pk, 2, "order")] * 2
    ship(cast.context(), lines)
    assert level_of(cast.mug, cast.warehouse) == (1, 0, 0)
    assert owed() == {}
    assert_ledger_holds()


def test_goods_found_are_available_and_fill_what_is_owed(cast: Cast) -> None:
    cast.settle("order", wanted=2)
    _adjust(cast, 3)
    assert level_of(cast.mug, cast.warehouse) == (3, 2, 0)
    assert owed() == {}


def test_a_loss_takes_what_is_available_before_any_reservation(cast: Cast) -> None:
    cast.receive(5)
    cast.hold("order", 3)
    _adjust(cast, -2)
    assert level_of(cast.mug, cast.warehouse) == (3, 3, 0)
    assert owed() == {}


def test_a_loss_breaks_the_newest_reservations(cast: Cast) -> None:
    cast.receive(6)
    for reference in ("old", "middle", "new"):
        cast.hold(reference, 2)
    _adjust(cast, -3)
    assert held() == {"old": 2, "middle": 1}
    assert owed() == {("middle", "broken"): 1, ("new", "broken"): 2}
    assert level_of(cast.mug, cast.warehouse) == (3, 3, 0)


def test_a_loss_takes_unavailable_units_last(cast: Cast) -> None:
    cast.receive(5)
    cast.make_unavailable(2)
    cast.hold("order", 3)
    _adjust(cast, -4)
    assert level_of(cast.mug, cast.warehouse) == (1, 0, 1)
    assert owed() == {("order", "broken"): 3}


def test_a_loss_of_more_than_is_on_hand_is_a_conflict_and_never_a_negative(cast: Cast) -> None:
    cast.receive(5)
    cast.make_unavailable(2)
    cast.hold("order", 3)
    _adjust(cast, -9, key="theft")
    assert level_of(cast.mug, cast.warehouse) == (0, 0, 0)
    assert owed() == {("order", "broken"): 3, ("theft", "beyond_record"): 4}


def test_losses_and_gains_of_one_level_are_netted_before_anything_breaks(cast: Cast) -> None:
    cast.receive(5)
    cast.hold("order", 5)
    _adjust(cast, -3, 2, 1)
    assert held() == {"order": 5}
    _adjust(cast, -3, 2, -4)
    assert level_of(cast.mug, cast.warehouse) == (0, 0, 0)
    assert owed() == {("order", "broken"): 5}


def test_expired_holds_give_way_before_live_ones_break(cast: Cast) -> None:
    cast.receive(4)
    cast.hold("order", 2)
    cast.hold("cart", 2, expires_at=LONG_AGO)
    _adjust(cast, -2)
    assert held() == {"order": 2}
    assert owed() == {}


def test_what_is_broken_is_filled_again_by_the_next_arrival(cast: Cast) -> None:
    cast.receive(3)
    cast.hold("order", 3)
    _adjust(cast, -2)
    cast.receive(1)
    assert owed() == {("order", "broken"): 1}
    cast.receive(1)
    assert held() == {"order": 3}
    assert owed() == {}
    assert Reservation.objects.count() == 3


@pytest.mark.parametrize(
    ("counted", "level", "broken"),
    [
        (8, (8, 4, 1), 0),
        (6, (6, 4, 1), 0),
        (5, (5, 4, 1), 0),
        (4, (4, 3, 1), 1),
        (1, (1, 0, 1), 4),
        (0, (0, 0, 0), 4),
    ],
)
def test_a_count_sets_what_is_on_hand_and_breaks_what_it_no_longer_covers(
    cast: Cast, counted: int, level: tuple[int, int, int], broken: int
) -> None:
    cast.receive(6)
    cast.make_unavailable(1)
    cast.hold("old", 1)
    cast.hold("new", 3)
    cast.count(counted)
    assert level_of(cast.mug, cast.warehouse) == level
    assert sum(owed().values()) == broken
    assert owed().get(("new", "broken"), 0) == min(broken, 3)
    assert story(cast.mug, cast.warehouse)[-1][0] == "count"
    assert_ledger_holds()


def test_a_count_of_something_never_seen_here_is_a_find(cast: Cast) -> None:
    cast.settle("order", wanted=2)
    cast.count(5)
    assert level_of(cast.mug, cast.warehouse) == (5, 2, 0)


def test_a_count_that_changes_nothing_is_still_written(cast: Cast) -> None:
    cast.receive(5)
    cast.count(5)
    assert story(cast.mug, cast.warehouse)[-1] == ("count", "correction", 0, 0, 0)


def test_one_count_takes_from_one_place_and_finds_in_another(cast: Cast) -> None:
    cast.receive(3)
    cast.hold("order", 3)
    lines = [
        CountLine(cast.mug.pk, cast.warehouse.pk, 1),
        CountLine(cast.mug.pk, cast.store.pk, 2),
    ]
    count(cast.context(), lines)
    assert level_of(cast.mug, cast.warehouse) == (1, 1, 0)
    assert level_of(cast.mug, cast.store) == (2, 0, 0)
    assert owed() == {("order", "broken"): 2}
    assert_ledger_holds()


def test_the_largest_quantity_passes_through_and_adds_up(cast: Cast) -> None:
    for _ in range(3):
        cast.receive(LARGEST_QUANTITY)
    cast.settle("order", wanted=LARGEST_QUANTITY)
    cast.settle("order", fulfilled=LARGEST_QUANTITY)
    assert level_of(cast.mug, cast.warehouse) == (2 * LARGEST_QUANTITY, 0, 0)
    assert_ledger_holds()
