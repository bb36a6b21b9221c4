"""What kits were made of at an instant, by the versions of them."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from django.db import connection


@dataclass(frozen=True, slots=True)
class PastPart:
    """A part of a kit, kits within it taken apart."""

    variant_id: int
    sku: str
    #: In one kit, in the part's base unit.
    quantity: int


class KitSpan(NamedTuple):
    """What a kit was made of from an instant to another, the latter left out; None: to this day."""

    since: datetime
    until: datetime | None
    parts: tuple[PastPart, ...]


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


_KITS_WITHIN: Final = """
SELECT bundle.variant_id, bundle.created_at, bundle.ended_at, part.variant_id, variant.sku, part.quantity
FROM inventory_bundle bundle
JOIN inventory_bundlepart part ON part.bundle_id = bundle.id
JOIN inventory_variant variant ON variant.id = part.variant_id
WHERE bundle.merchant_id = %(merchant)s AND bundle.variant_id = ANY(%(variants)s::bigint[]) AND bundle.kind = 'kit'
  AND bundle.created_at <= %(until)s AND (bundle.is_current OR bundle.ended_at > %(since)s)
ORDER BY bundle.variant_id, bundle.created_at, bundle.id, variant.sku
"""


def kits_within(
    merchant_id: int, variant_ids: Collection[int], since: datetime, until: datetime
) -> dict[int, list[KitSpan]]:
    """Returns what those of these variants that were kits in a period were made of, version by version; one statement."""
    parameters: dict[str, Any] = {
        "merchant": merchant_id,
        "variants": sorted(variant_ids),
        "since": since,
        "until": until,
    }
    found: dict[int, list[KitSpan]] = {}
    with connection.cursor() as cursor:
        cursor.execute(_KITS_WITHIN, parameters)
        for kit, began, ended, *part in cursor.fetchall():
            spans = found.setdefault(kit, [])
            if not spans or spans[-1].since != began:
                spans.append(KitSpan(began, ended, ()))
            spans[-1] = spans[-1]._replace(parts=(*spans[-1].parts, PastPart(*part)))
    return found
