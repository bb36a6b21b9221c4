"""The key figures of some days of one merchant, measured from facts, conflicts, orders and what other apps count.

A sale belongs to the day of its order, so that part and whole are about the same orders; a latency to the day on which the
order arrived; what was resolved to the day on which it was. Each function takes one or two statements, whatever the
number of days, channels and orders.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from analytics.kpis.sources import drift_of, handled_on
from analytics.kpis.targets import targets_of
from analytics.kpis.told import latencies_told, note_told
from analytics.models import Kpi
from channels.models import Channel
from config.statements import rows

#: Days of sales by which it is decided what sells fast.
FAST_DAYS: Final = 28


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of one day; channel None for all together."""

    kpi: Kpi
    channel_id: int | None
    day: date
    part: int
    whole: int
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None


#: Figures that follow from orders, from samples that are kept for some weeks, and from what other apps count.
OF_ORDERS: Final = (
    Kpi.OVERSOLD_UNITS,
    Kpi.OVERSOLD_ORDERS,
    Kpi.OVERSOLD_FAST,
    Kpi.CANCELLED,
    Kpi.TICKETS,
    Kpi.LATENCY,
)
OF_TOLD: Final = (Kpi.TOLD,)
OF_OTHERS: Final = (Kpi.DRIFT, Kpi.AUTOMATIC, Kpi.HANDLING)

# What was decided for a day stays; the best tenth is at least one.
_CHOOSE_FAST: Final = """
WITH missing AS MATERIALIZED (
    SELECT day FROM unnest(%(days)s::date[]) AS asked(day)
    WHERE NOT EXISTS (
        SELECT FROM analytics_fastseller WHERE merchant_id = %(merchant)s AND measured_on = asked.day
    )
)
INSERT INTO analytics_fastseller (merchant_id, measured_on, variant_id, units)
SELECT %(merchant)s, day, variant_id, units
FROM (
    SELECT day.day, fact.variant_id, sum(fact.ordered) AS units,
           ntile(10) OVER (PARTITION BY day.day ORDER BY sum(fact.ordered) DESC, fact.variant_id) AS tenth
    FROM missing day
    JOIN analytics_salesfact fact
        ON fact.merchant_id = %(merchant)s AND fact.variant_id IS NOT NULL AND fact.ordered > 0
       AND fact.ordered_on >= day.day - %(span)s::int AND fact.ordered_on < day.day
    GROUP BY day.day, fact.variant_id
) ranked
WHERE tenth = 1
ON CONFLICT DO NOTHING
"""

