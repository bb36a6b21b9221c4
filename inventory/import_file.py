"""A merchant's stock as a CSV file: what its columns are called, and what each row says.

Rows are read one by one, so that a file of a million rows needs no more memory than one of ten. What a row cannot mean is
told with its line, column and remedy.
"""

import csv
import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from itertools import chain
from typing import Final

from inventory.errors import InvalidStockRequest
from inventory.models.stock import Reason
from inventory.validation import LARGEST_QUANTITY, LONGEST_TEXT, check_text

_NUMBER: Final = re.compile(r"[+-]?[0-9]+")

#: Characters that a column may have, where they are fewer than usual; with its source a key still fits.
_LONGEST: Final = {"key": 160, "sku": 128, "location": 64}


class RowKind(StrEnum):
    """What a row says about a level."""

    #: What was there at an instant; once for each level.
    OPENING = "opening"
    RECEIPT = "receipt"
    SHIPMENT = "shipment"
    #: More or less, with a sign.
    ADJUSTMENT = "adjustment"
    COUNT = "count"
    RETURN = "return"
    #: Nothing but the safety stock of a level.
    SAFETY_STOCK = "safety_stock"


COLUMNS: Final = (
    "key", "kind", "sku", "location", "quantity", "unavailable", "occurred_at", "reason", "document", "safety_stock",
)  # fmt: skip

_REASONS: Final = {
    RowKind.OPENING: Reason.OPENING,
    RowKind.RECEIPT: Reason.PURCHASE,
    RowKind.SHIPMENT: Reason.SALE,
    RowKind.ADJUSTMENT: Reason.CORRECTION,
    RowKind.COUNT: Reason.CORRECTION,
    RowKind.RETURN: Reason.CUSTOMER_RETURN,
    RowKind.SAFETY_STOCK: Reason.OTHER,
}

#: Smallest quantity by kind; an adjustment may be anything but 0.
_SMALLEST: Final = {
    RowKind.OPENING: 0,
    RowKind.RECEIPT: 1,
    RowKind.SHIPMENT: 1,
    RowKind.ADJUSTMENT: -LARGEST_QUANTITY,
    RowKind.COUNT: 0,
    RowKind.RETURN: 1,
}

#: Kinds whose units may arrive unsalable.
_ARRIVING: Final = {RowKind.OPENING, RowKind.RECEIPT, RowKind.RETURN}


@dataclass(frozen=True, slots=True)
class Defaults:
    """What holds for rows that do not say it themselves."""

    kind: str = RowKind.OPENING
    location: str = ""
    occurred_at: str = ""
    #: Where the rows come from; their keys are unique within it.
    source: str = "import"


@dataclass(frozen=True, slots=True)
class ImportRow:
    """One row, as it is meant."""

    line: int
    #: Unique within the merchant; empty for a row of nothing but safety stock.
    key: str
    digest: str
    kind: RowKind
    sku: str
    location: str
    quantity: int
    unavailable: int
    #: None: when it is imported.
    occurred_at: datetime | None
    reason: Reason
    document: str
    safety_stock: int | None


class RowError(Exception):
    """A row that cannot be imported: where it stands, and what to do about it."""

    def __init__(self, line: int, column: str, message: str) -> None:
        self.line, self.column, self.message = line, column, message
        super().__init__(f"line {line}, {column}: {message}")


def read_rows(lines: Iterable[str], defaults: Defaults) -> Iterator[ImportRow | RowError]:
    """Yields each row, or what is wrong with it. Raises `RowError` where the file cannot be read any further.

    The first line names the columns; semicolons or tabs between them are understood as well.
    """
    last = 0
    try:
        rest = iter(lines)
        first = next(rest, "")
        reader = csv.reader(chain([first], rest), delimiter=_delimiter(first), strict=True)
        names = _header(next(reader, []))
        for values in reader:
            last = reader.line_num
            if any(value.strip() for value in values):
                yield _row_or_error(last, names, values, defaults)
    except csv.Error as error:
        raise RowError(last + 1, "file", f"is not CSV ({error}); export it again.") from error
    except UnicodeDecodeError as error:
        raise RowError(last + 1, "file", "is not UTF-8; save it as CSV UTF-8.") from error


def _delimiter(header: str) -> str:
    return max(",;\t", key=header.count)


def _header(row: list[str]) -> list[str]:
    names = [name.strip().lower() for name in row]
    for name in names:
        if name not in COLUMNS:
            raise RowError(1, name or "header", f"is no column; there are: {', '.join(COLUMNS)}.")
        if names.count(name) > 1:
            raise RowError(1, name, "is there twice; leave one out.")
    if "sku" not in names:
        raise RowError(1, "sku", "is missing; the first line names the columns.")
    return names


def _row_or_error(line: int, names: list[str], values: list[str], defaults: Defaults) -> ImportRow | RowError:
    try:
        if len(values) != len(names):
            raise RowError(
                line, "row", f"has {len(values)} fields, the header has {len(names)}; quote commas."
            )
        fields = {name: value.strip() for name, value in zip(names, values, strict=True)}
        return _row(line, fields, defaults)
    except RowError as error:
        return error


