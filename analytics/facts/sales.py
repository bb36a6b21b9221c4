"""Counts the lines of orders into daily sales facts: what changed is noted by the database, and counted as the difference.

An order is a state, so its facts are too: a cancellation that comes a week later lowers the sales of the day of the order.
A trigger notes each order whose lines were written (`OrderChange`), within the transaction that wrote them and without
a round trip. Notes are deleted in the transaction that counts their orders; one that commits meanwhile stays for the next.
"""

from collections.abc import Sequence
from typing import Final

from django.db import connection

#: Notes taken in one transaction.
AT_ONCE: Final = 5_000

_TAKE: Final = """
WITH taken AS (
    DELETE FROM analytics_orderchange
    WHERE id IN (SELECT id FROM analytics_orderchange ORDER BY id LIMIT %s)
    RETURNING order_id
)
SELECT count(*), coalesce(array_agg(DISTINCT order_id), '{}') FROM taken
"""

_KEYS: Final = "merchant_id, channel_id, variant_id, currency, ordered_on"
_MEASURES: Final = (
    "orders", "ordered", "cancelled", "shipped", "returned", "unpriced", "amount", "cancelled_amount",
    "returned_amount",
)  # fmt: skip

# A deleted order keeps what was shipped. Test orders and lines without units count nothing.
_COUNT: Final = """
WITH stated AS (
    SELECT line.id AS line_id, placed.id AS order_id, channel.merchant_id, placed.channel_id, line.variant_id,
           placed.currency,
           (coalesce(placed.ordered_at, placed.arrived_at) AT TIME ZONE 'UTC')::date AS ordered_on,
           greatest(line.quantity, line.fulfilled) AS ordered, line.fulfilled AS shipped, line.returned,
           CASE WHEN placed.is_deleted THEN line.fulfilled
                ELSE greatest(line.quantity - line.cancelled, line.fulfilled) END AS kept,
           line.unit_price, coalesce(line.unit_price, 0) AS price
    FROM channels_channelorderline line
    JOIN channels_channelorder placed ON placed.id = line.order_id AND NOT placed.is_test
    JOIN channels_channel channel ON channel.id = placed.channel_id
    WHERE line.order_id = ANY(%(orders)s::bigint[]) AND (line.quantity > 0 OR line.fulfilled > 0)
), now AS MATERIALIZED (
    SELECT line_id, order_id, {keys},
           (row_number() OVER (PARTITION BY order_id ORDER BY line_id) = 1)::int::smallint AS orders,
           ordered, ordered - kept AS cancelled, shipped, returned,
           CASE WHEN unit_price IS NULL THEN ordered ELSE 0 END AS unpriced,
           ordered * price AS amount, (ordered - kept) * price AS cancelled_amount,
           returned * price AS returned_amount
    FROM stated
), before AS MATERIALIZED (
    SELECT * FROM analytics_countedline WHERE order_id = ANY(%(orders)s::bigint[])
), dropped AS (
    DELETE FROM analytics_countedline
    WHERE order_id = ANY(%(orders)s::bigint[]) AND line_id NOT IN (SELECT line_id FROM now)
), kept AS (
    INSERT INTO analytics_countedline (line_id, order_id, {keys}, {measures})
    SELECT line_id, order_id, {keys}, {measures} FROM now
    ON CONFLICT (line_id) DO UPDATE SET (order_id, {keys}, {measures}) = ({replaced})
), change AS (
    SELECT {keys}, sum(lines) AS lines, {sums}
    FROM (
        SELECT {keys}, 1 AS lines, {measures} FROM now
        UNION ALL
        SELECT {keys}, -1, {negative} FROM before
    ) both_ways
    GROUP BY {keys}
), facts AS (
    INSERT INTO analytics_salesfact AS fact ({keys}, lines, {measures})
    SELECT {keys}, lines, {measures} FROM change
    ON CONFLICT ({keys}) DO UPDATE SET lines = fact.lines + excluded.lines, {added}
)
INSERT INTO analytics_daychange (merchant_id, changed_on)
SELECT merchant_id, ordered_on FROM now UNION SELECT merchant_id, ordered_on FROM before
"""


def _listed(template: str) -> str:
    return ", ".join(template.format(name) for name in _MEASURES)


_COUNT_SQL: Final = _COUNT.format(
    keys=_KEYS,
    measures=_listed("{}"),
    negative=_listed("-{}"),
    sums=_listed("sum({0}) AS {0}"),
    added=_listed("{0} = fact.{0} + excluded.{0}"),
    replaced=", ".join(f"excluded.{name}" for name in ("order_id", *_KEYS.split(", "), *_MEASURES)),
)

#: A day whose every line went elsewhere has no row.
_TIDY: Final = "DELETE FROM analytics_salesfact WHERE lines = 0"


def count_changes(*, most: int = AT_ONCE) -> int:
    """Counts noted orders anew; returns how many notes that used up, 0 when none are left.

    Inside a transaction that counts alone (`analytics.locks`).
    """
    with connection.cursor() as cursor:
        cursor.execute(_TAKE, [most])
        taken, order_ids = cursor.fetchone()
    count_orders(order_ids)
    return int(taken)


def count_orders(order_ids: Sequence[int]) -> None:
    """Brings the facts to what these orders say now, and notes the days that they count for, before and after."""
    if not order_ids:
        return
    with connection.cursor() as cursor:
        cursor.execute(_COUNT_SQL, {"orders": list(order_ids)})
        cursor.execute(_TIDY)
