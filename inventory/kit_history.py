"""What kits were made of at an instant, by the versions of them."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db import connection


@dataclass(frozen=True, slots=True)
class PastPart:
    """A part of a kit, kits within it taken apart."""

    variant_id: int
    sku: str
    #: In one kit, in the part's base unit.
    quantity: int


_KITS_AS_OF: Final = """
SELECT bundle.variant_id, part.variant_id, variant.sku, part.quantity
FROM inventory_bundle bundle
JOIN inventory_bundlepart part ON part.bundle_id = bundle.id
JOIN inventory_variant variant ON variant.id = part.variant_id
WHERE bundle.merchant_id = %(merchant)s AND bundle.variant_id = ANY(%(variants)s::bigint[]) AND bundle.kind = 'kit'
  AND bundle.created_at <= %(at)s AND (bundle.is_current OR bundle.ended_at > %(at)s)
ORDER BY bundle.variant_id, variant.sku
"""


def kits_as_of(
    merchant_id: int, variant_ids: Collection[int], at: datetime
) -> dict[int, tuple[PastPart, ...]]:
    """Returns the parts of those of these variants that were kits at an instant; one statement."""
    parameters: dict[str, Any] = {"merchant": merchant_id, "variants": sorted(variant_ids), "at": at}
    found: dict[int, tuple[PastPart, ...]] = {}
    with connection.cursor() as cursor:
        cursor.execute(_KITS_AS_OF, parameters)
        for kit, *part in cursor.fetchall():
            found[kit] = (*found.get(kit, ()), PastPart(*part))
    return found
