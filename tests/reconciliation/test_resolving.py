"""A conflict is resolved by one recorded operation, once for its key; what is on its way to one end is given to no other."""

import threading
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from channels.events import OrderState
from channels.models import Channel, ChannelOrder
from channels.orders import apply_state
from inventory.demands import DemandChange, settle
from inventory.errors import IdempotencyConflict, InvalidStockRequest, StockError
from inventory.ledger import Context
from inventory.models import Backorder, Conflict, KitBackorder, Reservation, StockOperation
from inventory.stock import CountLine, count
from reconciliation import resolving
from reconciliation.causes import examine
from reconciliation.models import ConflictCase, RemedyKind, Resolution
from reconciliation.remedies import Remedy, remedies_of, undecided_units
from reconciliation.resolving import Decision, done_by_hand, drop
from tests.channels.shop import NOON
from tests.channels.test_bundles import bundle
from tests.inventory.cast import assert_ledger_holds
from tests.inventory.racing import PATIENCE, race
from tests.reconciliation.desk import Desk, apply, open_desk, remedy

SERVE, BACKORDER, TAKE, CANCEL = (
    RemedyKind.SERVE,
    RemedyKind.BACKORDER,
    RemedyKind.TAKE_OVER,
    RemedyKind.CANCEL,
)


def kinds(conflict: Conflict) -> list[tuple[str, bool]]:
    return [(each.kind.value, each.is_feasible) for each in remedies_of(conflict)]


def test_every_remedy_is_ranked_by_what_it_costs_and_those_not_to_be_had_come_last(desk: Desk) -> None:
    desk.receive(1)
    desk.sell(1, at=0)
    conflict = desk.conflict(desk.sell(2, at=0))
    desk.order_goods(9)
    desk.receive(9, "away")
    found = remedies_of(conflict)
    assert [(each.kind.value, each.is_feasible) for each in found] == [
        ("backorder", True),
        ("cancel", True),
        ("serve", False),
    ]
    assert "does not serve" in found[-1].obstacle
    assert all(each.price for each in found)
    assert found[0].cost < found[1].cost


def test_another_location_is_the_best_remedy_and_ends_the_conflict(desk: Desk) -> None:
    conflict = desk.oversell(2)
    Conflict.objects.filter(pk=conflict.pk).update(location_ids=[desk.shop.locations["main"].pk])
    desk.receive(5, "north")
    resolution = apply(conflict, SERVE)
    conflict.refresh_from_db()
    assert (resolution.state, resolution.quantity, conflict.open_quantity) == ("done", 2, 0)
    assert desk.shop.level("MUG", "north") == (5, 2)
    assert resolution.operation is not None
    assert resolution.operation.verb == "serve_conflict"
    assert_ledger_holds()


def test_a_backorder_names_the_day_by_which_all_units_are_confirmed(desk: Desk) -> None:
    conflict = desk.oversell(3)
    desk.order_goods(2, days=2)
    day = desk.order_goods(2, days=5)
    best = remedy(conflict, BACKORDER)
    assert (best.target, best.units) == (day.isoformat(), 3)
    apply(conflict, BACKORDER)
    conflict.refresh_from_db()
    assert conflict.open_quantity == 0
    assert sum(Backorder.objects.values_list("open_quantity", flat=True)) == 3


def test_a_backorder_of_what_comes_is_offered_where_not_all_does(desk: Desk) -> None:
    conflict = desk.oversell(3)
    desk.order_goods(2, days=2)
    assert remedy(conflict, BACKORDER).units == 2
    apply(conflict, BACKORDER)
    conflict.refresh_from_db()
    assert conflict.open_quantity == 1


def test_kits_are_backordered_by_the_day_by_which_all_their_parts_are_confirmed(desk: Desk) -> None:
    desk.shop.add_variant("SPOON", {"main": 2})
    bundle(desk.shop, "SET", {"MUG": 2, "SPOON": 1})
    desk.shop.list_variant("SET")
    conflict = desk.conflict(desk.sell(3, sku="SET"))
    assert not [each for each in remedies_of(conflict) if each.kind is BACKORDER]
    desk.order_goods(4, days=2)
    desk.order_goods(9, days=5, sku="SPOON")
    day = desk.order_goods(3, days=7)
    best = remedy(conflict, BACKORDER)
    assert (best.target, best.units) == (day.isoformat(), 3)
    apply(conflict, BACKORDER)
    conflict.refresh_from_db()
    assert (conflict.open_quantity, KitBackorder.objects.get().open_quantity) == (0, 3)
    assert_ledger_holds()


def test_units_are_taken_only_from_demands_that_come_later(desk: Desk) -> None:
    desk.receive(2)
    earlier = desk.sell(1)
    later = desk.sell(1)
    number = desk.sell(1)
    conflict = desk.conflict(number)
    place_orders(desk, {earlier: 10, number: 20, later: 30})
    offered = [each for each in remedies_of(conflict) if each.kind is TAKE]
    assert [each.target for each in offered] == [str(held_by(desk, later).pk)]
    apply(conflict, TAKE)
    assert desk.conflict(later).cause == "given"
    with pytest.raises(InvalidStockRequest):
        apply(desk.conflict(later), TAKE, target=str(held_by(desk, earlier).pk))
    assert_ledger_holds()


def place_orders(desk: Desk, seconds: dict[str, int]) -> None:
    for number, at in seconds.items():
        ChannelOrder.objects.filter(external_id=number).update(ordered_at=NOON + timedelta(seconds=at))


def held_by(desk: Desk, number: str) -> Reservation:
    return Reservation.objects.get(reference=desk.line(number).reference, open_quantity__gt=0)


def test_the_same_key_resolves_once(desk: Desk) -> None:
    conflict = desk.oversell(3)
    desk.order_goods(9)
    first = apply(conflict, BACKORDER, 1, key="a key")
    again = apply(conflict, BACKORDER, 1, key="a key", target=first.target)
    conflict.refresh_from_db()
    assert (again.pk, conflict.open_quantity, Resolution.objects.count()) == (first.pk, 2, 1)


def test_a_key_of_another_decision_is_refused(desk: Desk) -> None:
    conflict = desk.oversell(3)
    desk.order_goods(9)
    apply(conflict, BACKORDER, 1, key="a key")
    with pytest.raises(IdempotencyConflict):
        apply(conflict, CANCEL, 1, key="a key")
    target = Resolution.objects.get().target
    with pytest.raises(IdempotencyConflict):
        apply(conflict, BACKORDER, 2, key="a key", target=target)


@pytest.mark.parametrize("quantity", [0, 4, -1])
def test_more_than_the_remedy_can_end_is_refused_with_the_field_named(desk: Desk, quantity: int) -> None:
    conflict = desk.oversell(3)
    with pytest.raises(InvalidStockRequest) as refusal:
        apply(conflict, CANCEL, quantity)
    assert refusal.value.field == "quantity"
    assert not Resolution.objects.exists()


def test_what_is_being_cancelled_can_be_given_to_no_other_remedy(desk: Desk) -> None:
    conflict = desk.oversell(3)
    desk.order_goods(9)
    apply(conflict, CANCEL, 2)
    assert undecided_units(conflict) == 1
    assert remedy(conflict, BACKORDER).units == 1
    apply(conflict, CANCEL, 1)
    assert remedies_of(conflict) == []


def test_a_cancellation_that_no_platform_was_told_can_be_dropped(desk: Desk) -> None:
    conflict = desk.oversell(3)
    resolution = apply(conflict, CANCEL)
    assert drop(resolution)
    assert not drop(resolution)
    assert undecided_units(conflict) == 3


def test_a_demand_of_no_channel_is_cancelled_in_the_ledger(desk: Desk) -> None:
    shop = desk.shop
    change = DemandChange("job:1", shop.variants["MUG"].pk, (shop.locations["main"].pk,), wanted=3)
    settle(Context(shop.merchant.pk, "job"), [change])
    conflict = Conflict.objects.get()
    assert apply(conflict, CANCEL, 2).state == "done"
    conflict.refresh_from_db()
    assert conflict.open_quantity == 1
    assert_ledger_holds()


def test_a_paused_channel_is_cancelled_at_by_hand_with_a_checklist(desk: Desk) -> None:
    number = desk.sell(2)
    conflict = desk.conflict(number)
    Channel.objects.update(is_paused=True)
    resolution = apply(conflict, CANCEL)
    assert resolution.state == "checklist"
    assert "Cancel 2 of MUG" in resolution.checklist
    assert desk.tell() == 0
    desk.platform.cancel(number, "line-MUG", 2)
    assert done_by_hand(resolution)
    desk.fetch()
    resolution.refresh_from_db()
    conflict.refresh_from_db()
    assert (resolution.state, conflict.open_quantity) == ("done", 0)
    assert_ledger_holds()


