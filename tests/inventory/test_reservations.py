"""Units held for somebody, from the hold to its end."""

import pytest

from inventory.errors import InsufficientStock, ReservationClosed, Shortage, UnknownStock
from inventory.models import Reservation
from inventory.posting_rows import Held, Short
from inventory.reservations import Demand, ReservedUnits, confirm, fulfil, release, reserve
from tests.inventory.cast import (
    Cast,
    assert_ledger_holds,
    held,
    in_an_hour,
    ledger_size,
    level_of,
    owed,
)


def _parts(reservation_id: int) -> tuple[int, int, int, int]:
    r = Reservation.objects.get(pk=reservation_id)
    return r.quantity, r.open_quantity, r.fulfilled_quantity, r.released_quantity


def test_a_reservation_lowers_what_is_available_and_nothing_else(cast: Cast) -> None:
    cast.receive(5)
    outcome = reserve(cast.context(), [Demand("order", cast.mug.pk, 3, cast.places)])
    reservation = Reservation.objects.get()
    assert outcome.held == (Held(reservation.pk, "order", cast.mug.pk, cast.warehouse.pk, 3),)
    assert outcome.short == ()
    assert level_of(cast.mug, cast.warehouse) == (5, 3, 0)
    assert reservation.movements.get().operation_id == outcome.operation_id
    assert_ledger_holds()


def test_a_demand_that_one_place_cannot_serve_takes_from_several(cast: Cast) -> None:
    cast.receive(2)
    cast.receive(9, place=cast.store)
    outcome = reserve(cast.context(), [Demand("order", cast.mug.pk, 5, cast.places)])
    assert [(h.location_id, h.quantity) for h in outcome.held] == [(cast.warehouse.pk, 2), (cast.store.pk, 3)]
    assert [h.reservation_id for h in outcome.held] == list(
        Reservation.objects.order_by("id").values_list("pk", flat=True)
    )


def test_what_is_short_is_refused_as_a_whole_with_every_shortage(cast: Cast) -> None:
    cast.receive(2)
    before = ledger_size()
    demands = [
        Demand("a", cast.mug.pk, 2, cast.places),
        Demand("b", cast.mug.pk, 1, cast.places),
        Demand("c", cast.shirt.pk, 4, cast.places),
    ]
    with pytest.raises(InsufficientStock) as refusal:
        reserve(cast.context(), demands)
    assert refusal.value.shortages == (Shortage("b", cast.mug.pk, 1, 0), Shortage("c", cast.shirt.pk, 4, 0))
    assert "b: asked 1, available 0" in str(refusal.value)
    assert ledger_size() == before
    assert level_of(cast.mug, cast.warehouse) == (2, 0, 0)


def test_a_partial_hold_takes_what_there_is_and_owes_nothing(cast: Cast) -> None:
    cast.receive(2)
    demands = [Demand("order", variant.pk, 3, cast.places) for variant in (cast.mug, cast.shirt)]
    outcome = reserve(cast.context(), demands, allow_partial=True)
    assert [h.quantity for h in outcome.held] == [2]
    assert outcome.short == (Short("order", cast.mug.pk, 1), Short("order", cast.shirt.pk, 3))
    assert owed() == {}


@pytest.mark.parametrize("allow_partial", [False, True])
def test_another_merchants_goods_and_places_are_unknown_not_short(
    cast: Cast, stranger: Cast, allow_partial: bool
) -> None:
    stranger.receive(5)
    cast.receive(1)
    for variant_id, places in ((stranger.mug.pk, stranger.places), (cast.mug.pk, (cast.warehouse.pk, 2**40))):
        with pytest.raises(UnknownStock):
            reserve(
                cast.context(),
                [Demand("order", variant_id, 2, places)],
                allow_partial=allow_partial,
            )
    assert held() == {}


def test_unavailable_units_are_not_promised(cast: Cast) -> None:
    cast.receive(5)
    cast.make_unavailable(4)
    with pytest.raises(InsufficientStock):
        reserve(cast.context(), [Demand("order", cast.mug.pk, 2, cast.places)])


def test_a_hold_without_an_end_is_confirmed_from_the_start(cast: Cast) -> None:
    cast.receive(5)
    cast.hold("order", 1)
    cart = cast.hold("cart", 1, expires_at=in_an_hour())
    assert Reservation.objects.get(reference="order").confirmed_at is not None
    assert Reservation.objects.get(pk=cart).confirmed_at is None


