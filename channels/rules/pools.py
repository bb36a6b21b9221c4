"""Groups of channels, and the units that are ring-fenced for them.

A pool of so many units is used up by what the group's channels sell, counted when an order is applied and whether
or not it has been shipped, until somebody fills it again; and, for as long as that lasts, by what is held for its buyers.
What a channel of several groups sells uses up one of their pools.
A pool of a share is of what is available at each moment.
"""

from collections.abc import Collection, Iterable
from typing import Any, Final

from django.db import connection, transaction
from django.db.models import F, Sum
from django.utils import timezone

from channels import fuse
from channels.errors import RuleRefused
from channels.models import Channel, ChannelGroup, PoolHold, PoolUse
from channels.models.mutations import MutationKind
from channels.order_lines import LineChange
from channels.rules.marking import kits_of, mark, picture, shelves_of

#: Which pool of a channel's groups a sale is taken off, so that it uses up one alone: the first one that has anything left;
#: what is given up goes back to the one that was used most.
_OF_SEVERAL: Final = """
    SELECT rule.pool_id
    FROM channels_rule rule
    JOIN channels_rulesetversion version ON version.id = rule.version_id AND version.state = 'active'
    JOIN channels_ruleset rule_set ON rule_set.id = version.rule_set_id
    JOIN inventory_variant variant ON variant.id = sold.variant_id
    JOIN inventory_product product ON product.id = variant.product_id
    LEFT JOIN channels_pooluse before ON before.group_id = rule.pool_id AND before.variant_id = sold.variant_id
    WHERE rule.pool_id IN (SELECT group_id FROM member) AND rule.pool_units > 0
      AND coalesce(rule.variant_id = sold.variant_id, true)
      AND (rule.category = '' OR rule.category = product.category)
      AND (rule.tag_id IS NULL OR EXISTS (
          SELECT FROM inventory_varianttag tagging
          WHERE tagging.tag_id = rule.tag_id AND tagging.variant_id = sold.variant_id))
    ORDER BY CASE WHEN sold.units > 0 THEN (coalesce(before.units, 0) >= rule.pool_units)::int::bigint
                  ELSE -coalesce(before.units, 0) END,
        rule_set.priority DESC, rule.position, rule.id
    LIMIT 1
"""

#: A kit takes its parts off their pools too. Rows in the order of their key, as everywhere where several orders may
#: count at once.
_COUNT: Final = """
WITH given AS (
    SELECT * FROM unnest(%(variants)s::bigint[], %(units)s::bigint[]) AS given (variant_id, units)
), member AS (
    SELECT channelgroup_id AS group_id FROM channels_channelgroup_channels WHERE channel_id = %(channel)s
)
INSERT INTO channels_pooluse AS used (group_id, variant_id, units)
SELECT member.group_id, sold.variant_id, sum(sold.units)
FROM (
    SELECT variant_id, units FROM given
    UNION ALL
    SELECT part.variant_id, given.units * part.quantity
    FROM given JOIN inventory_bundlepart part ON part.bundle_variant_id = given.variant_id AND part.is_drawn_on
) sold
CROSS JOIN member
WHERE CASE WHEN (SELECT count(*) FROM member) = 1 THEN true
    ELSE member.group_id = coalesce(({of_several}), member.group_id) END
GROUP BY member.group_id, sold.variant_id
ORDER BY member.group_id, sold.variant_id
ON CONFLICT (group_id, variant_id) DO UPDATE SET units = used.units + excluded.units
""".replace("{of_several}", _OF_SEVERAL)

#: Of kits every part is held; the first of their reservations stands for the kits.
_HOLD: Final = """
WITH member AS (
    SELECT channelgroup_id AS group_id FROM channels_channelgroup_channels WHERE channel_id = %(channel)s
), now_held AS (
    SELECT * FROM inventory_reservation
    WHERE merchant_id = %(merchant)s AND reference = %(reference)s AND open_quantity > 0
)
INSERT INTO channels_poolhold (group_id, variant_id, reservation_id, per_unit, held_at)
SELECT member.group_id, sold.variant_id, sold.id, sold.per_unit, clock_timestamp()
FROM (
    SELECT id, variant_id, 1::bigint AS per_unit, open_quantity AS units FROM now_held
    UNION ALL
    SELECT part.id, kit.variant_id, part.per_bundle, part.open_quantity / part.per_bundle
    FROM now_held part JOIN inventory_bundle kit ON kit.id = part.bundle_id
    WHERE part.lead_id = part.id
) sold
CROSS JOIN member
WHERE CASE WHEN (SELECT count(*) FROM member) = 1 THEN true
    ELSE member.group_id = coalesce(({of_several}), member.group_id) END
ORDER BY sold.variant_id, sold.id
ON CONFLICT DO NOTHING
""".replace("{of_several}", _OF_SEVERAL)

