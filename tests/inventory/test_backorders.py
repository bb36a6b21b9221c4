"""Units promised against inbound: never twice, never beyond what is confirmed, filled in order, broken into conflicts."""

from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from inventory.backorders import (
    BackorderUnits,
    backorder_conflict,
    break_missed,
    cancel_backorders,
    promise,
)
from inventory.demands import settle
from inventory.errors import InsufficientInbound, InvalidStockRequest, UnknownStock
from inventory.inbound_rows import PromiseTerms
from inventory.models import Backorder, Conflict, StockLevel
from inventory.promising import available_to_promise
from inventory.reservations import Demand, ReservedUnits, fulfil, release
from inventory.routing import Routing, Site
from inventory.stock import ShipmentLine, ship
from tests.inventory.bundling import Kitchen
from tests.inventory.buying import Buying, in_days, terms, waiting
from tests.inventory.cast import (
    LONG_AGO,
    Cast,
    assert_ledger_holds,
    held,
    ledger_size,
    level_of,
    listening,
    owed,
    story,
)


@pytest.fixture
def buying(cast: Cast) -> Buying:
    return Buying(cast)


def backorder_of(reference: str) -> Backorder:
    return Backorder.objects.get(reference=reference)


# -- promising


def test_what_is_there_is_held_and_the_rest_promised(buying: Buying) -> None:
    line_id = buying.order(10, days=5)
    buying.cast.receive(3)
    outcome = buying.promise("a", 7)
    assert held() == {"a": 3}
    assert waiting() == {"a": 4}
    assert owed() == {}
    assert level_of(buying.cast.mug, buying.cast.warehouse) == (3, 3, 0)
    backorder = backorder_of("a")
    (promised,) = outcome.promised
    assert (promised.backorder_id, promised.quantity) == (backorder.pk, 4)
    assert (backorder.line_id, backorder.promised_on) == (line_id, in_days(5))
    assert backorder.allowed_by == "a rule of this test"
    assert buying.line(line_id).promised_quantity == 4
    assert_ledger_holds()


def test_a_repeat_promises_nothing_more_and_tells_the_first_outcome(buying: Buying) -> None:
    buying.order(10, days=5)
    demand = [Demand("a", buying.cast.mug.pk, 4, buying.cast.places)]
    first = promise(buying.context("key"), demand, terms())
    again = promise(buying.context("key"), demand, terms())
    assert again.is_repeat
    assert again.promised == first.promised
    assert waiting() == {"a": 4}


def test_a_promise_is_a_repeat_also_when_its_day_is_over(buying: Buying) -> None:
    buying.order(5, days=0)
    context, demand = buying.context(), Demand("a", buying.cast.mug.pk, 3, buying.cast.places)
    until_today = terms(days=0)
    promise(context, [demand], until_today)
    with time_machine.travel(in_days(1)):
        assert promise(context, [demand], until_today).is_repeat
        with pytest.raises(InvalidStockRequest, match="lies in the past"):
            promise(buying.context(), [demand], until_today)


def test_no_more_is_promised_than_is_confirmed(buying: Buying) -> None:
    buying.order(10)
    line_id = buying.order(10)
    buying.confirm(line_id, 6, 5)
    before = ledger_size()
    with pytest.raises(InsufficientInbound, match="asked 7, in stock or confirmed in time 6") as refusal:
        buying.promise("a", 7)
    assert refusal.value.shortages[0].available == 6
    assert ledger_size() == before
    assert waiting() == {}
    outcome = buying.promise("a", 7, allow_partial=True)
    assert waiting() == {"a": 6}
    assert [(s.reference, s.quantity) for s in outcome.short] == [("a", 1)]
    assert owed() == {}


def test_only_inbound_that_comes_in_time_is_promised_the_earliest_first(buying: Buying) -> None:
    late, early = buying.order(5, days=20), buying.order(5, days=4)
    with pytest.raises(InsufficientInbound):
        buying.promise("a", 6, days=19)
    buying.promise("a", 7, days=20)
    assert [buying.line(n).promised_quantity for n in (early, late)] == [5, 2]


def test_only_inbound_for_a_place_that_may_serve_the_demand_is_promised(buying: Buying) -> None:
    buying.order(5, days=4, place_at=buying.cast.store)
    with pytest.raises(InsufficientInbound):
        buying.promise("a", 1, places=[buying.cast.warehouse.pk])
    buying.promise("a", 1, places=[buying.cast.store.pk])
    assert waiting() == {"a": 1}


def test_lines_of_one_request_share_what_there_is(buying: Buying) -> None:
    buying.order(5, days=4)
    demands = [Demand(name, buying.cast.mug.pk, 3, buying.cast.places) for name in ("a", "b")]
    with pytest.raises(InsufficientInbound, match="b: asked 3, in stock or confirmed in time 2"):
        promise(buying.context(), demands, terms())
    assert waiting() == {}


def test_what_is_owed_already_is_not_promised_to_others(buying: Buying) -> None:
    line_id = buying.order(5, days=4)
    buying.cast.settle("order", wanted=3)
    with pytest.raises(InsufficientInbound):
        buying.promise("a", 3)
    buying.promise("a", 2)
    buying.receive(line_id, 5)
    assert held() == {"order": 3, "a": 2}
    assert owed() == {}


@pytest.mark.django_db
def test_what_kits_are_owed_is_not_promised_to_others() -> None:
    kitchen = Kitchen()
    buying = Buying(kitchen)
    kitchen.stock(0, 5)
    settle(kitchen.context(), [kitchen.change("kits", kitchen.set, wanted=3)])
    line_id = buying.order(10, days=3)
    assert available_to_promise(kitchen.mug, in_days(3)) == 4
    with pytest.raises(InsufficientInbound):
        buying.promise("mugs", 5)
    pre_order = kitchen.change("pre-order", wanted=5)
    settle(kitchen.context(), [pre_order], pre_orders={"pre-order": terms()})
    assert (waiting(), owed()) == ({"pre-order": 4}, {("kits", "shortage"): 3, ("pre-order", "shortage"): 1})
    buying.receive(line_id, 10)
    assert (waiting(), owed()) == ({}, {("pre-order", "inbound"): 1})


@pytest.mark.parametrize(
    ("refused", "field"),
    [
        (lambda: PromiseTerms(in_days(3), ""), "allowed_by"),
        (lambda: PromiseTerms(in_days(3), "x" * 201), "allowed_by"),
        (lambda: PromiseTerms(in_days(-1), "me").check_day(), "by"),
    ],
)
def test_a_promise_without_a_rule_or_for_yesterday_is_refused(refused: Any, field: str) -> None:
    with pytest.raises(InvalidStockRequest) as refusal:
        refused()
    assert refusal.value.field == field


@pytest.mark.parametrize(
    ("demand", "field"),
    [
        (lambda c: Demand("a", c.mug.pk, 0, c.places), "quantity"),
        (lambda c: Demand("", c.mug.pk, 1, c.places), "reference"),
        (lambda c: Demand("a", c.mug.pk, 1, ()), "location_ids"),
    ],
)
def test_a_demand_that_makes_no_sense_is_refused(buying: Buying, demand: Any, field: str) -> None:
    with pytest.raises(InvalidStockRequest) as refusal:
        promise(buying.context(), [demand(buying.cast)], terms())
    assert refusal.value.field == field


def test_another_merchants_goods_are_unknown(buying: Buying, stranger: Cast) -> None:
    Buying(stranger).order(5, days=3)
    with pytest.raises(UnknownStock):
        promise(buying.context(), [Demand("a", stranger.mug.pk, 1, stranger.places)], terms())
    Buying(stranger).promise("theirs", 2)
    with pytest.raises(UnknownStock):
        cancel_backorders(buying.context(), [BackorderUnits(backorder_of("theirs").pk)])


def test_expired_holds_go_to_the_promise(buying: Buying) -> None:
    buying.order(5, days=3)
    buying.cast.receive(2)
    buying.cast.hold("cart", 2, expires_at=LONG_AGO)
    buying.promise("a", 4)
    assert held() == {"a": 2}
    assert waiting() == {"a": 2}


# -- filling


def test_stock_that_arrives_fills_promises_in_their_order_after_what_is_owed(buying: Buying) -> None:
    buying.order(10, days=5)
    for name in ("first", "second", "third"):
        buying.promise(name, 2)
    buying.cast.settle("order", wanted=1)
    with listening() as heard:
        buying.cast.receive(4)
    assert held() == {"order": 1, "first": 2, "second": 1}
    assert waiting() == {"second": 1, "third": 2}
    assert story(buying.cast.mug, buying.cast.warehouse)[1:] == [
        ("reservation", "shortage_filled", 0, 1, 0),
        ("reservation", "backorder_filled", 0, 2, 0),
        ("reservation", "backorder_filled", 0, 1, 0),
    ]
    ((_, changes),) = heard
    assert [c.available_after for c in changes] == [0], "no channel sees what was promised"
    assert_ledger_holds()


