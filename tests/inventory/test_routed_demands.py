"""Demands of one order, settled together under a routing: where they are held, and what stays where it is."""

from collections.abc import Collection
from functools import partial
from typing import Any

import pytest

from inventory import allocation
from inventory.demands import DemandChange, settle
from inventory.holds import left_from
from inventory.ledger import Outcome
from inventory.models import Conflict, Reservation
from inventory.routing import Routing, Site, Usage
from tests.inventory.cast import Cast, assert_ledger_holds, held, level_of, owed
from tests.inventory.racing import race

TOGETHER = Routing("keep_together")
WHOLE = Routing(may_split=False)


def route(cast: Cast, routing: Routing, *changes: DemandChange) -> Outcome:
    return settle(cast.context(), changes, routing=routing)


def held_at(cast: Cast) -> dict[tuple[str, str], int]:
    """Returns the units held, by reference and location, of a ledger that is proven."""
    assert_ledger_holds()
    names = {cast.warehouse.pk: "warehouse", cast.store.pk: "store"}
    rows = Reservation.objects.filter(open_quantity__gt=0).values_list(
        "reference", "level__location_id", "open_quantity"
    )
    units: dict[tuple[str, str], int] = {}
    for reference, place, count in rows:
        units[reference, names[place]] = units.get((reference, names[place]), 0) + count
    return units


def stock(cast: Cast, warehouse: int, store: int, variant: Any = None) -> None:
    for units, place in ((warehouse, cast.warehouse), (store, cast.store)):
        if units:
            cast.receive(units, variant, place)


def test_a_strategy_decides_over_the_whole_order_at_once(cast: Cast) -> None:
    stock(cast, 9, 2)
    stock(cast, 0, 1, cast.shirt)
    route(cast, TOGETHER, cast.change("mug", wanted=2), cast.change("shirt", cast.shirt, wanted=1))
    assert held_at(cast) == {("mug", "store"): 2, ("shirt", "store"): 1}


def test_nearest_goes_by_the_country_of_the_customer(cast: Cast) -> None:
    stock(cast, 9, 9)
    sites = (Site(cast.warehouse.pk, "US"), Site(cast.store.pk, "NL"))
    route(cast, Routing("nearest", "NL", sites=sites), cast.change("order", wanted=2))
    assert held_at(cast) == {("order", "store"): 2}


def test_an_order_that_must_not_be_split_is_owed_what_its_place_lacks_and_waits_for_that_place(
    cast: Cast,
) -> None:
    stock(cast, 3, 2)
    route(cast, WHOLE, cast.change("order", wanted=4))
    assert (held_at(cast), owed()) == ({("order", "warehouse"): 3}, {("order", "shortage"): 1})
    cast.receive(5, place=cast.store)
    assert held_at(cast) == {("order", "warehouse"): 3}
    cast.receive(1)
    assert (held_at(cast), owed()) == ({("order", "warehouse"): 4}, {})


def test_planned_anew_an_order_moves_to_where_it_fits_and_its_debt_moves_along(cast: Cast) -> None:
    stock(cast, 3, 2)
    route(cast, WHOLE, cast.change("order", wanted=4))
    cast.receive(2, place=cast.store)
    route(cast, WHOLE, cast.change("order", wanted=1, ordered=5, is_replanned=True))
    assert (held_at(cast), owed()) == ({("order", "store"): 4}, {("order", "shortage"): 1})
    assert Conflict.objects.get().location_ids == [cast.store.pk]


def test_what_is_planned_for_is_what_was_ordered_so_that_it_does_not_matter_when_units_were_cancelled(
    cast: Cast,
) -> None:
    stock(cast, 2, 5)
    route(cast, TOGETHER, cast.change("early", wanted=5))
    route(cast, TOGETHER, cast.change("early", cancelled=3))
    early = held_at(cast)
    route(cast, TOGETHER, cast.change("early", cancelled=2))
    route(cast, TOGETHER, cast.change("late", wanted=2, ordered=5))
    assert early == {("early", "store"): 2}
    assert held_at(cast) == {("late", "store"): 2}


def test_a_location_that_was_told_keeps_what_it_has_and_the_rest_joins_it_where_parcels_count(
    cast: Cast,
) -> None:
    stock(cast, 5, 2)
    stock(cast, 1, 1, cast.shirt)
    route(cast, Routing(), cast.change("mug", wanted=2, places=[cast.store.pk]))
    route(
        cast,
        Routing("fewest_parcels"),
        cast.change("mug", ordered=2, is_replanned=True, kept_at=(cast.store.pk,)),
        cast.change("shirt", cast.shirt, wanted=1, ordered=1),
    )
    assert held_at(cast) == {("mug", "store"): 2, ("shirt", "store"): 1}


