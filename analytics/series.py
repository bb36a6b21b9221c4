"""Figures over time, as other systems read them: by day, week or month, in order of a key, some rows at a time.

A page goes on after the key of the last row, so that what is measured anew meanwhile neither repeats nor skips a row.
Channels that may not be seen are left out by `channel_ids`; None: all may. Days are those of UTC, `until` is the first
that is not asked for.
"""

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any, Final

from django.db import connection

from analytics.models import Kpi, KpiDay
from analytics.performance import Span

#: What rows are added up over → the day by which such a span is named.
INTERVALS: Final = {
    "day": "{day}",
    "week": "date_trunc('week', {day})::date",
    "month": "date_trunc('month', {day})::date",
    "total": "%(since)s::date",
}

#: What a cursor holds: the parts by which rows are ordered.
Key = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """Which rows are asked for."""

    span: Span
    interval: str = "day"
    #: Only this channel's, only this SKU's, only at this location.
    channel_id: int | None = None
    sku: str | None = None
    location: str | None = None
    #: Channels that may be seen; None: all.
    channel_ids: list[int] | None = None
    after: Key | None = None
    limit: int = 50

    def parameters(self) -> dict[str, Any]:
        """What the statements ask for."""
        return {
            **self.span.parameters(),
            "channel": self.channel_id,
            "sku": self.sku,
            "location": self.location,
            "only": self.channel_ids,
            "limit": self.limit,
            **{f"after_{place}": part for place, part in enumerate(self.after or ())},
        }

    def bucket(self, day: str) -> str:
        """Returns the day by which the span of a row is named."""
        return INTERVALS[self.interval].format(day=day)


_CHANNELS: Final = """
  AND (%(only)s::bigint[] IS NULL OR channel_id = ANY(%(only)s::bigint[]))
  AND (%(channel)s::bigint IS NULL OR channel_id = %(channel)s::bigint)"""

_GOODS: Final = """
  AND (%(sku)s::text IS NULL OR fact.variant_id = (
      SELECT id FROM inventory_variant WHERE merchant_id = %(merchant)s AND sku = %(sku)s::text))"""


@dataclass(frozen=True, slots=True)
class SalesRow:
    """What was sold in a span of days: on one channel, or of one variant; in one currency."""

    day: date
    channel_id: int | None
    variant_id: int | None
    sku: str | None
    currency: str
    #: None by variant: an order of two variants is one.
    orders: int | None
    ordered: int
    cancelled: int
    shipped: int
    returned: int
    #: Units of `ordered` that came without a price, so that they are in no amount.
    unpriced: int
    amount: Decimal
    cancelled_amount: Decimal
    returned_amount: Decimal
    #: Gross merchandise value: what was ordered and not cancelled.
    gmv: Decimal = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "gmv", self.amount - self.cancelled_amount)


_SALES: Final = """
SELECT day, {columns}, currency, {orders}, ordered, cancelled, shipped, returned, unpriced, amount, cancelled_amount,
       returned_amount
FROM (
    SELECT {bucket} AS day, coalesce(fact.{group}, 0) AS key, fact.currency, sum(orders)::bigint AS orders,
           sum(ordered)::bigint AS ordered, sum(cancelled)::bigint AS cancelled, sum(shipped)::bigint AS shipped,
           sum(returned)::bigint AS returned, sum(unpriced)::bigint AS unpriced, sum(amount) AS amount,
           sum(cancelled_amount) AS cancelled_amount, sum(returned_amount) AS returned_amount
    FROM analytics_salesfact fact
    WHERE fact.merchant_id = %(merchant)s AND ordered_on >= %(since)s AND ordered_on < %(until)s AND lines > 0
      {goods} {channels} {after}
    GROUP BY 1, 2, 3
    ORDER BY 1, 2, 3 LIMIT %(limit)s
) sold
LEFT JOIN inventory_variant variant ON variant.id = {variant}
ORDER BY day, key, currency
"""

#: What sales are grouped by → how.
GROUPS: Final = {
    "channel": {
        "group": "channel_id",
        "columns": "key, NULL::bigint, NULL::text",
        "orders": "orders",
        "variant": "NULL::bigint",
    },
    "variant": {
        "group": "variant_id",
        "columns": "NULL::bigint, nullif(key, 0), variant.sku",
        "orders": "NULL::bigint",
        "variant": "sold.key",
    },
}


