"""What a kit is to an operation: the parts of its current version, and how many whole kits they make."""

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, Final

from django.db import connection

from inventory.errors import InvalidStockRequest
from inventory.models.catalogue import Variant

#: Kits as JSON: `[[bundle, variant, [[part, units], …]], …]`, to be embedded with a condition on `bundle`.
KITS_AS_JSON: Final = """
SELECT jsonb_agg(jsonb_build_array(bundle.id, bundle.variant_id, (
    SELECT jsonb_agg(jsonb_build_array(part.variant_id, part.quantity) ORDER BY part.variant_id)
    FROM inventory_bundlepart part WHERE part.bundle_id = bundle.id)))
FROM inventory_bundle bundle
WHERE bundle.is_current AND bundle.kind = 'kit' AND """


@dataclass(frozen=True, slots=True)
class Kit:
    """One version of a kit, taken apart."""

    bundle_id: int
    variant_id: int
    #: (variant, units in one kit), by variant.
    parts: tuple[tuple[int, int], ...]


def kits_from(value: Any) -> dict[int, Kit]:
    """Reads what `KITS_AS_JSON` gives, by variant."""
    rows = json.loads(value) if isinstance(value, str) else value
    return {
        variant_id: Kit(bundle_id, variant_id, parts_from(parts))
        for bundle_id, variant_id, parts in rows or ()
    }


def parts_from(value: Any) -> tuple[tuple[int, int], ...]:
    """Reads parts from JSON: `[[part, units], …]`."""
    rows = json.loads(value) if isinstance(value, str) else value
    return tuple((part, units) for part, units in rows)


_CURRENT: Final = f"{KITS_AS_JSON} bundle.merchant_id = %s AND bundle.variant_id = ANY(%s::bigint[])"


def current_kits(merchant_id: int, variant_ids: Collection[int]) -> dict[int, Kit]:
    """Returns those of the variants that are kits now, by variant; one statement."""
    with connection.cursor() as cursor:
        cursor.execute(_CURRENT, [merchant_id, sorted(variant_ids)])
        return kits_from(cursor.fetchone()[0])


def refuse(kits: Collection[int]) -> None:
    """Refuses kits, by variant, where only goods make sense: they have no stock. Raises `InvalidStockRequest`."""
    if kits:
        skus = Variant.objects.filter(id__in=kits).order_by("sku").values_list("sku", flat=True)
        message = f"{', '.join(skus)}: a kit has no stock of its own; name its components instead."
        raise InvalidStockRequest("variant_id", message)


def whole_kits(available: Iterable[tuple[int, int]]) -> int:
    """Returns how many kits can be made, given what is available of each part and how much one kit takes of it."""
    return max(min(units // per_kit for units, per_kit in available), 0)
