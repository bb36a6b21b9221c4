"""Kits are held, cancelled, shipped, broken and filled whole, whatever happens to their parts."""

from functools import partial
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from inventory.bundles import dissolve, kits_available
from inventory.demands import settle
from inventory.errors import InsufficientStock, InvalidStockRequest, ReservationClosed, Shortage
from inventory.ledger import Outcome
from inventory.models import Conflict, Reservation
from inventory.posting_rows import Short
from inventory.reservations import Demand, ReservedUnits, confirm, expire, fulfil, release, reserve
from inventory.stock import AdjustmentLine, ShipmentLine, StockLine, adjust, receive, ship
from tests.inventory.bundling import Kitchen, assert_kits_are_whole, held_parts
from tests.inventory.cast import LONG_AGO, assert_ledger_holds, held, in_an_hour, ledger_size, level_of, owed
from tests.inventory.racing import race


@pytest.fixture
def kitchen(db: None) -> Kitchen:
    return Kitchen()


@pytest.fixture(autouse=True)
def _the_ledger_holds_after_each(kitchen: Kitchen) -> object:
    yield
    assert_ledger_holds()


def sell(kitchen: Kitchen, reference: str = "order", **counts: Any) -> Outcome:
    return settle(kitchen.context(), [kitchen.change(reference, kitchen.set, **counts)])


def hold(kitchen: Kitchen, reference: str, quantity: int, **more: Any) -> list[int]:
    outcome = reserve(kitchen.context(), [kitchen.demand(reference, quantity)], **more)
    return [each.reservation_id for each in outcome.held]


def sets(kitchen: Kitchen, kits: int, place: str = "") -> dict[tuple[str, str], int]:
    code = place or kitchen.warehouse.code
    return {(kitchen.mug.sku, code): 2 * kits, (kitchen.spoon.sku, code): kits} if kits else {}


def test_a_kit_is_held_part_by_part_under_its_own_reference(kitchen: Kitchen) -> None:
    kitchen.stock(9, 9)
    hold(kitchen, "order", 3)
    assert held_parts("order") == sets(kitchen, 3)
    rows = Reservation.objects.order_by("id")
    assert {row.bundle_id for row in rows} == {kitchen.set.bundles.get().pk}
    assert sorted(row.per_bundle or 0 for row in rows) == [1, 2]
    assert {row.lead_id for row in rows} == {rows[0].pk}


def test_a_kit_is_never_taken_from_two_places_and_kits_may_be(kitchen: Kitchen) -> None:
    kitchen.stock(5, 1)
    kitchen.stock(3, 5, kitchen.store)
    hold(kitchen, "order", 2)
    assert held_parts("order") == sets(kitchen, 1) | sets(kitchen, 1, kitchen.store.code)
    with pytest.raises(InsufficientStock) as refusal:
        hold(kitchen, "other", 1)
    assert refusal.value.shortages == (Shortage("other", kitchen.set.pk, requested=1, available=0),)


def test_bundles_that_share_a_part_are_summed_over_the_whole_order(kitchen: Kitchen) -> None:
    duo = kitchen.new()
    kitchen.make(duo, {kitchen.mug: 2})
    kitchen.stock(9, 9)
    order = [
        kitchen.demand("sets", 2),
        kitchen.demand("duos", 2, duo),
        kitchen.demand("mugs", 2, kitchen.mug),
    ]
    before = ledger_size()
    with pytest.raises(InsufficientStock) as refusal:
        reserve(kitchen.context(), order)
    assert refusal.value.shortages == (Shortage("mugs", kitchen.mug.pk, requested=2, available=1),)
    assert ledger_size() == before
    kitchen.receive(1)
    reserve(kitchen.context(), order)
    assert held() == {"sets": 6, "duos": 4, "mugs": 2}


