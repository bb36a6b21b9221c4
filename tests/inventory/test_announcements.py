"""What the ledger announces, and when: inside its transaction, after the locks."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack

import pytest
from django.db import connection, transaction

from inventory import announcements
from inventory.announcements import LevelChange
from inventory.demands import settle
from inventory.errors import InsufficientStock
from inventory.models import StockOperation
from inventory.reservations import Demand, ReservedUnits, confirm, expire, release, reserve
from inventory.stock import StockLine, receive
from tests.inventory.cast import (
    LONG_AGO,
    Cast,
    held,
    in_an_hour,
    ledger_size,
    level_of,
    listening,
)
from tests.inventory.racing import meanwhile, wait_until_blocked


class OutOfOrderError(Exception):
    """Raised by the listener of these tests."""


def _raise(merchant_id: int, changes: Sequence[LevelChange]) -> None:
    raise OutOfOrderError


@pytest.fixture
def broken_listener() -> Iterator[None]:
    announcements.subscribe(_raise)
    yield
    announcements._listeners.remove(_raise)


def test_an_operation_announces_every_level_whose_available_changed(cast: Cast) -> None:
    with listening() as heard:
        lines = [StockLine(cast.mug.pk, cast.warehouse.pk, q) for q in (3, 4)]
        receive(cast.context(), [*lines, StockLine(cast.shirt.pk, cast.store.pk, 1)])
    ((merchant_id, changes),) = heard
    assert merchant_id == cast.merchant.pk
    assert sorted(changes, key=lambda c: c.variant_id) == [
        LevelChange(cast.mug.pk, cast.warehouse.pk, 7, 7),
        LevelChange(cast.shirt.pk, cast.store.pk, 1, 1),
    ]


def test_a_hold_and_its_end_are_announced_with_their_direction(cast: Cast) -> None:
    cast.receive(5)
    with listening() as heard:
        order = cast.hold("order", 3)
        release(cast.context(), [ReservedUnits(order, 2)])
    assert [(c.available_delta, c.available_after) for _, (c,) in heard] == [(-3, 2), (2, 4)]


def test_goods_that_go_straight_to_who_waits_are_no_news(cast: Cast) -> None:
    cast.settle("order", wanted=5)
    with listening() as heard:
        cast.receive(5)
        cast.receive(2)
    assert [c.available_after for _, changes in heard for c in changes] == [2]


def test_shortages_are_filled_before_anybody_hears_of_goods(cast: Cast) -> None:
    cast.settle("order", wanted=3)
    with listening() as heard:
        cast.receive(5)
    assert heard[0][1] == [LevelChange(cast.mug.pk, cast.warehouse.pk, 2, 2)]


def test_a_settlement_announces_every_candidate_even_where_nothing_changed(cast: Cast) -> None:
    cast.receive(5)
    with listening() as heard:
        cast.settle("order", wanted=2)
        cast.settle("order", fulfilled=2)
    assert [sorted(changes, key=lambda c: c.location_id) for _, changes in heard] == [
        [LevelChange(cast.mug.pk, cast.warehouse.pk, -2, 3), LevelChange(cast.mug.pk, cast.store.pk, 0, 0)],
        [LevelChange(cast.mug.pk, cast.warehouse.pk, 0, 3), LevelChange(cast.mug.pk, cast.store.pk, 0, 0)],
    ]


def test_an_expiry_is_announced_once(cast: Cast) -> None:
    cast.receive(5)
    cast.hold("cart", 2, expires_at=LONG_AGO)
    with listening() as heard:
        expire()
        expire()
    assert heard == [(cast.merchant.pk, [LevelChange(cast.mug.pk, cast.warehouse.pk, 2, 5)])]


def test_repeats_refusals_and_confirmations_are_no_news(cast: Cast) -> None:
    cast.receive(5)
    line = StockLine(cast.mug.pk, cast.warehouse.pk, 1)
    receive(cast.context("key"), [line])
    cart = cast.hold("cart", 1, expires_at=in_an_hour())
    with listening() as heard:
        receive(cast.context("key"), [line])
        confirm(cast.context(), [cart])
        with pytest.raises(InsufficientStock):
            reserve(cast.context(), [Demand("order", cast.mug.pk, 9, cast.places)])
    assert heard == []


def test_a_listener_is_called_inside_the_transaction_and_sees_what_was_written(cast: Cast) -> None:
    seen: list[tuple[bool, tuple[int, int, int], bool]] = []

    def look(merchant_id: int, changes: Sequence[LevelChange]) -> None:
        is_written = StockOperation.objects.filter(key="key", outcome__isnull=False).exists()
        seen.append((connection.in_atomic_block, level_of(cast.mug, cast.warehouse), is_written))

    announcements.subscribe(look)
    try:
        receive(cast.context("key"), [StockLine(cast.mug.pk, cast.warehouse.pk, 4)])
    finally:
        announcements._listeners.remove(look)
    assert seen == [(True, (4, 0, 0), True)]


def test_a_listener_that_raises_rolls_everything_back(cast: Cast, broken_listener: None) -> None:
    with pytest.raises(OutOfOrderError):
        cast.receive(5)
    assert ledger_size() == (0, 0, 0, 0)
    assert level_of(cast.mug, cast.warehouse) == (0, 0, 0)


def test_a_failure_after_a_settlement_takes_the_settlement_back(cast: Cast) -> None:
    cast.receive(5)
    with transaction.atomic():
        settle(cast.context("key"), [cast.change("order", wanted=2)])
        transaction.set_rollback(True)
    assert held() == {}
    assert not settle(cast.context("key"), [cast.change("order", wanted=2)]).is_repeat


def test_subscribing_twice_is_hearing_once(cast: Cast) -> None:
    with listening() as heard:
        listener = announcements._listeners[-1]
        announcements.subscribe(listener)
        cast.receive(5)
    assert len(heard) == 1


@pytest.mark.django_db(transaction=True)
def test_listeners_run_under_the_level_locks() -> None:
    cast = Cast()
    cast.receive(5)
    waited: list[int] = []
    with ExitStack() as stack:

        def let_somebody_else_try(merchant_id: int, changes: Sequence[LevelChange]) -> None:
            announcements._listeners.remove(let_somebody_else_try)
            stack.enter_context(meanwhile(lambda: cast.hold("second", 1)))
            wait_until_blocked()
            waited.append(merchant_id)

        announcements.subscribe(let_somebody_else_try)
        cast.hold("first", 1)
    assert waited == [cast.merchant.pk]
    assert held() == {"first": 1, "second": 1}
