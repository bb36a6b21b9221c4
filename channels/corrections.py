"""Writes the right number over a wrong one that a shop was seen to show.

What the shop shows counts as expected from then on: else a shop that compares would take the difference for sales that were
not imported yet, and a shelf that is right by all we know would be told nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.db import connection

from channels.pushes import WAKE_UP
from config.notify import notify_after_commit


@dataclass(frozen=True, slots=True)
class WrongShelf:
    """A shelf that showed `shown` where `expected` should have been, with nothing on its way to it."""

    listing_level_id: int
    expected: int
    shown: int


# A shelf of which anything is known anew since then is left alone: it may be right by now.
_CORRECT: Final = """
WITH wrong AS (
    SELECT level.id, given.shown,
        CASE WHEN given.shown < level.expected THEN 2 WHEN level.expected <= 0 THEN 0 ELSE 1 END AS lane
    FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[]) AS given (id, expected, shown)
    JOIN channels_listinglevel level ON level.id = given.id
    WHERE level.expected = given.expected AND level.wanted = level.done AND level.lease_token IS NULL
      AND level.dead_at IS NULL
    ORDER BY level.id
    FOR NO KEY UPDATE OF level
)
UPDATE channels_listinglevel level
SET expected = wrong.shown,
    seen_quantity = NULL,
    seen_expected = NULL,
    seen_at = NULL,
    wanted = level.wanted + 1,
    lane = wrong.lane,
    due_since = clock_timestamp()
FROM wrong
WHERE level.id = wrong.id
RETURNING level.id, level.wanted
"""


def write_over(shelves: Sequence[WrongShelf]) -> dict[int, int]:
    """Has shelves told their numbers again; returns the mark of each that was as given: done, it is corrected."""
    if not shelves:
        return {}
    columns: list[Any] = [
        [shelf.listing_level_id for shelf in shelves],
        [shelf.expected for shelf in shelves],
        [shelf.shown for shelf in shelves],
    ]
    with connection.cursor() as cursor:
        cursor.execute(_CORRECT, columns)
        marked: dict[int, int] = dict(cursor.fetchall())
    if marked:
        notify_after_commit(WAKE_UP)
    return marked