def test_a_part_is_held_in_whole_kits_only(kitchen: Kitchen) -> None:
    kitchen.stock(5, 9)
    outcome = reserve(kitchen.context(), [kitchen.demand("order", 4)], allow_partial=True)
    assert held_parts("order") == sets(kitchen, 2)
    assert outcome.short == (Short("order", kitchen.set.pk, 2),)


def test_kits_are_held_before_loose_units_of_the_same_order(kitchen: Kitchen) -> None:
    kitchen.stock(2, 1)
    kitchen.stock(1, 0, kitchen.store)
    reserve(kitchen.context(), [kitchen.demand("mug", 1, kitchen.mug), kitchen.demand("set", 1)])
    assert held_parts("mug") == {(kitchen.mug.sku, kitchen.store.code): 1}


def test_a_sale_holds_whole_kits_and_is_owed_the_others(kitchen: Kitchen) -> None:
    kitchen.stock(5, 9)
    outcome = sell(kitchen, wanted=3)
    assert held_parts("order") == sets(kitchen, 2)
    assert outcome.short == (Short("order", kitchen.set.pk, 1),)
    conflict = Conflict.objects.get()
    assert (conflict.variant_id, conflict.open_quantity, conflict.cause) == (kitchen.set.pk, 1, "shortage")


def test_a_shortage_is_filled_when_goods_make_a_kit_whole_and_not_before(kitchen: Kitchen) -> None:
    sell(kitchen, wanted=2)
    kitchen.receive(4)
    assert (held(), owed()) == ({}, {("order", "shortage"): 2})
    kitchen.receive(1, kitchen.spoon)
    assert (held_parts("order"), owed()) == (sets(kitchen, 1), {("order", "shortage"): 1})
    kitchen.receive(5, kitchen.spoon)
    assert (held_parts("order"), owed()) == (sets(kitchen, 2), {})


def test_goods_for_many_kits_at_once_begin_anew_once(kitchen: Kitchen) -> None:
    """Each kit needs a part that the receipt does not bring; all of them are found in one go."""
    parts = [(kitchen.new(), kitchen.new(), kitchen.new()) for _ in range(12)]
    for kit, arriving, there in parts:
        kitchen.make(kit, {arriving: 1, there: 1})
        kitchen.receive(1, there)
        settle(kitchen.context(), [kitchen.change(f"order {kit.pk}", kit, wanted=1)])
    lines = [StockLine(arriving.pk, place, 1) for _, arriving, _ in parts for place in kitchen.places]
    receive(kitchen.context(), lines)
    assert owed() == {}


def test_who_waited_first_is_served_first_be_it_for_a_kit_or_a_part(kitchen: Kitchen) -> None:
    kitchen.receive(1, kitchen.spoon)
    sell(kitchen, wanted=1)
    kitchen.settle("mug", wanted=1)
    kitchen.receive(2)
    assert held() == {"order": 3}
    kitchen.receive(1)
    assert held() == {"order": 3, "mug": 1}


def test_a_cancellation_takes_what_is_owed_first_and_gives_whole_kits_back(kitchen: Kitchen) -> None:
    kitchen.stock(4, 4)
    sell(kitchen, wanted=3)
    sell(kitchen, cancelled=2)
    assert (held_parts("order"), owed()) == (sets(kitchen, 1), {})
    sell(kitchen, "next", wanted=1)
    assert held_parts("next") == sets(kitchen, 1)


def test_kits_leave_as_their_parts(kitchen: Kitchen) -> None:
    kitchen.stock(9, 9)
    sell(kitchen, wanted=3)
    sell(kitchen, fulfilled=2)
    assert level_of(kitchen.mug, kitchen.warehouse) == (5, 2, 0)
    assert level_of(kitchen.spoon, kitchen.warehouse) == (7, 1, 0)