def _row(line: int, fields: dict[str, str], defaults: Defaults) -> ImportRow:
    get = _texts(line, fields, defaults)
    kind = _kind(line, get["kind"], get)
    safety_stock = _whole(line, "safety_stock", get["safety_stock"], smallest=0)
    if kind is RowKind.SAFETY_STOCK and safety_stock is None:
        raise RowError(line, "safety_stock", "is empty; give a number of units, 0 to keep none back.")
    quantity = unavailable = 0
    if kind is not RowKind.SAFETY_STOCK:
        quantity, unavailable = _quantities(line, kind, get)
    return ImportRow(
        line=line,
        key=_key(line, kind, get, defaults),
        digest=hashlib.sha256(json.dumps([get[name] for name in COLUMNS[1:-1]]).encode()).hexdigest(),
        kind=kind,
        sku=get["sku"],
        location=get["location"],
        quantity=quantity,
        unavailable=unavailable,
        occurred_at=_instant(line, get["occurred_at"]),
        reason=_reason(line, kind, get["reason"]),
        document=get["document"],
        safety_stock=safety_stock,
    )


def _texts(line: int, fields: dict[str, str], defaults: Defaults) -> dict[str, str]:
    """Returns the text of every column, that of the command where the row is silent. Refuses what cannot be stored."""
    texts = {name: fields.get(name, "") for name in COLUMNS}
    texts["kind"] = (texts["kind"] or defaults.kind).lower()
    texts["location"] = texts["location"] or defaults.location
    texts["occurred_at"] = texts["occurred_at"] or defaults.occurred_at
    for name, text in texts.items():
        try:
            check_text(name, text, longest=_LONGEST.get(name, LONGEST_TEXT))
        except InvalidStockRequest as error:
            raise RowError(line, name, str(error).partition(": ")[2]) from error
    for name in ("sku", "location"):
        if not texts[name]:
            raise RowError(line, name, "is empty; every row names a variant and a place.")
    return texts


def _kind(line: int, text: str, texts: dict[str, str]) -> RowKind:
    if text == RowKind.OPENING and not texts["quantity"] and texts["safety_stock"]:
        return RowKind.SAFETY_STOCK
    try:
        return RowKind(text)
    except ValueError:
        raise RowError(line, "kind", f"“{text}” is none of {', '.join(RowKind)}.") from None


def _key(line: int, kind: RowKind, texts: dict[str, str], defaults: Defaults) -> str:
    """Returns what tells this row from all others; an opening balance is told by its level."""
    if kind is RowKind.SAFETY_STOCK:
        return ""
    if kind is RowKind.OPENING:
        return f"open:{texts['location']}:{texts['sku']}"
    if not texts["key"]:
        raise RowError(
            line, "key", "is empty; give each movement a key of its own, such as the other system's id."
        )
    return f"{defaults.source}:{texts['key']}"


def _quantities(line: int, kind: RowKind, texts: dict[str, str]) -> tuple[int, int]:
    quantity = _whole(line, "quantity", texts["quantity"], smallest=_SMALLEST[kind])
    if quantity is None:
        raise RowError(line, "quantity", "is empty; give a number of units.")
    if kind is RowKind.ADJUSTMENT and not quantity:
        raise RowError(line, "quantity", "0 corrects nothing; leave the row out.")
    unavailable = _whole(line, "unavailable", texts["unavailable"], smallest=0) or 0
    if unavailable and kind not in _ARRIVING:
        raise RowError(line, "unavailable", f"has no meaning for a row of kind {kind}; leave it empty.")
    if unavailable > max(quantity, 0):
        raise RowError(line, "unavailable", f"is a part of the quantity, {quantity}, and cannot be more.")
    return quantity, unavailable


def _whole(line: int, column: str, text: str, *, smallest: int) -> int | None:
    if not text:
        return None
    if not _NUMBER.fullmatch(text):
        raise RowError(
            line, column, f"“{text}” is no whole number; give base units, such as 250 for 0.25 kg."
        )
    number = int(text) if len(text) < 20 else LARGEST_QUANTITY + 1
    if not smallest <= number <= LARGEST_QUANTITY:
        raise RowError(line, column, f"must lie between {smallest} and {LARGEST_QUANTITY}.")
    return number


def _instant(line: int, text: str) -> datetime | None:
    """Reads an instant with its offset, or a day, which begins at midnight UTC."""
    if not text:
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise RowError(
            line, "occurred_at", f"“{text}” is no time; write 2026-01-31T14:00:00+01:00."
        ) from None
    if instant.tzinfo is None:
        if len(text) > len("2026-01-31"):
            raise RowError(
                line, "occurred_at", "has no offset; write 2026-01-31T14:00:00+01:00, or Z for UTC."
            )
        instant = instant.replace(tzinfo=UTC)
    if instant > datetime.now(UTC):
        raise RowError(line, "occurred_at", "lies in the future; only what has happened is recorded.")
    return instant


def _reason(line: int, kind: RowKind, text: str) -> Reason:
    if not text:
        return _REASONS[kind]
    try:
        return Reason(text.lower())
    except ValueError:
        raise RowError(line, "reason", f"“{text}” is none of {', '.join(Reason.values)}.") from None
