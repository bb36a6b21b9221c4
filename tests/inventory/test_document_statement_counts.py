"""The number of statements of a document's step does not depend on its lines."""

import io
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from inventory.conditions import ConditionLine, put_back, scrap, set_aside
from inventory.count_sheets import approve_sheet, enter_counts, print_sheet
from inventory.demands import settle
from inventory.importing import Import, import_file
from inventory.models import CountSheet, CustomerReturn, Transfer
from inventory.returns import ReturnUnits, Verdict, announce_return, inspect_return, receive_return
from inventory.safety_stock import set_safety_stock
from inventory.transfer_drafts import TransferPlan, draft_transfer
from inventory.transfers import (
    Arrival,
    close_transfer,
    recall_transfer,
    receive_transfer,
    record_departure,
    send_transfer,
)
from inventory.transit import place_in_transit
from tests.inventory.cast import Cast, assert_ledger_holds
from tests.inventory.test_statement_counts import _LINES, Case, _nobody_listens, _statements

pytestmark = pytest.mark.usefixtures("_nobody_listens")

__all__ = ["_nobody_listens"]

Scene = Callable[[Case], Callable[[], Any]]


def _draft(case: Case, units: int = 3) -> Transfer:
    place_in_transit(case.cast.merchant.pk)
    plan = TransferPlan(*case.cast.places, {v.pk: units for v in case.variants})
    return draft_transfer(case.cast.merchant.pk, plan, key=uuid4())


def _sent(case: Case) -> Transfer:
    case.stock()
    transfer = _draft(case)
    send_transfer(case.cast.context(), transfer.pk)
    return transfer


def _send(case: Case) -> Callable[[], Any]:
    case.stock()
    transfer = _draft(case)
    return lambda: send_transfer(case.cast.context(), transfer.pk)


def _depart_breaking_holds(case: Case) -> Callable[[], Any]:
    case.stock()
    settle(case.cast.context(), case.changes(wanted=10))
    transfer = _draft(case, 7)
    return lambda: record_departure(case.cast.context(), transfer.pk)


def _arrive(case: Case) -> Callable[[], Any]:
    transfer = _sent(case)
    arrivals = [Arrival(v.pk, 5, 1) for v in case.variants]
    return lambda: receive_transfer(case.cast.context(), transfer.pk, arrivals)


def _close(case: Case) -> Callable[[], Any]:
    transfer = _sent(case)
    return lambda: close_transfer(case.cast.context(), transfer.pk)


def _recall(case: Case) -> Callable[[], Any]:
    transfer = _sent(case)
    return lambda: recall_transfer(case.cast.context(), transfer.pk)


def _returned(case: Case) -> list[ReturnUnits]:
    return case.each(ReturnUnits, 2)


def _announce(case: Case) -> Callable[[], Any]:
    return lambda: announce_return(case.cast.context(), "RMA", _returned(case))


def _receive_return(case: Case) -> Callable[[], Any]:
    return lambda: receive_return(case.cast.context(), "RMA", _returned(case))


def _inspect(case: Case) -> Callable[[], Any]:
    receive_return(case.cast.context(), "RMA", _returned(case))
    document = CustomerReturn.objects.get(merchant=case.cast.merchant)
    return lambda: inspect_return(case.cast.context(), document.pk, case.each(Verdict, 1, 1))


def _set_aside(case: Case) -> Callable[[], Any]:
    case.stock()
    settle(case.cast.context(), case.changes(wanted=10))
    return lambda: set_aside(case.cast.context(), case.each(ConditionLine, 4))


def _put_back(case: Case) -> Callable[[], Any]:
    case.stock()
    set_aside(case.cast.context(), case.each(ConditionLine, 4))
    return lambda: put_back(case.cast.context(), case.each(ConditionLine, 4))


def _scrap(case: Case) -> Callable[[], Any]:
    case.stock()
    set_aside(case.cast.context(), case.each(ConditionLine, 4))
    return lambda: scrap(case.cast.context(), case.each(ConditionLine, 4))


def _print(case: Case) -> Callable[[], Any]:
    case.stock()
    return lambda: print_sheet(case.cast.merchant.pk, case.cast.warehouse.pk, key=uuid4())


def _printed(case: Case) -> CountSheet:
    case.stock()
    return print_sheet(case.cast.merchant.pk, case.cast.warehouse.pk, key=uuid4())


def _enter(case: Case) -> Callable[[], Any]:
    sheet = _printed(case)
    return lambda: enter_counts(case.cast.merchant.pk, sheet.pk, {v.pk: 4 for v in case.variants})


def _approve(case: Case) -> Callable[[], Any]:
    sheet = _printed(case)
    settle(case.cast.context(), case.changes(wanted=10))
    enter_counts(case.cast.merchant.pk, sheet.pk, {v.pk: 4 for v in case.variants})
    return lambda: approve_sheet(case.cast.context(), sheet.pk)


def _keep_back(case: Case) -> Callable[[], Any]:
    case.stock()
    wanted = {(v.pk, case.cast.warehouse.pk): 2 for v in case.variants}
    return lambda: set_safety_stock(case.cast.merchant.pk, wanted)


def _import(case: Case) -> Callable[[], Any]:
    rows = [f"{v.sku},{case.cast.warehouse.code},7,1\n" for v in case.variants]
    text = "sku,location,quantity,safety_stock\n" + "".join(rows)
    return lambda: import_file(Import(case.cast.merchant.pk), io.StringIO(text))


_SCENES: dict[str, Scene] = {
    scene.__name__: scene
    for scene in (
        _send, _depart_breaking_holds, _arrive, _close, _recall, _announce, _receive_return, _inspect, _set_aside,
        _put_back, _scrap, _print, _enter, _approve, _keep_back, _import,
    )
}  # fmt: skip


@pytest.mark.parametrize("name", _SCENES)
def test_a_step_of_a_document_needs_as_many_statements_for_one_line_as_for_fifty(
    cast: Cast, stranger: Cast, name: str
) -> None:
    one = _statements(_SCENES[name](Case(stranger, 1)))
    many = _statements(_SCENES[name](Case(cast, _LINES)))
    assert len(many) == len(one), "\n".join(sql[:120] for sql in many)
    assert len(one) <= 20
    assert_ledger_holds()
