"""Law 11: an expired reservation does not count."""

from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.db import transaction

from inventory.errors import InsufficientStock, ReservationExpired
from inventory.models import Reservation, StockOperation
from inventory.reservations import Demand, ReservedUnits, confirm, expire, fulfil, release, reserve
from tests.inventory.cast import (
    LONG_AGO,
    Cast,
    assert_ledger_holds,
    held,
    in_an_hour,
    level_of,
    owed,
    story,
)
from tests.inventory.racing import meanwhile, race, wait_until_blocked


def _let_end(*reservation_ids: int) -> None:
    Reservation.objects.filter(pk__in=reservation_ids).update(expires_at=LONG_AGO)


def test_reserving_first_releases_what_has_expired(cast: Cast) -> None:
    cast.receive(3)
    cast.hold("cart", 3, expires_at=LONG_AGO)
    cast.hold("order", 2)
    assert held() == {"order": 2}
    assert level_of(cast.mug, cast.warehouse) == (3, 2, 0)
    assert story(cast.mug, cast.warehouse)[-2:] == [
        ("release", "expiry", 0, -3, 0),
        ("reservation", "sale", 0, 2, 0),
    ]
    assert_ledger_holds()


def test_what_expiry_frees_goes_to_who_waits_first(cast: Cast) -> None:
    cast.receive(3)
    cart = cast.hold("cart", 3, expires_at=in_an_hour())
    cast.settle("order", wanted=2)
    _let_end(cart)
    with pytest.raises(InsufficientStock) as refusal:
        reserve(cast.context(), [Demand("late", cast.mug.pk, 2, cast.places)])
    assert refusal.value.shortages[0].available == 1
    cast.hold("modest", 1)
    assert held() == {"order": 2, "modest": 1}


def test_a_live_hold_counts(cast: Cast) -> None:
    cast.receive(3)
    cast.hold("cart", 3, expires_at=in_an_hour())
    with pytest.raises(InsufficientStock):
        cast.hold("order", 1)


def test_an_expired_hold_is_not_confirmed(cast: Cast) -> None:
    cast.receive(3)
    alive, ended = (cast.hold(name, 1, expires_at=in_an_hour()) for name in "ab")
    _let_end(ended)
    with pytest.raises(ReservationExpired) as refusal:
        confirm(cast.context(), [alive, ended])
    assert refusal.value.reservation_ids == (ended,)
    assert Reservation.objects.get(pk=alive).expires_at is not None


def test_the_databases_clock_decides_not_ours(cast: Cast) -> None:
    cast.receive(3)
    ends = datetime.now(UTC) + timedelta(hours=1)
    cart = cast.hold("cart", 1, expires_at=ends)
    with time_machine.travel(ends + timedelta(hours=1)):
        assert expire() == 0
        confirm(cast.context(), [cart])
    assert held() == {"cart": 1}


def test_a_confirmed_hold_never_expires(cast: Cast) -> None:
    cast.receive(3)
    cart = cast.hold("cart", 3, expires_at=in_an_hour())
    confirm(cast.context(), [cart])
    assert expire() == 0
    assert held() == {"cart": 3}


def test_the_sweeper_releases_what_has_ended_for_every_merchant(cast: Cast, stranger: Cast) -> None:
    for somebody in (cast, stranger):
        somebody.receive(5)
        somebody.hold("ended", 2, expires_at=LONG_AGO)
        somebody.hold("alive", 1, expires_at=in_an_hour())
        somebody.hold("confirmed", 1)
    # Each later hold has released the one before it; end two more, so that the sweeper finds something.
    _let_end(*Reservation.objects.filter(reference="alive").values_list("pk", flat=True))
    assert expire() == 2
    assert held() == {"confirmed": 2}
    assert StockOperation.objects.filter(verb="expire", source="sweeper").count() == 2
    assert_ledger_holds()


def test_sweeping_again_does_nothing(cast: Cast) -> None:
    cast.receive(5)
    cast.hold("cart", 2, expires_at=LONG_AGO)
    assert expire() == 1
    movements = story(cast.mug, cast.warehouse)
    assert expire() == 0
    assert story(cast.mug, cast.warehouse) == movements


def test_the_sweeper_takes_a_limited_bite_oldest_first(cast: Cast) -> None:
    for number, place in enumerate((cast.warehouse, cast.store)):
        cast.receive(5, place=place)
        ends = LONG_AGO + timedelta(days=number)
        cast.hold(place.code, 1, places=[place.pk], expires_at=ends)
    assert expire(limit=1) == 1
    assert held() == {cast.store.code: 1}
    assert expire(limit=1) == 1


def test_the_sweeper_gives_what_it_frees_to_who_waits(cast: Cast) -> None:
    cast.receive(3)
    cart = cast.hold("cart", 3, expires_at=in_an_hour())
    cast.settle("order", wanted=2)
    _let_end(cart)
    expire()
    assert held() == {"order": 2}
    assert owed() == {}


def test_goods_of_an_expired_hold_that_left_are_recorded(cast: Cast) -> None:
    cast.receive(5)
    cart = cast.hold("cart", 3, expires_at=LONG_AGO)
    fulfil(cast.context(), [ReservedUnits(cart)])
    assert level_of(cast.mug, cast.warehouse) == (2, 0, 0)
    assert owed() == {}


def test_fulfilling_beyond_a_hold_uses_what_others_let_expire(cast: Cast) -> None:
    cast.receive(5)
    order = cast.hold("order", 2)
    cast.hold("cart", 3, expires_at=LONG_AGO)
    fulfil(cast.context(), [ReservedUnits(order, 5)])
    assert level_of(cast.mug, cast.warehouse) == (0, 0, 0)
    assert owed() == {}
    assert_ledger_holds()


def test_an_expired_hold_may_still_be_released_by_its_owner(cast: Cast) -> None:
    cast.receive(5)
    cart = cast.hold("cart", 3, expires_at=LONG_AGO)
    release(cast.context(), [ReservedUnits(cart)])
    assert held() == {}


@pytest.mark.django_db(transaction=True)
def test_a_hold_that_ends_while_its_confirmation_waits_for_the_lock_is_not_confirmed() -> None:
    cast = Cast()
    cast.receive(3)
    cart = cast.hold("cart", 3, expires_at=in_an_hour())
    with ExitStack() as stack, transaction.atomic():
        cast.receive(1)
        confirmation = stack.enter_context(meanwhile(lambda: confirm(cast.context(), [cart])))
        wait_until_blocked()
        _let_end(cart)
    assert isinstance(confirmation.exception(), ReservationExpired)


@pytest.mark.django_db(transaction=True)
def test_a_hold_confirmed_while_the_sweeper_waits_for_the_lock_is_kept() -> None:
    cast = Cast()
    cast.receive(3)
    cart = cast.hold("cart", 3, expires_at=LONG_AGO)
    with ExitStack() as stack, transaction.atomic():
        cast.receive(1)
        sweep = stack.enter_context(meanwhile(expire))
        wait_until_blocked()
        Reservation.objects.filter(pk=cart).update(expires_at=in_an_hour())
        confirm(cast.context(), [cart])
    assert sweep.result() == 0
    assert held() == {"cart": 3}


@pytest.mark.django_db(transaction=True)
def test_sweepers_that_run_at_once_release_everything_once() -> None:
    cast = Cast()
    for place in (cast.warehouse, cast.store):
        cast.receive(20, place=place)
    carts = [
        cast.hold(f"cart {n}", 1, places=[cast.places[n % 2]], expires_at=in_an_hour()) for n in range(10)
    ]
    _let_end(*carts)
    assert sum(race([expire] * 4)) == 10
    assert held() == {}
    assert level_of(cast.mug, cast.warehouse) == level_of(cast.mug, cast.store) == (20, 0, 0)
    assert_ledger_holds()
