"""How goods and channels perform over a span of days, from the daily facts: sales, sell-through, turns and stock-outs.

What was on hand on an earlier day is what is on hand now less what has moved since, so that only the facts of the span and
after are read. Days are those of UTC; `until` is the first day that is no longer part of the span.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final

from config.statements import rows


@dataclass(frozen=True, slots=True)
class Span:
    """Some whole days of one merchant."""

    merchant_id: int
    since: date
    until: date

    @property
    def days(self) -> int:
        """How many days it has."""
        return (self.until - self.since).days

    def parameters(self) -> dict[str, Any]:
        """What the statements ask for."""
        return {"merchant": self.merchant_id, "since": self.since, "until": self.until, "days": self.days}


@dataclass(frozen=True, slots=True)
class ChannelSales:
    """What one channel sold in one currency; amounts as the platform states prices."""

    channel_id: int
    channel: str
    currency: str
    orders: int
    ordered: int
    cancelled: int
    shipped: int
    returned: int
    #: Units of `ordered` that came without a price, so that they are in no amount.
    unpriced: int
    amount: Decimal
    cancelled_amount: Decimal
    returned_amount: Decimal

    @property
    def gmv(self) -> Decimal:
        """Gross merchandise value: what was ordered and not cancelled."""
        return self.amount - self.cancelled_amount


_SALES: Final = """
SELECT channel.id, channel.name, fact.currency, sum(orders)::bigint, sum(ordered)::bigint, sum(cancelled)::bigint,
       sum(shipped)::bigint, sum(returned)::bigint, sum(unpriced)::bigint, sum(amount), sum(cancelled_amount),
       sum(returned_amount)
FROM analytics_salesfact fact
JOIN channels_channel channel ON channel.id = fact.channel_id
WHERE fact.merchant_id = %(merchant)s AND ordered_on >= %(since)s AND ordered_on < %(until)s
GROUP BY channel.id, channel.name, fact.currency
ORDER BY channel.name, channel.id, fact.currency
"""


def sales_by_channel(span: Span) -> list[ChannelSales]:
    """Returns the sales of each channel, a row a currency."""
    return [ChannelSales(*row) for row in rows(_SALES, span.parameters())]


@dataclass(frozen=True, slots=True)
class StockFigures:
    """How the stock of a variant, or of all, moved. Units at all places together, those in transit included."""

    variant_id: int | None
    sku: str
    days: int
    #: On hand when the span began and ended.
    opening: int
    closing: int
    received: int
    shipped: int
    returned: int
    #: Mean of what was on hand at the end of each day.
    average: float
    #: Time without anything available, over its places, in days.
    out_days: float

    @property
    def sell_through(self) -> float | None:
        """Of what was there or came in, the share that was shipped."""
        there = self.opening + self.received
        return self.shipped / there if there > 0 else None

    @property
    def turns(self) -> float | None:
        """How often the average stock was shipped in a year at this pace."""
        return self.shipped / self.average * 365 / self.days if self.average > 0 else None


# Of a span's closings, a movement of day d is missing in those before d. With no row in the span or after, a level has been
# all the time as it is now. Places that hold nothing for sale (in transit, suppliers, switched off) are never out of stock, nor
# is a level before its first movement.
_STOCK: Final = """
WITH flow AS (
    SELECT variant_id,
           sum(received) FILTER (WHERE recorded_on < %(until)s) AS received,
           sum(shipped) FILTER (WHERE recorded_on < %(until)s) AS shipped,
           sum(returned) FILTER (WHERE recorded_on < %(until)s) AS returned,
           sum(net) AS since_opening, sum(net) FILTER (WHERE recorded_on >= %(until)s) AS since_closing,
           sum(net * (least(recorded_on, %(until)s) - %(since)s)) AS missing
    FROM (
        SELECT *, received - shipped + returned + transferred + adjusted AS net FROM analytics_stockfact
        WHERE merchant_id = %(merchant)s AND recorded_on >= %(since)s {chosen}
    ) fact
    GROUP BY variant_id
), stock AS (
    SELECT variant_id, sum(on_hand) AS on_hand FROM inventory_stocklevel
    WHERE merchant_id = %(merchant)s {chosen} GROUP BY variant_id
), bounds AS (
    SELECT %(since)s::timestamp AT TIME ZONE 'UTC' AS began,
           least(%(until)s::timestamp AT TIME ZONE 'UTC', clock_timestamp()) AS ended
), moved AS (
    SELECT day.variant_id, day.location_id, day.recorded_on, day.first_at, day.last_at, day.out_for, day.available,
           CASE WHEN day.first_version = 1 THEN NULL ELSE day.opening_available END AS opening,
           lag(day.last_at) OVER place AS before_at, lead(day.first_at) OVER place AS after_at
    FROM analytics_stockday day
    JOIN inventory_location location ON location.id = day.location_id
        AND location.is_active AND location.kind NOT IN ('in_transit', 'supplier')
    WHERE day.merchant_id = %(merchant)s AND day.recorded_on >= %(since)s {chosen}
    WINDOW place AS (PARTITION BY day.variant_id, day.location_id ORDER BY day.recorded_on)
), out_of_stock AS (
    SELECT variant_id,
           CASE WHEN opening = 0 THEN greatest(
               least(first_at, ended) - greatest(coalesce(before_at, began), began), interval '0'
           ) ELSE interval '0' END
           + CASE WHEN after_at IS NULL AND available = 0
                  THEN greatest(ended - greatest(last_at, began), interval '0') ELSE interval '0' END
           + CASE WHEN recorded_on < %(until)s THEN out_for ELSE interval '0' END AS out_for
    FROM moved CROSS JOIN bounds
    UNION ALL
    SELECT level.variant_id, greatest(ended - began, interval '0')
    FROM inventory_stocklevel level
    JOIN inventory_location location ON location.id = level.location_id
        AND location.is_active AND location.kind NOT IN ('in_transit', 'supplier')
    CROSS JOIN bounds
    WHERE level.merchant_id = %(merchant)s {chosen} AND level.on_hand - level.reserved - level.unavailable = 0
      AND (level.recorded_at < bounds.began OR (
          SELECT last_at FROM analytics_stockday last
          WHERE last.merchant_id = level.merchant_id AND last.variant_id = level.variant_id
            AND last.location_id = level.location_id AND last.version = level.version
          ORDER BY last.recorded_on DESC LIMIT 1
      ) < bounds.began)
), out_days AS (
    SELECT variant_id, extract(epoch FROM sum(out_for)) / 86400 AS days FROM out_of_stock GROUP BY variant_id
)
SELECT variant.id, variant.sku, %(days)s::int,
       (coalesce(stock.on_hand, 0) - coalesce(flow.since_opening, 0))::bigint,
       (coalesce(stock.on_hand, 0) - coalesce(flow.since_closing, 0))::bigint,
       coalesce(flow.received, 0)::bigint, coalesce(flow.shipped, 0)::bigint, coalesce(flow.returned, 0)::bigint,
       (coalesce(stock.on_hand, 0) - coalesce(flow.missing, 0)::numeric / %(days)s)::float8,
       coalesce(out_days.days, 0)::float8
