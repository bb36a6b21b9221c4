"""Many connections at once. Each race is first shown with its safeguard off."""

import threading
from collections import Counter
from collections.abc import Callable, Collection
from contextlib import ExitStack
from functools import partial
from typing import Any

import psycopg
import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from config.database import direct_connection
from inventory import posting
from inventory.demands import settle
from inventory.errors import InsufficientStock, ReservationClosed, StockBusy
from inventory.ledger import Outcome
from inventory.locking import LockedLevel, lock_levels
from inventory.models import Reservation, StockLevel
from inventory.reservations import Demand, ReservedUnits, release, reserve
from inventory.stock import AdjustmentLine, CountLine, StockLine, adjust, count, receive
from tests.inventory.cast import (
    Cast,
    assert_ledger_holds,
    held,
    ledger_size,
    level_of,
    owed,
)
from tests.inventory.racing import PATIENCE, meanwhile, race, wait_until_blocked

pytestmark = pytest.mark.django_db(transaction=True)

_COLUMNS = (
    "id",
    "variant_id",
    "location_id",
    "on_hand",
    "reserved",
    "unavailable",
    "version",
    "recorded_at",
)


def _buy(cast: Cast, reference: str, quantity: int = 1) -> Outcome:
    return reserve(cast.context(), [Demand(reference, cast.mug.pk, quantity, cast.places)])


def _read_levels(
    merchant_id: int, variant_ids: Collection[int], location_ids: Collection[int]
) -> list[LockedLevel]:
    """Reads as `lock_levels` does, and locks nothing."""
    rows = StockLevel.objects.filter(
        merchant_id=merchant_id, variant_id__in=variant_ids, location_id__in=location_ids
    ).order_by("id")
    return [LockedLevel(*row) for row in rows.values_list(*_COLUMNS)]


def test_sixteen_buyers_of_the_last_unit_are_one_buyer_and_fifteen_refusals() -> None:
    cast = Cast()
    cast.receive(1)
    results = race([partial(_buy, cast, f"buyer {n}") for n in range(16)])
    assert Counter(type(result) for result in results) == {Outcome: 1, InsufficientStock: 15}
    assert level_of(cast.mug, cast.warehouse) == (1, 1, 0)
    assert Reservation.objects.count() == 1
    assert_ledger_holds()


def test_without_the_lock_two_buyers_read_the_last_unit_and_only_the_version_stops_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cast = Cast()
    cast.receive(1)
    both_have_read = threading.Barrier(2)

    def read_together(*wanted: Any) -> list[LockedLevel]:
        levels = _read_levels(*wanted)
        both_have_read.wait(PATIENCE)
        return levels

    monkeypatch.setattr(posting, "lock_levels", read_together)
    results = race([partial(_buy, cast, f"buyer {n}") for n in range(2)])
    assert Counter(type(result) for result in results) == {Outcome: 1, IntegrityError: 1}
    assert "movement_version_is_unique_per_level" in str(results)
    assert level_of(cast.mug, cast.warehouse) == (1, 1, 0)


