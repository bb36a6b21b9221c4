"""Law 2: what is written in the ledger stays written."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from inventory.errors import LedgerIsAppendOnly
from inventory.ledger import domain_errors
from inventory.models import StockMovement, StockOperation
from inventory.stock import AdjustmentLine, adjust
from tests.inventory.cast import Cast, level_of, story


def _run(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


def _twin(row: Any) -> Any:
    """Returns a row that no constraint of the database would refuse."""
    row.pk = None
    if isinstance(row, StockMovement):
        row.version += 1
    else:
        row.key += " again"
    return row


@pytest.fixture
def movement(cast: Cast) -> StockMovement:
    cast.receive(5)
    return StockMovement.objects.get()


def test_a_movement_is_neither_saved_nor_deleted_in_python(movement: StockMovement) -> None:
    movement.on_hand_delta = 6
    with pytest.raises(LedgerIsAppendOnly):
        movement.save()
    with pytest.raises(LedgerIsAppendOnly):
        movement.delete()
    with pytest.raises(LedgerIsAppendOnly):
        StockMovement.objects.create(level=movement.level, version=2)


def test_an_operation_is_neither_saved_nor_deleted_in_python(movement: StockMovement) -> None:
    operation = movement.operation
    operation.actor = "somebody else"
    with pytest.raises(LedgerIsAppendOnly):
        operation.save()
    with pytest.raises(LedgerIsAppendOnly):
        operation.delete()


@pytest.mark.parametrize("model", [StockMovement, StockOperation])
@pytest.mark.parametrize(
    "attempt",
    [
        pytest.param(lambda rows, row: rows.update(occurred_at=row.recorded_at), id="update"),
        pytest.param(lambda rows, row: rows.delete(), id="delete"),
        pytest.param(lambda rows, row: rows.filter(pk=row.pk)._raw_delete("default"), id="raw delete"),
        pytest.param(lambda rows, row: rows.bulk_create([_twin(row)]), id="bulk create"),
        pytest.param(lambda rows, row: rows.bulk_update([row], ["occurred_at"]), id="bulk update"),
    ],
)
def test_no_queryset_changes_or_removes_history(
    movement: StockMovement, model: Any, attempt: Callable[[Any, Any], Any]
) -> None:
    before = list(model.objects.values())
    with pytest.raises((LedgerIsAppendOnly, IntegrityError)), transaction.atomic():
        attempt(model.objects.all(), model.objects.get())
    assert list(model.objects.values()) == before


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE inventory_stockmovement SET on_hand_delta = on_hand_delta",
        "UPDATE inventory_stockmovement SET reverses_id = id",
        "DELETE FROM inventory_stockmovement",
        "UPDATE inventory_stockoperation SET actor = 'somebody else'",
        "UPDATE inventory_stockoperation SET outcome = '{}'",
        "UPDATE inventory_stockoperation SET occurred_at = now()",
        "DELETE FROM inventory_stockoperation",
    ],
)
def test_the_database_refuses_to_rewrite_history(movement: StockMovement, sql: str) -> None:
    with pytest.raises(IntegrityError, match="ledger_is_append_only"), transaction.atomic():
        _run(sql)


def test_the_databases_refusal_has_a_name_in_the_inventory(movement: StockMovement) -> None:
    with pytest.raises(LedgerIsAppendOnly), domain_errors(), transaction.atomic():
        _run("DELETE FROM inventory_stockmovement")


@pytest.mark.parametrize(
    "sql",
    ["TRUNCATE inventory_stockmovement CASCADE", "TRUNCATE inventory_stockoperation CASCADE"],
)
def test_the_ledger_is_never_emptied_at_once(db: None, sql: str) -> None:
    _run("ALTER TABLE inventory_stockmovement ENABLE TRIGGER movement_is_never_truncated")
    with pytest.raises(IntegrityError, match="ledger_is_append_only"), transaction.atomic():
        _run(sql)


def test_a_correction_is_a_new_movement_that_names_the_one_it_reverses(
    cast: Cast, movement: StockMovement
) -> None:
    line = AdjustmentLine(cast.mug.pk, cast.warehouse.pk, -5, reverses_id=movement.pk)
    adjust(cast.context(), [line])
    assert StockMovement.objects.get(reverses=movement).on_hand_delta == -5
    assert level_of(cast.mug, cast.warehouse) == (0, 0, 0)
    assert len(story(cast.mug, cast.warehouse)) == 2
