"""How much there is of some variants at some places, in one statement whatever their number."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

from django.db import connection

# Looked up level by level: there are few of each variant, and none else is read.
_NOW: Final = """
SELECT v.id, v.sku,
       EXISTS (SELECT FROM inventory_bundlepart part WHERE part.bundle_variant_id = v.id AND part.is_drawn_on),
       level.code, level.on_hand, level.reserved, level.unavailable
FROM inventory_variant v
LEFT JOIN LATERAL (
    SELECT l.code, s.on_hand, s.reserved, s.unavailable
    FROM inventory_stocklevel s JOIN inventory_location l ON l.id = s.location_id
    WHERE s.merchant_id = v.merchant_id AND s.variant_id = v.id AND {places}
    OFFSET 0
) level ON true
WHERE v.merchant_id = %s AND v.sku = ANY(%s::text[])
ORDER BY v.sku, level.code
"""
_NAMED: Final = _NOW.format(places="l.code = ANY(%s::text[])")
_USUAL: Final = _NOW.format(places="l.is_active AND l.kind <> 'channel_owned'")


@dataclass(frozen=True, slots=True)
class LevelNow:
    """One level, in base units."""

    location: str
    on_hand: int
    reserved: int
    unavailable: int

    @property
    def available(self) -> int:
        """Units that may be promised now."""
        return self.on_hand - self.reserved - self.unavailable


@dataclass(frozen=True, slots=True)
class VariantNow:
    """A variant with its levels, by code of the location; a kit has none of its own."""

    id: int
    sku: str
    is_kit: bool
    levels: list[LevelNow] = field(default_factory=list)


def stock_now(merchant_id: int, skus: Collection[str], codes: Collection[str] = ()) -> list[VariantNow]:
    """Returns those of these variants that there are, by SKU.

    With their levels at the locations named, else at all in use but those that a platform draws on alone.
    """
    named = [sorted(codes)] if codes else []
    with connection.cursor() as cursor:
        cursor.execute(_NAMED if codes else _USUAL, [*named, merchant_id, sorted(skus)])
        rows = cursor.fetchall()
    found: dict[int, VariantNow] = {}
    for identity, sku, is_kit, code, *units in rows:
        variant = found.get(identity)
        if variant is None:
            variant = found[identity] = VariantNow(identity, sku, is_kit)
        if code is not None and not is_kit:
            variant.levels.append(LevelNow(code, *units))
    return list(found.values())