def test_what_was_shipped_beyond_record_is_counted_and_stays_as_a_note(desk: Desk) -> None:
    shop = desk.shop
    change = DemandChange(
        "job:1", shop.variants["MUG"].pk, (shop.locations["main"].pk,), wanted=1, fulfilled=1
    )
    settle(Context(shop.merchant.pk, "job"), [change])
    conflict = Conflict.objects.get(cause="beyond_record")
    assert kinds(conflict) == [("recount", True)]
    apply(conflict, RemedyKind.RECOUNT)
    conflict.refresh_from_db()
    assert conflict.open_quantity == 1
    assert remedies_of(conflict) == []


def test_a_refused_remedy_leaves_nothing_behind(desk: Desk) -> None:
    conflict = desk.oversell(3)
    desk.receive(9, "away")
    with pytest.raises(InvalidStockRequest):
        apply(conflict, SERVE, target=str(desk.shop.locations["away"].pk))
    assert not Resolution.objects.exists()
    assert not StockOperation.objects.filter(verb="serve_conflict").exists()


def test_the_same_conflict_is_not_opened_twice(desk: Desk) -> None:
    number = desk.sell(2)
    state = desk.platform.orders[number]
    assert isinstance(state, OrderState)
    apply_state(desk.shop.channel, state, arrived_at=NOON)
    assert Conflict.objects.count() == 1


def cancelled_by_two(desk: Desk) -> int:
    """Has two people cancel the same two units at once; returns how many units are told to the platform."""
    conflict = desk.oversell(2)
    examine(conflict)
    target = remedy(conflict, CANCEL).target

    def decide() -> Resolution:
        return apply(Conflict.objects.get(pk=conflict.pk), CANCEL, 2, target=target)

    race([decide, decide])
    return sum(Resolution.objects.values_list("quantity", flat=True))


@pytest.mark.django_db(transaction=True)
def test_units_that_two_people_cancel_at_once_are_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cancelled_by_two(open_desk(monkeypatch)) == 2


@pytest.mark.django_db(transaction=True)
def test_without_the_lock_they_would_be_told_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    both_have_looked = threading.Barrier(2)
    chosen = resolving._chosen

    def look(conflict: Conflict, decision: Decision) -> Remedy:
        remedy = chosen(conflict, decision)
        both_have_looked.wait(PATIENCE)
        return remedy

    monkeypatch.setattr(resolving, "lock_case", lambda conflict: None)
    monkeypatch.setattr(resolving, "_chosen", look)
    assert cancelled_by_two(open_desk(monkeypatch)) == 4


@pytest.mark.django_db(transaction=True)
def test_two_conflicts_of_one_line_cancelled_at_once_are_counted_over_both(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk = open_desk(monkeypatch, mugs=3)
    number = desk.sell(5)
    count(desk.context(), [CountLine(desk.shop.variants["MUG"].pk, desk.shop.locations["main"].pk, 2)])
    owed = list(Conflict.objects.filter(reference=desk.line(number).reference, open_quantity__gt=0))
    assert sorted(each.open_quantity for each in owed) == [1, 2]
    for each in owed:
        examine(each)
    race([partial(apply, each, CANCEL, target=remedy(each, CANCEL).target) for each in owed])
    assert max(each.cancelled_when_done or 0 for each in Resolution.objects.all()) == 3
    assert Resolution.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_one_conflict_that_two_people_resolve_at_once_is_resolved_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk = open_desk(monkeypatch)
    conflict = desk.oversell(2)
    desk.order_goods(9)
    target = remedy(conflict, BACKORDER).target

    def decide(**more: Any) -> Resolution:
        return apply(Conflict.objects.get(pk=conflict.pk), BACKORDER, 2, target=target, **more)

    results = race([decide, decide, partial(decide, key="same"), partial(decide, key="same")])
    done = [each for each in results if isinstance(each, Resolution)]
    assert all(isinstance(each, Resolution | StockError) for each in results)
    assert len({each.pk for each in done}) == 1
    assert Backorder.objects.count() == 1
    assert ConflictCase.objects.count() == 1
    assert_ledger_holds()
