"""Documents under many hands at once, each race first shown with its safeguard off."""

import io
import threading
from collections import Counter
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from django.db import transaction

from inventory import count_sheets, importing, transfers
from inventory.count_sheets import approve_sheet, enter_counts, print_sheet
from inventory.errors import InvalidStockRequest
from inventory.import_batch import ImportBatch
from inventory.importing import Import, ImportReport, import_file
from inventory.ledger import Outcome
from inventory.models import CountSheetLine, CustomerReturn, ImportedRow, Location, Transfer
from inventory.returns import ReturnUnits, receive_return
from inventory.stock import ShipmentLine, ship
from inventory.transfer_drafts import TransferPlan, draft_transfer
from inventory.transfers import Arrival, receive_transfer, send_transfer
from inventory.transit import place_in_transit
from tests.inventory.cast import Cast, assert_ledger_holds, level_of
from tests.inventory.racing import PATIENCE, meanwhile, race, wait_until_blocked

pytestmark = pytest.mark.django_db(transaction=True)


def _draft(cast: Cast, units: int) -> Transfer:
    plan = TransferPlan(cast.warehouse.pk, cast.store.pk, {cast.mug.pk: units})
    return draft_transfer(cast.merchant.pk, plan, key=uuid4())


def test_a_transfer_that_many_send_at_once_is_sent_by_one() -> None:
    cast = Cast()
    cast.receive(50)
    transfer = _draft(cast, 5)
    results = race([partial(send_transfer, cast.context(), transfer.pk) for _ in range(8)])
    assert Counter(type(result) for result in results) == {Outcome: 1, InvalidStockRequest: 7}
    assert level_of(cast.mug, cast.warehouse) == (45, 0, 0)
    assert_ledger_holds()


def test_without_the_documents_lock_a_transfer_is_sent_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    cast = Cast()
    cast.receive(50)
    transfer = _draft(cast, 5)
    place_in_transit(cast.merchant.pk)
    both_have_read = threading.Barrier(2)

    def read_together(model: Any, merchant_id: int, document_id: int) -> Any:
        document = model.objects.get(pk=document_id)
        both_have_read.wait(PATIENCE)
        return document

    monkeypatch.setattr(transfers, "lock_document", read_together)
    results = race([partial(send_transfer, cast.context(), transfer.pk) for _ in range(2)])
    assert [type(result) for result in results] == [Outcome, Outcome]
    assert level_of(cast.mug, cast.warehouse) == (40, 0, 0)


def test_parts_that_arrive_at_once_are_all_received() -> None:
    cast = Cast()
    cast.receive(8)
    transfer = _draft(cast, 8)
    send_transfer(cast.context(), transfer.pk)
    arrival = [Arrival(cast.mug.pk, 2)]
    race([partial(receive_transfer, cast.context(), transfer.pk, arrival) for _ in range(5)])
    line = transfer.lines.get()
    assert (line.received_quantity, line.surplus_quantity, line.in_transit) == (8, 2, 0)
    assert level_of(cast.mug, cast.store) == (10, 0, 0)
    assert_ledger_holds()


def test_transfers_in_both_directions_and_sales_do_not_wait_in_a_circle() -> None:
    cast = Cast()
    for variant in (cast.mug, cast.shirt):
        for place in (cast.warehouse, cast.store):
            cast.receive(20, variant, place)
    plans = [
        TransferPlan(a.pk, b.pk, {v.pk: 1 for v in order})
        for a, b in ((cast.warehouse, cast.store), (cast.store, cast.warehouse))
        for order in ((cast.mug, cast.shirt), (cast.shirt, cast.mug))
    ]
    drafts = [draft_transfer(cast.merchant.pk, plan, key=uuid4()) for plan in plans for _ in range(2)]
    sales = [partial(ship, cast.context(), [ShipmentLine(cast.mug.pk, cast.store.pk, 1)]) for _ in range(4)]
    results = race([*(partial(send_transfer, cast.context(), draft.pk) for draft in drafts), *sales])
    assert {type(result) for result in results} == {Outcome}, results
    assert_ledger_holds()


