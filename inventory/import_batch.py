"""The work of one batch of an import: its rows' keys are claimed and its movements posted, or neither."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

from django.db import connection

from inventory import taking
from inventory.errors import StockBusy
from inventory.holds import fill_owed, release_expired
from inventory.import_file import ImportRow, RowError, RowKind
from inventory.locking import LockedLevel
from inventory.models.stock import MovementKind
from inventory.posting import Posting

#: (variant, location).
Place = tuple[int, int]
Located = tuple[ImportRow, Place]

_CLAIM: Final = """
INSERT INTO inventory_importedrow
    (merchant_id, operation_id, key, digest, kind, level_id, document, occurred_at)
SELECT %s, %s, r.key, r.digest, r.kind, r.level_id, r.document, r.occurred_at
FROM unnest(%s::text[], %s::text[], %s::text[], %s::bigint[], %s::text[], %s::timestamptz[])
    AS r(key, digest, kind, level_id, document, occurred_at)
ORDER BY r.key
ON CONFLICT (merchant_id, key) DO NOTHING
"""

#: Levels that have a history at the instant of their opening balance.
_WITH_HISTORY: Final = """
SELECT o.level_id FROM unnest(%s::bigint[], %s::timestamptz[]) AS o(level_id, at)
WHERE EXISTS (SELECT FROM inventory_stockmovement m WHERE m.level_id = o.level_id AND m.occurred_at <= o.at)
"""

_OPENED: Final = """
SELECT level_id, occurred_at FROM inventory_importedrow WHERE kind = 'opening' AND level_id = ANY(%s::bigint[])
"""


class ImportBatch:
    """Posts rows in their order; called by the ledger. Raises `RowError` for a row that the stock contradicts."""

    def __init__(self, rows: Sequence[Located]) -> None:
        self._rows = rows
        self._now = datetime.now(UTC)
        #: Earliest movement that this batch has posted, by level id.
        self._earliest: dict[int, datetime] = {}
        self._with_history: set[int] = set()
        self._opened_at: dict[int, datetime] = {}

    def __call__(self, posting: Posting) -> None:
        # The ledger calls anew where breaking kits needs more locks.
        self._earliest.clear()
        self._check_kits(posting)
        places = {place for _, place in self._rows}
        posting.lock({variant for variant, _ in places}, {place for _, place in places}, create=places)
        release_expired(posting)
        self._claim(posting)
        self._read(posting)
        for row, place in self._rows:
            self._post(posting, row, posting.levels[place])
        fill_owed(posting)

    def _check_kits(self, posting: Posting) -> None:
        for row, (variant_id, _) in self._rows:
            if variant_id in posting.kits:
                raise RowError(
                    row.line, "sku", f"{row.sku} is a kit and has no stock; name its components instead."
                )

    def _claim(self, posting: Posting) -> None:
        """Writes the rows' keys. Raises `StockBusy` where another import was quicker: to be sorted out again."""
        rows = [
            (
                row.key,
                row.digest,
                row.kind.value,
                posting.levels[place].id,
                row.document,
                self._instant(row),
            )
            for row, place in self._rows
        ]
        with connection.cursor() as cursor:
            columns = [list(column) for column in zip(*rows, strict=True)]
            cursor.execute(_CLAIM, [posting.merchant_id, posting.operation_id, *columns])
            if cursor.rowcount < len(rows):
                raise StockBusy

    def _read(self, posting: Posting) -> None:
        """Reads which levels have a history, and since when the others are open."""
        openings = [
            (posting.levels[place].id, self._instant(row))
            for row, place in self._rows
            if row.kind is RowKind.OPENING
        ]
        with connection.cursor() as cursor:
            if openings:
                cursor.execute(_WITH_HISTORY, [list(column) for column in zip(*openings, strict=True)])
                self._with_history = {level_id for (level_id,) in cursor.fetchall()}
            cursor.execute(_OPENED, [sorted(level.id for level in posting.levels.values())])
            self._opened_at = dict(cursor.fetchall())

    def _instant(self, row: ImportRow) -> datetime:
        return row.occurred_at or self._now

    def _post(self, posting: Posting, row: ImportRow, level: LockedLevel) -> None:
        instant = self._instant(row)
        if row.kind is RowKind.OPENING:
            self._check_opening(row, level, instant)
        elif (opened_at := self._opened_at.get(level.id)) is not None and instant < opened_at:
            raise RowError(
                row.line,
                "occurred_at",
                f"lies before the opening balance of {opened_at:%Y-%m-%d %H:%M}, which contains it; leave the row out.",
            )
        _POSTS[row.kind](posting, row, level)
        self._earliest[level.id] = min(self._earliest.get(level.id, instant), instant)

    def _check_opening(self, row: ImportRow, level: LockedLevel, instant: datetime) -> None:
        if (
            level.id in self._with_history
            or self._earliest.get(level.id, datetime.max.replace(tzinfo=UTC)) <= instant
        ):
            raise RowError(
                row.line,
                "quantity",
                f"{row.sku} has movements at {row.location} up to then; count it, or date the opening before them.",
            )


def _arrive(kind: MovementKind) -> Callable[[Posting, ImportRow, LockedLevel], None]:
    def post(posting: Posting, row: ImportRow, level: LockedLevel) -> None:
        if row.quantity:
            posting.post(
                level,
                kind,
                row.reason,
                on_hand=row.quantity,
                unavailable=row.unavailable,
                occurred_at=row.occurred_at,
            )

    return post


def _leave(posting: Posting, row: ImportRow, level: LockedLevel) -> None:
    _change(posting, row, level, -row.quantity, MovementKind.SHIPMENT)


def _adjust(posting: Posting, row: ImportRow, level: LockedLevel) -> None:
    _change(posting, row, level, row.quantity, MovementKind.ADJUSTMENT)


def _count(posting: Posting, row: ImportRow, level: LockedLevel) -> None:
    _change(posting, row, level, row.quantity - level.on_hand, MovementKind.COUNT)


def _change(posting: Posting, row: ImportRow, level: LockedLevel, delta: int, kind: MovementKind) -> None:
    """Posts a change of on hand; refuses one to less than nothing, for then the file is not in order of time."""
    if level.on_hand + delta < 0:
        raise RowError(
            row.line,
            "quantity",
            f"{-delta} leave {row.location} where {level.on_hand} of {row.sku} are on hand; sort the rows by time, "
            "and begin with the opening balance.",
        )
    if -delta > level.available:
        taking.make_room(posting, [(level, -delta)])
    taking.lose_or_find(posting, level, delta, kind, row.reason, occurred_at=row.occurred_at)


_POSTS: Final[dict[RowKind, Callable[[Posting, ImportRow, LockedLevel], None]]] = {
    RowKind.OPENING: _arrive(MovementKind.RECEIPT),
    RowKind.RECEIPT: _arrive(MovementKind.RECEIPT),
    RowKind.RETURN: _arrive(MovementKind.RETURN),
    RowKind.SHIPMENT: _leave,
    RowKind.ADJUSTMENT: _adjust,
    RowKind.COUNT: _count,
}
