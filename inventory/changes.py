"""Reads the changes in the order of their positions: for mirrors of the stock and for webhooks.

A position is given after the commit, by one process (`inventory.sequencer`): whoever has read up to a position has read
everything below it, for ever. For each level the changes come in the order of its versions, 1, 2, 3 … without a gap; for
each reservation, variant and location in the order in which they were recorded.

What `Change.payload` holds, quantities in base units:

- `stock.changed`: `level_id`; `on_hand`, `reserved`, `unavailable`, `available` after the change; `on_hand_delta`,
  `reserved_delta`, `unavailable_delta`; `movement_kind`, `reason`.
- `reservation.*`: `reservation_id`, `reference`, `units` that this change is about; `quantity`, `open`, `fulfilled`,
  `released`, `expires_at`, `confirmed_at` as they were when the position was given, which may be a little later; `reason`.
- `variant.changed`: `sku`, `gtin`, `title`, `product_id`, `is_active`.
- `location.changed`: `code`, `name`, `kind`, `country`, `is_active`.
"""

from collections.abc import Collection
from datetime import timedelta
from typing import Final

from django.conf import settings
from django.db import connection
from django.db.models import QuerySet
from django.utils import timezone

from inventory.errors import ChangesForgotten
from inventory.models import Change, FeedMark

POSITION: Final = "position"
FORGOTTEN: Final = "forgotten"
OPERATIONS: Final = "operations"

#: Columns of an operation that nobody is told.
_UNTOLD: Final = ("operation__outcome", "operation__digest")
#: Changes forgotten by one statement.
_PIECE: Final = 5_000


def read_changes(
    after: int, limit: int, merchant: int | None = None, *, kinds: Collection[str] | None = None
) -> list[Change]:
    """Returns up to `limit` changes above the position `after`, in order: of all merchants, or of one; some kinds only.

    Two statements. Operation, variant and location come along; the latter two are None once they are gone. Raises
    `ChangesForgotten` where some of what came after is not kept any more, or the position was never given.
    """
    rows = Change.objects.all() if merchant is None else Change.objects.filter(merchant=merchant)
    rows = rows if kinds is None else rows.filter(kind__in=kinds)
    rows = rows.select_related("operation", "variant", "location").defer(*_UNTOLD)
    found = list(following(rows, after, limit))
    check_kept(after)
    return found


def following(rows: QuerySet[Change], after: int, limit: int) -> QuerySet[Change]:
    """Returns the first of these changes above a position; to be followed by `check_kept`."""
    return rows.filter(position__gt=after).order_by("position")[:limit]


def check_kept(after: int) -> None:
    """Raises `ChangesForgotten` where something was missing after a position; to be asked once the changes were read."""
    marks = marks_now()
    if not marks[FORGOTTEN] <= after <= marks[POSITION]:
        raise ChangesForgotten(after)


def head() -> int:
    """Returns the last position given; everything up to it can be read now."""
    return marks_now()[POSITION]


def marks_now() -> dict[str, int]:
    """Returns how far the changes have come; 0 for what has not begun."""
    return {POSITION: 0, FORGOTTEN: 0, OPERATIONS: 0, **dict(FeedMark.objects.values_list("name", "value"))}


# Positions are deleted from the oldest on, up to the first that is to stay; the mark says so in the same statement. Above the
# mark of the operations a change shows that its operation has been told, however old it is.
_FORGET: Final = """
WITH piece AS MATERIALIZED (
    SELECT position,
           happened_at >= %s OR operation_id > coalesce((SELECT value FROM inventory_feedmark WHERE name = %s), 0) AS stays
    FROM inventory_change ORDER BY position LIMIT %s
), last AS MATERIALIZED (
    SELECT max(position) AS position FROM piece
    WHERE position < coalesce((SELECT min(position) FROM piece WHERE stays), 9223372036854775807)
), marked AS (
    INSERT INTO inventory_feedmark AS mark (name, value)
    SELECT %s, last.position FROM last WHERE last.position IS NOT NULL
    ON CONFLICT (name) DO UPDATE SET value = greatest(mark.value, excluded.value)
)
DELETE FROM inventory_change change USING last WHERE change.position <= last.position
"""


def forget_old() -> int:
    """Deletes changes that are older than the setting says, piece by piece; returns how many."""
    before = timezone.now() - timedelta(days=settings.KEEP_CHANGES_DAYS)
    count = 0
    while True:
        with connection.cursor() as cursor:
            cursor.execute(_FORGET, [before, OPERATIONS, _PIECE, FORGOTTEN])
            gone = int(cursor.rowcount)
        count += gone
        if gone < _PIECE:
            return count
