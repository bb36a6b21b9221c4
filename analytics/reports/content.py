"""What a daily report says of one day, as it is known when it is written."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from analytics.kpis.trends import Point, Series, series_of
from analytics.models import Kpi
from analytics.owed import Owed, owed
from analytics.performance import ChannelSales, Span, StockFigures, last_days, sales_by_channel, stock_in_all
from config.statements import rows
from inventory.models import Merchant

#: Days over which sell-through, turns and stock-out time are reported.
STOCK_DAYS: Final = 30
#: SKUs out of stock that are named.
NAMED: Final = 20


@dataclass(frozen=True, slots=True)
class OutOfStock:
    """A variant of which nothing is available anywhere, and that sold in the last four weeks."""

    sku: str
    sold: int


@dataclass(frozen=True, slots=True)
class Report:
    """A day of a merchant."""

    merchant: Merchant
    day: date
    sales: Sequence[ChannelSales]
    #: All channels together, of every figure.
    figures: Sequence[Series]
    stock: StockFigures
    out_of_stock: Sequence[OutOfStock]
    #: How many more are out of stock than are named.
    out_of_stock_more: int
    owed: Owed

    def point(self, series: Series) -> Point | None:
        """Returns a figure's value of the day itself; None where nothing was measured."""
        return next((point for point in series.points if point.day == self.day), None)


_OUT_OF_STOCK: Final = """
SELECT variant.sku, sold.units::bigint, count(*) OVER ()
FROM (
    SELECT variant_id, sum(ordered - cancelled) AS units FROM analytics_salesfact
    WHERE merchant_id = %(merchant)s AND ordered_on > %(day)s::date - 28 AND ordered_on <= %(day)s
      AND variant_id IS NOT NULL
    GROUP BY variant_id HAVING sum(ordered - cancelled) > 0
) sold
JOIN inventory_variant variant ON variant.id = sold.variant_id AND variant.is_active
WHERE EXISTS (SELECT FROM inventory_stocklevel WHERE merchant_id = %(merchant)s AND variant_id = sold.variant_id)
  AND NOT EXISTS (
    SELECT FROM inventory_stocklevel level
    JOIN inventory_location location ON location.id = level.location_id
        AND location.is_active AND location.kind NOT IN ('in_transit', 'supplier')
    WHERE level.merchant_id = %(merchant)s AND level.variant_id = sold.variant_id
      AND level.on_hand - level.reserved - level.unavailable > 0
  )
ORDER BY sold.units DESC, variant.sku
LIMIT %(named)s
"""


def report_of(merchant: Merchant, day: date) -> Report:
    """Gathers a day's report; its statements do not grow with the catalogue."""
    after = day + timedelta(days=1)
    parameters = {"merchant": merchant.pk, "day": day, "named": NAMED}
    empty = rows(_OUT_OF_STOCK, parameters)
    series = series_of(merchant.pk, until=day)
    return Report(
        merchant,
        day,
        sales_by_channel(Span(merchant.pk, day, after)),
        [series[kpi][0] for kpi in Kpi],
        stock_in_all(last_days(merchant.pk, STOCK_DAYS, after)),
        [OutOfStock(sku, sold) for sku, sold, _ in empty],
        empty[0][2] - len(empty) if empty else 0,
        owed(merchant.pk),
    )