# A line that was short more than once, after it was filled in between, is oversold by no more than it sold. Lines are found one
# by one through their key: there are few conflicts and many lines. No conflict is older than its order, but for the clocks.
_SALES: Final = """
WITH short AS MATERIALIZED (
    SELECT line.line_id, line.order_id, line.channel_id, line.variant_id, line.ordered_on, line.cancelled,
           least(coalesce(sum(conflict.quantity) FILTER (WHERE conflict.cause = 'shortage'), 0), line.ordered) AS units
    FROM inventory_conflict conflict
    CROSS JOIN LATERAL (
        SELECT * FROM analytics_countedline
        WHERE line_id = substring(conflict.reference FROM '^order-line:([0-9]{1,18})$')::bigint
        OFFSET 0
    ) line
    WHERE conflict.merchant_id = %(merchant)s AND conflict.cause IN ('shortage', 'broken', 'inbound')
      AND conflict.opened_at >= (%(first)s::date - 1)::timestamp AT TIME ZONE 'UTC'
      AND line.merchant_id = %(merchant)s AND line.ordered_on = ANY(%(days)s::date[])
    GROUP BY line.line_id, line.order_id, line.channel_id, line.variant_id, line.ordered_on, line.cancelled, line.ordered
), oversold AS (
    SELECT short.ordered_on, short.channel_id, sum(short.units) AS units,
           count(DISTINCT short.order_id) FILTER (WHERE short.units > 0) AS orders,
           count(DISTINCT short.order_id) FILTER (WHERE short.cancelled > 0) AS cancelled,
           count(DISTINCT fast.variant_id) FILTER (WHERE short.units > 0) AS fast
    FROM short
    LEFT JOIN analytics_fastseller fast ON fast.merchant_id = %(merchant)s
        AND fast.measured_on = short.ordered_on AND fast.variant_id = short.variant_id
    GROUP BY GROUPING SETS ((short.ordered_on, short.channel_id), (short.ordered_on))
), sold AS (
    SELECT fact.ordered_on, fact.channel_id, sum(fact.ordered) AS units, sum(fact.orders) AS orders,
           count(DISTINCT fast.variant_id) FILTER (WHERE fact.ordered > 0) AS fast
    FROM analytics_salesfact fact
    LEFT JOIN analytics_fastseller fast ON fast.merchant_id = %(merchant)s
        AND fast.measured_on = fact.ordered_on AND fast.variant_id = fact.variant_id
    WHERE fact.merchant_id = %(merchant)s AND fact.ordered_on = ANY(%(days)s::date[])
    GROUP BY GROUPING SETS ((fact.ordered_on, fact.channel_id), (fact.ordered_on))
), ticket AS (
    SELECT opened_on, channel_id, count(*) AS tickets, grouping(channel_id) AS is_total
    FROM (
        SELECT (opened_at AT TIME ZONE 'UTC')::date AS opened_on, channel_id FROM analytics_supportticket
        WHERE merchant_id = %(merchant)s AND opened_at >= (%(first)s::date)::timestamp AT TIME ZONE 'UTC'
    ) opened
    WHERE opened_on = ANY(%(days)s::date[])
    GROUP BY GROUPING SETS ((opened_on, channel_id), (opened_on))
)
SELECT coalesce(sold.ordered_on, ticket.opened_on), coalesce(sold.channel_id, ticket.channel_id),
       coalesce(sold.units, 0)::bigint, coalesce(sold.orders, 0)::bigint, coalesce(sold.fast, 0),
       coalesce(oversold.units, 0)::bigint, coalesce(oversold.orders, 0), coalesce(oversold.fast, 0),
       coalesce(oversold.cancelled, 0), coalesce(ticket.tickets, 0)
FROM sold
LEFT JOIN oversold ON oversold.ordered_on = sold.ordered_on
    AND coalesce(oversold.channel_id, 0) = coalesce(sold.channel_id, 0)
FULL JOIN (SELECT * FROM ticket WHERE is_total = 1 OR channel_id IS NOT NULL) ticket
    ON ticket.opened_on = sold.ordered_on AND coalesce(ticket.channel_id, 0) = coalesce(sold.channel_id, 0)
"""

# An applied order that no other channel lists is no sample, nor is one that waits to be mapped. An order of which nothing but
# a hint is known is on its way.
_LATENCY: Final = """
SELECT day, channel_id, count(*), count(*) FILTER (WHERE seconds <= target),
       percentile_disc(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY seconds)
FROM (
    SELECT day.day, channel.id AS channel_id, channel.target,
           CASE WHEN placed.propagated_at IS NULL THEN 'Infinity'::float8
                ELSE extract(epoch FROM placed.propagated_at - placed.arrived_at)::float8 END AS seconds
    FROM unnest(%(channels)s::bigint[], %(targets)s::float8[]) AS channel(id, target)
    CROSS JOIN unnest(%(days)s::date[]) AS day(day)
    CROSS JOIN LATERAL (
        SELECT * FROM channels_channelorder
        WHERE channel_id = channel.id AND NOT is_test
          AND arrived_at >= day.day::timestamp AT TIME ZONE 'UTC'
          AND arrived_at < (day.day + 1)::timestamp AT TIME ZONE 'UTC'
    ) placed
    WHERE CASE
        WHEN placed.applied_at IS NOT NULL THEN placed.marks <> '{}'::jsonb
        WHEN placed.is_deleted THEN false
        ELSE placed.state_digest = '' OR EXISTS (
            SELECT FROM channels_channelorderline line
            WHERE line.order_id = placed.id AND line.variant_id IS NOT NULL
              AND greatest(line.quantity - line.cancelled, line.fulfilled) > 0
        ) END
) sample
GROUP BY GROUPING SETS ((day, channel_id), (day))
"""


