"""Receipts and returns at the warehouse are written into the ledger as what they are, and counted once."""

from collections.abc import Iterator

import pytest

from channels.models import WarehouseArrival, WarehouseOrder
from channels.warehouses import marks
from inventory.models import CustomerReturn, PurchaseOrder, PurchaseOrderLine, StockMovement, Supplier
from inventory.purchasing import place
from tests.channels.warehouses.yard import Yard, open_yard
from tests.inventory.cast import assert_ledger_holds

pytestmark = pytest.mark.django_db


@pytest.fixture
def yard() -> Iterator[Yard]:
    with open_yard({"MUG": 10}) as yard:
        yard.round()
        yield yard


def movements(kind: str) -> list[int]:
    found = StockMovement.objects.filter(kind=kind).order_by("id")
    return list(found.values_list("on_hand_delta", flat=True))


def test_a_receipt_is_a_receipt_and_not_a_count(yard: Yard) -> None:
    yard.sandbox.receive("MUG", 5)
    yard.round()
    assert (yard.level("MUG"), movements("receipt"), movements("count")) == ((15, 0), [5], [10])
    yard.round()
    assert yard.level("MUG") == (15, 0)
    assert_ledger_holds()


def test_a_receipt_that_was_counted_before_it_was_known_counts_once(yard: Yard) -> None:
    yard.sandbox.receive("MUG", 5)
    hidden, yard.sandbox._receipts = yard.sandbox._receipts, []
    yard.round()
    assert yard.level("MUG") == (15, 0)
    yard.sandbox._receipts = hidden
    yard.round()
    assert (yard.level("MUG"), movements("receipt")) == ((15, 0), [5])
    assert_ledger_holds()


def test_a_receipt_serves_our_own_purchase_order(yard: Yard) -> None:
    merchant, location = yard.shop.merchant, yard.shop.locations["main"]
    supplier = Supplier.objects.create(merchant=merchant, code="KILN", name="Kiln")
    order = PurchaseOrder.objects.create(
        merchant=merchant, supplier=supplier, number="PO-7", location=location
    )
    line = PurchaseOrderLine.objects.create(order=order, variant=yard.shop.variants["MUG"], quantity=8)
    place(merchant.pk, order.pk)
    yard.sandbox.receive("MUG", 10, purchase_number="PO-7")
    yard.round()
    line.refresh_from_db()
    assert (line.received_quantity, yard.level("MUG")) == (8, (20, 0))
    assert_ledger_holds()


def test_what_came_before_the_first_look_is_in_the_first_count(yard: Yard) -> None:
    yard.cursor = ""
    yard.sandbox.receive("MUG", 5)
    marks.read_all(yard.channel.pk)
    yard.round()
    assert (yard.level("MUG"), movements("receipt")) == ((15, 0), [])
    assert WarehouseArrival.objects.get().units == 5


@pytest.mark.parametrize("restock", [True, False], ids=["back on the shelf", "not sold again"])
def test_a_return_closes_what_was_announced_and_the_warehouse_says_what_can_be_sold(
    yard: Yard, restock: bool
) -> None:
    yard.sell("MUG", 3)
    yard.round()
    yard.sandbox.ship(yard.number())
    WarehouseOrder.objects.update(looked_at=None)
    yard.round()
    assert yard.level("MUG") == (7, 0)
    yard.sandbox.refund(yard.number(), "MUG", 2, restock=restock)
    yard.settle()
    yard.round()
    assert yard.level("MUG") == (9 if restock else 7, 0)
    returned = CustomerReturn.objects.get()
    assert (returned.reference, returned.state) == (yard.request().order.reference, "closed")
    assert returned.lines.get().received_quantity == 2
    assert_ledger_holds()


def test_a_receipt_of_a_shortage_serves_whoever_waits(yard: Yard) -> None:
    yard.sell("MUG", 12)
    yard.round()
    assert yard.shop.owed("MUG") == 2
    yard.settle()
    yard.sandbox.receive("MUG", 5)
    yard.round()
    assert (yard.shop.owed("MUG"), yard.level("MUG")[1]) == (0, 12)
    yard.settle()
    yard.round()
    assert (yard.level("MUG"), yard.available("MUG")) == ((15, 12), 3)
    assert_ledger_holds()
