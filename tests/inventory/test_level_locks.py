"""Law 4: lock, check, append, update."""

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from inventory.errors import InsufficientStock, Shortage
from inventory.locking import lock_levels
from inventory.reservations import Demand, reserve
from tests.inventory.cast import Cast, held, ledger_size, level_of


@pytest.mark.django_db(transaction=True)
def test_levels_are_not_locked_outside_a_transaction() -> None:
    with pytest.raises(transaction.TransactionManagementError):
        lock_levels(1, [1], [1])


def test_all_levels_are_locked_at_once_in_order_of_id(cast: Cast) -> None:
    for variant in (cast.shirt, cast.mug):
        for place in (cast.store, cast.warehouse):
            cast.receive(1, variant, place)
    with CaptureQueriesContext(connection) as queries:
        levels = lock_levels(cast.merchant.pk, [cast.shirt.pk, cast.mug.pk], cast.places[::-1])
    (sql,) = [query["sql"] for query in queries]
    assert sql.split()[:2] == ["SELECT", "id,"]
    assert sql.split()[-7:] == ["ORDER", "BY", "id", "FOR", "NO", "KEY", "UPDATE"]
    assert [level.id for level in levels] == sorted(level.id for level in levels)
    assert isinstance(levels, list)
    assert len(levels) == 4


def test_a_merchant_never_locks_the_levels_of_another(cast: Cast, stranger: Cast) -> None:
    stranger.receive(1)
    assert lock_levels(cast.merchant.pk, [stranger.mug.pk], [stranger.warehouse.pk]) == []


def test_the_same_sku_twice_in_one_operation_is_summed_before_the_check(cast: Cast) -> None:
    cast.receive(5)
    demands = [Demand(f"line {n}", cast.mug.pk, 3, cast.places) for n in (1, 2)]
    before = ledger_size()
    with pytest.raises(InsufficientStock) as refusal:
        reserve(cast.context(), demands)
    assert refusal.value.shortages == (Shortage("line 2", cast.mug.pk, requested=3, available=2),)
    assert ledger_size() == before
    cast.receive(1)
    reserve(cast.context(), demands)
    assert held() == {"line 1": 3, "line 2": 3}


def test_two_bundles_that_share_a_component_are_summed_before_the_check(cast: Cast) -> None:
    cast.receive(4)
    cast.receive(9, cast.shirt)
    breakfast = [
        Demand("breakfast", cast.mug.pk, 2, cast.places),
        Demand("breakfast", cast.shirt.pk, 1, cast.places),
    ]
    gift = [Demand("gift", cast.shirt.pk, 4, cast.places), Demand("gift", cast.mug.pk, 3, cast.places)]
    with pytest.raises(InsufficientStock) as refusal:
        reserve(cast.context(), [*breakfast, *gift])
    assert refusal.value.shortages == (Shortage("gift", cast.mug.pk, requested=3, available=2),)
    assert held() == {}


def test_places_are_drawn_on_in_the_order_of_the_demand(cast: Cast) -> None:
    cast.receive(2)
    cast.receive(5, place=cast.store)
    reserve(cast.context(), [Demand("order", cast.mug.pk, 4, cast.places[::-1])])
    assert level_of(cast.mug, cast.store) == (5, 4, 0)
    reserve(cast.context(), [Demand("other", cast.mug.pk, 3, cast.places[::-1])])
    assert level_of(cast.mug, cast.store) == (5, 5, 0)
    assert level_of(cast.mug, cast.warehouse) == (2, 2, 0)


def test_a_place_named_twice_gives_its_units_once(cast: Cast) -> None:
    cast.receive(2)
    demand = Demand("order", cast.mug.pk, 3, (cast.warehouse.pk, cast.warehouse.pk))
    with pytest.raises(InsufficientStock) as refusal:
        reserve(cast.context(), [demand])
    assert refusal.value.shortages[0].available == 2