def test_the_place_in_transit_is_made_once() -> None:
    cast = Cast()
    places = race([partial(place_in_transit, cast.merchant.pk) for _ in range(8)])
    assert len(set(places)) == 1
    assert Location.objects.filter(kind="in_transit").count() == 1


def test_parcels_of_one_return_that_arrive_at_once_are_one_return() -> None:
    cast = Cast()
    lines = [ReturnUnits(cast.mug.pk, cast.warehouse.pk, 1)]
    results = race([partial(receive_return, cast.context(), "RMA", lines) for _ in range(6)])
    assert {type(result) for result in results} == {Outcome}, results
    assert CustomerReturn.objects.get().lines.get().received_quantity == 6
    assert level_of(cast.mug, cast.warehouse) == (6, 0, 6)
    assert_ledger_holds()


def _sell_while_counting(cast: Cast, *, waits: bool) -> CountSheetLine:
    """Counts the four mugs that are left while the sale of the fifth is being recorded."""
    cast.receive(5)
    sheet = print_sheet(cast.merchant.pk, cast.warehouse.pk, key=uuid4())
    with transaction.atomic():
        ship(cast.context(), [ShipmentLine(cast.mug.pk, cast.warehouse.pk, 1)])
        waiting = meanwhile(lambda: enter_counts(cast.merchant.pk, sheet.pk, {cast.mug.pk: 4}))
        entry = waiting.__enter__()
        if waits:
            wait_until_blocked()
        else:
            entry.result(PATIENCE)
    waiting.__exit__(None, None, None)
    return sheet.lines.get()


def test_a_count_waits_for_what_is_being_recorded() -> None:
    assert _sell_while_counting(Cast(), waits=True).variance == 0


def test_without_the_levels_lock_a_count_takes_a_sale_for_a_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(count_sheets, "lock_levels", lambda *_: [])
    assert _sell_while_counting(Cast(), waits=False).variance == -1


def test_a_sheet_that_many_approve_at_once_is_recorded_once() -> None:
    cast = Cast()
    cast.receive(5)
    sheet = print_sheet(cast.merchant.pk, cast.warehouse.pk, key=uuid4())
    enter_counts(cast.merchant.pk, sheet.pk, {cast.mug.pk: 3})
    results = race([partial(approve_sheet, cast.context(), sheet.pk) for _ in range(6)])
    assert Counter(type(result) for result in results) == {Outcome: 1, InvalidStockRequest: 5}
    assert level_of(cast.mug, cast.warehouse) == (3, 0, 0)


def _import(cast: Cast) -> ImportReport:
    rows = [f"{n},receipt,{cast.mug.sku},{cast.warehouse.code},1,2026-01-01\n" for n in range(40)]
    text = "key,kind,sku,location,quantity,occurred_at\n" + "".join(rows)
    return import_file(Import(cast.merchant.pk), io.StringIO(text))


def test_a_file_that_is_imported_by_several_at_once_is_imported_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "BATCH", 10)
    cast = Cast()
    reports = race([partial(_import, cast) for _ in range(4)])
    assert [report.error_count for report in reports] == [0] * 4
    assert sum(report.imported for report in reports) == ImportedRow.objects.count() == 40
    assert level_of(cast.mug, cast.warehouse) == (40, 0, 0)
    assert_ledger_holds()


def test_without_the_claim_two_imports_at_once_import_every_row_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cast = Cast()
    both_have_sorted = threading.Barrier(2)
    sort_out = importing._sort_out

    def sort_together(*given: Any) -> Any:
        found = sort_out(*given)
        both_have_sorted.wait(PATIENCE)
        return found

    monkeypatch.setattr(importing, "_sort_out", sort_together)
    monkeypatch.setattr(ImportBatch, "_claim", lambda self, posting: None)
    race([partial(_import, cast) for _ in range(2)])
    assert level_of(cast.mug, cast.warehouse) == (80, 0, 0)
