"""Units change between what can be sold and what cannot, and no unit is lost on the way."""

import pytest

from inventory.conditions import ConditionLine, put_back, scrap, set_aside
from inventory.errors import InvalidStockRequest, UnknownStock
from inventory.models.stock import Reason
from tests.inventory.cast import Cast, assert_ledger_holds, held, ledger_size, level_of, owed, story


def _line(cast: Cast, quantity: int) -> list[ConditionLine]:
    return [ConditionLine(cast.mug.pk, cast.warehouse.pk, quantity)]


def test_units_set_aside_stay_on_hand_and_cannot_be_sold(cast: Cast) -> None:
    cast.receive(5)
    set_aside(cast.context(), _line(cast, 2), reason=Reason.QUARANTINE)
    assert level_of(cast.mug, cast.warehouse) == (5, 0, 2)
    assert story(cast.mug, cast.warehouse)[-1] == ("condition", "quarantine", 0, 0, 2)


def test_units_put_back_can_be_sold_again(cast: Cast) -> None:
    cast.receive(5)
    cast.make_unavailable(3)
    put_back(cast.context(), _line(cast, 2))
    assert level_of(cast.mug, cast.warehouse) == (5, 0, 1)
    assert_ledger_holds()


def test_scrapped_units_leave_the_stock_from_what_is_unavailable(cast: Cast) -> None:
    cast.receive(5)
    cast.hold("cart", 2)
    cast.make_unavailable(2)
    scrap(cast.context(), _line(cast, 2))
    assert level_of(cast.mug, cast.warehouse) == (3, 2, 0)
    assert held() == {"cart": 2}
    assert story(cast.mug, cast.warehouse)[-1] == ("adjustment", "write_off", -2, 0, -2)


def test_damage_to_reserved_goods_breaks_the_newest_reservation(cast: Cast) -> None:
    cast.receive(4)
    cast.hold("old", 2)
    cast.hold("new", 2)
    outcome = set_aside(cast.context(), _line(cast, 3))
    assert level_of(cast.mug, cast.warehouse) == (4, 1, 3)
    assert held() == {"old": 1}
    assert owed() == {("new", "broken"): 2, ("old", "broken"): 1}
    assert sum(short.quantity for short in outcome.short) == 3
    assert_ledger_holds()


def test_damage_beyond_the_record_is_recorded_with_a_conflict(cast: Cast) -> None:
    cast.receive(1)
    context = cast.context()
    set_aside(context, _line(cast, 3))
    assert level_of(cast.mug, cast.warehouse) == (3, 0, 3)
    assert owed() == {(context.key, "beyond_record"): 2}
    assert_ledger_holds()


def test_lines_of_one_level_are_summed_before_the_check(cast: Cast) -> None:
    cast.receive(5)
    cast.make_unavailable(3)
    size = ledger_size()
    with pytest.raises(InvalidStockRequest, match="4 asked for, 3 unavailable"):
        put_back(cast.context(), [*_line(cast, 2), *_line(cast, 2)])
    assert ledger_size() == size


def test_no_more_is_scrapped_than_is_unavailable(cast: Cast) -> None:
    cast.receive(5)
    with pytest.raises(InvalidStockRequest, match="set units aside first"):
        scrap(cast.context(), _line(cast, 1))
    assert level_of(cast.mug, cast.warehouse) == (5, 0, 0)


def test_units_put_back_go_to_who_waits_first(cast: Cast) -> None:
    cast.receive(2)
    cast.make_unavailable(2)
    cast.settle("order", wanted=2)
    assert owed() == {("order", "shortage"): 2}
    put_back(cast.context(), _line(cast, 2))
    assert owed() == {}
    assert held() == {"order": 2}


def test_repeating_changes_nothing(cast: Cast) -> None:
    cast.receive(5)
    for _ in range(2):
        set_aside(cast.context("damage"), _line(cast, 2))
    assert level_of(cast.mug, cast.warehouse) == (5, 0, 2)


@pytest.mark.parametrize("quantity", [0, -1, 10**16])
@pytest.mark.parametrize("operation", [set_aside, put_back, scrap])
def test_a_quantity_that_is_none_is_refused(cast: Cast, operation: object, quantity: int) -> None:
    with pytest.raises(InvalidStockRequest, match="quantity"):
        operation(cast.context(), _line(cast, quantity))  # type: ignore[operator]


def test_goods_of_a_stranger_are_unknown(cast: Cast, stranger: Cast) -> None:
    with pytest.raises(UnknownStock):
        set_aside(cast.context(), _line(stranger, 1))