def test_confirming_takes_the_end_away(cast: Cast) -> None:
    cast.receive(5)
    cart = cast.hold("cart", 1, expires_at=in_an_hour())
    confirm(cast.context(), [cart])
    reservation = Reservation.objects.get(pk=cart)
    assert reservation.expires_at is None
    first = reservation.confirmed_at
    assert first is not None
    confirm(cast.context(), [cart, cart])
    reservation.refresh_from_db()
    assert reservation.confirmed_at == first


def test_confirming_is_all_or_none(cast: Cast) -> None:
    cast.receive(5)
    ends = in_an_hour()
    alive, closed = cast.hold("a", 1, expires_at=ends), cast.hold("b", 1, expires_at=ends)
    release(cast.context(), [ReservedUnits(closed)])
    with pytest.raises(ReservationClosed) as refusal:
        confirm(cast.context(), [alive, closed])
    assert refusal.value.reservation_ids == (closed,)
    assert Reservation.objects.get(pk=alive).expires_at == ends


def test_fulfilling_takes_the_units_out_of_the_building(cast: Cast) -> None:
    cast.receive(5)
    order = cast.hold("order", 4)
    fulfil(cast.context(), [ReservedUnits(order, 1)])
    assert level_of(cast.mug, cast.warehouse) == (4, 3, 0)
    fulfil(cast.context(), [ReservedUnits(order)])
    assert level_of(cast.mug, cast.warehouse) == (1, 0, 0)
    assert _parts(order) == (4, 0, 4, 0)
    assert_ledger_holds()


def test_fulfilling_more_than_is_held_is_recorded_all_the_same(cast: Cast) -> None:
    cast.receive(5)
    order = cast.hold("order", 2)
    cast.hold("somebody else", 2)
    fulfil(cast.context(), [ReservedUnits(order, 4)])
    assert level_of(cast.mug, cast.warehouse) == (2, 2, 0)
    assert owed() == {("order", "beyond_record"): 1}
    assert _parts(order) == (2, 0, 2, 0)
    assert_ledger_holds()


def test_fulfilling_what_a_count_had_broken_meets_the_debt(cast: Cast) -> None:
    cast.receive(5)
    order = cast.hold("order", 5)
    cast.count(3)
    assert owed() == {("order", "broken"): 2}
    fulfil(cast.context(), [ReservedUnits(order, 5)])
    assert owed() == {("order", "beyond_record"): 2}
    cast.receive(4)
    assert held() == {}
    assert_ledger_holds()


def test_one_reservation_named_twice_gives_its_units_once(cast: Cast) -> None:
    cast.receive(5)
    order = cast.hold("order", 3)
    fulfil(cast.context(), [ReservedUnits(order, 2), ReservedUnits(order)])
    assert level_of(cast.mug, cast.warehouse) == (2, 0, 0)
    assert owed() == {}


def test_releasing_gives_units_back_and_fills_what_is_owed_first(cast: Cast) -> None:
    cast.receive(3)
    cart = cast.hold("cart", 3)
    cast.settle("order", wanted=2)
    release(cast.context(), [ReservedUnits(cart, 1)])
    assert held() == {"cart": 2, "order": 1}
    release(cast.context(), [ReservedUnits(cart)])
    assert held() == {"order": 2}
    assert level_of(cast.mug, cast.warehouse) == (3, 2, 0)
    assert _parts(cart) == (3, 0, 0, 3)
    assert_ledger_holds()


def test_no_more_is_released_than_is_held(cast: Cast) -> None:
    cast.receive(5)
    order = cast.hold("order", 3)
    for units in ([ReservedUnits(order, 4)], [ReservedUnits(order, 2), ReservedUnits(order, 2)]):
        with pytest.raises(ReservationClosed):
            release(cast.context(), units)
    fulfil(cast.context(), [ReservedUnits(order)])
    with pytest.raises(ReservationClosed):
        release(cast.context(), [ReservedUnits(order)])
    assert _parts(order) == (3, 0, 3, 0)


def test_a_reservation_of_another_merchant_is_unknown(cast: Cast, stranger: Cast) -> None:
    stranger.receive(5)
    foreign = stranger.hold("order", 3)
    for reservation_id in (foreign, 2**40):
        with pytest.raises(UnknownStock):
            confirm(cast.context(), [reservation_id])
        for operation in (fulfil, release):
            with pytest.raises(UnknownStock):
                operation(cast.context(), [ReservedUnits(reservation_id, 1)])
    assert level_of(stranger.mug, stranger.warehouse) == (5, 3, 0)
