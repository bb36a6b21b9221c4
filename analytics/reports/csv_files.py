"""The files of a daily report: the day's sales and stock, a row a SKU."""

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any, Final

from config.statements import rows

#: What a spreadsheet would take for a formula.
_FORMULAS: Final = ("=", "+", "-", "@", "\t", "\r")

_SALES_COLUMNS: Final = (
    "day", "sku", "channel", "currency", "ordered", "cancelled", "shipped", "returned", "unpriced", "amount",
    "cancelled_amount", "returned_amount",
)  # fmt: skip

_SALES: Final = """
SELECT fact.ordered_on, coalesce(variant.sku, ''), channel.name, fact.currency, fact.ordered, fact.cancelled, fact.shipped,
       fact.returned, fact.unpriced, fact.amount, fact.cancelled_amount, fact.returned_amount
FROM analytics_salesfact fact
JOIN channels_channel channel ON channel.id = fact.channel_id
LEFT JOIN inventory_variant variant ON variant.id = fact.variant_id
WHERE fact.merchant_id = %s AND fact.ordered_on = %s
ORDER BY variant.sku, channel.name, fact.currency, fact.id
"""

_STOCK_COLUMNS: Final = (
    "day", "sku", "location", "received", "shipped", "returned", "transferred", "adjusted", "on_hand", "available",
    "minutes_out_of_stock",
)  # fmt: skip

_STOCK: Final = """
SELECT moved.recorded_on, variant.sku, location.code, moved.received::bigint, moved.shipped::bigint,
       moved.returned::bigint, moved.transferred::bigint, moved.adjusted::bigint, day.on_hand, day.available,
       round(extract(epoch FROM day.out_for) / 60)::bigint
FROM (
    SELECT merchant_id, variant_id, location_id, recorded_on, sum(received) AS received, sum(shipped) AS shipped,
           sum(returned) AS returned, sum(transferred) AS transferred, sum(adjusted) AS adjusted
    FROM analytics_stockfact WHERE merchant_id = %s AND recorded_on = %s
    GROUP BY merchant_id, variant_id, location_id, recorded_on
) moved
LEFT JOIN analytics_stockday day ON day.merchant_id = moved.merchant_id AND day.variant_id = moved.variant_id
    AND day.location_id = moved.location_id AND day.recorded_on = moved.recorded_on
JOIN inventory_variant variant ON variant.id = moved.variant_id
JOIN inventory_location location ON location.id = moved.location_id
ORDER BY variant.sku, location.code
"""


def sales_file(merchant_id: int, day: date) -> str:
    """Returns what was ordered on a day, a row for each SKU, channel and currency."""
    return _file(_SALES_COLUMNS, rows(_SALES, [merchant_id, day]))


def stock_file(merchant_id: int, day: date) -> str:
    """Returns what moved on a day, a row for each SKU and location with movements."""
    return _file(_STOCK_COLUMNS, rows(_STOCK, [merchant_id, day]))


def _file(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows([_plain(value) for value in row] for row in rows)
    return text.getvalue()


def _plain(value: Any) -> Any:
    """Keeps a spreadsheet from running what a shop calls its goods."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULAS) else value