def test_kits_that_left_without_being_held_are_taken_from_what_is_there_and_beyond_record(
    kitchen: Kitchen,
) -> None:
    kitchen.stock(3, 9)
    sell(kitchen, wanted=2, fulfilled=2)
    assert level_of(kitchen.mug, kitchen.warehouse) == (0, 0, 0)
    assert level_of(kitchen.spoon, kitchen.warehouse) == (7, 0, 0)
    conflict = Conflict.objects.get(open_quantity__gt=0)
    assert (conflict.cause, conflict.variant_id, conflict.open_quantity) == (
        "beyond_record",
        kitchen.mug.pk,
        1,
    )


def test_a_shipment_taken_back_is_held_again_whole(kitchen: Kitchen) -> None:
    kitchen.stock(4, 4, kitchen.store)
    sell(kitchen, wanted=2)
    sell(kitchen, fulfilled=2)
    sell(kitchen, unfulfilled=2)
    assert held_parts("order") == sets(kitchen, 2, kitchen.store.code)
    sell(kitchen, fulfilled=1, cancelled=1)
    assert held() == {}
    assert level_of(kitchen.mug, kitchen.store) == (2, 0, 0)


def test_what_left_as_kits_comes_back_as_their_parts_whatever_the_variant_is_by_now(kitchen: Kitchen) -> None:
    kitchen.stock(4, 2)
    settle(kitchen.context(), [kitchen.change("order", kitchen.set, wanted=1, fulfilled=1)])
    dissolve(kitchen.context(), kitchen.set.pk)
    kitchen.receive(1, kitchen.set)
    settle(kitchen.context(), [kitchen.change("order", kitchen.set, wanted=1, fulfilled=1)])
    settle(kitchen.context(), [kitchen.change("order", kitchen.set, unfulfilled=2)])
    assert level_of(kitchen.mug, kitchen.warehouse) == (4, 2, 0)
    assert level_of(kitchen.spoon, kitchen.warehouse) == (2, 1, 0)
    assert level_of(kitchen.set, kitchen.warehouse) == (1, 1, 0)
    assert_kits_are_whole()
    assert_ledger_holds()


def test_what_left_before_its_variant_became_a_kit_comes_back_as_kits(kitchen: Kitchen) -> None:
    plain = kitchen.new()
    kitchen.receive(1, plain)
    settle(kitchen.context(), [kitchen.change("order", plain, wanted=1, fulfilled=1)])
    kitchen.make(plain, {kitchen.mug: 2})
    settle(kitchen.context(), [kitchen.change("order", plain, unfulfilled=1)])
    assert level_of(plain, kitchen.warehouse) == (0, 0, 0)
    assert level_of(kitchen.mug, kitchen.warehouse) == (2, 2, 0)
    assert_ledger_holds()


def test_what_was_beyond_record_is_owed_again_and_the_rest_of_the_kit_lies_there(kitchen: Kitchen) -> None:
    kitchen.stock(1, 4)
    sell(kitchen, wanted=1, fulfilled=1)
    sell(kitchen, unfulfilled=1)
    assert owed() == {("order", "shortage"): 1}
    assert level_of(kitchen.mug, kitchen.warehouse) == (1, 0, 0)
    assert level_of(kitchen.spoon, kitchen.warehouse) == (4, 0, 0)
    kitchen.receive(1)
    assert held_parts("order") == sets(kitchen, 1)


def test_a_warehouse_ships_kits_for_a_demand_and_without(kitchen: Kitchen) -> None:
    kitchen.stock(9, 9)
    sell(kitchen, wanted=1)
    lines = [
        ShipmentLine(kitchen.set.pk, kitchen.warehouse.pk, 1, "order"),
        ShipmentLine(kitchen.set.pk, kitchen.warehouse.pk, 2),
    ]
    ship(kitchen.context(), lines)
    assert held() == {}
    assert level_of(kitchen.mug, kitchen.warehouse) == (3, 0, 0)
    assert level_of(kitchen.spoon, kitchen.warehouse) == (6, 0, 0)


