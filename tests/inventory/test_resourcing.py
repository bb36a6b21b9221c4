"""A demand's units served from elsewhere: one operation, all of it or nothing, once for its key."""

from functools import partial

import pytest

from inventory.errors import InsufficientStock, InvalidStockRequest, StockError, UnknownStock
from inventory.ledger import Outcome
from inventory.models import StockOperation
from inventory.resourcing import Resourcing, resource
from tests.factories import LocationFactory
from tests.inventory.cast import Cast, assert_ledger_holds, held, ledger_size, level_of, owed
from tests.inventory.racing import race


def move(
    cast: Cast, reference: str, units: int | None = None, *, owed: bool = False, key: str = ""
) -> Outcome:
    source = None if owed else cast.warehouse.pk
    return resource(cast.context(key), [Resourcing(reference, cast.mug.pk, cast.store.pk, source, units)])


def test_a_hold_moves_to_another_location(cast: Cast) -> None:
    cast.receive(5)
    cast.receive(5, place=cast.store)
    cast.settle("order", wanted=3)
    move(cast, "order", 2)
    assert level_of(cast.mug, cast.warehouse) == (5, 1, 0)
    assert level_of(cast.mug, cast.store) == (5, 2, 0)
    assert_ledger_holds()


def test_what_is_owed_is_held_where_there_is_some(cast: Cast) -> None:
    cast.settle("order", wanted=3, places=[cast.warehouse.pk])
    cast.receive(2, place=cast.store)
    outcome = move(cast, "order", owed=True)
    assert (held(), owed()) == ({"order": 2}, {("order", "shortage"): 1})
    assert [h.quantity for h in outcome.held] == [2]
    assert_ledger_holds()


def test_it_is_refused_where_nothing_is(cast: Cast) -> None:
    cast.receive(5)
    cast.settle("order", wanted=3)
    cast.settle("other", wanted=9)
    before = ledger_size()
    for units in (None, 1):
        with pytest.raises(InsufficientStock):
            move(cast, "order", units)
        with pytest.raises(InsufficientStock):
            move(cast, "other", units, owed=True)
    assert ledger_size() == before


def test_more_than_the_place_has_is_refused_whole(cast: Cast) -> None:
    cast.receive(5)
    cast.receive(1, place=cast.store)
    cast.settle("order", wanted=3)
    with pytest.raises(InsufficientStock):
        move(cast, "order", 2)
    assert level_of(cast.mug, cast.warehouse) == (5, 3, 0)


@pytest.mark.parametrize(("units", "is_owed"), [(4, False), (1, True), (None, True)])
def test_more_than_is_held_or_owed_is_refused_with_the_field_named(
    cast: Cast, units: int | None, is_owed: bool
) -> None:
    cast.receive(3)
    cast.receive(9, place=cast.store)
    cast.settle("order", wanted=3)
    with pytest.raises(InvalidStockRequest) as refusal:
        move(cast, "order", units, owed=is_owed)
    assert refusal.value.field == "quantity"


def test_a_move_to_the_same_place_and_a_strangers_place_are_refused(cast: Cast) -> None:
    cast.receive(3)
    cast.settle("order", wanted=3)
    place = cast.warehouse.pk
    with pytest.raises(InvalidStockRequest):
        resource(cast.context(), [Resourcing("order", cast.mug.pk, place, place)])
    with pytest.raises(UnknownStock):
        resource(cast.context(), [Resourcing("order", cast.mug.pk, LocationFactory().pk, place)])


def test_the_same_key_moves_once(cast: Cast) -> None:
    cast.receive(5)
    cast.receive(5, place=cast.store)
    cast.settle("order", wanted=3)
    first = move(cast, "order", 1, key="move")
    again = move(cast, "order", 1, key="move")
    assert (again.is_repeat, again.held) == (True, first.held)
    assert level_of(cast.mug, cast.store) == (5, 1, 0)
    assert StockOperation.objects.filter(verb="resource").count() == 1


def test_units_given_up_go_to_who_waits_there(cast: Cast) -> None:
    cast.receive(3)
    cast.settle("order", wanted=3)
    cast.settle("waiting", wanted=2, places=[cast.warehouse.pk])
    cast.receive(3, place=cast.store)
    move(cast, "order")
    assert held() == {"order": 3, "waiting": 2}
    assert owed() == {}


@pytest.mark.django_db(transaction=True)
def test_two_moves_to_the_last_unit_elsewhere_are_one_move_and_one_refusal() -> None:
    cast = Cast()
    cast.receive(2)
    cast.receive(1, place=cast.store)
    for name in ("one", "two"):
        cast.settle(name, wanted=1, places=[cast.warehouse.pk])
    results = race([partial(move, cast, name) for name in ("one", "two")])
    assert sorted(isinstance(result, StockError) for result in results) == [False, True]
    assert level_of(cast.mug, cast.store) == (1, 1, 0)
    assert_ledger_holds()