_FILL: Final = """
WITH meant AS (
    SELECT id FROM channels_pooluse
    WHERE group_id = %s AND units <> 0 AND (%s::bigint[] IS NULL OR variant_id = ANY(%s::bigint[]))
    ORDER BY group_id, variant_id
    FOR NO KEY UPDATE
)
UPDATE channels_pooluse used SET units = 0, filled_at = clock_timestamp()
FROM meant WHERE used.id = meant.id
RETURNING used.variant_id
"""


def count_sales(channel: Channel, changes: Iterable[LineChange]) -> None:
    """Takes what an order newly demands, or gives up, off the pools of its channel's groups; one statement.

    Called before the order's own operation in the ledger: these rows are locked before any stock level.
    """
    sold = [
        (change.line.variant_id, change.line.applied_demand - change.was_demanded)
        for change in changes
        if change.line.variant_id is not None and change.line.applied_demand != change.was_demanded
    ]
    if sold:
        variants, units = (list(column) for column in zip(*sold, strict=True))
        with connection.cursor() as cursor:
            cursor.execute(_COUNT, {"variants": variants, "units": units, "channel": channel.pk})


def note_hold(channel: Channel, reference: str) -> None:
    """Has what is held for a channel's buyers under a reference taken off its pool for as long as it is held.

    In the transaction that holds it. What becomes of it later, nobody has to say: the reservations tell.
    """
    parameters: dict[str, Any] = {
        "channel": channel.pk,
        "merchant": channel.merchant_id,
        "reference": reference,
    }
    with connection.cursor() as cursor:
        cursor.execute(_HOLD, parameters)


@transaction.atomic
def fill(group: ChannelGroup, variant_ids: Collection[int] | None = None) -> int:
    """Fills the pool of a group again, of all variants or of some; returns of how many. Marks what that changes."""
    fuse.lock(group.merchant_id)
    chosen = None if variant_ids is None else list(variant_ids)
    with connection.cursor() as cursor:
        cursor.execute(_FILL, [group.pk, chosen, chosen])
        filled = [variant_id for (variant_id,) in cursor.fetchall()]
    shelves = shelves_of(group.merchant_id, {*filled, *kits_of(filled)})
    mark(picture(group.merchant_id, shelves).where(lambda _, rules: rules.names_pool(group.pk)))
    return len(filled)


def left_of(group: ChannelGroup, variant_id: int, units: int) -> int:
    """Returns what a pool of so many units has left of a variant."""
    used = (
        PoolUse.objects.filter(group=group, variant=variant_id).values_list("units", flat=True).first() or 0
    )
    holds = PoolHold.objects.filter(group=group, variant=variant_id, reservation__open_quantity__gt=0)
    held = holds.aggregate(units=Sum(F("reservation__open_quantity") / F("per_unit")))["units"] or 0
    return min(max(units - used - held, 0), units)


@transaction.atomic
def set_channels(group: ChannelGroup, channels: Collection[Channel], *, actor: str) -> int:
    """Says which channels belong to a group, and marks what that changes; returns how many shelves.

    What they sold before stays counted where it was. Raises `RuleRefused` for a channel of another merchant.
    """
    strangers = [channel for channel in channels if channel.merchant_id != group.merchant_id]
    if strangers:
        raise RuleRefused("channels", f"{strangers[0]} belongs to another merchant than {group}.")
    fuse.lock(group.merchant_id)
    shelves = shelves_of(group.merchant_id)
    before = picture(group.merchant_id, shelves)
    group.channels.set(channels)
    changed = picture(group.merchant_id, shelves).changed_from(before)
    listing_ids = {shelf.listing_id for shelf in changed}
    fuse.note(
        fuse.Change(
            group.merchant_id,
            MutationKind.RULES,
            listing_ids,
            f"{group} has other channels: {len(listing_ids)} listings",
            actor,
            f"Edited at {timezone.now():%Y-%m-%d %H:%M}",
        )
    )
    return mark(changed)
