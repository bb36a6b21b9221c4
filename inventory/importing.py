"""Takes a merchant's stock and its history in from a file, row by row once.

Rows go into the ledger in batches, each one operation, in the order of the file. A row's key is written with its movement
in the same transaction, so that a file that is imported again, or goes on after a crash, adds only what is missing.
"""

import time
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

from django.db import connection

from inventory.errors import InvalidStockRequest, StockBusy
from inventory.import_batch import ImportBatch, Located, Place
from inventory.import_file import Defaults, ImportRow, RowError, RowKind, read_rows
from inventory.kits import current_kits
from inventory.ledger import Context, perform
from inventory.models import Location
from inventory.models.catalogue import LocationKind
from inventory.safety_stock import set_safety_stock

#: Rows of one operation; bounds its locks and its memory.
BATCH: Final = 1_000
#: Errors that are listed; all are counted.
LISTED: Final = 100
#: Seconds between tries while somebody else holds the rows.
_PATIENCE: Final = (0.2, 1.0, 5.0)


@dataclass(frozen=True, slots=True)
class Import:
    """Whose file it is, what it is called and who brings it."""

    merchant_id: int
    defaults: Defaults = field(default_factory=Defaults)
    name: str = ""
    actor: str = ""


@dataclass(slots=True)
class ImportReport:
    """What came of a file so far."""

    rows: int = 0
    #: Written by this run; would be, where it only checks.
    imported: int = 0
    #: Written by an earlier run.
    known: int = 0
    #: Levels whose safety stock has another figure now.
    safety_stock_changed: int = 0
    #: Units that reserved goods are short of because of what the file says.
    short: int = 0
    errors: list[RowError] = field(default_factory=list)
    error_count: int = 0

    @property
    def is_ok(self) -> bool:
        """Whether nothing was refused."""
        return not self.error_count

    def note(self, error: RowError) -> None:
        """Counts an error, and lists it among the first."""
        self.error_count += 1
        if len(self.errors) < LISTED:
            self.errors.append(error)

    def note_all(self, errors: Iterable[RowError]) -> None:
        """Counts several."""
        for error in errors:
            self.note(error)


Progress = Callable[[ImportReport], None]


def check_file(given: Import, lines: Iterable[str], progress: Progress | None = None) -> ImportReport:
    """Reads the whole file and changes nothing; finds what is wrong with a row by itself, and which rows are known.

    What depends on the stock at that point (more leaves than is there, an opening balance of a level with history) shows
    when it is imported.
    """
    report = ImportReport()
    catalogue = _Catalogue(given.merchant_id)
    for batch in _batches(given, lines, report):
        found = _sort_out(given.merchant_id, _found(catalogue.places_of(batch, report), batch))
        report.imported += len(found.new)
        report.known += found.known
        report.note_all(found.errors)
        _tell(progress, report)
    return report


def import_file(given: Import, lines: Iterable[str], progress: Progress | None = None) -> ImportReport:
    """Imports a file, in order, and stops at the first row that is refused; what precedes its batch stays.

    Safety stock is set to what the file says each time. Check the file first: a refusal here is one that only the stock
    can tell.
    """
    report = ImportReport()
    catalogue = _Catalogue(given.merchant_id)
    for batch in _batches(given, lines, report):
        places = catalogue.places_of(batch, report)
        if report.is_ok:
            _patiently(given, _found(places, batch), report)
        _tell(progress, report)
        if not report.is_ok:
            break
    return report


def _tell(progress: Progress | None, report: ImportReport) -> None:
    if progress is not None:
        progress(report)


def _batches(given: Import, lines: Iterable[str], report: ImportReport) -> Iterator[list[ImportRow]]:
    """Yields the readable rows in batches; notes the others, and where the file breaks off."""
    rows = read_rows(lines, given.defaults)
    try:
        while batch := list(islice(rows, BATCH)):
            report.rows += len(batch)
            for error in batch:
                if isinstance(error, RowError):
                    report.note(error)
            yield [row for row in batch if isinstance(row, ImportRow)]
    except RowError as error:
        report.note(error)


def _found(places: Sequence[Place | None], batch: Sequence[ImportRow]) -> list[Located]:
    return [(row, place) for row, place in zip(batch, places, strict=True) if place is not None]


# Joined, not listed: a list of a thousand is searched row by row until the tables' statistics are known.
_VARIANTS: Final = """
SELECT v.sku, v.id FROM unnest(%s::text[]) AS given(sku)
JOIN inventory_variant v ON v.merchant_id = %s AND v.sku = given.sku
"""

_DIGESTS: Final = """
SELECT r.key, r.digest FROM unnest(%s::text[]) AS given(key)
JOIN inventory_importedrow r ON r.merchant_id = %s AND r.key = given.key
"""


