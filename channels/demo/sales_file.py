"""Reads a merchant's order history from CSV: every row becomes a sale, a return, an adjustment, or a reason.

The default columns are those of the "Online Retail" data set (UCI): an order number that begins with `C` takes earlier
lines back; a negative row of another order corrects the stock.
"""

import csv
import gzip
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from enum import Enum
from io import TextIOWrapper
from pathlib import Path
from typing import BinaryIO, Final, TextIO, cast

#: Codes of that data set that are charges and not goods.
NO_GOODS: Final = ("POST", "DOT", "M", "D", "S", "C2", "BANK CHARGES", "AMAZONFEE", "CRUK", "B", "m", "PADS")

#: Largest number of units a row may have; above it the row is a slip.
LARGEST_QUANTITY: Final = 1_000_000

#: A price above it is taken for none.
LARGEST_PRICE: Final = 1_000_000_000

#: Characters that an order number or a SKU may have.
LONGEST_ORDER: Final = 100
LONGEST_SKU: Final = 128

#: What the CSV reader calls the cells beyond the last column.
_SURPLUS: Final = "(surplus)"
_GZIP: Final = b"\x1f\x8b"
_UTF_16: Final = (b"\xff\xfe", b"\xfe\xff")


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

    def all(self) -> tuple[str, ...]:
        """Every one that is read."""
        return *self.required(), self.title, self.price, self.country


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
    #: Line of the file with which the row read last ends; the header is line 1.
    line: int = 0
    rejected: dict[str, int] = field(default_factory=dict)

    def reject(self, reason: str) -> None:
        """Counts a row that is not played."""
        self.rejected[reason] = self.rejected.get(reason, 0) + 1


def read_rows(
    path: Path, tally: Tally, *, columns: Columns, no_goods: frozenset[str] = frozenset(NO_GOODS)
) -> Iterator[Row]:
    """Streams the rows of a CSV or CSV.gz file in its order; rows that cannot be played are counted in `tally`.

    Raises `SalesFileError` for a file that is missing, damaged, not UTF-8, or lacks a column.
    """
    with _open(path) as file:
        try:
            yield from _read(file, tally, columns, no_goods)
        except UnicodeDecodeError as error:
            raise _not_utf8(path, error) from error
        except (csv.Error, EOFError, zlib.error, OSError) as error:
            at = f"{path.name}, line {tally.line + 1} or soon after"
            raise SalesFileError(f"{at}: {error}. Repair or export the file again.") from error


def _open(path: Path) -> TextIO:
    """Opens plain and gzipped text alike, whatever the name ends with."""
    try:
        return TextIOWrapper(_open_bytes(path), encoding="utf-8-sig", newline="")
    except OSError as error:
        raise SalesFileError(f"{path}: {error.strerror}. Check the path.") from error


def _open_bytes(path: Path) -> BinaryIO:
    with path.open("rb") as file:
        is_gzipped = file.read(2) == _GZIP
    return cast(BinaryIO, gzip.open(path, "rb")) if is_gzipped else path.open("rb")


def _not_utf8(path: Path, error: UnicodeDecodeError) -> SalesFileError:
    """Says in which line the first other byte is: the decoder, which reads ahead, does not know."""
    with _open_bytes(path) as file:
        start = file.read(2)
        file.seek(0)
        line = next((number for number, text in enumerate(file, 1) if not _is_utf8(text)), 1)
    encoding = "utf-16" if start in _UTF_16 else "latin1"
    return SalesFileError(
        f"{path.name}, line {line}: not UTF-8 ({error.reason}). Convert it, e.g. "
        f"`iconv -f {encoding} -t utf-8`, and try again."
    )


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _read(file: TextIO, tally: Tally, columns: Columns, no_goods: frozenset[str]) -> Iterator[Row]:
    reader = csv.DictReader(file, restkey=_SURPLUS, strict=True)
    _check_header(reader.fieldnames or (), columns)
    tally.line = reader.line_num
    for raw in reader:
        tally.rows_read += 1
        tally.line = reader.line_num
        row = _row(reader.line_num, raw, columns, no_goods)
        if isinstance(row, Row):
            yield row
        else:
            tally.reject(row)


def _check_header(names: Sequence[str], columns: Columns) -> None:
    missing = [name for name in columns.required() if name not in names]
    if missing:
        raise SalesFileError(
            f"Line 1: no column {', '.join(missing)}; the file has {', '.join(names) or 'no columns'}. "
            "Separate columns by commas, and name them with --order-column, --sku-column, --quantity-column, "
            "--date-column."
        )
    twice = [name for name in columns.all() if names.count(name) > 1]
    if twice:
        raise SalesFileError(
            f"Line 1: two columns are called {', '.join(twice)}. Rename those that are not meant."
        )


def _row(line: int, raw: Mapping[str, str], columns: Columns, no_goods: frozenset[str]) -> Row | str:
    """Returns the row, or the reason why it cannot be played."""
    order, sku, title, quantity_text = (
        (raw.get(name) or "").strip()
        for name in (columns.order, columns.sku, columns.title, columns.quantity)
    )
    quantity = _whole(quantity_text)
    reason = _unplayable_text(raw, order, sku, title, no_goods) or _unplayable_quantity(order, quantity)
    if reason or quantity is None:
        return reason
    kind = _kind(order, quantity)
    return Row(
        line,
        kind,
        order,
        sku,
        title or sku,
        quantity if kind is RowKind.ADJUSTMENT else abs(quantity),
        _price(raw.get(columns.price)),
        (raw.get(columns.country) or "").strip(),
    )


def _unplayable_text(
    raw: Mapping[str, str], order: str, sku: str, title: str, no_goods: frozenset[str]
) -> str:
    if any(cell.strip() for cell in raw.get(_SURPLUS) or ()):
        return "more cells than columns"
    if not order or not sku:
        return "no order number or SKU"
    if len(order) > LONGEST_ORDER or len(sku) > LONGEST_SKU:
        return "order number or SKU is too long"
    if "\0" in order + sku + title:
        return "holds a NUL character"
    return "no goods" if sku in no_goods else ""


def _unplayable_quantity(order: str, quantity: int | None) -> str:
    if quantity is None:
        return "quantity is not a whole number"
    if quantity == 0 or abs(quantity) > LARGEST_QUANTITY:
        return "quantity is 0 or absurd"
    return "positive quantity in a cancellation" if _takes_back(order) and quantity > 0 else ""


def _takes_back(order: str) -> bool:
    return order.upper().startswith("C")


def _kind(order: str, quantity: int) -> RowKind:
    if _takes_back(order):
        return RowKind.RETURN
    return RowKind.SALE if quantity > 0 else RowKind.ADJUSTMENT


def _whole(text: str) -> int | None:
    """Reads ASCII digits with a sign; anything else (decimals, other scripts' digits) is None."""
    digits = text[1:] if text[:1] in ("+", "-") else text
    if not (digits.isascii() and digits.isdigit()):
        return None
    return int(text) if len(digits) <= 18 else LARGEST_QUANTITY + 1


def _price(text: str | None) -> Decimal:
    try:
        price = Decimal((text or "").strip() or "0")
    except InvalidOperation:
        return Decimal(0)
    return price if price.is_finite() and 0 <= price <= LARGEST_PRICE else Decimal(0)
