"""Purchase orders come from a CSV file, all or nothing."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from inventory.models import InboundEvent, PurchaseOrder, PurchaseOrderLine, Supplier
from tests.inventory.buying import in_days
from tests.inventory.cast import Cast

HEAD = "number,supplier,location,sku,quantity,expected_on,confirmed_on"


@pytest.fixture
def file(cast: Cast, tmp_path: Path) -> Path:
    Supplier.objects.create(merchant=cast.merchant, code="ACME", name="Acme", lead_time_days=7)
    return tmp_path / "orders.csv"


def run(cast: Cast, file: Path, *rows: str, head: str = HEAD) -> dict[str, Any]:
    file.write_text("\n".join([head, *rows]), encoding="utf-8-sig")
    out = io.StringIO()
    call_command("import_purchase_orders", str(file), "--merchant", cast.merchant.slug, "--json", stdout=out)
    told: dict[str, Any] = json.loads(out.getvalue())
    return told


def row(cast: Cast, number: str, **changes: Any) -> str:
    fields = {
        "supplier": "ACME",
        "location": cast.warehouse.code,
        "sku": cast.mug.sku,
        "quantity": 10,
        "expected_on": "",
        "confirmed_on": "",
        **changes,
    }
    return ",".join([number, *map(str, fields.values())])


def test_orders_are_written_placed_and_confirmed(cast: Cast, file: Path) -> None:
    told = run(
        cast,
        file,
        row(cast, "PO-1", confirmed_on=in_days(4)),
        row(cast, "PO-1", sku=cast.shirt.sku, quantity=3),
        row(cast, "PO-2", expected_on=in_days(20)),
    )
    assert told == {"orders": 2, "lines": 3, "known": []}
    lines = [
        (
            line.order.number,
            line.variant,
            line.quantity,
            line.confirmed_quantity,
            line.confirmed_on,
            line.expected_on,
        )
        for line in PurchaseOrderLine.objects.select_related("order", "variant").order_by("id")
    ]
    assert lines == [
        ("PO-1", cast.mug, 10, 10, in_days(4), in_days(7)),
        ("PO-1", cast.shirt, 3, 0, None, in_days(7)),
        ("PO-2", cast.mug, 10, 0, None, in_days(20)),
    ]
    assert set(PurchaseOrder.objects.values_list("state", flat=True)) == {"ordered"}
    assert InboundEvent.objects.get().operation.document == "PO-1"


def test_a_file_read_twice_adds_nothing(cast: Cast, file: Path) -> None:
    run(cast, file, row(cast, "PO-1"))
    assert run(cast, file, row(cast, "PO-1"), row(cast, "PO-2")) == {
        "orders": 1,
        "lines": 1,
        "known": ["PO-1"],
    }
    assert PurchaseOrderLine.objects.count() == 2


def test_every_problem_is_named_with_row_and_field_and_nothing_is_written(cast: Cast, file: Path) -> None:
    other = Cast()
    rows = [
        row(cast, "PO-1"),
        row(cast, "", quantity="2.5"),
        row(cast, "PO-2", supplier="nobody", sku=other.mug.sku),
        row(cast, "PO-3", expected_on="soon", confirmed_on="2020-01-01"),
        row(cast, "PO-1", location=cast.store.code),
        row(cast, "PO-4", quantity=0),
        row(cast, "PO-4", location=""),
    ]
    with pytest.raises(CommandError) as refusal:
        run(cast, file, *rows)
    told = str(refusal.value)
    for problem in (
        "row 3, number: is missing",
        "row 3, quantity: '2.5' is no whole number",
        "row 4, supplier: the merchant has no 'nobody'",
        f"row 4, sku: the merchant has no '{other.mug.sku}'",
        "row 5, expected_on: 'soon' is no day",
        "row 5, confirmed_on: lies in the past",
        "row 6, location: differs from",
        "row 7, quantity: '0' is no whole number",
        "row 8, location: the merchant has no ''",
    ):
        assert problem in told
    assert PurchaseOrder.objects.count() == 0


@pytest.mark.parametrize(
    ("head", "rows", "problem"),
    [("number,sku", [], "no column supplier, location, quantity"), (HEAD, [], "the file has no line")],
)
def test_a_file_without_columns_or_rows_is_refused(
    cast: Cast, file: Path, head: str, rows: list[str], problem: str
) -> None:
    with pytest.raises(CommandError, match=problem):
        run(cast, file, *rows, head=head)


def test_a_missing_file_and_an_unknown_merchant_are_named(cast: Cast, tmp_path: Path) -> None:
    missing = str(tmp_path / "none.csv")
    with pytest.raises(CommandError, match="cannot be read"):
        call_command("import_purchase_orders", missing, "--merchant", cast.merchant.slug)
    with pytest.raises(CommandError, match="no merchant 'nobody'"):
        call_command("import_purchase_orders", missing, "--merchant", "nobody")