def _pairs(sql: str, merchant_id: int, texts: Collection[str]) -> dict[str, Any]:
    """Returns what belongs to each text."""
    with connection.cursor() as cursor:
        cursor.execute(sql, [sorted(texts), merchant_id])
        return dict(cursor.fetchall())


@dataclass(slots=True)
class _Sorted:
    """The rows of a batch, told apart."""

    new: list[Located] = field(default_factory=list)
    known: int = 0
    errors: list[RowError] = field(default_factory=list)


class _Catalogue:
    """Which variant and place a row means; places are few and read once, variants batch by batch."""

    def __init__(self, merchant_id: int) -> None:
        self._merchant_id = merchant_id
        places = Location.objects.filter(merchant_id=merchant_id).exclude(kind=LocationKind.IN_TRANSIT)
        self._locations = dict(places.values_list("code", "pk"))

    def places_of(self, batch: Sequence[ImportRow], report: ImportReport) -> list[Place | None]:
        """Returns variant and location of each row; notes rows that name what the merchant has not."""
        by_sku = _pairs(_VARIANTS, self._merchant_id, {row.sku for row in batch})
        found: list[Place | None] = []
        for row in batch:
            variant, location = by_sku.get(row.sku), self._locations.get(row.location)
            if variant is None:
                report.note(RowError(row.line, "sku", f"“{row.sku}” is unknown; add the variant first."))
            if location is None:
                report.note(RowError(row.line, "location", f"“{row.location}” is unknown; add it first."))
            found.append(None if variant is None or location is None else (variant, location))
        return found


def _sort_out(merchant_id: int, located: Sequence[Located]) -> _Sorted:
    """Tells rows that nobody has imported yet from those that are known; a key may stand for one row only."""
    digests = _pairs(_DIGESTS, merchant_id, {row.key for row, _ in located if row.key})
    found = _Sorted()
    for row, place in located:
        if not row.key:
            continue
        if row.key not in digests:
            digests[row.key] = row.digest
            found.new.append((row, place))
        elif digests[row.key] == row.digest:
            found.known += 1
        else:
            found.errors.append(RowError(row.line, "key", _other_row(row)))
    return found


def _other_row(row: ImportRow) -> str:
    if row.kind is RowKind.OPENING:
        return (
            f"the opening balance of {row.sku} at {row.location} was given before, with other figures; "
            "it is given once: count the variant instead."
        )
    return "stands for another row already; give this one a key of its own."


def _patiently(given: Import, located: Sequence[Located], report: ImportReport) -> None:
    """Writes a batch, and tries again while somebody else holds its rows."""
    for pause in (*_PATIENCE, None):
        try:
            _write(given, located, report)
        except RowError as error:
            report.note(error)
        except InvalidStockRequest as refusal:
            # A variant that became a kit meanwhile.
            report.note(RowError(located[0][0].line, "file", f"from here on: {refusal.message}"))
        except StockBusy:
            if pause is None:
                report.note(
                    RowError(located[0][0].line, "file", "the stock is busy; run it again to go on here.")
                )
                return
            time.sleep(pause)
            continue
        return


def _write(given: Import, located: Sequence[Located], report: ImportReport) -> None:
    found = _sort_out(given.merchant_id, located)
    if found.errors:
        report.note_all(found.errors)
        return
    kept_back = {place: row.safety_stock for row, place in located if row.safety_stock is not None}
    if kept_back:
        try:
            report.safety_stock_changed += set_safety_stock(given.merchant_id, kept_back)
        except InvalidStockRequest:
            _refuse_kits(given.merchant_id, located)
            raise
    if found.new:
        context = Context(
            given.merchant_id,
            key=f"import:{uuid.uuid4()}",
            actor=given.actor,
            source=given.defaults.source,
            document=given.name,
        )
        batch = ImportBatch(found.new)
        variants = {variant_id for _, (variant_id, _) in found.new}
        outcome = perform(context, "import", [row.key for row, _ in found.new], batch, variants=variants)
        report.short += sum(short.quantity for short in outcome.short)
    report.imported += len(found.new)
    report.known += found.known


def _refuse_kits(merchant_id: int, located: Sequence[Located]) -> None:
    """Raises `RowError` for the first row that keeps back units of a kit."""
    rows = [(row, variant_id) for row, (variant_id, _) in located if row.safety_stock is not None]
    kits = current_kits(merchant_id, {variant_id for _, variant_id in rows})
    for row, variant_id in rows:
        if variant_id in kits:
            message = f"{row.sku} is a kit and has no stock; keep units of its components back instead."
            raise RowError(row.line, "safety_stock", message)
