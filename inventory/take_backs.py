"""Fulfilments taken back: goods that were said to have left and did not.

What was shipped last comes back first: units that the record never had are owed again, the others are held again where
they lay.
"""

from collections import defaultdict
from collections.abc import Collection
from typing import Any, Final

from django.db import connection

from inventory import taking
from inventory.holds import load_owed
from inventory.kits import Kit, parts_from
from inventory.locking import LockedLevel
from inventory.models.conflicts import ConflictCause
from inventory.models.stock import MovementKind, Reason
from inventory.posting import OwedUnits, Posting

#: Units that each place has shipped for a demand and not had back, the latest place first.
_SHIPPED: Final = """
SELECT r.reference, r.variant_id, r.level_id, sum(r.fulfilled_quantity - coalesce(back.units, 0))::bigint
FROM inventory_reservation r
LEFT JOIN LATERAL (
    SELECT sum(m.reserved_delta) AS units FROM inventory_stockmovement m
    WHERE m.reservation_id = r.id AND m.kind = 'return'
) back ON true
WHERE r.merchant_id = %s AND r.reference = ANY(%s::text[]) AND r.bundle_id IS NULL
GROUP BY r.reference, r.variant_id, r.level_id
HAVING sum(r.fulfilled_quantity - coalesce(back.units, 0)) > 0
ORDER BY max(r.id) FILTER (WHERE r.fulfilled_quantity > 0) DESC
"""

#: The same for kits, counted by the first of the reservations that hold them together, with the parts they were made of.
_SHIPPED_KITS: Final = """
SELECT r.reference, bundle.variant_id, r.bundle_id, l.location_id,
       sum((r.fulfilled_quantity - coalesce(back.units, 0)) / r.per_bundle)::bigint,
       (SELECT jsonb_agg(jsonb_build_array(part.variant_id, part.quantity) ORDER BY part.variant_id)
        FROM inventory_bundlepart part WHERE part.bundle_id = r.bundle_id)
FROM inventory_reservation r
JOIN inventory_stocklevel l ON l.id = r.level_id
JOIN inventory_bundle bundle ON bundle.id = r.bundle_id
LEFT JOIN LATERAL (
    SELECT sum(m.reserved_delta) AS units FROM inventory_stockmovement m
    WHERE m.reservation_id = r.id AND m.kind = 'return'
) back ON true
WHERE r.merchant_id = %s AND r.reference = ANY(%s::text[]) AND r.lead_id = r.id
GROUP BY r.reference, bundle.variant_id, r.bundle_id, l.location_id
HAVING sum((r.fulfilled_quantity - coalesce(back.units, 0)) / r.per_bundle) > 0
ORDER BY max(r.id) FILTER (WHERE r.fulfilled_quantity > 0) DESC
"""


class TakeBacks:
    """What these references have shipped; read after the level locks, used up as it comes back."""

    def __init__(self, posting: Posting, references: Collection[str], variant_ids: Collection[int]) -> None:
        self._posting = posting
        self._beyond: list[OwedUnits] = []
        self._shipped: defaultdict[tuple[str, int], list[list[Any]]] = defaultdict(list)
        self._shipped_kits: defaultdict[tuple[str, int], list[list[Any]]] = defaultdict(list)
        if references:
            self._beyond = load_owed(posting, variant_ids, causes=(ConflictCause.BEYOND_RECORD.value,))
            self._read_shipped(references)
        if references and posting.kits:
            self._read_shipped_kits(references)

    def _read_shipped(self, references: Collection[str]) -> None:
        levels = {level.id: level for level in self._posting.levels.values()}
        with connection.cursor() as cursor:
            cursor.execute(_SHIPPED, [self._posting.merchant_id, sorted(references)])
            for reference, variant_id, level_id, units in cursor.fetchall():
                if level_id in levels:
                    self._shipped[reference, variant_id].append([levels[level_id], units])

    def _read_shipped_kits(self, references: Collection[str]) -> None:
        with connection.cursor() as cursor:
            cursor.execute(_SHIPPED_KITS, [self._posting.merchant_id, sorted(references)])
            for reference, variant_id, bundle_id, place, kits, parts in cursor.fetchall():
                kit = Kit(bundle_id, variant_id, parts_from(parts))
                if all((part, place) in self._posting.levels for part, _ in kit.parts):
                    self._shipped_kits[reference, variant_id].append([kit, place, kits])

    def take_back(self, reference: str, quantity: int, *, home: LockedLevel, pool: str) -> int:
        """Holds units again; returns those that the record never had.

        `home` is where units of unknown origin go, `pool` the name under which units beyond record were noted.
        """
        beyond = self._forget_beyond_record(pool, quantity, home)
        rest = quantity - beyond
        for origin in self._shipped[reference, home.variant_id]:
            level, shipped = origin
            units = min(shipped, rest)
            if units > 0:
                self._hold_again(level, reference, units)
                origin[1] -= units
                rest -= units
        if rest:
            self._hold_again(home, reference, rest)
        return beyond

    def take_back_kits(self, kit: Kit, reference: str, quantity: int, *, home: int) -> int:
        """Holds whole kits again where they lay; returns those that cannot be whole, which are owed again."""
        owed = 0
        for origin in self._shipped_kits[reference, kit.variant_id]:
            shipped, place, kits = origin
            back = min(kits, quantity)
            if back > 0:
                owed += self._put_kits_back(shipped, reference, back, place)
                origin[2] -= back
                quantity -= back
        return owed + (self._put_kits_back(kit, reference, quantity, home) if quantity else 0)

    def _put_kits_back(self, kit: Kit, reference: str, kits: int, place: int) -> int:
        """Puts the parts of kits back, those left out that the record never had; returns the kits not held again."""
        found = {}
        for part, per_kit in kit.parts:
            level = self._posting.levels[part, place]
            found[part] = kits * per_kit - self._forget_beyond_record(reference, kits * per_kit, level)
        held = min(found[part] // per_kit for part, per_kit in kit.parts)
        if held:
            self._posting.hold_kits(kit, place, reference, held, reason=Reason.CORRECTION, is_return=True)
        for part, per_kit in kit.parts:
            if rest := found[part] - held * per_kit:
                level = self._posting.levels[part, place]
                self._posting.post(level, MovementKind.RETURN, Reason.CORRECTION, on_hand=rest)
        return kits - held

    def _forget_beyond_record(self, reference: str, quantity: int, home: LockedLevel) -> int:
        """Takes back the find that a shipment beyond record had made necessary."""
        debts = taking.owed_to(self._beyond, reference, home.variant_id)
        units = quantity - taking.close_owed(self._posting, debts, quantity)
        if units:
            self._posting.post(home, MovementKind.RETURN, Reason.CORRECTION, on_hand=units)
            self._posting.post(home, MovementKind.ADJUSTMENT, Reason.BEYOND_RECORD, on_hand=-units)
        return units

    def _hold_again(self, level: LockedLevel, reference: str, units: int) -> None:
        self._posting.hold(
            level, reference, units, kind=MovementKind.RETURN, reason=Reason.CORRECTION, on_hand=units
        )
