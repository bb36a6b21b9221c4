"""What a platform says of its shelves, streamed into a table of its own and compared there in one statement.

A million numbers pass through the program a piece at a time and are never all in its memory. The table is unlogged: a crash
of the server empties it, and the run begins anew.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any, Final

from django.db import connection
from django.utils import timezone

from channels.connectors.base import ShelfNumber

#: Shelves sent to the database together, and seconds after which a piece of fewer is sent: what is told while its piece is
#: read is left out.
PIECE: Final = 50_000
PIECE_SECONDS: Final = 5.0
#: Differences of one run that are looked into; the others are counted, and wait for the next run.
MOST_SUSPECTS: Final = 20_000

#: Shelves taken before looking at the clock.
_FEW: Final = 100
_PREFIX: Final = "reconciliation_stage_"
#: How COPY writes that a shelf keeps no stock.
_NULL: Final = "\\N"
_ESCAPES: Final = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})

_CREATE: Final = """
CREATE UNLOGGED TABLE {table} (piece integer NOT NULL, listing text NOT NULL, place text NOT NULL, quantity bigint)
"""

#: Something is on its way to a shelf, or its number is in doubt already: what it shows says nothing now. A shelf whose
#: last number was given up is still, and what it shows is known to be wrong only by its target.
MOVING: Final = """
(level.expected IS NULL OR level.dead_at IS NULL AND (
    level.wanted > level.done OR level.lease_token IS NOT NULL OR level.is_outcome_unknown
    OR level.seen_at IS NOT NULL
) OR coalesce(greatest(level.confirmed_at, level.sent_at) >= {since}, false))
"""

# A channel has few places. Compared within CASE, PostgreSQL takes their names for no reason to expect few rows, for which it
# would look each shelf up by itself instead of hashing them all.
_OURS: Final = """
FROM {table} stage
JOIN channels_listing listing ON listing.channel_id = %(channel)s AND listing.external_id = stage.listing
JOIN channels_listinglevel level ON level.listing_id = listing.id AND level.channel_id = %(channel)s
JOIN channels_channellocation place ON place.id = level.channel_location_id
WHERE CASE WHEN place.external_id = stage.place THEN true ELSE false END
  AND stage.quantity IS NOT NULL AND listing.variant_id IS NOT NULL AND listing.is_active AND place.is_active
"""

# OFFSET 0 keeps whether a shelf moves from being worked out anew for each figure.
_COMPARED: Final = """
(
    SELECT level.id, stage.quantity AS shown, level.expected, level.dead_at IS NOT NULL AS is_dead,
        {moving} AS is_moving
    {ours} OFFSET 0
) AS shelf
"""
_DIFFERS: Final = "(NOT is_moving AND (is_dead OR shown <> expected))"

# One pass over the joined rows; what differs is usually little.
_DIFF: Final = f"""
SELECT count(*) FILTER (WHERE NOT is_moving), count(*) FILTER (WHERE is_moving), count(*) FILTER (WHERE {_DIFFERS}),
    coalesce((array_agg(id) FILTER (WHERE {_DIFFERS}))[1:%(most)s::int], '{{{{}}}}'),
    coalesce((array_agg(shown) FILTER (WHERE {_DIFFERS}))[1:%(most)s::int], '{{{{}}}}'),
    coalesce((array_agg(expected) FILTER (WHERE {_DIFFERS}))[1:%(most)s::int], '{{{{}}}}')
FROM {_COMPARED}
"""  # noqa: S608  # constants only

_LARGEST: Final = f"""
SELECT id, shown, expected FROM {_COMPARED}
WHERE {_DIFFERS}
ORDER BY abs(shown - expected) DESC, id
LIMIT %(most)s
"""  # noqa: S608  # constants only

#: Shelves that are told numbers, and that the platform did not name (any more) or keeps no stock of.
_MISSING: Final = """
SELECT count(*)
FROM channels_listinglevel level
JOIN channels_listing listing ON listing.id = level.listing_id
JOIN channels_channellocation place ON place.id = level.channel_location_id
WHERE level.channel_id = %(channel)s AND level.confirmed_at IS NOT NULL
  AND listing.variant_id IS NOT NULL AND listing.is_active AND place.is_active
  AND NOT EXISTS (
    SELECT FROM {table} stage
    WHERE stage.listing = listing.external_id AND stage.place = place.external_id
      AND stage.quantity IS NOT NULL
  )
"""

_RIGHT: Final = """
SELECT level.id
{ours} AND stage.quantity = level.expected AND level.dead_at IS NULL AND NOT {moving}
  AND level.id IN (
    SELECT listing_level_id FROM reconciliation_discrepancy
    WHERE channel_id = %(channel)s AND closed_at IS NULL
  )
"""

_ABANDONED: Final = """
SELECT tablename FROM pg_tables
WHERE schemaname = current_schema() AND tablename LIKE 'reconciliation\\_stage\\_%%'
  AND NOT EXISTS (
    SELECT FROM reconciliation_reconciliationrun run
    WHERE run.state = 'running' AND run.leased_until > clock_timestamp()
      AND tablename = 'reconciliation_stage_' || run.id
  )
