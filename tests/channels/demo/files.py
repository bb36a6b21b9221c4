"""Sales files to read: the default header, and what was made of them."""

from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path

from channels.demo.sales_file import Columns, Row, RowKind, Tally, read_rows

HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,Country"


def write(directory: Path, *lines: str, header: str = HEADER, name: str = "sales.csv") -> Path:
    """Writes a sales file with these lines behind its header."""
    path = directory / name
    path.write_bytes("\n".join([header, *lines, ""]).encode())
    return path


def line(
    order: str = "536365",
    sku: str = "85123A",
    quantity: object = 6,
    *,
    title: str = "Mug",
    price: object = "2.55",
) -> str:
    """Returns one line of a sales file."""
    return f"{order},{sku},{title},{quantity},2010-12-01T08:26,{price},United Kingdom"


def read(path: Path, columns: Columns | None = None) -> tuple[list[Row], Tally]:
    """Reads a whole file; returns its rows and what was counted."""
    tally = Tally()
    return list(read_rows(path, tally, columns=columns or Columns())), tally


def row(number: int, order: str, sku: str, quantity: int, kind: RowKind = RowKind.SALE) -> Row:
    """Returns one row as the reader would."""
    return Row(number, kind, order, sku, sku, quantity, Decimal("1.00"), "NL")


def skus(rows: Iterable[Row]) -> list[str]:
    """Returns the rows' SKUs in their sequence."""
    return [each.sku for each in rows]