def test_a_shipment_of_a_part_leaves_the_kits_of_the_same_demand_alone(kitchen: Kitchen) -> None:
    kitchen.stock(9, 9)
    reserve(kitchen.context(), [kitchen.demand("cart", 1), kitchen.demand("cart", 1, kitchen.mug)])
    ship(kitchen.context(), [ShipmentLine(kitchen.mug.pk, kitchen.warehouse.pk, 2, "cart")])
    assert held_parts("cart") == sets(kitchen, 1)
    assert level_of(kitchen.mug, kitchen.warehouse) == (7, 2, 0)


def test_a_loss_breaks_whole_kits_newest_first(kitchen: Kitchen) -> None:
    kitchen.stock(6, 3)
    for number in range(3):
        hold(kitchen, f"order {number}", 1)
    adjust(kitchen.context(), [AdjustmentLine(kitchen.mug.pk, kitchen.warehouse.pk, -1)])
    assert held() == {"order 0": 3, "order 1": 3}
    assert owed() == {("order 2", "broken"): 1}
    assert Conflict.objects.get().variant_id == kitchen.set.pk
    assert level_of(kitchen.mug, kitchen.warehouse) == (5, 4, 0)
    assert level_of(kitchen.spoon, kitchen.warehouse) == (3, 2, 0)
    kitchen.receive(1)
    assert (held_parts("order 2"), owed()) == (sets(kitchen, 1), {})


def test_kits_that_break_are_whole_again_where_they_are_made_of_something_else_by_now(
    kitchen: Kitchen,
) -> None:
    kitchen.stock(4, 9)
    hold(kitchen, "order", 2)
    kitchen.make(kitchen.set, {kitchen.spoon: 3})
    kitchen.count(3)
    assert held_parts("order") == {
        (kitchen.mug.sku, kitchen.warehouse.code): 2,
        (kitchen.spoon.sku, kitchen.warehouse.code): 1 + 3,
    }
    assert owed() == {}


def test_a_count_of_two_parts_breaks_a_kit_once(kitchen: Kitchen) -> None:
    kitchen.stock(4, 2)
    hold(kitchen, "order", 2)
    lines = [
        AdjustmentLine(kitchen.mug.pk, kitchen.warehouse.pk, -2),
        AdjustmentLine(kitchen.spoon.pk, kitchen.warehouse.pk, -1),
    ]
    adjust(kitchen.context(), lines)
    assert (held_parts("order"), owed()) == (sets(kitchen, 1), {("order", "broken"): 1})


@pytest.mark.parametrize("named", [0, 1, slice(None)])
def test_releasing_any_of_its_reservations_releases_the_kits_once(kitchen: Kitchen, named: Any) -> None:
    kitchen.stock(9, 9)
    ids = hold(kitchen, "order", 3)
    chosen = [ids[named]] if isinstance(named, int) else ids
    per_kit = dict(Reservation.objects.values_list("id", "per_bundle"))
    release(kitchen.context(), [ReservedUnits(each, per_kit[each]) for each in chosen])
    assert held_parts("order") == sets(kitchen, 2)
    release(kitchen.context(), [ReservedUnits(each) for each in chosen])
    assert held() == {}
    with pytest.raises(ReservationClosed):
        release(kitchen.context(), [ReservedUnits(ids[0])])


def test_a_part_of_a_kit_is_not_released(kitchen: Kitchen) -> None:
    kitchen.stock(9, 9)
    hold(kitchen, "order", 3)
    mugs = Reservation.objects.get(variant=kitchen.mug)
    with pytest.raises(InvalidStockRequest, match=r"quantity: .* take 2 each; only whole kits"):
        release(kitchen.context(), [ReservedUnits(mugs.pk, 3)])


def test_fulfilling_a_reservation_ships_its_kits_and_more_than_it_holds_from_what_is_there(
    kitchen: Kitchen,
) -> None:
    kitchen.stock(9, 9)
    ids = hold(kitchen, "order", 1)
    spoons = Reservation.objects.get(variant=kitchen.spoon)
    fulfil(kitchen.context(), [ReservedUnits(spoons.pk, 3)])
    assert held() == {}
    assert level_of(kitchen.mug, kitchen.warehouse) == (3, 0, 0)
    assert level_of(kitchen.spoon, kitchen.warehouse) == (6, 0, 0)
    assert Reservation.objects.filter(id__in=ids, open_quantity=0).count() == 2