"""


@dataclass(frozen=True, slots=True)
class Suspect:
    """A shelf that showed something else than expected at one look."""

    listing_level_id: int
    shown: int
    expected: int


@dataclass(frozen=True, slots=True)
class Diff:
    """What a comparison came to, in shelves."""

    compared: int
    moving: int
    #: All that differed at this look, of which `suspects` are the largest.
    differing: int
    suspects: list[Suspect]


@dataclass(slots=True)
class Stage:
    """The shelves of one channel, as the platform named them."""

    channel_id: int
    table: str
    #: When the reading of each piece began.
    read_from: list[datetime] = field(default_factory=list)
    read: int = 0

    def fill(self, shelves: Iterable[ShelfNumber]) -> Iterator[int]:
        """Takes shelves in, piece by piece; yields how many there are so far."""
        source = iter(shelves)
        while True:
            began = timezone.now()
            piece = _piece(source)
            if not piece:
                break
            text = self._text(piece)
            self.read_from.append(began)
            self.read += len(piece)
            with connection.cursor() as cursor, cursor.copy(f"COPY {self.table} FROM STDIN") as copy:
                copy.write(text)
            yield self.read
        with connection.cursor() as cursor:
            cursor.execute(f"ANALYZE {self.table}")

    def _text(self, piece: Sequence[ShelfNumber]) -> str:
        """Returns shelves as COPY reads them."""
        number = len(self.read_from) + 1
        text = "".join(
            [
                f"{number}\t{shelf.listing_external_id}\t{shelf.location_external_id}\t"
                f"{_NULL if shelf.quantity is None else shelf.quantity}\n"
                for shelf in piece
            ]
        )
        return text if _is_plain(text, len(piece)) else _escaped(number, piece)

    def compare(self) -> Diff:
        """Compares with what the shelves should show, in one statement; another one where very many differ."""
        parameters = self._parameters() | {"most": MOST_SUSPECTS}
        with connection.cursor() as cursor:
            cursor.execute(self._sql(_DIFF), parameters)
            compared, moving, differing, *columns = cursor.fetchone()
            rows = list(zip(*columns, strict=True))
            if differing > len(rows):
                cursor.execute(self._sql(_LARGEST), parameters)
                rows = cursor.fetchall()
        return Diff(compared, moving, differing, [Suspect(*row) for row in rows])

    def count_missing(self) -> int:
        """Counts shelves that were told numbers and were not named."""
        with connection.cursor() as cursor:
            cursor.execute(self._sql(_MISSING), {"channel": self.channel_id})
            return int(cursor.fetchone()[0])

    def right_again(self) -> list[int]:
        """Returns shelves with an open discrepancy that show what they should."""
        with connection.cursor() as cursor:
            cursor.execute(self._sql(_RIGHT), self._parameters())
            return [identity for (identity,) in cursor.fetchall()]

    def _parameters(self) -> dict[str, Any]:
        return {"channel": self.channel_id, "read_from": self.read_from}

    def _sql(self, template: str) -> str:
        moving = MOVING.format(since="(%(read_from)s::timestamptz[])[stage.piece]")
        return template.format(table=self.table, moving=moving, ours=_OURS.format(table=self.table))


@contextmanager
def staged(channel_id: int, run_id: int) -> Iterator[Stage]:
    """Creates the table of a run, and drops it at the end."""
    table = f"{_PREFIX}{int(run_id)}"
    _execute(f"DROP TABLE IF EXISTS {table}")
    _execute(_CREATE.format(table=table))
    try:
        yield Stage(channel_id, table)
    finally:
        _execute(f"DROP TABLE IF EXISTS {table}")


def _piece(source: Iterator[ShelfNumber]) -> list[ShelfNumber]:
    """Takes the next shelves, as many as arrive in time; at least a few, and none at the end."""
    ends_at = time.monotonic() + PIECE_SECONDS
    piece: list[ShelfNumber] = []
    while len(piece) < PIECE and (more := list(islice(source, min(_FEW, PIECE - len(piece))))):
        piece += more
        if time.monotonic() > ends_at:
            break
    return piece


def _is_plain(text: str, lines: int) -> bool:
    """Tells whether no id in it holds what COPY would take for something else, which hardly any does."""
    return (
        text.count("\t") == 3 * lines
        and text.count("\n") == lines
        and text.count("\\") == text.count(f"\t{_NULL}\n")
        and "\r" not in text
    )


def _escaped(number: int, shelves: Iterable[ShelfNumber]) -> str:
    return "".join(
        f"{number}\t{shelf.listing_external_id.translate(_ESCAPES)}\t"
        f"{shelf.location_external_id.translate(_ESCAPES)}\t"
        f"{_NULL if shelf.quantity is None else shelf.quantity}\n"
        for shelf in shelves
    )


def drop_abandoned() -> int:
    """Drops tables whose run is over or whose process died; returns how many."""
    with connection.cursor() as cursor:
        cursor.execute(_ABANDONED.replace("%%", "%"))
        tables = [name for (name,) in cursor.fetchall()]
    for name in tables:
        _execute(f'DROP TABLE IF EXISTS "{name}"')
    return len(tables)


def _execute(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)
