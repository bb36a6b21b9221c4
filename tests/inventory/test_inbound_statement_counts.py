"""The number of statements of purchasing and promising does not depend on lines or on those who wait."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from inventory import announcements
from inventory.backorders import BackorderUnits, cancel_backorders, promise
from inventory.demands import DemandChange, settle
from inventory.models import Backorder, PurchaseOrder, Variant
from inventory.purchasing import (
    LineCancellation,
    LineConfirmation,
    LineReceipt,
    cancel_lines,
    confirm_lines,
    place,
    receive_lines,
    slip_lines,
)
from inventory.reservations import Demand
from inventory.stock import StockLine, receive
from tests.factories import ProductFactory, VariantFactory
from tests.inventory.buying import assert_promises_hold, draft, in_days, terms
from tests.inventory.cast import Cast, assert_ledger_holds

_LINES = 12


class Case:
    """An order of many variants, confirmed, of which a test uses one or all; each may be promised to somebody."""

    def __init__(self, cast: Cast, lines: int, *, is_promised: bool) -> None:
        product = ProductFactory(merchant=cast.merchant)
        self.cast = cast
        self.variants: list[Variant] = VariantFactory.create_batch(
            lines, merchant=cast.merchant, product=product
        )
        self.order: PurchaseOrder = draft(cast.merchant.pk, cast.warehouse, [(v, 10) for v in self.variants])
        place(cast.merchant.pk, self.order.pk)
        self.ids = list(self.order.lines.order_by("id").values_list("pk", flat=True))
        confirm_lines(cast.context(), [LineConfirmation(pk, 10, in_days(5)) for pk in self.ids])
        if is_promised:
            self.promise()

    def demands(self, quantity: int = 4) -> list[Demand]:
        return [Demand(f"line {v.pk}", v.pk, quantity, self.cast.places) for v in self.variants]

    def promise(self) -> Any:
        return promise(self.cast.context(), self.demands(), terms())

    def changes(self, **counts: Any) -> list[DemandChange]:
        return [DemandChange(d.reference, d.variant_id, d.location_ids, **counts) for d in self.demands()]


Work = Callable[[Case], Any]


def _receive(case: Case) -> Any:
    return receive_lines(case.cast.context(), [LineReceipt(pk, 6) for pk in case.ids])


def _short(case: Case) -> Any:
    return receive_lines(case.cast.context(), [LineReceipt(pk, 1, is_last=True) for pk in case.ids])


def _confirm(case: Case) -> Any:
    return confirm_lines(case.cast.context(), [LineConfirmation(pk, 2, in_days(5)) for pk in case.ids])


def _slip(case: Case) -> Any:
    return slip_lines(case.cast.context(), case.ids, in_days(9))


def _cancel(case: Case) -> Any:
    return cancel_lines(case.cast.context(), [LineCancellation(pk) for pk in case.ids])


def _cancel_promises(case: Case) -> Any:
    keys = Backorder.objects.values_list("pk", flat=True)
    return cancel_backorders(case.cast.context(), [BackorderUnits(pk) for pk in keys])


def _pre_order(case: Case) -> Any:
    allowed = {d.reference: terms() for d in case.demands()}
    return settle(case.cast.context(), case.changes(wanted=12), pre_orders=allowed)


def _cancel_orders(case: Case) -> Any:
    return settle(case.cast.context(), case.changes(cancelled=3))


def _arrive(case: Case) -> Any:
    lines = [StockLine(v.pk, case.cast.store.pk, 2) for v in case.variants]
    return receive(case.cast.context(), lines)


def _statements(operation: Callable[[], Any]) -> list[str]:
    with CaptureQueriesContext(connection) as queries:
        operation()
    return [q["sql"] for q in queries if not q["sql"].startswith(("SAVEPOINT", "RELEASE", "ROLLBACK TO"))]


@pytest.mark.parametrize("is_promised", [False, True])
@pytest.mark.parametrize(
    "work",
    [_receive, _short, _confirm, _slip, _cancel, _pre_order, _cancel_orders, _arrive, Case.promise],
)
def test_the_statements_do_not_grow_with_the_lines(
    cast: Cast, monkeypatch: pytest.MonkeyPatch, work: Work, is_promised: bool
) -> None:
    monkeypatch.setattr(announcements, "_listeners", [])
    one, many = (Case(cast, lines, is_promised=is_promised) for lines in (1, _LINES))
    few = _statements(lambda: work(one))
    assert len(few) <= 20
    assert len(_statements(lambda: work(many))) == len(few)
    assert_promises_hold()
    assert_ledger_holds()


def test_cancelled_promises_cost_the_same_however_many(cast: Cast) -> None:
    counts = []
    for lines in (1, _LINES):
        case = Case(cast, lines, is_promised=True)
        counts.append(len(_statements(lambda case=case: _cancel_promises(case))))  # type: ignore[misc]
        Backorder.objects.all().delete()
    assert counts[0] == counts[1]
