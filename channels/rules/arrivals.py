"""Follows the days on which goods are confirmed: what is overdue is offered no more, what comes into reach is from then on.

Nothing in the ledger changes with the day, so that nothing else would mark the shelves that offer such goods.
"""

from datetime import date
from typing import Final

from django.db import connection, transaction
from django.utils import timezone

from channels import fuse
from channels.models import MutationFuse
from channels.models.listings import Lane
from channels.preorders import HORIZON, merchants_with_preorders
from channels.pushes import mark_listing_levels
from channels.rules.marking import picture, shelves_of

# Without a day before, all that is overdue or within reach; and the kits that take it.
_TURNED: Final = """
WITH turned AS (
    SELECT DISTINCT line.variant_id FROM inventory_purchaseorderline line
    WHERE line.merchant_id = %(merchant)s AND line.confirmed_quantity > 0
      AND (line.confirmed_on < %(today)s AND coalesce(line.confirmed_on >= %(before)s::date, true)
           OR line.confirmed_on <= %(today)s + %(horizon)s
              AND coalesce(line.confirmed_on > %(before)s::date + %(horizon)s, true))
)
SELECT variant_id FROM turned
UNION
SELECT part.bundle_variant_id FROM turned JOIN inventory_bundlepart part
    ON part.variant_id = turned.variant_id AND part.is_drawn_on
"""


def follow_days() -> int:
    """Marks the shelves of what came into reach or became overdue since the last time; returns how many.

    Called every few minutes; it does something once a day for each merchant whose rules allow pre-orders.
    """
    today = timezone.localdate()
    return sum(_follow(merchant_id, today) for merchant_id in sorted(merchants_with_preorders()))


@transaction.atomic
def _follow(merchant_id: int, today: date) -> int:
    before = fuse.lock(merchant_id).preorders_followed_on
    if before is not None and before >= today:
        return 0
    MutationFuse.objects.filter(pk=merchant_id).update(preorders_followed_on=today)
    shelves = shelves_of(merchant_id, _turned(merchant_id, before, today))
    offering = picture(merchant_id, shelves).where(lambda _, rules: rules.preorder_limit > 0)
    mark_listing_levels(sorted({shelf.id for shelf in offering}), lane=Lane.DECREASE)
    return len(offering)


def _turned(merchant_id: int, before: date | None, today: date) -> set[int]:
    """Returns the variants of which goods, or a part, became overdue or came within reach after a day and until today."""
    parameters = {"merchant": merchant_id, "before": before, "today": today, "horizon": HORIZON.days}
    with connection.cursor() as cursor:
        cursor.execute(_TURNED, parameters)
        return {variant_id for (variant_id,) in cursor.fetchall()}
