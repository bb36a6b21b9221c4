"""What callers name in their own words, found in one statement: variants by SKU, and the places they may draw on."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from django.db import connection

from inventory.arrays import text_array

_FIND: Final = """
SELECT id, sku, NULL FROM inventory_variant WHERE merchant_id = %s AND sku = ANY(%s::text[])
UNION ALL
(SELECT id, code, is_active FROM inventory_location
 WHERE merchant_id = %s AND kind <> 'in_transit' AND (is_active OR code = ANY(%s::text[])) ORDER BY code)
"""


@dataclass(frozen=True, slots=True)
class Names:
    """Ids by name; the places are those in use and those asked for, by code."""

    variants: dict[str, int]
    places: dict[str, int]
    #: Places in use, in order of their codes.
    in_use: tuple[int, ...]


def find_names(merchant_id: int, skus: Collection[str], codes: Collection[str]) -> Names:
    """Returns those of a merchant's variants and places that there are."""
    with connection.cursor() as cursor:
        cursor.execute(_FIND, [merchant_id, text_array(skus), merchant_id, text_array(codes)])
        rows = cursor.fetchall()
    variants = {name: identity for identity, name, is_active in rows if is_active is None}
    places = [row for row in rows if row[2] is not None]
    return Names(
        variants,
        {name: identity for identity, name, _ in places},
        tuple(identity for identity, _, is_active in places if is_active),
    )