def test_a_delivery_goes_first_to_those_who_were_promised_it(buying: Buying) -> None:
    late, early = buying.order(5, days=20), buying.order(5, days=4)
    buying.promise("early", 5)
    buying.promise("late", 3)
    buying.receive(late, 5)
    assert held() == {"early": 2, "late": 3}
    assert waiting() == {"early": 3}
    assert [buying.line(n).promised_quantity for n in (early, late)] == [3, 0]
    assert_ledger_holds()


def test_a_part_of_a_delivery_fills_a_part_of_the_promises(buying: Buying) -> None:
    line_id = buying.order(10, days=5)
    buying.promise("a", 4)
    buying.promise("b", 4)
    buying.receive(line_id, 6)
    assert held() == {"a": 4, "b": 2}
    assert waiting() == {"b": 2}
    assert buying.line(line_id).promised_quantity == 2
    assert owed() == {}


def test_too_many_delivered_are_there_for_others(buying: Buying) -> None:
    line_id = buying.order(4, days=5)
    buying.promise("a", 4)
    buying.receive(line_id, 6)
    assert held() == {"a": 4}
    assert level_of(buying.cast.mug, buying.cast.warehouse) == (6, 4, 0)


def test_units_given_back_fill_promises(buying: Buying) -> None:
    buying.cast.receive(3)
    cart = buying.cast.hold("cart", 3)
    buying.order(5, days=5)
    buying.promise("a", 2)
    release(buying.context(), [ReservedUnits(cart, 3)])
    assert held() == {"a": 2}
    assert waiting() == {}
    assert level_of(buying.cast.mug, buying.cast.warehouse) == (3, 2, 0)


def test_stock_at_a_place_that_may_not_serve_the_promise_leaves_it_waiting(buying: Buying) -> None:
    buying.order(5, days=5)
    buying.promise("a", 2, places=[buying.cast.warehouse.pk])
    buying.cast.receive(2, place=buying.cast.store)
    assert waiting() == {"a": 2}
    assert level_of(buying.cast.mug, buying.cast.store) == (2, 0, 0)


# -- slipping, cancelling, coming short


def test_inbound_that_slips_becomes_a_conflict_for_what_it_had_promised(buying: Buying) -> None:
    line_id = buying.order(10, days=5)
    buying.promise("a", 4)
    outcome = buying.slip(line_id, 6)
    assert owed() == {("a", "inbound"): 4}
    assert waiting() == {}
    assert [(s.reference, s.quantity) for s in outcome.short] == [("a", 4)]
    line = buying.line(line_id)
    assert (line.promised_quantity, line.confirmed_quantity) == (0, 10)
    assert backorder_of("a").broken_quantity == 4
    buying.receive(line_id, 10)
    assert held() == {"a": 4}
    assert owed() == {}
    assert_ledger_holds()


def test_inbound_that_comes_earlier_breaks_nothing(buying: Buying) -> None:
    line_id = buying.order(10, days=5)
    buying.promise("a", 4)
    buying.slip(line_id, 2)
    assert waiting() == {"a": 4}
    assert owed() == {}


def test_a_cancelled_line_breaks_the_newest_promises(buying: Buying) -> None:
    line_id = buying.order(10, days=5)
    for name in ("first", "second", "third"):
        buying.promise(name, 3)
    buying.cancel(line_id, 5)
    assert waiting() == {"first": 3, "second": 2}
    assert owed() == {("second", "inbound"): 1, ("third", "inbound"): 3}
    buying.cancel(line_id)
    assert waiting() == {}
    assert buying.line(line_id).promised_quantity == 0
    assert sum(owed().values()) == 9
    assert_ledger_holds()


def test_a_supplier_who_takes_confirmed_units_back_breaks_promises(buying: Buying) -> None:
    line_id = buying.order(10, days=5)
    buying.promise("a", 6)
    buying.confirm(line_id, 4, 5)
    assert waiting() == {"a": 4}
    assert owed() == {("a", "inbound"): 2}


def test_a_short_delivery_breaks_what_it_does_not_bring(buying: Buying) -> None:
    line_id = buying.order(10, days=5)
    buying.promise("a", 4)
    buying.promise("b", 4)
    buying.receive(line_id, 6, is_last=True)
    assert held() == {"a": 4, "b": 2}
    assert owed() == {("b", "inbound"): 2}
    assert waiting() == {}
    assert_ledger_holds()