FROM inventory_variant variant
LEFT JOIN stock ON stock.variant_id = variant.id
LEFT JOIN flow ON flow.variant_id = variant.id
LEFT JOIN out_days ON out_days.variant_id = variant.id
WHERE variant.merchant_id = %(merchant)s AND variant.is_active
  AND (stock.variant_id IS NOT NULL OR flow.variant_id IS NOT NULL)
"""

#: Of every variant, and of those chosen alone.
_OF_ALL: Final = _STOCK.format(chosen="")
_OF_CHOSEN: Final = (
    _STOCK.format(chosen="AND variant_id = ANY(%(variants)s::bigint[])") + "ORDER BY variant.id"
)

_NAMES: Final = "variant_id, sku, days, opening, closing, received, shipped, returned, average, out_days"

# Of all variants together, and a page of them: one pass over the facts, whichever is asked for.
_FIGURES: Final = f"""
WITH figure({_NAMES}) AS MATERIALIZED ({_OF_ALL})
SELECT 0 AS place, NULL::bigint, '', %(days)s::int, coalesce(sum(opening), 0)::bigint, coalesce(sum(closing), 0)::bigint,
       coalesce(sum(received), 0)::bigint, coalesce(sum(shipped), 0)::bigint, coalesce(sum(returned), 0)::bigint,
       coalesce(sum(average), 0)::float8, coalesce(sum(out_days), 0)::float8
FROM figure
"""  # noqa: S608  # texts of our own

_PAGE: Final = """
UNION ALL
SELECT * FROM (
    SELECT row_number() OVER (ORDER BY {order}) AS place, {names} FROM figure
    WHERE %(search)s = '' OR strpos(lower(sku), lower(%(search)s)) > 0
    ORDER BY place OFFSET %(offset)s LIMIT %(limit)s
) page
ORDER BY place
"""

#: What variants are listed by → the order of the rows.
ORDERS: Final = {
    "shipped": "shipped DESC, sku",
    "out": "out_days DESC, sku",
    "slow": "shipped, closing DESC, sku",
    "sku": "sku",
}


def stock_in_all(span: Span) -> StockFigures:
    """Returns the figures of all active variants together."""
    return _figures(_FIGURES, span.parameters())[0]


def stock_page(
    span: Span, *, by: str = "shipped", search: str = "", offset: int = 0, limit: int = 50
) -> tuple[StockFigures, list[StockFigures]]:
    """Returns the figures of all active variants together, and a page of them in one of `ORDERS`; one statement."""
    sql = _FIGURES + _PAGE.format(order=ORDERS[by], names=_NAMES)
    more = {"search": search, "offset": offset, "limit": limit}
    every, *page = _figures(sql, {**span.parameters(), **more})
    return every, page


_CHOSEN: Final = """
SELECT variant.id FROM inventory_variant variant
WHERE variant.merchant_id = %(merchant)s AND variant.is_active AND variant.id > %(after)s
  AND (%(sku)s::text IS NULL OR variant.sku = %(sku)s::text)
  AND (EXISTS (SELECT FROM inventory_stocklevel level WHERE level.variant_id = variant.id)
       OR EXISTS (SELECT FROM analytics_stockfact fact WHERE fact.merchant_id = variant.merchant_id
                  AND fact.variant_id = variant.id AND fact.recorded_on >= %(since)s))
ORDER BY variant.id LIMIT %(limit)s
"""


def stock_after(
    span: Span, variant_id: int = 0, *, sku: str | None = None, limit: int = 50
) -> list[StockFigures]:
    """Returns the figures of the active variants after one, in order of their ids; two statements.

    Only their own facts are read, so that a page costs the same however many variants there are.
    """
    found = rows(_CHOSEN, {**span.parameters(), "after": variant_id, "sku": sku, "limit": limit})
    chosen = [identity for (identity,) in found]
    if not chosen:
        return []
    return [StockFigures(*row) for row in rows(_OF_CHOSEN, {**span.parameters(), "variants": chosen})]


def _figures(sql: str, parameters: dict[str, Any]) -> list[StockFigures]:
    return [StockFigures(*row) for _, *row in rows(sql, parameters)]


def last_days(merchant_id: int, days: int, until: date) -> Span:
    """Returns the span of so many days before `until`."""
    return Span(merchant_id, until - timedelta(days=days), until)