def test_confirming_one_reservation_confirms_the_kits(kitchen: Kitchen) -> None:
    kitchen.stock(9, 9)
    ids = hold(kitchen, "cart", 1, expires_at=in_an_hour())
    confirm(kitchen.context(), ids[:1])
    assert not Reservation.objects.filter(expires_at__isnull=False).exists()


def test_kits_whose_time_is_over_give_all_their_parts_back(kitchen: Kitchen) -> None:
    kitchen.stock(4, 2)
    hold(kitchen, "cart", 2, expires_at=LONG_AGO)
    kitchen.hold("mugs", 4)
    assert kits_available(kitchen.merchant.pk, [kitchen.set.pk])[kitchen.set.pk][kitchen.warehouse.pk] == 0
    expire()
    assert held() == {"mugs": 4}
    assert level_of(kitchen.spoon, kitchen.warehouse) == (2, 0, 0)


def test_the_database_refuses_parts_of_kits(kitchen: Kitchen) -> None:
    kitchen.stock(9, 9)
    hold(kitchen, "order", 2)
    mugs = Reservation.objects.filter(variant=kitchen.mug)
    for change in ({"open_quantity": 3, "released_quantity": 1}, {"lead": None}, {"per_bundle": None}):
        with pytest.raises(IntegrityError), transaction.atomic():
            mugs.update(**change)


def test_a_kit_of_kits_is_sold_from_the_shelf(kitchen: Kitchen) -> None:
    hamper = kitchen.new()
    kitchen.make(hamper, {kitchen.set: 2, kitchen.shirt: 1})
    kitchen.stock(9, 9)
    kitchen.receive(9, kitchen.shirt)
    settle(kitchen.context(), [kitchen.change("order", hamper, wanted=3)])
    place = kitchen.warehouse.code
    assert held_parts("order") == {
        (kitchen.mug.sku, place): 8,
        (kitchen.spoon.sku, place): 4,
        (kitchen.shirt.sku, place): 2,
    }
    assert owed() == {("order", "shortage"): 1}


@pytest.mark.django_db(transaction=True)
def test_buyers_of_kits_that_share_parts_never_take_more_than_there_is() -> None:
    kitchen = Kitchen()
    duo = kitchen.new()
    kitchen.make(duo, {kitchen.mug: 2, kitchen.shirt: 1})
    kitchen.stock(11, 20)
    kitchen.receive(20, kitchen.shirt)
    buyers = [
        partial(reserve, kitchen.context(), [kitchen.demand(f"buyer {n}", 1, (kitchen.set, duo)[n % 2])])
        for n in range(12)
    ]
    results = race(buyers)
    assert sum(isinstance(result, Outcome) for result in results) == 5
    assert level_of(kitchen.mug, kitchen.warehouse) == (11, 10, 0)


@pytest.mark.django_db(transaction=True)
def test_parts_that_arrive_at_once_make_every_kit_that_they_can() -> None:
    kitchen = Kitchen()
    settle(kitchen.context(), [kitchen.change("order", kitchen.set, wanted=4)])
    arrivals = [partial(kitchen.receive, 2, kitchen.mug) for _ in range(4)]
    arrivals += [partial(kitchen.receive, 1, kitchen.spoon) for _ in range(4)]
    results = race(arrivals)
    assert {type(result) for result in results} == {Outcome}, results
    assert (held(), owed()) == ({"order": 12}, {})


def test_a_demand_for_a_kit_names_places_as_any_other(kitchen: Kitchen) -> None:
    kitchen.stock(9, 9)
    with pytest.raises(InsufficientStock):
        reserve(kitchen.context(), [Demand("order", kitchen.set.pk, 1, (kitchen.store.pk,))])
