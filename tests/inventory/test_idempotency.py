"""Law 7: the same key does the same thing once."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace

import pytest
from django.db import transaction

from inventory.demands import DemandChange, settle
from inventory.errors import IdempotencyConflict, InsufficientStock, UnknownStock
from inventory.ledger import Context, Outcome
from inventory.models import StockOperation
from inventory.posting_rows import Held
from inventory.reservations import Demand, ReservedUnits, confirm, fulfil, release, reserve
from inventory.stock import AdjustmentLine, CountLine, ShipmentLine, StockLine, adjust, count, receive, ship
from tests.inventory.cast import Cast, held, in_an_hour, ledger_size, level_of, owed
from tests.inventory.racing import meanwhile, wait_until_blocked

Operation = Callable[[Cast, Context, int], Outcome]

_OPERATIONS: dict[str, Operation] = {
    "receive": lambda c, ctx, n: receive(ctx, [StockLine(c.mug.pk, c.warehouse.pk, n)]),
    "ship": lambda c, ctx, n: ship(ctx, [ShipmentLine(c.mug.pk, c.warehouse.pk, n, "order")]),
    "adjust": lambda c, ctx, n: adjust(ctx, [AdjustmentLine(c.mug.pk, c.warehouse.pk, -n)]),
    "count": lambda c, ctx, n: count(ctx, [CountLine(c.mug.pk, c.warehouse.pk, n)]),
    "reserve": lambda c, ctx, n: reserve(ctx, [Demand("order", c.mug.pk, n, c.places)]),
    "settle": lambda c, ctx, n: settle(
        ctx, [DemandChange("order", c.mug.pk, c.places, wanted=n, fulfilled=1)]
    ),
}


@pytest.mark.parametrize("name", _OPERATIONS)
def test_a_repeat_gets_the_first_outcome_and_does_nothing(cast: Cast, name: str) -> None:
    cast.receive(5)
    context, operation = cast.context("key"), _OPERATIONS[name]
    first = operation(cast, context, 3)
    after = ledger_size(), level_of(cast.mug, cast.warehouse)
    repeat = operation(cast, context, 3)
    assert not first.is_repeat
    assert repeat.is_repeat
    assert (repeat.operation_id, repeat.held, repeat.short) == (first.operation_id, first.held, first.short)
    assert (ledger_size(), level_of(cast.mug, cast.warehouse)) == after


@pytest.mark.parametrize("name", _OPERATIONS)
def test_the_same_key_for_another_request_is_an_error(cast: Cast, name: str) -> None:
    cast.receive(5)
    operation = _OPERATIONS[name]
    operation(cast, cast.context("key"), 3)
    before = ledger_size(), level_of(cast.mug, cast.warehouse)
    with pytest.raises(IdempotencyConflict) as refusal:
        operation(cast, cast.context("key"), 2)
    assert refusal.value.key == "key"
    assert (ledger_size(), level_of(cast.mug, cast.warehouse)) == before


def test_a_key_is_not_shared_between_verbs(cast: Cast) -> None:
    line = StockLine(cast.mug.pk, cast.warehouse.pk, 3)
    receive(cast.context("key"), [line])
    with pytest.raises(IdempotencyConflict):
        ship(cast.context("key"), [ShipmentLine(cast.mug.pk, cast.warehouse.pk, 3)])


def test_every_part_of_a_reservation_belongs_to_its_digest(cast: Cast) -> None:
    cast.receive(9)
    demand = Demand("order", cast.mug.pk, 3, cast.places)
    reserve(cast.context("key"), [demand])
    with pytest.raises(IdempotencyConflict):
        reserve(cast.context("key"), [demand], expires_at=in_an_hour())
    with pytest.raises(IdempotencyConflict):
        reserve(cast.context("key"), [demand], allow_partial=True)
    with pytest.raises(IdempotencyConflict):
        reserve(cast.context("key"), [demand, demand])
    assert held() == {"order": 3}


def test_a_repeat_gets_the_first_reservation_ids_even_after_they_were_used(cast: Cast) -> None:
    cast.receive(2)
    cast.receive(2, place=cast.store)
    demands = [Demand("order", cast.mug.pk, 3, cast.places)]
    first = reserve(cast.context("key"), demands)
    release(cast.context(), [ReservedUnits(h.reservation_id) for h in first.held])
    repeat = reserve(cast.context("key"), demands)
    assert repeat.held == first.held
    assert all(isinstance(h, Held) for h in repeat.held)
    assert held() == {}


@pytest.mark.parametrize("operation", [fulfil, release])
def test_repeating_what_is_done_with_a_reservation_does_it_once(
    cast: Cast, operation: Callable[..., Outcome]
) -> None:
    cast.receive(5)
    order = cast.hold("order", 4)
    for _ in range(3):
        operation(cast.context("key"), [ReservedUnits(order, 1)])
    assert held() == {"order": 3}


def test_confirming_again_with_the_same_key_is_harmless(cast: Cast) -> None:
    cast.receive(5)
    order = cast.hold("order", 4, expires_at=in_an_hour())
    first = confirm(cast.context("key"), [order])
    assert confirm(cast.context("key"), [order]).operation_id == first.operation_id


def test_a_refused_operation_leaves_no_key(cast: Cast, stranger: Cast) -> None:
    demand = Demand("order", cast.mug.pk, 3, cast.places)
    with pytest.raises(InsufficientStock):
        reserve(cast.context("key"), [demand])
    with pytest.raises(UnknownStock):
        receive(cast.context("key"), [StockLine(stranger.mug.pk, cast.warehouse.pk, 3)])
    assert StockOperation.objects.count() == 0
    cast.receive(3)
    assert not reserve(cast.context("key"), [demand]).is_repeat


def test_two_merchants_may_use_the_same_key(cast: Cast, stranger: Cast) -> None:
    for somebody in (cast, stranger):
        line = StockLine(somebody.mug.pk, somebody.warehouse.pk, 3)
        assert not receive(somebody.context("key"), [line]).is_repeat


def test_who_asks_is_no_part_of_what_is_asked(cast: Cast) -> None:
    lines = [StockLine(cast.mug.pk, cast.warehouse.pk, 3)]
    receive(cast.context("key", actor="ann"), lines)
    assert receive(cast.context("key", actor="a retry of ann's"), lines).is_repeat
    assert StockOperation.objects.get().actor == "ann"


def test_outcomes_name_what_was_short(cast: Cast) -> None:
    first = settle(cast.context("key"), [cast.change("order", wanted=3)])
    assert settle(cast.context("key"), [cast.change("order", wanted=3)]).short == first.short != ()
    assert owed() == {("order", "shortage"): 3}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("commits", [True, False])
def test_a_concurrent_twin_waits_and_then_repeats_or_does_it_itself(commits: bool) -> None:
    cast = Cast()
    cast.receive(5)
    context, demands = cast.context("key"), [Demand("order", cast.mug.pk, 3, cast.places)]
    with ExitStack() as stack, transaction.atomic():
        first = reserve(context, demands)
        twin = stack.enter_context(meanwhile(lambda: reserve(context, demands)))
        wait_until_blocked()
        assert not twin.done()
        transaction.set_rollback(not commits)
    if commits:
        assert twin.result() == replace(first, is_repeat=True)
    else:
        assert not twin.result().is_repeat
    assert held() == {"order": 3}
    assert StockOperation.objects.filter(key="key").count() == 1
