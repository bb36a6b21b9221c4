"""How long sales take to reach a channel, and what sells meanwhile; measured now and then, never when pushing.

The lag of a channel is taken from orders of other channels whose way to its shelves is on record: from the sale
to the first confirmed push that knew of it. What sells within it is taken from the ledger: the last 28 days are
cut into spans as long as the lag, and the units not exceeded in 90, 95 and 99 of 100 spans are kept.
"""

from typing import Any, Final

from django.db import connection, transaction

from channels import fuse
from channels.connectors import CONNECTORS
from channels.feeds import poll_interval
from channels.models import Channel
from channels.rules.marking import mark, picture, shelves_of
from channels.rules.ranks import refresh_standings
from inventory.models import Merchant
from inventory.tagging import refresh_automatic_tags

#: Days of sales that are cut into spans.
DEMAND_DAYS: Final = 28
#: Orders of the last week that are looked at, the newest first.
LAG_ORDERS: Final = 2000
#: With fewer samples the channel's poll interval stands for its lag.
FEWEST_SAMPLES: Final = 20

_LAGS: Final = """
WITH recent AS MATERIALIZED (
    SELECT placed.marks, placed.applied_at,
        least(coalesce(placed.ordered_at, placed.arrived_at), placed.arrived_at) AS sold_at
    FROM channels_channelorder placed
    JOIN channels_channel channel ON channel.id = placed.channel_id AND channel.merchant_id = %(merchant)s
    WHERE placed.propagated_at > clock_timestamp() - interval '7 days' AND placed.marks <> '{}'::jsonb
    ORDER BY placed.id DESC
    LIMIT %(orders)s
), told AS (
    SELECT level.channel_id, extract(epoch FROM first.at - recent.sold_at) AS seconds
    FROM recent
    CROSS JOIN LATERAL jsonb_each_text(recent.marks) AS mark (level_id, wanted)
    JOIN channels_listinglevel level ON level.id = mark.level_id::bigint
    CROSS JOIN LATERAL (
        SELECT min(push.finished_at) AS at
        FROM (
            SELECT finished_at, wanted, outcome FROM channels_push
            WHERE listing_level_id = level.id
            ORDER BY id DESC LIMIT 300
        ) push
        WHERE push.wanted >= mark.wanted::bigint AND push.outcome IN ('confirmed', 'unchanged')
          AND push.finished_at >= recent.applied_at
    ) first
    WHERE first.at IS NOT NULL
), measured AS (
    SELECT channel_id, percentile_cont(0.95) WITHIN GROUP (ORDER BY greatest(seconds, 0)) AS seconds,
        count(*) AS samples
    FROM told GROUP BY channel_id
)
INSERT INTO channels_channellag AS lag (channel_id, seconds, samples, measured_at)
SELECT channel.id,
    greatest(CASE WHEN measured.samples >= %(fewest)s THEN measured.seconds ELSE given.seconds END, 0.1),
    coalesce(measured.samples, 0), clock_timestamp()
FROM unnest(%(channels)s::bigint[], %(seconds)s::float8[]) AS given (channel_id, seconds)
JOIN channels_channel channel ON channel.id = given.channel_id
LEFT JOIN measured ON measured.channel_id = channel.id
ORDER BY channel.id
ON CONFLICT (channel_id) DO UPDATE
SET seconds = excluded.seconds, samples = excluded.samples, measured_at = excluded.measured_at
"""

_ASKED_FOR: Final = """
SELECT EXISTS (
    SELECT FROM channels_rule rule
    JOIN channels_rulesetversion version ON version.id = rule.version_id AND version.state = 'active'
    JOIN channels_ruleset rule_set ON rule_set.id = version.rule_set_id
    WHERE rule_set.merchant_id = %s AND rule.velocity_quantile > 0
)
"""