def test_a_location_that_refused_gives_its_units_up_to_another_one(cast: Cast) -> None:
    stock(cast, 5, 2)
    route(cast, Routing(), cast.change("order", wanted=3))
    refused = cast.change("order", ordered=3, is_replanned=True, refused_by=(cast.warehouse.pk,))
    route(cast, Routing(), refused)
    assert (held_at(cast), owed()) == ({("order", "store"): 2}, {("order", "shortage"): 1})
    cast.receive(1)
    assert owed() == {("order", "shortage"): 1}
    cast.receive(1, place=cast.store)
    assert (held_at(cast), owed()) == ({("order", "store"): 3}, {})


def test_units_that_everybody_refused_are_owed_and_filled_from_nowhere_by_themselves(cast: Cast) -> None:
    stock(cast, 5, 0)
    only = [cast.warehouse.pk]
    route(cast, Routing(), cast.change("order", wanted=3, places=only))
    route(
        cast,
        Routing(),
        cast.change("order", ordered=3, is_replanned=True, refused_by=tuple(only), places=only),
    )
    cast.receive(5)
    assert (held_at(cast), owed()) == ({}, {("order", "shortage"): 3})


def test_what_a_plan_gives_up_goes_to_who_waits(cast: Cast) -> None:
    stock(cast, 2, 0)
    route(cast, Routing(), cast.change("order", wanted=2))
    cast.settle("waiting", wanted=2, places=[cast.warehouse.pk])
    cast.receive(2, place=cast.store)
    route(
        cast, Routing(), cast.change("order", ordered=2, is_replanned=True, refused_by=(cast.warehouse.pk,))
    )
    assert held_at(cast) == {("order", "store"): 2, ("waiting", "warehouse"): 2}


def test_a_plan_that_is_the_same_moves_nothing(cast: Cast) -> None:
    stock(cast, 5, 5)
    route(cast, TOGETHER, cast.change("order", wanted=3))
    before = level_of(cast.mug, cast.warehouse), Reservation.objects.count()
    route(cast, TOGETHER, cast.change("order", ordered=3, is_replanned=True))
    assert (level_of(cast.mug, cast.warehouse), Reservation.objects.count()) == before


def test_units_left_from_where_somebody_says_they_left(cast: Cast) -> None:
    stock(cast, 2, 5)
    cast.settle("order", wanted=4)
    cast.settle("order", fulfilled=2, left_from=cast.store.pk)
    assert held_at(cast) == {("order", "warehouse"): 2}
    assert level_of(cast.mug, cast.store) == (3, 0, 0)


def test_a_hold_that_is_given_up_by_a_shipment_from_elsewhere_fills_what_others_are_owed(cast: Cast) -> None:
    stock(cast, 1, 0)
    cast.settle("order", wanted=1)
    stock(cast, 0, 1)
    cast.settle("taker", wanted=1)
    cast.settle("waits", wanted=1, places=[cast.warehouse.pk])
    assert owed() == {("waits", "shortage"): 1}
    cast.settle("order", fulfilled=1, left_from=cast.store.pk)
    assert held_at(cast) == {("taker", "store"): 1, ("waits", "warehouse"): 1}
    assert owed() == {("order", "beyond_record"): 1}


def test_units_that_left_from_elsewhere_than_they_were_held_give_up_their_hold(cast: Cast) -> None:
    stock(cast, 2, 5)
    cast.settle("order", wanted=2)
    cast.settle("order", fulfilled=2, left_from=cast.store.pk)
    assert (held(), level_of(cast.mug, cast.warehouse)) == ({}, (2, 0, 0))
    assert level_of(cast.mug, cast.store) == (3, 0, 0)


def test_what_was_taken_back_has_not_left(cast: Cast) -> None:
    stock(cast, 3, 3)
    cast.settle("order", wanted=2)
    cast.settle("order", fulfilled=2)
    left = partial(left_from, cast.merchant.pk, ["order"])
    assert left() == {("order", cast.mug.pk, cast.warehouse.pk): 2}
    cast.settle("order", unfulfilled=1)
    assert left() == {("order", cast.mug.pk, cast.warehouse.pk): 1}
    cast.settle("order", fulfilled=1)
    assert left() == {("order", cast.mug.pk, cast.warehouse.pk): 2}