def test_a_delivery_that_open_shortages_take_breaks_what_it_had_promised(buying: Buying) -> None:
    line_id = buying.order(5, days=5)
    buying.promise("a", 5)
    buying.cast.settle("order", wanted=3)
    buying.receive(line_id, 5)
    assert held() == {"order": 3, "a": 2}
    assert owed() == {("a", "inbound"): 3}
    assert buying.line(line_id).promised_quantity == 0


def test_promises_whose_day_is_over_become_conflicts(buying: Buying) -> None:
    line_id = buying.order(10, days=2)
    buying.order(10, days=9)
    buying.promise("a", 4, days=2)
    buying.promise("b", 9)
    with time_machine.travel(in_days(2)):
        assert break_missed() == 0
    with time_machine.travel(in_days(3)):
        assert break_missed() == 1
        assert owed() == {("a", "inbound"): 4, ("b", "inbound"): 6}
        assert break_missed() == 0
    assert waiting() == {"b": 3}
    buying.receive(line_id, 10)
    assert held() == {"a": 4, "b": 6}
    assert_ledger_holds()


# -- taking promises back


def test_a_cancelled_promise_may_be_promised_to_others(buying: Buying) -> None:
    line_id = buying.order(5, days=5)
    buying.promise("a", 5)
    cancel_backorders(buying.context(), [BackorderUnits(backorder_of("a").pk, 2)])
    assert waiting() == {"a": 3}
    buying.promise("b", 2)
    cancel_backorders(buying.context(), [BackorderUnits(b.pk) for b in Backorder.objects.all()])
    assert waiting() == {}
    assert buying.line(line_id).promised_quantity == 0
    assert_ledger_holds()


def test_more_than_waits_is_not_cancelled(buying: Buying) -> None:
    line_id = buying.order(5, days=5)
    buying.promise("a", 5)
    buying.receive(line_id, 4)
    for units in (2, None):
        if units is None:
            buying.receive(line_id, 1)
        with pytest.raises(InvalidStockRequest, match="still wait") as refusal:
            cancel_backorders(buying.context(), [BackorderUnits(backorder_of("a").pk, units)])
        assert refusal.value.field == "quantity"


def test_an_order_that_is_cancelled_gives_up_what_it_was_promised(buying: Buying) -> None:
    line_id = buying.order(10, days=5)
    buying.cast.receive(2)
    buying.promise("order", 6)
    buying.cast.settle("order", cancelled=5)
    assert waiting() == {}
    assert held() == {"order": 1}
    assert buying.line(line_id).promised_quantity == 0
    buying.receive(line_id, 10)
    assert held() == {"order": 1}
    assert_ledger_holds()


def test_units_given_up_go_to_the_next_who_waits(buying: Buying) -> None:
    buying.order(10, days=5)
    buying.cast.receive(2)
    buying.promise("order", 4)
    buying.promise("next", 1)
    buying.cast.settle("order", cancelled=3)
    assert held() == {"order": 1, "next": 1}
    assert waiting() == {}


@pytest.mark.parametrize("way", ["settle", "ship", "fulfil"])
def test_goods_shipped_meet_what_was_promised(buying: Buying, way: str) -> None:
    line_id = buying.order(10, days=5)
    buying.cast.receive(2)
    outcome = buying.promise("order", 5)
    cast = buying.cast
    if way == "settle":
        cast.settle("order", fulfilled=5)
    elif way == "ship":
        ship(cast.context(), [ShipmentLine(cast.mug.pk, cast.warehouse.pk, 5, "order")])
    else:
        fulfil(cast.context(), [ReservedUnits(outcome.held[0].reservation_id, 5)])
    assert waiting() == {}
    assert owed() == {("order", "beyond_record"): 3}
    buying.receive(line_id, 10)
    assert held() == {}
    assert level_of(cast.mug, cast.warehouse) == (10, 0, 0)
    assert_ledger_holds()


# -- pre-orders of channels, and conflicts that become promises


def test_a_sale_that_a_rule_allows_is_promised_and_only_the_rest_is_a_conflict(buying: Buying) -> None:
    line_id = buying.order(4, days=5)
    buying.cast.receive(1)
    change = buying.cast.change("order", wanted=7)
    outcome = settle(buying.context(), [change], pre_orders={"order": terms(30)})
    assert held() == {"order": 1}
    assert waiting() == {"order": 4}
    assert owed() == {("order", "shortage"): 2}
    assert [p.quantity for p in outcome.promised] == [4]
    settle(buying.context(), [buying.cast.change("order", cancelled=4)])
    assert owed() == {}
    assert waiting() == {"order": 2}
    assert buying.line(line_id).promised_quantity == 2
    assert_ledger_holds()


