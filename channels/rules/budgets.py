"""The change budget: how often a day a number may be raised. What it held is told on the next day."""

from typing import Final

from django.db import connection, transaction

from channels.models.listings import Lane
from channels.pushes import mark_listing_levels

#: Shelves that used their day's budget up, or may have by the smallest budget in force.
_YESTERDAYS: Final = """
WITH budget AS (
    SELECT rule_set.merchant_id, min(rule.daily_increases) AS smallest
    FROM channels_rule rule
    JOIN channels_rulesetversion version ON version.id = rule.version_id AND version.state = 'active'
    JOIN channels_ruleset rule_set ON rule_set.id = version.rule_set_id
    WHERE rule.daily_increases IS NOT NULL
    GROUP BY rule_set.merchant_id
), over AS (
    SELECT level.id
    FROM budget
    JOIN channels_channel channel ON channel.merchant_id = budget.merchant_id
    JOIN channels_listinglevel level ON level.channel_id = channel.id
    WHERE level.raised_on < (clock_timestamp() AT TIME ZONE 'UTC')::date AND level.raises >= budget.smallest
    ORDER BY level.id
    FOR NO KEY UPDATE OF level
)
UPDATE channels_listinglevel level SET raises = 0, raised_on = NULL
FROM over WHERE level.id = over.id
RETURNING level.id
"""


@transaction.atomic
def release_yesterday() -> int:
    """Marks the shelves whose increases may have been held on a day that is over; returns how many."""
    with connection.cursor() as cursor:
        cursor.execute(_YESTERDAYS)
        ids = [identity for (identity,) in cursor.fetchall()]
    mark_listing_levels(ids, lane=Lane.INCREASE)
    return len(ids)
