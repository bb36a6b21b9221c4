"""How long it takes until each channel is told of what others sold: one sample for each order and channel told.

An order may be told to one channel and wait for another, which is down or paused: each has its own sample as soon as all
listings that the order touches there have confirmed a number computed after it, and counts as infinitely late until then.
Samples are written once, soon after, while the pushes that confirmed are the latest of their listings.
"""

from collections.abc import Collection
from datetime import date, timedelta
from typing import Any, Final

from django.db import connection
from django.utils import timezone

from analytics.models import ToldOrder
from config.statements import rows

#: Days for which samples are kept: longer than a day may be measured anew.
KEEP_DAYS: Final = 21

#: An order that waits for so long is stuck on one channel, and what others were told of it is noted without waiting for that.
STUCK_AFTER: Final = timedelta(minutes=2)

# Orders are found by arrival, channel by channel; those that were told everywhere in time and have a sample are done with.
_OPEN: Final = """
SELECT placed.id, placed.arrived_at, placed.propagated_at, placed.marks, day.day
FROM channels_channel sold
CROSS JOIN unnest(%(days)s::date[]) AS day(day)
CROSS JOIN LATERAL (
    SELECT * FROM channels_channelorder
    WHERE channel_id = sold.id AND NOT is_test AND applied_at IS NOT NULL AND marks <> '{}'::jsonb
      AND arrived_at >= day.day::timestamp AT TIME ZONE 'UTC'
      AND arrived_at < (day.day + 1)::timestamp AT TIME ZONE 'UTC'
) placed
WHERE sold.merchant_id = %(merchant)s
  AND (placed.propagated_at IS NULL OR placed.propagated_at > placed.arrived_at + %(stuck_after)s
       OR NOT EXISTS (SELECT FROM analytics_toldorder WHERE order_id = placed.id))
"""

_NOTE: Final = f"""
WITH waiting AS MATERIALIZED ({_OPEN}), told AS MATERIALIZED (
    SELECT waiting.id, waiting.arrived_at, waiting.day, level.channel_id,
           array_agg(level.id) AS levels, array_agg(mark.wanted::bigint) AS wanted
    FROM waiting
    CROSS JOIN LATERAL jsonb_each_text(waiting.marks) AS mark (level_id, wanted)
    JOIN channels_listinglevel level ON level.id = mark.level_id::bigint
    WHERE (waiting.propagated_at IS NOT NULL OR waiting.arrived_at < clock_timestamp() - %(stuck_after)s)
      AND NOT EXISTS (
        SELECT FROM analytics_toldorder kept WHERE kept.order_id = waiting.id AND kept.channel_id = level.channel_id
    )
    GROUP BY waiting.id, waiting.arrived_at, waiting.day, level.channel_id
    HAVING bool_and(level.done >= mark.wanted::bigint)
)
INSERT INTO analytics_toldorder (merchant_id, order_id, channel_id, arrived_on, seconds)
SELECT %(merchant)s, told.id, told.channel_id, told.day, greatest(extract(epoch FROM met.at - told.arrived_at), 0)::float8
FROM told
CROSS JOIN LATERAL (
    SELECT max(coalesce(first.at, clock_timestamp())) AS at
    FROM unnest(told.levels, told.wanted) AS mark (level_id, wanted)
    LEFT JOIN LATERAL (
        SELECT min(push.finished_at) AS at
        FROM (
            SELECT finished_at, wanted, outcome FROM channels_push
            WHERE listing_level_id = mark.level_id ORDER BY id DESC LIMIT 100
        ) push
        WHERE push.wanted >= mark.wanted AND push.outcome IN ('confirmed', 'unchanged')
    ) first ON true
) met
ON CONFLICT DO NOTHING
"""  # noqa: S608  # texts of our own

# A channel that has a sample of an open order has been told of it.
_FIGURES: Final = f"""
WITH waiting AS MATERIALIZED ({_OPEN})
SELECT day, sample.channel_id, count(*), count(*) FILTER (WHERE seconds <= known.target),
       percentile_disc(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY seconds)
FROM (
    SELECT arrived_on AS day, channel_id, seconds FROM analytics_toldorder
    WHERE merchant_id = %(merchant)s AND arrived_on = ANY(%(days)s::date[])
    UNION ALL
    SELECT waiting.day, level.channel_id, 'Infinity'::float8
    FROM waiting
    CROSS JOIN LATERAL jsonb_each_text(waiting.marks) AS mark (level_id, wanted)
    JOIN channels_listinglevel level ON level.id = mark.level_id::bigint
    WHERE NOT EXISTS (
        SELECT FROM analytics_toldorder kept WHERE kept.order_id = waiting.id AND kept.channel_id = level.channel_id
    )
    GROUP BY waiting.id, waiting.day, level.channel_id
    HAVING bool_or(level.done < mark.wanted::bigint)
) sample
JOIN unnest(%(channels)s::bigint[], %(targets)s::float8[]) AS known (channel_id, target)
    ON known.channel_id = sample.channel_id
GROUP BY GROUPING SETS ((day, sample.channel_id), (day))
"""  # noqa: S608  # texts of our own


def note_told(merchant_id: int, days: Collection[date]) -> int:
    """Keeps how long it took for what has been told by now, of orders that arrived on these days; returns how many samples."""
    parameters: dict[str, Any] = {
        "merchant": merchant_id,
        "days": sorted(days),
        "stuck_after": STUCK_AFTER,
    }
    with connection.cursor() as cursor:
        cursor.execute(_NOTE, parameters)
        return int(cursor.rowcount)


def latencies_told(
    merchant_id: int, days: Collection[date], targets: dict[int, float | None]
) -> list[tuple[date, int | None, int, int, list[float]]]:
    """Returns day, channel told (None: all), samples, those within the target, and p50, p95 and p99 in seconds."""
    parameters: dict[str, Any] = {
        "merchant": merchant_id,
        "days": sorted(days),
        "stuck_after": STUCK_AFTER,
        "channels": list(targets),
        "targets": list(targets.values()),
    }
    found: list[tuple[date, int | None, int, int, list[float]]] = rows(_FIGURES, parameters)
    return found


def forget_told() -> int:
    """Deletes samples of days that are not measured any more; returns how many."""
    first = timezone.now().date() - timedelta(days=KEEP_DAYS)
    gone, _ = ToldOrder.objects.filter(arrived_on__lt=first).delete()
    return gone
