"""Purchase orders: placed, confirmed, received in parts, beyond or short, cancelled."""

from collections.abc import Callable
from typing import Any

import pytest
import time_machine
from django.db import DatabaseError, IntegrityError, connection, transaction

from inventory.errors import IdempotencyConflict, InvalidStockRequest, LineRefused, StockError, UnknownStock
from inventory.models import InboundEvent, Location, PurchaseOrder, PurchaseOrderLine, StockOperation
from inventory.ordering import OrderedLine, order_goods
from inventory.purchasing import (
    LineCancellation,
    LineConfirmation,
    LineReceipt,
    cancel_lines,
    cancel_order,
    confirm_lines,
    place,
    receive_lines,
    slip_lines,
)
from inventory.transit import place_in_transit
from tests.inventory.bundling import Kitchen
from tests.inventory.buying import Buying, draft, in_days, waiting
from tests.inventory.cast import (
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


def state_of(line_id: int) -> str:
    return PurchaseOrder.objects.get(lines=line_id).state


def test_a_placed_order_is_expected_after_the_suppliers_lead_time(cast: Cast) -> None:
    order = draft(cast.merchant.pk, cast.warehouse, [(cast.mug, 10)])
    assert place(cast.merchant.pk, order.pk)
    order.refresh_from_db()
    line = order.lines.get()
    assert (order.state, order.ordered_on) == ("ordered", in_days(0))
    assert (line.expected_on, line.location, line.confirmed_quantity) == (in_days(14), cast.warehouse, 0)
    assert not place(cast.merchant.pk, order.pk)


def test_an_order_without_lines_is_not_placed(cast: Cast) -> None:
    order = draft(cast.merchant.pk, cast.warehouse, [])
    with pytest.raises(InvalidStockRequest, match="Add at least one") as refusal:
        place(cast.merchant.pk, order.pk)
    assert refusal.value.field == "lines"


def test_goods_are_ordered_placed_and_confirmed_at_once(cast: Cast, stranger: Cast) -> None:
    supplier = draft(cast.merchant.pk, cast.warehouse, []).supplier
    lines = [OrderedLine(cast.mug.pk, 5, confirmed_on=in_days(4)), OrderedLine(cast.shirt.pk, 2, in_days(30))]
    order = order_goods(cast.context(), "PO-X", supplier, cast.store, lines)
    order.refresh_from_db()
    assert order.state == "ordered"
    told = order.lines.order_by("id").values_list("quantity", "confirmed_quantity", "expected_on", "location")
    assert list(told) == [(5, 5, in_days(14), cast.store.pk), (2, 0, in_days(30), cast.store.pk)]
    for wrong in (
        (supplier, stranger.store, lines),
        (draft(stranger.merchant.pk, stranger.store, []).supplier, cast.store, lines),
        (supplier, cast.store, [OrderedLine(stranger.mug.pk, 1)]),
    ):
        with pytest.raises(UnknownStock):
            order_goods(cast.context(), "PO-Y", *wrong)
    with pytest.raises(InvalidStockRequest):
        order_goods(cast.context(), "PO-Y", supplier, cast.store, [])
    assert not PurchaseOrder.objects.filter(number="PO-Y").exists()


def test_another_merchants_order_is_unknown(cast: Cast, stranger: Cast) -> None:
    order = draft(stranger.merchant.pk, stranger.warehouse, [(stranger.mug, 1)])
    with pytest.raises(UnknownStock):
        place(cast.merchant.pk, order.pk)
    theirs = Buying(stranger).order(5, days=3)
    attempts: list[Callable[[], Any]] = [
        lambda: receive_lines(cast.context(), [LineReceipt(theirs, 1)]),
        lambda: confirm_lines(cast.context(), [LineConfirmation(theirs, 1, in_days(1))]),
        lambda: cancel_lines(cast.context(), [LineCancellation(theirs)]),
        lambda: slip_lines(cast.context(), [theirs], in_days(1)),
        lambda: cancel_order(cast.context(), order.pk),
    ]
    for refused in attempts:
        with pytest.raises(UnknownStock):
            refused()


def test_receiving_a_line_is_one_operation_with_the_receipt_movement(buying: Buying) -> None:
    line_id = buying.order(10, days=3)
    before = StockOperation.objects.count()
    outcome = buying.receive(line_id, 4)
    assert StockOperation.objects.count() == before + 1
    assert StockOperation.objects.get(pk=outcome.operation_id).verb == "receive_order"
    assert story(buying.cast.mug, buying.cast.warehouse) == [("receipt", "purchase", 4, 0, 0)]
    assert InboundEvent.objects.get(kind="receipt").operation_id == outcome.operation_id
    line = buying.line(line_id)
    assert (line.received_quantity, line.outstanding, line.confirmed_quantity) == (4, 6, 6)
    assert state_of(line_id) == "partial"
    buying.receive(line_id, 6)
    assert state_of(line_id) == "received"
    assert_ledger_holds()


def test_a_repeated_receipt_adds_nothing(buying: Buying) -> None:
    line_id = buying.order(10)
    first = buying.receive(line_id, 4, key="delivery")
    again = buying.receive(line_id, 4, key="delivery")
    assert again.is_repeat
    assert again.operation_id == first.operation_id
    assert level_of(buying.cast.mug, buying.cast.warehouse) == (4, 0, 0)
    with pytest.raises(IdempotencyConflict):
        buying.receive(line_id, 5, key="delivery")
    assert buying.line(line_id).received_quantity == 4


def test_more_than_ordered_is_received_all_the_same(buying: Buying) -> None:
    line_id = buying.order(10, days=3)
    buying.receive(line_id, 8)
    buying.receive(line_id, 5)
    line = buying.line(line_id)
    assert (line.received_quantity, line.outstanding, line.over_delivered) == (13, 0, 3)
    assert level_of(buying.cast.mug, buying.cast.warehouse) == (13, 0, 0)
    assert state_of(line_id) == "received"
    assert_ledger_holds()


def test_a_short_delivery_closes_the_line_when_nothing_more_will_come(buying: Buying) -> None:
    line_id = buying.order(10, days=3)
    buying.receive(line_id, 7, is_last=True)
    line = buying.line(line_id)
    assert (line.received_quantity, line.cancelled_quantity, line.outstanding) == (7, 3, 0)
    assert state_of(line_id) == "received"
    assert set(line.events.values_list("kind", "quantity")) == {
        ("confirmation", 10),
        ("receipt", 7),
        ("cancellation", 3),
    }


def test_late_goods_of_a_line_closed_short_are_an_over_delivery(buying: Buying) -> None:
    line_id = buying.order(10)
    buying.receive(line_id, 7, is_last=True)
    buying.receive(line_id, 3)
    assert buying.line(line_id).over_delivered == 3
    assert level_of(buying.cast.mug, buying.cast.warehouse) == (10, 0, 0)


def test_receipt_of_a_cancelled_line_is_refused_with_line_and_remedy(buying: Buying) -> None:
    line_id = buying.order(10, days=3)
    buying.cancel(line_id)
    before = ledger_size()
    with pytest.raises(LineRefused, match=r"line_id: .*was cancelled.*without an order") as refusal:
        buying.receive(line_id, 1)
    assert (refusal.value.field, refusal.value.line_id) == ("line_id", line_id)
    assert ledger_size() == before
    assert state_of(line_id) == "cancelled"


def test_a_draft_is_neither_received_nor_confirmed(cast: Cast) -> None:
    line = draft(cast.merchant.pk, cast.warehouse, [(cast.mug, 10)]).lines.get()
    with pytest.raises(LineRefused, match="Place it first"):
        receive_lines(cast.context(), [LineReceipt(line.pk, 1)])
    with pytest.raises(LineRefused, match="Place it first"):
        confirm_lines(cast.context(), [LineConfirmation(line.pk, 1, in_days(1))])


def test_an_order_with_several_lines_is_as_far_as_they_are(cast: Cast) -> None:
    order = draft(cast.merchant.pk, cast.warehouse, [(cast.mug, 5), (cast.shirt, 5)])
    place(cast.merchant.pk, order.pk)
    mugs, shirts = order.lines.order_by("id").values_list("pk", flat=True)
    buying = Buying(cast)

    def state() -> str:
        order.refresh_from_db()
        return order.state

    buying.confirm(mugs, 5, 3)
    assert state() == "ordered"
    buying.confirm(shirts, 5, 4)
    assert state() == "confirmed"
    receive_lines(cast.context(), [LineReceipt(mugs, 5), LineReceipt(shirts, 2)])
    assert state() == "partial"
    buying.cancel(shirts)
    assert state() == "received"
    with pytest.raises(InvalidStockRequest, match="nothing is still to come"):
        cancel_order(cast.context(), order.pk)


def test_a_whole_order_is_cancelled_and_a_draft_only_marked(cast: Cast) -> None:
    order = draft(cast.merchant.pk, cast.warehouse, [(cast.mug, 5), (cast.shirt, 5)])
    place(cast.merchant.pk, order.pk)
    assert cancel_order(cast.context(), order.pk) is not None
    order.refresh_from_db()
    assert order.state == "cancelled"
    assert [line.outstanding for line in order.lines.all()] == [0, 0]
    other = draft(cast.merchant.pk, cast.warehouse, [(cast.mug, 5)])
    assert cancel_order(cast.context(), other.pk) is None
    with pytest.raises(LineRefused, match="cancelled before it was placed"):
        receive_lines(cast.context(), [LineReceipt(other.lines.get().pk, 1)])


def test_unconfirmed_units_are_cancelled_first(buying: Buying) -> None:
    line_id = buying.order(10)
    buying.confirm(line_id, 6, 3)
    buying.cancel(line_id, 3)
    assert buying.line(line_id).confirmed_quantity == 6
    buying.cancel(line_id, 3)
    assert buying.line(line_id).confirmed_quantity == 4


def test_a_supplier_confirms_less_later_or_not_at_all(buying: Buying) -> None:
    line_id = buying.order(10, days=3)
    buying.slip(line_id, 9)
    line = buying.line(line_id)
    assert (line.confirmed_quantity, line.confirmed_on) == (10, in_days(9))
    buying.confirm(line_id, 0, None)
    assert buying.line(line_id).confirmed_quantity == 0
    buying.slip(line_id, 12)
    line = buying.line(line_id)
    assert (line.confirmed_quantity, line.expected_on) == (0, in_days(12))
    assert line.events.filter(kind="expectation", date=in_days(12)).exists()


@pytest.mark.parametrize(
    ("refused", "field", "remedy"),
    [
        (lambda b, n: b.confirm(n, 11, 3), "quantity", "Confirm at most these"),
        (lambda b, n: b.confirm(n, 5, None), "on", "Enter the day"),
        (lambda b, n: b.confirm(n, 5, -1), "on", "lies in the past"),
        (lambda b, n: b.confirm(n, -1, 3), "quantity", "must lie between 0"),
        (lambda b, n: b.slip(n, -1), "on", "lies in the past"),
        (lambda b, n: slip_lines(b.context(), [], in_days(1)), "lines", "at least one"),
        (lambda b, n: b.cancel(n, 11), "quantity", "Enter at most these"),
        (lambda b, n: b.cancel(n, 0), "quantity", "must lie between 1"),
        (lambda b, n: b.receive(n, 0), "quantity", "must lie between 1"),
        (lambda b, n: b.receive(n, True), "quantity", "whole numbers"),
        (
            lambda b, n: receive_lines(b.context(), [LineReceipt(n, 1), LineReceipt(n, 1)]),
            "line_id",
            "named twice",
        ),
        (lambda b, n: receive_lines(b.context(), []), "lines", "at least one line"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_field(
    buying: Buying, refused: Any, field: str, remedy: str
) -> None:
    line_id = buying.order(10)
    before = ledger_size()
    with pytest.raises(InvalidStockRequest, match=remedy) as refusal:
        refused(buying, line_id)
    assert refusal.value.field == field
    assert ledger_size() == before


def test_an_unknown_line_is_refused(buying: Buying) -> None:
    with pytest.raises(StockError, match="no such line"):
        buying.receive(10**12, 1)


def test_goods_that_arrive_fill_open_shortages_first(buying: Buying) -> None:
    line_id = buying.order(10)
    buying.cast.settle("order", wanted=4)
    buying.receive(line_id, 10)
    assert held() == {"order": 4}
    assert owed() == {}
    assert level_of(buying.cast.mug, buying.cast.warehouse) == (10, 4, 0)


@pytest.mark.django_db
def test_goods_that_arrive_complete_owed_kits_before_they_go_to_promises() -> None:
    kitchen = Kitchen()
    buying = Buying(kitchen)
    kitchen.stock(0, 1)
    line_id = buying.order(3, days=3)
    buying.promise("later", 2)
    kitchen.settle("kits", wanted=1, variant=kitchen.set)
    buying.receive(line_id, 3)
    assert held() == {"kits": 3, "later": 1}
    assert owed() == {("later", "inbound"): 1}
    assert waiting() == {}


@pytest.mark.django_db
def test_kits_are_not_ordered() -> None:
    kitchen = Kitchen()
    buying = Buying(kitchen)
    with pytest.raises(InvalidStockRequest, match="a kit has no stock of its own"):
        buying.order(3, variant=kitchen.set)
    buying.order(3)
    with pytest.raises(InvalidStockRequest, match="units of it are to come on purchase orders"):
        kitchen.make(kitchen.mug, {kitchen.spoon: 1})


def test_what_changes_of_inbound_is_announced(buying: Buying) -> None:
    line_id = buying.order(10)
    with listening() as heard:
        buying.confirm(line_id, 8, 3)
        buying.promise("a", 3)
        buying.receive(line_id, 8)
    pair = buying.cast.mug.pk, buying.cast.warehouse.pk
    told = [
        [(c.available_delta, c.inbound_delta) for c in changes if (c.variant_id, c.location_id) == pair]
        for _, changes in heard
    ]
    assert told == [[(0, 8)], [(0, -3)], [(5, -5)]]


def test_a_line_knows_its_merchant_and_the_database_its_rules(cast: Cast) -> None:
    line_id = Buying(cast).order(10, days=3)
    assert PurchaseOrderLine.objects.get(pk=line_id).merchant_id == cast.merchant.pk
    for wrong in (
        {"promised_quantity": 11},
        {"confirmed_quantity": 11},
        {"cancelled_quantity": 11},
        {"cancelled_quantity": 1},
        {"received_quantity": 1},
        {"confirmed_on": None},
        {"location": None},
        {"quantity": 0},
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            PurchaseOrderLine.objects.filter(pk=line_id).update(**wrong)


def test_what_happened_to_a_line_is_never_changed(buying: Buying) -> None:
    buying.order(10, days=3)
    with pytest.raises(StockError):
        InboundEvent.objects.update(quantity=3)
    for sql in ("UPDATE inventory_inboundevent SET quantity = 3", "DELETE FROM inventory_inboundevent"):
        with (
            pytest.raises(DatabaseError, match="append_only"),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(sql)


def test_a_confirmation_that_is_over_promises_nothing_more(buying: Buying) -> None:
    line_id = buying.order(10, days=3)
    with time_machine.travel(in_days(4)):
        with pytest.raises(StockError, match="Less inbound"):
            buying.promise("a", 1)
        buying.receive(line_id, 10)
        buying.promise("a", 1)
    assert held() == {"a": 1}
    assert waiting() == {}


def test_what_was_told_once_is_a_repeat_on_any_later_day(buying: Buying) -> None:
    line_id = buying.order(5)
    confirmed, slipped = buying.context(), buying.context()
    lines = [LineConfirmation(line_id, 5, in_days(0))]
    today = in_days(0)
    confirm_lines(confirmed, lines)
    slip_lines(slipped, [line_id], today)
    with time_machine.travel(in_days(1)):
        assert confirm_lines(confirmed, lines).is_repeat
        assert slip_lines(slipped, [line_id], today).is_repeat
        with pytest.raises(InvalidStockRequest, match="lies in the past"):
            confirm_lines(buying.context(), lines)


def test_nothing_is_ordered_to_where_goods_are_only_in_between(cast: Cast) -> None:
    transit = Location.objects.get(pk=place_in_transit(cast.merchant.pk))
    order = draft(cast.merchant.pk, transit, [(cast.mug, 5)])
    with pytest.raises(InvalidStockRequest, match="location: goods are there only between two places"):
        place(cast.merchant.pk, order.pk)
