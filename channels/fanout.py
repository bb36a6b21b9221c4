"""Marks the listings of bundles whose parts have changed: one statement for everything that is noted.

A popular part may stand in hundreds of bundles on every channel. Marking them in the transaction of each sale would have all
sales of all parts of a bundle wait for each other; so the sale only notes its change (`channels.pushes.mark_due`), and the
pusher turns the notes into marks before it looks for what is due. A note and its marks commit in turn, and a note is gone only
when its marks are there: nothing is lost, whoever dies. Notes of the same part become one mark.
"""

from typing import Final

from django.db import connection

from channels.pushes import kinds_told_of_open_orders

#: Notes taken at once; bounds how long the marked rows are locked.
WINDOW: Final = 5_000

# Two of them at once take different notes, and lock the rows they mark by id like everybody else.
_FAN_OUT: Final = """
WITH taken AS MATERIALIZED (
    DELETE FROM channels_bundlechange
    WHERE id = ANY(ARRAY(SELECT id FROM channels_bundlechange ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED))
    RETURNING variant_id, location_id, available_delta, available_after
), change AS MATERIALIZED (
    SELECT variant_id, location_id,
        min(available_after) FILTER (WHERE available_delta < 0) AS lowest,
        bool_or(available_delta > 0) AS has_risen
    FROM taken
    GROUP BY variant_id, location_id
), touched AS (
    SELECT level.id,
        min(CASE WHEN change.lowest < part.quantity THEN 0 WHEN change.lowest IS NULL AND change.has_risen THEN 2 ELSE 1 END)
            AS lane
    FROM change
    JOIN inventory_bundlepart part ON part.variant_id = change.variant_id AND part.is_drawn_on
    JOIN channels_listing listing ON listing.variant_id = part.bundle_variant_id AND listing.is_active
    JOIN channels_listinglevel level ON level.listing_id = listing.id
    JOIN channels_channel channel ON channel.id = level.channel_id
    JOIN channels_channellocationsource source
        ON source.channel_location_id = level.channel_location_id AND source.location_id = change.location_id
    WHERE change.lowest IS NOT NULL OR change.has_risen OR channel.kind = ANY(%s::text[])
    GROUP BY level.id
), locked AS (
    SELECT level.id, touched.lane
    FROM channels_listinglevel level
    JOIN touched ON touched.id = level.id
    ORDER BY level.id
    FOR NO KEY UPDATE OF level
), marked AS (
    UPDATE channels_listinglevel level
    SET wanted = level.wanted + 1,
        lane = CASE WHEN level.wanted > level.done THEN least(level.lane, locked.lane) ELSE locked.lane END,
        due_since = coalesce(level.due_since, clock_timestamp()),
    next_attempt_at = CASE WHEN level.attempts > 0 THEN level.next_attempt_at END
    FROM locked
    WHERE level.id = locked.id
    RETURNING level.id
)
SELECT (SELECT count(*) FROM taken), (SELECT count(*) FROM marked)
"""


def fan_out() -> int:
    """Marks what all noted changes touch, and forgets the notes; returns how many listing levels it marked."""
    marked: int = 0
    while True:
        with connection.cursor() as cursor:
            cursor.execute(_FAN_OUT, [WINDOW, kinds_told_of_open_orders()])
            taken, now_due = cursor.fetchone()
        marked += int(now_due)
        if taken < WINDOW:
            return marked
