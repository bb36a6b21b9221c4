"""Computes what a channel in shadow would be told, as soon as it would be told: the pusher's part while nothing is pushed.

A listing level is due as ever. Its number is computed after its mark was read, so that nothing committed before is missing
from it, and `done` moves as after a push: other channels' orders do not wait for a channel that is told nothing.
"""

import time
from datetime import datetime
from typing import Any, Final

from django.db import connection

from channels.exposure import targets
from channels.models import ShadowRun
from channels.shadow.spans import Number, note_shown, note_would, open_run

#: Listing levels computed together, and observations taken in together.
BATCH: Final = 1_000
#: Seconds that one look at all runs may take; what is left waits for the next sweep.
LONGEST: Final = 1.0
#: Observations are read again so many ids back: one with a smaller id may have been committed later.
_OVERLAP: Final = 500

_DUE: Final = """
SELECT level.id, level.wanted, level.due_since
FROM channels_listinglevel level
JOIN channels_listing listing ON listing.id = level.listing_id
JOIN channels_channellocation place ON place.id = level.channel_location_id
WHERE level.channel_id = %s AND level.wanted > level.done AND level.dead_at IS NULL
  AND listing.is_active AND listing.variant_id IS NOT NULL AND place.is_active
ORDER BY level.lane, level.due_since
LIMIT %s
"""

_DONE: Final = """
WITH held AS (
    SELECT level.id, seen.wanted
    FROM unnest(%s::bigint[], %s::bigint[]) AS seen (id, wanted)
    JOIN channels_listinglevel level ON level.id = seen.id
    ORDER BY level.id
    FOR NO KEY UPDATE OF level
)
UPDATE channels_listinglevel level
SET done = greatest(level.done, held.wanted),
    due_since = CASE WHEN level.wanted > held.wanted THEN clock_timestamp() END
FROM held
WHERE level.id = held.id
"""

# Of several observations of a shelf the newest; none that is older than what is known.
_OBSERVED: Final = """
WITH new AS MATERIALIZED (
    SELECT id, listing_level_id, quantity, received_at FROM channels_shelfobservation
    WHERE channel_id = %(channel)s AND id > %(after)s AND received_at >= %(since)s
    ORDER BY id LIMIT %(limit)s
)
SELECT DISTINCT ON (new.listing_level_id) new.listing_level_id, new.quantity, new.received_at,
    (SELECT max(id) FROM new), coalesce(span.said_at >= new.received_at, false)
FROM new
LEFT JOIN channels_shadowspan span
    ON span.run_id = %(run)s AND span.listing_level_id = new.listing_level_id AND span.ended_at IS NULL
ORDER BY new.listing_level_id, new.received_at DESC, new.id DESC
"""


def follow_all() -> int:
    """Brings every open run up to now, for a moment at most; returns how many numbers it computed."""
    started, count = time.monotonic(), 0
    runs = ShadowRun.objects.filter(ended_at__isnull=True, channel__is_active=True)
    for run_id in runs.order_by("id").values_list("id", flat=True):
        take_in(run_id)
        while time.monotonic() - started < LONGEST:
            computed = compute(run_id)
            count += computed
            if computed < BATCH:
                break
    return count


def compute(run_id: int) -> int:
    """Computes what is due of a run, a batch of it; returns how many numbers that were."""
    with open_run(run_id) as run:
        if run is None:
            return 0
        due = _rows(_DUE, [run.channel_id, BATCH])
        if not due:
            return 0
        numbers = targets([level_id for level_id, _, _ in due])
        would = {
            level_id: Number(numbers[level_id], since) for level_id, _, since in due if level_id in numbers
        }
        note_would(run, would)
        with connection.cursor() as cursor:
            cursor.execute(_DONE, [[row[0] for row in due], [row[1] for row in due]])
    return len(due)


def take_in(run_id: int) -> int:
    """Takes in what webhooks said of shelves since; returns how many shelves that were."""
    with open_run(run_id) as run:
        if run is None:
            return 0
        found = _rows(_OBSERVED, _observed_since(run))
        if not found:
            return 0
        note_shown(run, {row[0]: Number(row[1], row[2]) for row in found if not row[4]})
        newest = max(found[0][3], run.observed_id)
        ShadowRun.objects.filter(pk=run.pk).update(observed_id=newest)
    return len(found)


def _observed_since(run: ShadowRun) -> dict[str, int | datetime]:
    after = max(run.observed_id - _OVERLAP, 0)
    return {"channel": run.channel_id, "run": run.pk, "after": after, "since": run.began_at, "limit": BATCH}


def _rows(sql: str, parameters: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows
