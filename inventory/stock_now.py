"""How much there is of some variants at some places, in one statement whatever their number.

PostgreSQL writes it as JSON: making an object of each level here, and text of it again, takes longer than to look it up.
"""

from collections.abc import Collection
from typing import Final, NamedTuple

from django.db import connection

from inventory.arrays import text_array

# Looked up level by level: there are few of each variant, and none else is read. In the sequence of their index, so that
# none of these little heaps is sorted.
_NOW: Final = """
SELECT v.id, v.sku,
       EXISTS (SELECT FROM inventory_bundlepart part WHERE part.bundle_variant_id = v.id AND part.is_drawn_on),
       '{{"sku":' || to_json(v.sku)::text || ',"variant_id":' || v.id || ',"is_kit":false,"available":'
       || coalesce(level.available, 0) || ',"locations":[' || coalesce(level.shown, '') || ']'
FROM inventory_variant v
LEFT JOIN LATERAL (
    SELECT sum(s.on_hand - s.reserved - s.unavailable)::bigint AS available,
           string_agg('{{"location":' || to_json(l.code)::text
                      || ',"on_hand":' || s.on_hand
                      || ',"reserved":' || s.reserved
                      || ',"unavailable":' || s.unavailable
                      || ',"available":' || s.on_hand - s.reserved - s.unavailable || '}}', ',' ORDER BY s.location_id) AS shown
    FROM inventory_stocklevel s JOIN inventory_location l ON l.id = s.location_id
    WHERE s.merchant_id = v.merchant_id AND s.variant_id = v.id AND {places}
) level ON true
WHERE v.merchant_id = %s AND v.sku = ANY(%s::text[])
ORDER BY v.sku
"""
_NAMED: Final = _NOW.format(places="l.code = ANY(%s::text[])")
_USUAL: Final = _NOW.format(places="l.is_active AND l.kind <> 'channel_owned'")


class VariantNow(NamedTuple):
    """A variant with what there is of it, in base units."""

    id: int
    sku: str
    #: A kit has no stock of its own: its JSON says nothing.
    is_kit: bool
    #: The variant and its levels by code of the location, as a JSON object that is still open: more members may follow.
    json: str


def stock_now(merchant_id: int, skus: Collection[str], codes: Collection[str] = ()) -> list[VariantNow]:
    """Returns those of these variants that there are, by SKU.

    With their levels at the locations named, else at all in use but those that a platform draws on alone.
    """
    named = [text_array(codes)] if codes else []
    with connection.cursor() as cursor:
        cursor.execute(_NAMED if codes else _USUAL, [*named, merchant_id, text_array(skus)])
        return [VariantNow(*row) for row in cursor.fetchall()]
