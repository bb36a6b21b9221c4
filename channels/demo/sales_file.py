"""Reads a merchant's order history from CSV: every row becomes a sale, a return, an adjustment, or a reason.

The default columns are those of the "Online Retail" data set (UCI): an order number that begins with `C` takes earlier
lines back; a negative row of another order corrects the stock.
"""

import csv
import gzip
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from enum import Enum
from io import TextIOWrapper
from pathlib import Path
from typing import Final, TextIO

#: Codes of that data set that are charges and not goods.
NO_GOODS: Final = ("POST", "DOT", "M", "D", "S", "C2", "BANK CHARGES", "AMAZONFEE", "CRUK", "B", "m", "PADS")

#: Largest number of units a row may have; above it the row is a slip.
LARGEST_QUANTITY: Final = 1_000_000


class SalesFileError(Exception):
    """The file cannot be played; the message names the line and the remedy."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Names of the columns that are read."""

    order: str = "InvoiceNo"
    sku: str = "StockCode"
    title: str = "Description"
    quantity: str = "Quantity"
    date: str = "InvoiceDate"
    price: str = "UnitPrice"
    country: str = "Country"

    def required(self) -> tuple[str, str, str, str]:
        """Those without which nothing can be played."""
        return self.order, self.sku, self.quantity, self.date


class RowKind(Enum):
    """What a row stands for."""

    SALE = "sale"
    #: Takes units of earlier sales back.
    RETURN = "return"
    ADJUSTMENT = "adjustment"


@dataclass(frozen=True, slots=True)
class Row:
    """One row that can be played; `quantity` is positive, except for adjustments."""

    line: int
    kind: RowKind
    order: str
    sku: str
    title: str
    quantity: int
    price: Decimal
    country: str


@dataclass(slots=True)
class Tally:
    """How many rows were read, and which could not be played, by reason."""

    rows_read: int = 0
    rejected: dict[str, int] = field(default_factory=dict)

    def reject(self, reason: str) -> None:
        """Counts a row that is not played."""
        self.rejected[reason] = self.rejected.get(reason, 0) + 1


def read_rows(
    path: Path, tally: Tally, *, columns: Columns, no_goods: frozenset[str] = frozenset(NO_GOODS)
) -> Iterator[Row]:
    """Streams the rows of a CSV or CSV.gz file in its order; rows that cannot be played are counted in `tally`.

    Raises `SalesFileError` for a file that is missing, not UTF-8, or lacks a column.
    """
    with _open(path) as file:
        try:
            yield from _read(file, tally, columns, no_goods)
        except UnicodeDecodeError as error:
            at = tally.rows_read + 2
            raise SalesFileError(
                f"{path.name}, line {at} or soon after: not UTF-8 ({error.reason}). Convert it, e.g. "
                f"`iconv -f latin1 -t utf-8`, and try again."
            ) from error
        except (csv.Error, EOFError, gzip.BadGzipFile) as error:
            at = tally.rows_read + 2
            raise SalesFileError(
                f"{path.name}, line {at}: {error}. Repair or export the file again."
            ) from error


def _open(path: Path) -> TextIO:
    try:
        if path.suffix == ".gz":
            return TextIOWrapper(gzip.open(path, "rb"), encoding="utf-8-sig", newline="")
        return path.open(encoding="utf-8-sig", newline="")
    except OSError as error:
        raise SalesFileError(f"{path}: {error.strerror}. Check the path.") from error


def _read(file: TextIO, tally: Tally, columns: Columns, no_goods: frozenset[str]) -> Iterator[Row]:
    reader = csv.DictReader(file, restkey="(surplus)", strict=True)
    _check_header(reader.fieldnames or [], columns)
    for raw in reader:
        tally.rows_read += 1
        row = _row(reader.line_num, raw, columns, no_goods)
        if isinstance(row, Row):
            yield row
        else:
            tally.reject(row)


def _check_header(names: "list[str] | tuple[str, ...]", columns: Columns) -> None:
    missing = [name for name in columns.required() if name not in names]
    if missing:
        raise SalesFileError(
            f"Line 1: no column {', '.join(missing)}; the file has {', '.join(names) or 'no columns'}. "
            "Name the columns with --order-column, --sku-column, --quantity-column, --date-column."
        )


def _row(line: int, raw: "dict[str, str]", columns: Columns, no_goods: frozenset[str]) -> Row | str:
    """Returns the row, or the reason why it cannot be played."""
    order, sku, quantity_text = ((raw.get(name) or "").strip() for name in columns.required()[:3])
    if not order or not sku:
        return "no order number or SKU"
    if sku in no_goods:
        return "no goods"
    quantity = _whole(quantity_text)
    if quantity is None:
        return "quantity is not a whole number"
    if quantity == 0 or abs(quantity) > LARGEST_QUANTITY:
        return "quantity is 0 or absurd"
    takes_back = order.upper().startswith("C")
    if takes_back and quantity > 0:
        return "positive quantity in a cancellation"
    kind = RowKind.RETURN if takes_back else RowKind.SALE if quantity > 0 else RowKind.ADJUSTMENT
    return Row(
        line,
        kind,
        order,
        sku,
        (raw.get(columns.title) or "").strip() or sku,
        quantity if kind is RowKind.ADJUSTMENT else abs(quantity),
        _price(raw.get(columns.price)),
        (raw.get(columns.country) or "").strip(),
    )


def _whole(text: str) -> int | None:
    """Reads ASCII digits with a sign; anything else (decimals, other scripts' digits) is None."""
    digits = text[1:] if text[:1] in "+-" else text
    return int(text) if digits.isascii() and digits.isdigit() and len(digits) <= 18 else None


def _price(text: str | None) -> Decimal:
    try:
        price = Decimal((text or "0").strip() or "0")
    except InvalidOperation:
        return Decimal(0)
    return price if price.is_finite() and price >= 0 else Decimal(0)