# The value that q of all spans do not exceed is the largest but those of the (1 - q) busiest spans; spans
# without a sale need not be looked at. A history shorter than the 28 days has fewer spans.
_DEMANDS: Final = """
WITH sale AS MATERIALIZED (
    SELECT level.variant_id, extract(epoch FROM movement.occurred_at) AS at,
        CASE WHEN movement.kind = 'reservation' THEN movement.reserved_delta
             ELSE greatest(movement.reserved_delta - movement.on_hand_delta, 0) END AS units
    FROM inventory_stockmovement movement
    JOIN inventory_stocklevel level ON level.id = movement.level_id
    WHERE movement.merchant_id = %(merchant)s AND movement.reason = 'sale'
      AND movement.kind IN ('reservation', 'shipment')
      AND movement.recorded_at > clock_timestamp() - make_interval(days => %(days)s)
      AND movement.occurred_at > clock_timestamp() - make_interval(days => %(days)s)
), length AS (
    SELECT least(extract(epoch FROM clock_timestamp()) - min(at), %(days)s * 86400) AS seconds FROM sale
), lag AS (
    SELECT lag.channel_id, lag.seconds, greatest(ceil(length.seconds / lag.seconds), 1) AS spans
    FROM channels_channellag lag
    JOIN channels_channel channel ON channel.id = lag.channel_id AND channel.merchant_id = %(merchant)s
    CROSS JOIN length
), span AS (
    SELECT lag.channel_id, sale.variant_id, lag.spans, sum(sale.units) AS units
    FROM lag
    JOIN sale ON sale.units > 0
    WHERE EXISTS (
        SELECT FROM channels_listing listing
        WHERE listing.channel_id = lag.channel_id AND listing.variant_id = sale.variant_id
    )
    GROUP BY lag.channel_id, sale.variant_id, lag.spans, floor(sale.at::float8 / lag.seconds)
), busiest AS (
    SELECT *, row_number() OVER (PARTITION BY channel_id, variant_id ORDER BY units DESC) AS place FROM span
), demand AS (
    SELECT channel_id, variant_id,
        coalesce(max(units) FILTER (WHERE place > floor(spans * 0.10)), 0)::bigint AS q90,
        coalesce(max(units) FILTER (WHERE place > floor(spans * 0.05)), 0)::bigint AS q95,
        coalesce(max(units) FILTER (WHERE place > floor(spans * 0.01)), 0)::bigint AS q99
    FROM busiest GROUP BY channel_id, variant_id
), gone AS (
    DELETE FROM channels_lagdemand known
    USING channels_channel channel
    WHERE channel.id = known.channel_id AND channel.merchant_id = %(merchant)s AND NOT EXISTS (
        SELECT FROM demand
        WHERE demand.channel_id = known.channel_id AND demand.variant_id = known.variant_id AND demand.q99 > 0
    )
    RETURNING known.channel_id, known.variant_id
), kept AS (
    INSERT INTO channels_lagdemand AS known (channel_id, variant_id, q90, q95, q99)
    SELECT channel_id, variant_id, q90, q95, q99 FROM demand WHERE q99 > 0
    ORDER BY channel_id, variant_id
    ON CONFLICT (channel_id, variant_id) DO UPDATE
    SET q90 = excluded.q90, q95 = excluded.q95, q99 = excluded.q99
    WHERE (known.q90, known.q95, known.q99) IS DISTINCT FROM (excluded.q90, excluded.q95, excluded.q99)
    RETURNING known.channel_id, known.variant_id
)
SELECT channel_id, variant_id FROM gone UNION SELECT channel_id, variant_id FROM kept
"""


def measure_all(merchant_id: int = 0) -> int:
    """Measures lags, demands, automatic tags and standings of one merchant or (0) of all; returns marked shelves."""
    merchants = Merchant.objects.filter(is_active=True)
    if merchant_id:
        merchants = merchants.filter(pk=merchant_id)
    return sum(_measure(pk) for pk in merchants.values_list("id", flat=True))


def _measure(merchant_id: int) -> int:
    refresh_automatic_tags(merchant_id)
    measure_lags(merchant_id)
    refresh_standings(merchant_id)
    return measure_demands(merchant_id)


def measure_lags(merchant_id: int) -> None:
    """Measures how long sales elsewhere take to reach each active channel's shelves; one statement."""
    channels = Channel.objects.filter(merchant=merchant_id, is_active=True, kind__in=list(CONNECTORS))
    given = {channel.pk: poll_interval(channel).total_seconds() for channel in channels.defer("credentials")}
    parameters: dict[str, Any] = {
        "merchant": merchant_id,
        "orders": LAG_ORDERS,
        "fewest": FEWEST_SAMPLES,
        "channels": list(given),
        "seconds": list(given.values()),
    }
    with connection.cursor() as cursor:
        cursor.execute(_LAGS, parameters)


@transaction.atomic
def measure_demands(merchant_id: int) -> int:
    """Measures what sells within each channel's lag, and marks the shelves whose buffer that changes.

    Returns how many were marked. Does nothing while no rule in force asks for it.
    """
    fuse.lock(merchant_id)
    with connection.cursor() as cursor:
        cursor.execute(_ASKED_FOR, [merchant_id])
        if not cursor.fetchone()[0]:
            return 0
        cursor.execute(_DEMANDS, {"merchant": merchant_id, "days": DEMAND_DAYS})
        changed = {(row[0], row[1]) for row in cursor.fetchall()}
    if not changed:
        return 0
    shelves = shelves_of(merchant_id, {variant_id for _, variant_id in changed})
    asking = picture(merchant_id, shelves).where(
        lambda shelf, rules: bool(rules.velocity_quantile) and (shelf.channel_id, shelf.variant_id) in changed
    )
    return mark(asking)
