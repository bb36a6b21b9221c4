"""Puts tags on variants, by hand or by what they sell, and says so to whoever listens."""

from collections.abc import Collection
from typing import Final

from django.db import connection, transaction

from inventory.announcements import announce_catalogue
from inventory.models import Product, Tag, Variant, VariantTag

#: Days of sales that an automatic tag looks at.
WEEK: Final = 7

# Units sold: what was reserved for a sale, and what was shipped for one without having been reserved. Old sales that were
# imported lately are recorded lately, but did not happen lately.
_REFRESH: Final = """
WITH sold AS MATERIALIZED (
    SELECT level.variant_id,
        sum(CASE WHEN movement.kind = 'reservation' THEN movement.reserved_delta
                 ELSE greatest(movement.reserved_delta - movement.on_hand_delta, 0) END) AS units
    FROM inventory_stockmovement movement
    JOIN inventory_stocklevel level ON level.id = movement.level_id
    WHERE movement.merchant_id = %(merchant)s AND movement.reason = 'sale'
      AND movement.kind IN ('reservation', 'shipment')
      AND movement.recorded_at > clock_timestamp() - make_interval(days => %(days)s)
      AND movement.occurred_at > clock_timestamp() - make_interval(days => %(days)s)
    GROUP BY level.variant_id
), due AS (
    SELECT tag.id AS tag_id, sold.variant_id
    FROM inventory_tag tag JOIN sold ON sold.units >= tag.weekly_units
    WHERE tag.merchant_id = %(merchant)s
), gone AS (
    DELETE FROM inventory_varianttag tagging
    USING inventory_tag tag
    WHERE tag.id = tagging.tag_id AND tag.merchant_id = %(merchant)s AND tagging.is_automatic
      AND NOT EXISTS (
          SELECT FROM due WHERE due.tag_id = tagging.tag_id AND due.variant_id = tagging.variant_id
      )
    RETURNING tagging.id, tagging.tag_id, tagging.variant_id
), added AS (
    INSERT INTO inventory_varianttag (tag_id, variant_id, is_automatic)
    SELECT tag_id, variant_id, true FROM due
    ORDER BY tag_id, variant_id
    ON CONFLICT (tag_id, variant_id) DO NOTHING
    RETURNING id, tag_id, variant_id
), remembered AS (
    INSERT INTO inventory_historicalvarianttag (id, tag_id, variant_id, is_automatic, history_date, history_type)
    SELECT id, tag_id, variant_id, true, clock_timestamp(), '-' FROM gone
    UNION ALL
    SELECT id, tag_id, variant_id, true, clock_timestamp(), '+' FROM added
)
SELECT variant_id FROM gone UNION SELECT variant_id FROM added
"""


@transaction.atomic
def tag(a_tag: Tag, variants: Collection[Variant]) -> int:
    """Puts a tag on variants of its merchant by hand; returns on how many it was not yet.

    A variant that carries it by itself keeps it from then on.
    """
    own = {variant.pk for variant in variants if variant.merchant_id == a_tag.merchant_id}
    known = {each.variant_id: each for each in a_tag.taggings.filter(variant__in=own)}
    for tagging in known.values():
        if tagging.is_automatic:
            tagging.is_automatic = False
            tagging.save()
    new = own - set(known)
    for variant_id in sorted(new):
        VariantTag.objects.create(tag=a_tag, variant_id=variant_id)
    announce_catalogue(a_tag.merchant_id, new)
    return len(new)


@transaction.atomic
def untag(a_tag: Tag, variants: Collection[Variant]) -> int:
    """Takes a tag off variants; returns off how many."""
    gone = list(a_tag.taggings.filter(variant__in=[variant.pk for variant in variants]))
    for tagging in gone:
        tagging.delete()
    announce_catalogue(a_tag.merchant_id, {tagging.variant_id for tagging in gone})
    return len(gone)


@transaction.atomic
def refresh_automatic_tags(merchant_id: int) -> int:
    """Puts tags with a weekly quantity on what sold so much, and takes them off the rest; one statement.

    Returns how many variants changed. Tags that people put on stay.
    """
    with connection.cursor() as cursor:
        cursor.execute(_REFRESH, {"merchant": merchant_id, "days": WEEK})
        changed = {variant_id for (variant_id,) in cursor.fetchall()}
    announce_catalogue(merchant_id, changed)
    return len(changed)


def note_category(product: Product) -> None:
    """Tells that a product's category changed; in the transaction that changes it."""
    announce_catalogue(product.merchant_id, set(product.variants.values_list("id", flat=True)))