def figures_of_orders(merchant_id: int, days: Collection[date]) -> list[Figure]:
    """Returns oversell, cancellations, tickets and latency of these days."""
    parameters = {"merchant": merchant_id, "days": sorted(days), "first": min(days), "span": FAST_DAYS}
    rows(_CHOOSE_FAST, parameters)
    sales = (figure for row in rows(_SALES, parameters) for figure in _of_sales(*row))
    return [*(each for each in sales if each.part or each.whole), *_latencies(merchant_id, days)]


def _of_sales(
    day: date,
    channel_id: int | None,
    units: int,
    orders: int,
    fast: int,
    oversold_units: int,
    oversold_orders: int,
    oversold_fast: int,
    cancelled: int,
    tickets: int,
) -> Iterator[Figure]:
    for kpi, part, whole in (
        (Kpi.OVERSOLD_UNITS, oversold_units, units),
        (Kpi.OVERSOLD_ORDERS, oversold_orders, orders),
        (Kpi.OVERSOLD_FAST, oversold_fast, fast),
        (Kpi.CANCELLED, cancelled, orders),
        (Kpi.TICKETS, tickets, orders),
    ):
        yield Figure(kpi, channel_id, day, part, whole)


def _latencies(merchant_id: int, days: Collection[date]) -> list[Figure]:
    targets = targets_of(merchant_id)
    channel_ids = list(Channel.objects.filter(merchant_id=merchant_id).values_list("id", flat=True))
    parameters = {
        "days": sorted(days),
        "channels": channel_ids,
        "targets": [targets.of(Kpi.LATENCY, each) for each in channel_ids],
    }
    return [
        Figure(Kpi.LATENCY, channel_id, day, within, orders, *percentiles)
        for day, channel_id, orders, within, percentiles in rows(_LATENCY, parameters)
    ]


def figures_of_told(merchant_id: int, days: Collection[date]) -> list[Figure]:
    """Returns the latency of these days by the channel that was told."""
    if not days:
        return []
    note_told(merchant_id, days)
    targets = targets_of(merchant_id)
    channel_ids = Channel.objects.filter(merchant_id=merchant_id).values_list("id", flat=True)
    rows = latencies_told(merchant_id, days, {each: targets.of(Kpi.TOLD, each) for each in channel_ids})
    return [
        Figure(Kpi.TOLD, channel_id, day, within, told, *percentiles)
        for day, channel_id, told, within, percentiles in rows
    ]


def figures_of_others(merchant_id: int, days: Collection[date]) -> list[Figure]:
    """Returns drift and what was resolved on these days, as the other apps count them."""
    return [
        figure
        for day in sorted(days)
        for figure in (*_drift(merchant_id, day), *_handled(merchant_id, day))
        if figure.whole
    ]


def _drift(merchant_id: int, day: date) -> Iterator[Figure]:
    sums = _summed(((each.channel_id, each.drifted, each.compared) for each in drift_of(merchant_id, day)), 2)
    for channel_id, (drifted, compared) in sums.items():
        yield Figure(Kpi.DRIFT, channel_id, day, drifted, compared)


def _handled(merchant_id: int, day: date) -> Iterator[Figure]:
    counts = (
        (
            each.channel_id,
            each.by_people,
            each.automatically,
            each.by_people if each.minutes is not None else 0,
            round((each.minutes or 0) * 60),
        )
        for each in handled_on(merchant_id, day)
    )
    for channel_id, (by_people, automatically, timed, seconds) in _summed(counts, 4).items():
        yield Figure(Kpi.AUTOMATIC, channel_id, day, automatically, by_people + automatically)
        yield Figure(Kpi.HANDLING, channel_id, day, seconds, timed)


def _summed(rows: Iterator[tuple[Any, ...]], width: int) -> dict[int | None, list[int]]:
    """Adds up by channel, and all of them under None."""
    sums: dict[int | None, list[int]] = defaultdict(lambda: [0] * width)
    for channel_id, *counts in rows:
        for key in {channel_id, None}:
            sums[key] = [total + count for total, count in zip(sums[key], counts, strict=True)]
    return sums
