"""Fulfilments taken back: goods that were said to have left and did not.

What was shipped last comes back first: units that the record never had are owed again, the others are held again where
they lay.
"""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from django.db import connection

from inventory import taking
from inventory.holds import TAKEN_BACK, load_owed
from inventory.kits import Kit, parts_from
from inventory.locking import LockedLevel
from inventory.models.conflicts import ConflictCause
from inventory.models.stock import MovementKind, Reason
from inventory.posting import Posting
from inventory.posting_rows import OwedUnits

#: What each place has shipped for a demand and not had back, the latest first: units or, counted by the first of the
#: reservations that hold them together, kits with the parts they were made of.
_SHIPPED: Final = f"""
SELECT r.reference, coalesce(bundle.variant_id, r.variant_id), l.location_id, r.bundle_id,
       (SELECT jsonb_agg(jsonb_build_array(part.variant_id, part.quantity) ORDER BY part.variant_id)
        FROM inventory_bundlepart part WHERE part.bundle_id = r.bundle_id),
       sum((r.fulfilled_quantity - coalesce(back.units, 0)) / coalesce(r.per_bundle, 1))::bigint
FROM inventory_reservation r
JOIN inventory_stocklevel l ON l.id = r.level_id
LEFT JOIN inventory_bundle bundle ON bundle.id = r.bundle_id
{TAKEN_BACK}
WHERE r.merchant_id = %s AND r.reference = ANY(%s::text[]) AND (r.bundle_id IS NULL OR r.lead_id = r.id)
GROUP BY r.reference, coalesce(bundle.variant_id, r.variant_id), l.location_id, r.bundle_id
HAVING sum((r.fulfilled_quantity - coalesce(back.units, 0)) / coalesce(r.per_bundle, 1)) > 0
ORDER BY max(r.id) FILTER (WHERE r.fulfilled_quantity > 0) DESC
"""  # noqa: S608  # constants only


@dataclass(slots=True)
class _Shipped:
    """Units, or kits, that left a place for a demand and are not back."""

    location_id: int
    #: As which kits they left; None: as units of the variant itself.
    kit: Kit | None
    quantity: int


class TakeBacks:
    """What these references have shipped; read after the level locks, used up as it comes back."""

    def __init__(self, posting: Posting, references: Collection[str], variant_ids: Collection[int]) -> None:
        self._posting = posting
        self._beyond: list[OwedUnits] = []
        self._shipped: defaultdict[tuple[str, int], list[_Shipped]] = defaultdict(list)
        if references:
            self._beyond = load_owed(posting, variant_ids, causes=(ConflictCause.BEYOND_RECORD.value,))
            self._read_shipped(references)

    def _read_shipped(self, references: Collection[str]) -> None:
        with connection.cursor() as cursor:
            cursor.execute(_SHIPPED, [self._posting.merchant_id, sorted(references)])
            rows = cursor.fetchall()
        for reference, variant_id, place, bundle_id, parts, quantity in rows:
            kit = None if bundle_id is None else Kit(bundle_id, variant_id, parts_from(parts))
            taken = ((variant_id, 1),) if kit is None else kit.parts
            if all((variant, place) in self._posting.levels for variant, _ in taken):
                self._shipped[reference, variant_id].append(_Shipped(place, kit, quantity))

    def take_back(self, reference: str, variant_id: int, quantity: int, *, home: int, pool: str) -> int:
        """Holds units, or kits, again where they lay; returns those that are owed again.

        `home` is where those of unknown origin go, `pool` the name under which units beyond record were noted. What left
        as kits comes back as their parts, whatever the variant is by now; only what left otherwise comes back as what
        the variant is now, for a kit has no stock of its own.
        """
        now_kit = self._posting.kits.get(variant_id)
        owed = 0
        if now_kit is None:
            owed = self._forget_beyond_record(pool, quantity, self._posting.levels[variant_id, home])
        rest = quantity - owed
        for origin in self._shipped[reference, variant_id]:
            back = min(origin.quantity, rest)
            if back > 0 and (origin.kit is not None or now_kit is None):
                owed += self._put_back(origin.kit, reference, variant_id, back, origin.location_id)
                origin.quantity -= back
                rest -= back
        return owed + (self._put_back(now_kit, reference, variant_id, rest, home) if rest else 0)

    def _put_back(self, kit: Kit | None, reference: str, variant_id: int, quantity: int, place: int) -> int:
        """Holds units, or whole kits, again at a place; returns those that cannot be held."""
        if kit is not None:
            return self._put_kits_back(kit, reference, quantity, place)
        self._hold_again(self._posting.levels[variant_id, place], reference, quantity)
        return 0

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