def sales(asked: Asked, *, by: str) -> list[SalesRow]:
    """Returns what was sold, by channel or by variant and in order of day, that and currency."""
    group, bucket = GROUPS[by], asked.bucket("ordered_on")
    after = f"AND ({bucket}, coalesce(fact.{group['group']}, 0), fact.currency) > {_after(asked, 'date', 'bigint', 'text')}"
    sql = _SALES.format(
        **group, bucket=bucket, goods=_GOODS, channels=_CHANNELS, after=after if asked.after else ""
    )
    return [SalesRow(*row) for row in _rows(sql, asked)]


@dataclass(frozen=True, slots=True)
class StockRow:
    """How the stock of a variant moved in a span of days, in base units."""

    day: date
    variant_id: int
    sku: str
    received: int
    shipped: int
    returned: int
    transferred: int
    adjusted: int
    held: int
    released: int

    @property
    def on_hand_delta(self) -> int:
        """By how many units what is on hand changed."""
        return self.received - self.shipped + self.returned + self.transferred + self.adjusted


_STOCK: Final = """
SELECT moved.*, variant.sku
FROM (
    SELECT {bucket} AS day, fact.variant_id, sum(received)::bigint, sum(shipped)::bigint, sum(returned)::bigint,
           sum(transferred)::bigint, sum(adjusted)::bigint, sum(held)::bigint, sum(released)::bigint
    FROM analytics_stockfact fact
    WHERE fact.merchant_id = %(merchant)s AND recorded_on >= %(since)s AND recorded_on < %(until)s
      AND (%(location)s::text IS NULL OR fact.location_id = (
          SELECT id FROM inventory_location WHERE merchant_id = %(merchant)s AND code = %(location)s::text))
      {goods} {channels} {after}
    GROUP BY 1, 2
    ORDER BY 1, 2 LIMIT %(limit)s
) moved
JOIN inventory_variant variant ON variant.id = moved.variant_id
ORDER BY day, variant_id
"""


def stock_moves(asked: Asked) -> list[StockRow]:
    """Returns how stock moved, in order of day and variant."""
    bucket = asked.bucket("recorded_on")
    after = f"AND ({bucket}, fact.variant_id) > {_after(asked, 'date', 'bigint')}" if asked.after else ""
    sql = _STOCK.format(bucket=bucket, goods=_GOODS, channels=_CHANNELS, after=after)
    return [StockRow(day, variant_id, sku, *sums) for day, variant_id, *sums, sku in _rows(sql, asked)]


_KPIS: Final = """
SELECT measured_on, kpi, channel_id, part, whole, p50, p95, p99
FROM analytics_kpiday
WHERE merchant_id = %(merchant)s AND measured_on >= %(since)s AND measured_on < %(until)s
  AND (%(kpi)s::text IS NULL OR kpi = %(kpi)s::text)
  AND (%(is_total)s::boolean IS NULL OR (channel_id IS NULL) = %(is_total)s::boolean)
  {channels} {after}
ORDER BY measured_on, kpi, coalesce(channel_id, 0) LIMIT %(limit)s
"""


def kpi_days(asked: Asked, *, kpi: Kpi | None = None, is_total: bool | None = None) -> list[KpiDay]:
    """Returns key figures as measured, in order of day, figure and channel; first of all channels together."""
    key = "(measured_on, kpi, coalesce(channel_id, 0))"
    after = f"AND {key} > {_after(asked, 'date', 'text', 'bigint')}" if asked.after else ""
    sql = _KPIS.format(channels=_CHANNELS, after=after)
    names = ("measured_on", "kpi", "channel_id", "part", "whole", "p50", "p95", "p99")
    found = _rows(sql, asked, kpi=kpi, is_total=is_total)
    return [KpiDay(**dict(zip(names, row, strict=True))) for row in found]


def _after(asked: Asked, *types: str) -> str:
    parts = ", ".join(f"%(after_{place})s::{kind}" for place, kind in enumerate(types))
    return f"({parts})"


def _rows(sql: str, asked: Asked, **more: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, {**asked.parameters(), **more})
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows
