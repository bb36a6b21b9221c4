"""What is owed is served from elsewhere, or with units that somebody less urgent held: all of it or nothing, once for a key."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from inventory.bundles import Component, define
from inventory.conflict_remedies import serve_conflict, take_over
from inventory.errors import InsufficientStock, InvalidStockRequest, StockError, UnknownStock
from inventory.ledger import Outcome
from inventory.models import BundleKind, Conflict, Reservation, StockOperation
from tests.factories import LocationFactory, VariantFactory
from tests.inventory.cast import Cast, assert_ledger_holds, held, in_an_hour, ledger_size, level_of, owed
from tests.inventory.racing import race


def conflict_of(reference: str) -> Conflict:
    return Conflict.objects.get(reference=reference, open_quantity__gt=0)


def sell(cast: Cast, reference: str, wanted: int) -> Conflict | None:
    """Sells mugs of the warehouse, whatever there is."""
    cast.settle(reference, wanted=wanted, places=[cast.warehouse.pk])
    return Conflict.objects.filter(reference=reference, open_quantity__gt=0).first()


def owed_order(cast: Cast, units: int) -> Conflict:
    conflict = sell(cast, "order", units)
    assert conflict is not None
    return conflict


def serve(cast: Cast, conflict: Conflict, units: int | None = None, key: str = "") -> Outcome:
    return serve_conflict(cast.context(key), conflict.pk, cast.store.pk, quantity=units)


def take(cast: Cast, conflict: Conflict, giver: int, key: str = "", **more: Any) -> Outcome:
    return take_over(cast.context(key), conflict.pk, giver, **more)


def hold_of(reference: str) -> int:
    return Reservation.objects.get(reference=reference, open_quantity__gt=0).pk


def test_what_is_owed_is_held_at_another_location(cast: Cast) -> None:
    conflict = owed_order(cast, 3)
    cast.receive(2, place=cast.store)
    outcome = serve(cast, conflict)
    assert [each.quantity for each in outcome.held] == [2]
    assert (held(), owed()) == ({"order": 2}, {("order", "shortage"): 1})
    assert_ledger_holds()


def test_a_location_with_too_few_is_refused_whole(cast: Cast) -> None:
    conflict = owed_order(cast, 3)
    cast.receive(2, place=cast.store)
    before = ledger_size()
    with pytest.raises(InsufficientStock):
        serve(cast, conflict, 3)
    with pytest.raises(InvalidStockRequest) as refusal:
        serve(cast, conflict, 4)
    assert refusal.value.field == "quantity"
    assert ledger_size() == before


def test_a_conflict_that_ended_is_served_no_more(cast: Cast) -> None:
    conflict = owed_order(cast, 3)
    cast.receive(3)
    cast.receive(3, place=cast.store)
    with pytest.raises(InvalidStockRequest) as refusal:
        serve(cast, conflict)
    assert refusal.value.field == "conflict_id"


def test_the_same_key_serves_once(cast: Cast) -> None:
    conflict = owed_order(cast, 3)
    cast.receive(9, place=cast.store)
    first, again = serve(cast, conflict, 1, "a key"), serve(cast, conflict, 1, "a key")
    assert (again.is_repeat, again.held) == (True, first.held)
    assert held() == {"order": 1}


def test_kits_are_served_whole_from_another_location(cast: Cast) -> None:
    kit = VariantFactory(merchant=cast.merchant)
    define(cast.context(), kit.pk, BundleKind.KIT, [Component(cast.mug.pk, 2), Component(cast.shirt.pk, 1)])
    cast.settle("order", variant=kit, wanted=2, places=[cast.warehouse.pk])
    cast.receive(5, place=cast.store)
    cast.receive(1, cast.shirt, cast.store)
    serve(cast, conflict_of("order"))
    assert (level_of(cast.mug, cast.store), level_of(cast.shirt, cast.store)) == ((5, 2, 0), (1, 1, 0))
    assert owed() == {("order", "shortage"): 1}
    assert_ledger_holds()


def test_units_of_another_demand_change_hands_and_that_one_is_owed_them(cast: Cast) -> None:
    cast.receive(2)
    sell(cast, "later", 2)
    conflict = owed_order(cast, 3)
    take(cast, conflict, hold_of("later"), quantity=1)
    assert held() == {"later": 1, "order": 1}
    assert owed() == {("order", "shortage"): 2, ("later", "given"): 1}
    assert level_of(cast.mug, cast.warehouse) == (2, 2, 0)
    assert_ledger_holds()


def test_whoever_gave_units_up_is_served_from_elsewhere_at_once(cast: Cast) -> None:
    cast.receive(2)
    sell(cast, "later", 2)
    conflict = owed_order(cast, 2)
    cast.receive(5, place=cast.store)
    take(cast, conflict, hold_of("later"), giver_location_ids=cast.places)
    assert (held(), owed()) == ({"later": 2, "order": 2}, {})
    assert level_of(cast.mug, cast.store) == (5, 2, 0)
    assert_ledger_holds()


def test_what_was_given_is_filled_when_stock_arrives(cast: Cast) -> None:
    cast.receive(1)
    sell(cast, "later", 1)
    take(cast, owed_order(cast, 1), hold_of("later"))
    cast.receive(1)
    assert (held(), owed()) == ({"later": 1, "order": 1}, {})


def test_a_hold_with_an_end_gives_way_and_is_owed_nothing(cast: Cast) -> None:
    cast.receive(2)
    cast.hold("cart", 2, places=[cast.warehouse.pk], expires_at=in_an_hour())
    take(cast, owed_order(cast, 2), hold_of("cart"))
    assert (held(), owed()) == ({"order": 2}, {})
    assert_ledger_holds()


def test_a_hold_that_has_ended_went_to_who_waited_and_is_not_there_to_take(cast: Cast) -> None:
    cast.receive(2)
    cart = cast.hold(
        "cart", 2, places=[cast.warehouse.pk], expires_at=datetime.now(UTC) + timedelta(milliseconds=1)
    )
    conflict = owed_order(cast, 3)
    with pytest.raises(InsufficientStock):
        take(cast, conflict, cart)
    assert (held(), owed()) == ({"order": 2}, {("order", "shortage"): 1})


def _of_another_variant(cast: Cast) -> int:
    cast.receive(1, cast.shirt)
    return cast.hold("shirts", 1, cast.shirt, [cast.warehouse.pk])


def _of_a_kit(cast: Cast) -> int:
    kit = VariantFactory(merchant=cast.merchant)
    define(cast.context(), kit.pk, BundleKind.KIT, [Component(cast.mug.pk, 1)])
    cast.receive(1, place=cast.store)
    return cast.hold("kits", 1, kit, [cast.store.pk])


def _its_own(cast: Cast) -> int:
    return hold_of("order")


@pytest.mark.parametrize("giver", [_of_another_variant, _of_a_kit, _its_own])
def test_what_cannot_be_taken_is_refused_with_the_reason(cast: Cast, giver: Callable[[Cast], int]) -> None:
    cast.receive(1)
    conflict = owed_order(cast, 3)
    reservation_id, before = giver(cast), ledger_size()
    with pytest.raises(InvalidStockRequest) as refusal:
        take(cast, conflict, reservation_id)
    assert refusal.value.field == "reservation_id"
    assert ledger_size()[1:] == before[1:]


def test_strangers_conflicts_reservations_and_places_are_unknown(cast: Cast, stranger: Cast) -> None:
    conflict = owed_order(cast, 3)
    stranger.receive(3)
    theirs = stranger.hold("theirs", 1)
    with pytest.raises(UnknownStock):
        take(cast, conflict, theirs)
    with pytest.raises(UnknownStock):
        serve(stranger, conflict)
    with pytest.raises(UnknownStock):
        serve_conflict(cast.context(), conflict.pk, LocationFactory().pk)


@pytest.mark.django_db(transaction=True)
def test_the_last_unit_elsewhere_goes_to_one_of_two_conflicts() -> None:
    cast = Cast()
    conflicts = []
    for name in ("one", "two"):
        conflict = sell(cast, name, 1)
        assert conflict is not None
        conflicts.append(conflict)
    cast.receive(1, place=cast.store)
    results = race([partial(serve, cast, conflict) for conflict in conflicts])
    assert sorted(isinstance(result, StockError) for result in results) == [False, True]
    assert level_of(cast.mug, cast.store) == (1, 1, 0)
    assert_ledger_holds()


@pytest.mark.django_db(transaction=True)
def test_two_who_take_the_same_unit_are_one_taking_and_one_refusal() -> None:
    cast = Cast()
    cast.receive(1)
    sell(cast, "later", 1)
    giver, conflicts = hold_of("later"), []
    for name in ("one", "two"):
        conflict = sell(cast, name, 1)
        assert conflict is not None
        conflicts.append(conflict)
    results = race([partial(take, cast, conflict, giver) for conflict in conflicts])
    assert sorted(isinstance(result, StockError) for result in results) == [False, True]
    assert sum(held().values()) == 1
    assert sum(owed().values()) == 2
    assert StockOperation.objects.filter(verb="take_over").count() == 1
    assert_ledger_holds()