def test_a_sale_without_such_a_rule_is_a_conflict(buying: Buying) -> None:
    buying.order(4, days=5)
    buying.cast.settle("order", wanted=3)
    assert owed() == {("order", "shortage"): 3}
    assert waiting() == {}


def test_a_first_pre_order_creates_the_levels_it_needs(buying: Buying) -> None:
    buying.order(4, days=5, place_at=buying.cast.store)
    settle(buying.context(), [buying.cast.change("order", wanted=3)], pre_orders={"order": terms(30)})
    assert waiting() == {"order": 3}
    assert StockLevel.objects.filter(variant=buying.cast.mug).count() == 2


def test_an_open_shortage_becomes_a_promise_in_one_operation(buying: Buying) -> None:
    line_id = buying.order(4, days=5)
    buying.cast.settle("order", wanted=3)
    conflict = Conflict.objects.get()
    backorder_conflict(buying.context(), conflict.pk, terms(), quantity=2)
    assert owed() == {("order", "shortage"): 1}
    assert waiting() == {"order": 2}
    backorder_conflict(buying.context(), conflict.pk, terms())
    assert owed() == {}
    conflict.refresh_from_db()
    assert conflict.resolved_at is not None
    buying.receive(line_id, 4)
    assert held() == {"order": 3}
    assert waiting() == {}
    assert_ledger_holds()


def test_what_slipped_may_be_promised_for_the_new_day(buying: Buying) -> None:
    line_id = buying.order(4, days=5)
    buying.promise("order", 3)
    buying.slip(line_id, 9)
    with pytest.raises(InsufficientInbound):
        backorder_conflict(buying.context(), Conflict.objects.get().pk, terms(8))
    backorder_conflict(buying.context(), Conflict.objects.get().pk, terms(9))
    assert waiting() == {"order": 3}
    assert owed() == {}


def test_older_debts_keep_their_claim_when_a_younger_one_is_promised(buying: Buying) -> None:
    buying.order(4, days=5)
    buying.cast.settle("older", wanted=3)
    buying.cast.settle("younger", wanted=2)
    younger = Conflict.objects.get(reference="younger")
    with pytest.raises(InsufficientInbound):
        backorder_conflict(buying.context(), younger.pk, terms())
    buying.order(1, days=7)
    backorder_conflict(buying.context(), younger.pk, terms())
    assert owed() == {("older", "shortage"): 3}
    assert waiting() == {"younger": 2}


def test_a_conflict_that_waits_for_a_recount_or_is_resolved_promises_nothing(
    buying: Buying, stranger: Cast
) -> None:
    buying.order(4, days=5)
    ship(buying.context(), [ShipmentLine(buying.cast.mug.pk, buying.cast.warehouse.pk, 2, "order")])
    conflict = Conflict.objects.get()
    with pytest.raises(InvalidStockRequest, match="waits for a recount"):
        backorder_conflict(buying.context(), conflict.pk, terms())
    with pytest.raises(UnknownStock):
        backorder_conflict(stranger.context(), conflict.pk, terms())
    buying.cast.settle("short", wanted=2)
    short = Conflict.objects.get(reference="short")
    with pytest.raises(InvalidStockRequest, match="only 2 units"):
        backorder_conflict(buying.context(), short.pk, terms(), quantity=3)


def test_the_capacity_of_a_day_is_locked_before_inbound(buying: Buying) -> None:
    cast = buying.cast
    buying.order(5, days=3)
    settle(cast.context(), [cast.change("order", wanted=3)], pre_orders={"order": terms()})
    assert waiting() == {"order": 3}
    routing = Routing(sites=(Site(cast.warehouse.pk, daily_units=5),), usage=lambda ids: {})
    change = cast.change("order", cancelled=1, ordered=3, is_replanned=True)
    with CaptureQueriesContext(connection) as queries:
        settle(cast.context(), [change], routing=routing)
    locks = [query["sql"] for query in queries if "FOR NO KEY UPDATE" in query["sql"]]
    order = [
        table
        for sql in locks
        for table in ("inventory_location", "inventory_purchaseorderline")
        if f'FROM "{table}"' in sql or f"FROM {table}" in sql
    ]
    assert order == ["inventory_location", "inventory_purchaseorderline"]
