"""Notes when everybody else had been told of an order: the end of its way from sale to shelf."""

from typing import Final

from django.db import connection

#: Orders looked at in one run.
WINDOW: Final = 1000

# `done` moves by confirmed or unchanged pushes alone, so that comparing it is the cheap test; only what is
# complete has the instant looked up, among the latest pushes of each level. Orders whose marks cannot be met
# (a dead, paused or deleted listing) stay open and are passed over by the rotation.
_NOTE: Final = """
WITH waiting AS (
    SELECT id, marks FROM channels_channelorder
    WHERE applied_at IS NOT NULL AND propagated_at IS NULL AND id > %s
    ORDER BY id
    LIMIT %s
), complete AS (
    SELECT waiting.id, waiting.marks
    FROM waiting
    CROSS JOIN LATERAL jsonb_each_text(waiting.marks) AS mark (level_id, wanted)
    LEFT JOIN channels_listinglevel level ON level.id = mark.level_id::bigint
    GROUP BY waiting.id, waiting.marks
    HAVING bool_and(coalesce(level.done >= mark.wanted::bigint, false))
), met AS (
    SELECT complete.id, max(coalesce(first.at, clock_timestamp())) AS at
    FROM complete
    CROSS JOIN LATERAL jsonb_each_text(complete.marks) AS mark (level_id, wanted)
    LEFT JOIN LATERAL (
        SELECT min(push.finished_at) AS at
        FROM (
            SELECT finished_at, wanted, outcome FROM channels_push
            WHERE listing_level_id = mark.level_id::bigint
            ORDER BY id DESC LIMIT 40
        ) push
        WHERE push.wanted >= mark.wanted::bigint AND push.outcome IN ('confirmed', 'unchanged')
    ) first ON true
    GROUP BY complete.id
), noted AS (
    UPDATE channels_channelorder placed
    SET propagated_at = met.at
    FROM met
    WHERE placed.id = met.id AND placed.propagated_at IS NULL
    RETURNING placed.id
)
SELECT (SELECT count(*) FROM noted), (SELECT count(*) FROM waiting), (SELECT max(id) FROM waiting)
"""


class Propagation:
    """Walks the orders on their way, a window a run, and begins anew at the end."""

    def __init__(self) -> None:
        self._last_id = 0

    def note(self, *, window: int = WINDOW) -> int:
        """Notes the orders of the next window that are complete; returns how many."""
        with connection.cursor() as cursor:
            cursor.execute(_NOTE, [self._last_id, window])
            noted, seen, last_id = cursor.fetchone() or (0, 0, None)
        self._last_id = last_id if seen == window and last_id else 0
        return int(noted)