def test_a_reading_older_than_the_wait_for_the_lock_would_sell_the_unit_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Lock, but decide by what was read before: the shape that rule 2 of the lock module forbids."""
    cast = Cast()
    cast.receive(1)
    both_have_read = threading.Barrier(2)

    def read_then_lock(*wanted: Any) -> list[LockedLevel]:
        levels = _read_levels(*wanted)
        both_have_read.wait(PATIENCE)
        lock_levels(*wanted)
        return levels

    monkeypatch.setattr(posting, "lock_levels", read_then_lock)
    results = race([partial(_buy, cast, f"buyer {n}") for n in range(2)])
    assert Counter(type(result) for result in results) == {Outcome: 1, IntegrityError: 1}


def test_buyers_of_several_units_never_take_more_than_there_are() -> None:
    cast = Cast()
    cast.receive(7)
    cast.receive(4, place=cast.store)
    results = race([partial(_buy, cast, f"buyer {n}", 1 + n % 3) for n in range(12)])
    sold = sum(h.quantity for result in results if isinstance(result, Outcome) for h in result.held)
    assert sum(held().values()) == sold <= 11
    assert sold >= 11 - 2, "whoever was refused wanted more than what was left"
    assert {type(result) for result in results} <= {Outcome, InsufficientStock}
    assert_ledger_holds()


def test_channels_that_sell_the_last_units_at_once_owe_exactly_the_rest() -> None:
    cast = Cast()
    cast.receive(3)
    race([partial(settle, cast.context(), [cast.change(f"order {n}", wanted=2)]) for n in range(8)])
    assert sum(held().values()) == 3
    assert sum(owed().values()) == 13
    assert_ledger_holds()


def test_goods_that_arrive_while_a_shortage_opens_are_never_left_lying() -> None:
    cast = Cast()
    sell = [partial(settle, cast.context(), [cast.change(f"order {n}", wanted=1)]) for n in range(6)]
    bring = [
        partial(cast.receive, 1, None, place) for place in (cast.warehouse, cast.store) for _ in range(2)
    ]
    results = race([*sell, *bring])
    assert {type(result) for result in results} == {Outcome}, results
    assert sum(held().values()) == 4
    assert sum(owed().values()) == 2
    assert_ledger_holds()


def test_a_place_without_a_level_yet_is_locked_while_a_shortage_opens() -> None:
    cast = Cast()
    cast.receive(1)
    cast.hold("somebody", 1)
    with ExitStack() as stack, transaction.atomic():
        cast.settle("order", wanted=2)
        stack.enter_context(meanwhile(lambda: cast.receive(2, place=cast.store)))
        wait_until_blocked()
    assert held() == {"somebody": 1, "order": 2}
    assert owed() == {}


def _both_lines(cast: Cast, number: int) -> Outcome:
    demands = [Demand(f"order {number}", v.pk, 1, cast.places) for v in (cast.mug, cast.shirt)]
    return reserve(cast.context(), demands[:: 1 if number % 2 else -1])


def test_orders_whose_lines_come_in_opposite_order_never_deadlock() -> None:
    cast = Cast()
    for variant in (cast.mug, cast.shirt):
        cast.receive(40, variant)

    def several(number: int) -> None:
        for _ in range(5):
            _both_lines(cast, number)

    assert race([partial(several, number) for number in range(8)]) == [None] * 8
    assert level_of(cast.mug, cast.warehouse) == level_of(cast.shirt, cast.warehouse) == (40, 40, 0)


def test_without_the_sorting_opposite_lines_deadlock_and_one_is_told_to_try_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cast = Cast()
    for variant in (cast.mug, cast.shirt):
        cast.receive(5, variant)
    each_has_one = threading.Barrier(2)

    def lock_line_by_line(
        merchant_id: int, variant_ids: Collection[int], location_ids: Collection[int]
    ) -> list[LockedLevel]:
        first, second = order.pop()
        levels = lock_levels(merchant_id, [first], location_ids)
        each_has_one.wait(PATIENCE)
        return levels + lock_levels(merchant_id, [second], location_ids)

    order = [(cast.mug.pk, cast.shirt.pk), (cast.shirt.pk, cast.mug.pk)]
    monkeypatch.setattr(posting, "lock_levels", lock_line_by_line)
    results = race([partial(_both_lines, cast, number) for number in range(2)])
    assert Counter(type(result) for result in results) == {Outcome: 1, StockBusy: 1}
    assert sum(held().values()) == 2
    assert_ledger_holds()


def test_every_operation_at_once_leaves_a_ledger_that_holds() -> None:
    cast = Cast()
    for variant in (cast.mug, cast.shirt):
        for place in (cast.warehouse, cast.store):
            cast.receive(10, variant, place)
    both = (cast.mug, cast.shirt)
    cart = cast.hold("cart", 4)

    def lines(kind: Callable[..., Any], *more: Any) -> list[Any]:
        return [kind(v.pk, place, *more) for v in both for place in cast.places]

    work: list[Callable[[], Any]] = [
        lambda: receive(cast.context(), lines(StockLine, 3)),
        lambda: adjust(cast.context(), lines(AdjustmentLine, -4)[::-1]),
        lambda: count(cast.context(), lines(CountLine, 6)),
        lambda: settle(cast.context(), [cast.change("a", variant=v, wanted=9) for v in both]),
        lambda: settle(cast.context(), [cast.change("b", variant=v, wanted=9) for v in both[::-1]]),
        lambda: settle(cast.context(), [cast.change("a", variant=v, cancelled=2, fulfilled=3) for v in both]),
        lambda: release(cast.context(), [ReservedUnits(cart, 1)]),
        lambda: _both_lines(cast, 1),
    ]
    results = race(work * 2)
    assert {type(r) for r in results} <= {Outcome, InsufficientStock, ReservationClosed}
    assert_ledger_holds()
    for level in StockLevel.objects.all():
        candidates = owed(variant_id=level.variant_id, location_ids__contains=[level.location_id])
        assert not (level.available and any(cause == "shortage" for _, cause in candidates))


def test_who_waits_too_long_for_a_lock_is_told_to_try_again() -> None:
    cast = Cast()
    cast.receive(5)

    def buy_impatiently() -> Outcome:
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '30ms'")
        return _buy(cast, "impatient")

    with transaction.atomic():
        cast.hold("holder", 1)
        with meanwhile(buy_impatiently) as attempt:
            pass
    assert isinstance(attempt.exception(), StockBusy)
    assert held() == {"holder": 1}


def test_every_connection_has_a_limit_to_its_patience() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SHOW lock_timeout")
        assert cursor.fetchone() == ("5s",)


def _end_connection(process_id: int) -> None:
    with direct_connection() as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [process_id])


def _receive_and_lose_the_connection(cast: Cast) -> None:
    with transaction.atomic():
        cast.receive(5)
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            _end_connection(cursor.fetchone()[0])


def test_a_connection_lost_before_the_commit_leaves_nothing_and_locks_nothing() -> None:
    cast = Cast()
    cast.receive(2)
    before = ledger_size()
    with meanwhile(lambda: _receive_and_lose_the_connection(cast)) as lost:
        pass
    assert isinstance(lost.exception(), DatabaseError | psycopg.Error)
    assert ledger_size() == before
    assert level_of(cast.mug, cast.warehouse) == (2, 0, 0)
    cast.receive(1)
    assert_ledger_holds()
