"""Purchase orders from a CSV file: all of it or nothing, and a file read twice adds nothing.

One row a line; rows with the same number are one order. A day in `confirmed_on` confirms the whole line for it.
"""

import csv
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Final, TypeVar

from django.db import transaction
from django.utils import timezone

from inventory.errors import StockError
from inventory.ledger import Context
from inventory.models import Location, PurchaseOrder, Supplier, Variant
from inventory.ordering import OrderedLine, order_goods
from inventory.validation import LARGEST_QUANTITY

T = TypeVar("T")

NEEDED: Final = ("number", "supplier", "location", "sku", "quantity")
OPTIONAL: Final = ("ordered_on", "expected_on", "confirmed_on")


class BadFile(StockError):
    """The file cannot be imported."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(problems))


@dataclass(frozen=True, slots=True)
class Row:
    """One line of an order as the file states it."""

    row: int
    number: str
    supplier: Supplier
    location: Location
    variant: Variant
    quantity: int
    ordered_on: date | None
    expected_on: date | None
    confirmed_on: date | None


@dataclass(slots=True)
class Imported:
    """What came of an import."""

    orders: int = 0
    lines: int = 0
    #: Numbers of orders that were there before and were left alone.
    known: list[str] = field(default_factory=list)


def import_orders(merchant_id: int, lines: Iterable[str]) -> Imported:
    """Writes, places and confirms the orders of a CSV file, leaving those alone whose number is known.

    Raises `BadFile` with every problem, each with its row and field; nothing was written then.
    """
    rows = _read(merchant_id, lines)
    by_number: dict[str, list[Row]] = {}
    for row in rows:
        by_number.setdefault(row.number, []).append(row)
    imported = Imported()
    with transaction.atomic():
        numbers = PurchaseOrder.objects.filter(merchant_id=merchant_id, number__in=by_number)
        imported.known = sorted(numbers.values_list("number", flat=True))
        for number, of_order in by_number.items():
            if number not in imported.known:
                _write(merchant_id, of_order)
                imported.orders += 1
                imported.lines += len(of_order)
    return imported


def _write(merchant_id: int, rows: list[Row]) -> None:
    first = rows[0]
    digest = hashlib.sha256(first.number.encode()).hexdigest()[:40]
    context = Context(merchant_id, f"import-order:{digest}", source="import", document=first.number)
    lines = [OrderedLine(row.variant.pk, row.quantity, row.expected_on, row.confirmed_on) for row in rows]
    order_goods(context, first.number, first.supplier, first.location, lines, ordered_on=first.ordered_on)


def _read(merchant_id: int, lines: Iterable[str]) -> list[Row]:
    reader = csv.DictReader(lines)
    columns = set(reader.fieldnames or ())
    if missing := [name for name in NEEDED if name not in columns]:
        raise BadFile([f"row 1: no column {', '.join(missing)}. Needed are {', '.join(NEEDED)}."])
    read = _Reader(merchant_id, list(reader))
    rows = [read.row(number, fields) for number, fields in enumerate(read.raw, 2)]
    kept = [row for row in rows if row is not None]
    read.check_heads(kept)
    if not rows:
        read.problems.append("row 2: the file has no line.")
    if read.problems:
        raise BadFile(read.problems)
    return kept


class _Reader:
    """Turns the texts of a file into rows, and collects what is wrong with them; three statements a file."""

    def __init__(self, merchant_id: int, raw: list[dict[str, str | None]]) -> None:
        self.raw = raw
        self.problems: list[str] = []
        self._row = 0

        def values(name: str) -> set[str]:
            return {(fields.get(name) or "").strip() for fields in raw}

        suppliers = Supplier.objects.filter(merchant_id=merchant_id, code__in=values("supplier"))
        locations = Location.objects.filter(merchant_id=merchant_id, code__in=values("location"))
        variants = Variant.objects.filter(merchant_id=merchant_id, sku__in=values("sku"))
        self._suppliers = {supplier.code: supplier for supplier in suppliers}
        self._locations = {location.code: location for location in locations}
        self._variants = {variant.sku: variant for variant in variants}

    def row(self, number: int, fields: dict[str, str | None]) -> Row | None:
        """Returns what a row states; None where something is wrong with it."""
        self._row = number
        texts = {name: (fields.get(name) or "").strip() for name in (*NEEDED, *OPTIONAL)}
        before = len(self.problems)
        if not 0 < len(texts["number"]) <= 100:
            self._refuse("number", "is missing or longer than 100 characters")
        supplier = self._known("supplier", self._suppliers, texts)
        location = self._known("location", self._locations, texts)
        variant = self._known("sku", self._variants, texts)
        quantity = self._units(texts["quantity"])
        days = [self._day(name, texts[name]) for name in OPTIONAL]
        if days[2] is not None and days[2] < timezone.localdate():
            self._refuse("confirmed_on", "lies in the past; leave it empty, or give the new day")
        if len(self.problems) > before or supplier is None or location is None or variant is None:
            return None
        return Row(number, texts["number"], supplier, location, variant, quantity, *days)

    def check_heads(self, rows: list[Row]) -> None:
        """Refuses rows of one order that name two suppliers or locations."""
        heads: dict[str, tuple[Supplier, Location]] = {}
        for row in rows:
            self._row = row.row
            supplier, location = heads.setdefault(row.number, (row.supplier, row.location))
            if supplier != row.supplier:
                self._refuse("supplier", f"differs from {supplier} in an earlier row of {row.number}")
            if location != row.location:
                self._refuse("location", f"differs from {location} in an earlier row of {row.number}")

    def _refuse(self, name: str, problem: str) -> None:
        self.problems.append(f"row {self._row}, {name}: {problem}.")

    def _known(self, name: str, known: Mapping[str, T], texts: dict[str, str]) -> T | None:
        found = known.get(texts[name])
        if found is None:
            self._refuse(name, f"the merchant has no {texts[name]!r}")
        return found

    def _units(self, text: str) -> int:
        units = int(text) if text.isascii() and text.isdecimal() and len(text) < 18 else 0
        if not 0 < units <= LARGEST_QUANTITY:
            self._refuse("quantity", f"{text!r} is no whole number of units above 0")
        return units

    def _day(self, name: str, text: str) -> date | None:
        try:
            return date.fromisoformat(text) if text else None
        except ValueError:
            self._refuse(name, f"{text!r} is no day such as 2026-01-31")
            return None
