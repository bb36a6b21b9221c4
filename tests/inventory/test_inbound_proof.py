"""`verify_ledger` covers purchase orders and backorders: what they say is what the ledger moved."""

import io
import json
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection

from inventory.models import PurchaseOrderLine
from inventory.proof import prove
from tests.inventory.buying import Buying
from tests.inventory.cast import Cast


@pytest.fixture
def line(cast: Cast) -> PurchaseOrderLine:
    """A line of which some was received, some cancelled, some promised, and some of the promises filled."""
    buying = Buying(cast)
    line_id = buying.order(20, days=5)
    buying.promise("a", 4)
    buying.promise("b", 8)
    buying.receive(line_id, 7)
    buying.cancel(line_id, 2)
    return buying.line(line_id)


def tamper(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE inventory_inboundevent DISABLE TRIGGER inbound_event_is_never_changed")
        cursor.execute(sql)
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE inventory_inboundevent ENABLE TRIGGER inbound_event_is_never_changed")


def found() -> list[Any]:
    return list(prove())[-1].divergences


def test_honest_promises_hold(line: PurchaseOrderLine) -> None:
    assert (line.received_quantity, line.promised_quantity) == (7, 5)
    assert found() == []


@pytest.mark.parametrize(
    ("sql", "problem"),
    [
        ("UPDATE inventory_purchaseorderline SET promised_quantity = promised_quantity - 1", "line of a"),
        ("UPDATE inventory_purchaseorderline SET received_quantity = received_quantity - 1", "line of a"),
        ("UPDATE inventory_purchaseorderline SET cancelled_quantity = 0", "line of a"),
        ("DELETE FROM inventory_inboundevent WHERE kind = 'cancellation'", "line of a"),
        (
            "UPDATE inventory_backorder SET open_quantity = 4, cancelled_quantity = 1 WHERE reference = 'b'",
            "line of a",
        ),
        (
            "UPDATE inventory_backorder SET filled_quantity = 3, cancelled_quantity = 1 WHERE reference = 'a'",
            "filled backorders",
        ),
    ],
)
def test_what_was_changed_past_the_operations_is_named(
    line: PurchaseOrderLine, sql: str, problem: str
) -> None:
    tamper(sql)
    (first, *_) = found()
    assert problem in first.problem
    assert first.sku == line.variant.sku
    assert first.expected != first.found


def test_goods_received_without_a_movement_are_named(line: PurchaseOrderLine) -> None:
    tamper("UPDATE inventory_inboundevent SET quantity = quantity + 1 WHERE kind = 'receipt'")
    more = "received_quantity = received_quantity + 1, quantity = quantity + 1"
    tamper(f"UPDATE inventory_purchaseorderline SET {more}")
    (first,) = found()
    assert "are not those that moved" in first.problem
    assert (first.expected, first.found) == ({"received": 7}, {"received": 8})


def test_the_command_names_it_and_fails(line: PurchaseOrderLine) -> None:
    tamper("UPDATE inventory_purchaseorderline SET promised_quantity = promised_quantity - 1")
    for arguments in ([], ["--json"], ["--json", "--at-most", "1"]):
        out = io.StringIO()
        with pytest.raises(SystemExit) as end:
            call_command("verify_ledger", *arguments, stdout=out)
        assert end.value.code == 1
        if arguments:
            assert json.loads(out.getvalue())["first_divergence"]["location"] == line.order.number
        else:
            assert f"{line.variant.sku} at {line.order.number}, inbound" in out.getvalue()