def test_a_line_ships_what_its_twin_holds_before_anything_is_beyond_record(cast: Cast) -> None:
    cast.receive(2)
    first, second = (partial(cast.change, f"line {n}", pool="line 1") for n in (1, 2))
    route(cast, Routing(), first(wanted=2), second(wanted=2))
    route(cast, Routing(), first(), second(fulfilled=2))
    assert (held(), owed()) == ({}, {("line 1", "shortage"): 2})
    assert level_of(cast.mug, cast.warehouse) == (0, 0, 0)


# -- capacity


def _limited(cast: Cast, usage: Any, *, units: int = 2) -> Routing:
    sites = (Site(cast.warehouse.pk, daily_units=units), Site(cast.store.pk))
    return Routing(sites=sites, usage=usage)


def test_a_full_location_is_passed_over_while_another_can_serve(cast: Cast) -> None:
    stock(cast, 5, 2)
    full = _limited(cast, lambda ids: {cast.warehouse.pk: Usage(1, 2)})
    route(cast, full, cast.change("first", wanted=2))
    assert held_at(cast) == {("first", "store"): 2}
    route(cast, full, cast.change("second", wanted=1))
    assert held_at(cast)["second", "warehouse"] == 1


def test_a_location_without_an_alternative_is_not_asked_for_its_capacity(cast: Cast) -> None:
    def nobody_asks(ids: Collection[int]) -> dict[int, Usage]:
        raise AssertionError("there is no choice")

    stock(cast, 5, 2)
    route(cast, _limited(cast, nobody_asks), cast.change("order", wanted=2, places=[cast.warehouse.pk]))
    assert held_at(cast) == {("order", "warehouse"): 2}


class Diary:
    """Counts capacity by what is held, as committed; the second reader comes while the first has not committed."""

    def __init__(self, cast: Cast) -> None:
        self.cast = cast

    def __call__(self, ids: Collection[int]) -> dict[int, Usage]:
        units = sum(
            Reservation.objects.filter(level__location=self.cast.warehouse).values_list("quantity", flat=True)
        )
        return {self.cast.warehouse.pk: Usage(1, units)}


def _route_both_at_once(cast: Cast) -> dict[tuple[str, str], int]:
    routing = _limited(cast, Diary(cast), units=1)
    results = race(
        [
            partial(route, cast, routing, cast.change("mug", wanted=1)),
            partial(route, cast, routing, cast.change("shirt", cast.shirt, wanted=1)),
        ]
    )
    assert all(isinstance(result, Outcome) for result in results), results
    return held_at(cast)


@pytest.mark.django_db(transaction=True)
def test_two_orders_at_once_do_not_both_take_the_last_of_a_days_capacity() -> None:
    cast = Cast()
    stock(cast, 5, 5)
    stock(cast, 5, 5, cast.shirt)
    assert sorted(place for _, place in _route_both_at_once(cast)) == ["store", "warehouse"]


@pytest.mark.django_db(transaction=True)
def test_without_taking_turns_both_would(monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    both_have_read = threading.Barrier(2)
    read = Diary.__call__

    def read_together(self: Diary, ids: Collection[int]) -> dict[int, Usage]:
        found = read(self, ids)
        both_have_read.wait(20)
        return found

    monkeypatch.setattr(allocation, "lock_locations", lambda *wanted: None)
    monkeypatch.setattr(Diary, "__call__", read_together)
    cast = Cast()
    stock(cast, 5, 5)
    stock(cast, 5, 5, cast.shirt)
    assert [place for _, place in _route_both_at_once(cast)] == ["warehouse", "warehouse"]


def test_what_left_on_one_line_is_held_for_no_other(cast: Cast) -> None:
    places = (cast.store.pk, cast.warehouse.pk)
    cast.receive(2, place=cast.store)
    cast.settle("one", wanted=2, places=places)
    cast.settle("one", fulfilled=2, places=places)
    cast.receive(3)
    changes = [
        cast.change("other", wanted=2, ordered=2, places=places),
        cast.change("one", wanted=1, ordered=1, has_left=True, places=places),
    ]
    settle(cast.context(), changes)
    assert (held(), owed()) == ({"one": 1, "other": 2}, {})
    assert level_of(cast.mug, cast.warehouse) == (3, 3, 0)
    assert_ledger_holds()
