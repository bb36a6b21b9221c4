"""What one operation is about to write: collected in memory under the level locks, appended by the ledger."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from inventory.announcements import HoldChange, LevelChange
from inventory.errors import UnknownStock
from inventory.kits import Kit, refuse, whole_kits
from inventory.locking import LockedLevel, MoreLevels, create_missing_levels, lock_levels
from inventory.models.conflicts import ConflictCause
from inventory.models.stock import MovementKind, Reason
from inventory.posting_rows import (
    Held,
    HeldKits,
    HeldUnits,
    Hold,
    Movement,
    OwedUnits,
    PartOf,
    Promised,
    Short,
)

if TYPE_CHECKING:
    from inventory.inbound import Inbound
    from inventory.inbound_rows import PromisedKits


@dataclass(slots=True)
class Posting:
    """The operation in progress. Every change of a level goes through `post`."""

    merchant_id: int
    levels: dict[tuple[int, int], LockedLevel] = field(default_factory=dict)
    movements: list[Movement] = field(default_factory=list)
    new_reservations: list[HeldUnits] = field(default_factory=list)
    loaded_reservations: dict[int, HeldUnits] = field(default_factory=dict)
    conflicts: dict[tuple[str, int, str], OwedUnits] = field(default_factory=dict)
    #: Demands that were only partly held, without a conflict.
    not_held: list[Short] = field(default_factory=list)
    #: (variant, location) pairs to announce even where nothing changed.
    concerned: set[tuple[int, int]] = field(default_factory=set)
    #: For documents that name the operations they went through.
    operation_id: int = 0
    #: Whose demands the operation looks up.
    references: set[str] = field(default_factory=set)
    #: Goods still to come, once the operation has asked for them.
    inbound: "Inbound | None" = None
    #: Backorders that the operation made; known once they are written.
    promised: list[Promised] = field(default_factory=list)
    #: Those of the operation's variants that are kits now.
    kits: dict[int, Kit] = field(default_factory=dict)
    #: Kits held by this operation.
    new_kits: list[HeldKits] = field(default_factory=list)
    #: Variants of kits that this operation took the goods from.
    broken_kits: set[int] = field(default_factory=set)
    #: Promises of kits that the operation made, or has read.
    promised_kits: "dict[int, PromisedKits]" = field(default_factory=dict)
    #: Ids for further ones.
    kit_ids: list[int] = field(default_factory=list)
    #: Reservations that were given another end.
    extended: list[int] = field(default_factory=list)
    #: (variant, location) pairs that an earlier attempt turned out to need.
    also: frozenset[tuple[int, int]] = frozenset()
    _sought: list[tuple[frozenset[int], frozenset[int]]] = field(default_factory=list)

    def lock(
        self,
        variant_ids: Collection[int],
        location_ids: Collection[int],
        *,
        create: Iterable[tuple[int, int]] = (),
    ) -> None:
        """Locks the levels of these variants at these locations; creates the pairs that must exist first."""
        pairs = set(create)
        if pairs:
            create_missing_levels(self.merchant_id, pairs)
        variants = frozenset(variant_ids).union(variant for variant, _ in self.also)
        places = frozenset(location_ids).union(place for _, place in self.also)
        self._sought.append((variants, places))
        for level in lock_levels(self.merchant_id, variants, places):
            self.levels[level.variant_id, level.location_id] = level
        if not pairs <= self.levels.keys():
            raise UnknownStock

    def need(self, pairs: Iterable[tuple[int, int]]) -> None:
        """Makes sure that these levels are locked, as far as they exist. Raises `MoreLevels`."""
        if missing := [pair for pair in pairs if not self.has_sought(pair)]:
            raise MoreLevels(missing)

    def has_sought(self, pair: tuple[int, int]) -> bool:
        """Returns whether this level would be locked if it existed."""
        return any(pair[0] in variants and pair[1] in places for variants, places in self._sought)

    def parts_of(self, variant_id: int) -> tuple[tuple[int, int], ...]:
        """Returns (variant, units) of what one unit of a variant takes from stock: of a kit its parts."""
        kit = self.kits.get(variant_id)
        return ((variant_id, 1),) if kit is None else kit.parts

    def refuse_kits(self) -> None:
        """Refuses an operation on the stock of a kit, which has none. Raises `InvalidStockRequest`."""
        refuse(self.kits)

    def kits_available(self, kit: Kit, location_id: int) -> int:
        """Returns how many whole kits can be held at a location now."""
        return whole_kits((self.free(part, location_id), units) for part, units in kit.parts)

    def free(self, variant_id: int, location_id: int) -> int:
        """Returns the units that may be held at a location now; without a level there are none."""
        level = self.levels.get((variant_id, location_id))
        return 0 if level is None else level.available

    def levels_of(self, variant_id: int, location_ids: Iterable[int]) -> Iterator[LockedLevel]:
        """The locked levels of a variant at these locations, in their order; places without stock are passed over."""
        for location_id in location_ids:
            level = self.levels.get((variant_id, location_id))
            if level is not None:
                yield level

    def post(
        self,
        level: LockedLevel,
        kind: MovementKind,
        reason: Reason,
        *,
        on_hand: int = 0,
        reserved: int = 0,
        unavailable: int = 0,
        reservation: HeldUnits | None = None,
        reverses_id: int | None = None,
        occurred_at: datetime | None = None,
    ) -> None:
        """Changes a locked level and notes the movement that says so."""
        level.on_hand += on_hand
        level.reserved += reserved
        level.unavailable += unavailable
        level.version += 1
        self.movements.append(
            Movement(
                level.id,
                level.version,
                kind.value,
                reason.value,
                on_hand,
                reserved,
                unavailable,
                level.on_hand,
                level.reserved,
                level.unavailable,
                reservation,
                reverses_id,
                occurred_at,
            )
        )

    def hold(
        self,
        level: LockedLevel,
        reference: str,
        quantity: int,
        *,
        kind: MovementKind = MovementKind.RESERVATION,
        reason: Reason = Reason.SALE,
        on_hand: int = 0,
        expires_at: datetime | None = None,
    ) -> HeldUnits:
        """Reserves units of a level for a reference."""
        held = HeldUnits(
            level,
            reference,
            quantity,
            expires_at=expires_at,
            is_new=True,
            taken=quantity,
        )
        self.new_reservations.append(held)
        self.post(level, kind, reason, on_hand=on_hand, reserved=quantity, reservation=held)
        return held

    def hold_kits(
        self,
        kit: Kit,
        location_id: int,
        reference: str,
        quantity: int,
        *,
        reason: Reason = Reason.SALE,
        expires_at: datetime | None = None,
        is_return: bool = False,
    ) -> HeldKits:
        """Reserves whole kits for a reference, part by part; with `is_return` their parts come back with them."""
        held = HeldKits([])
        for variant_id, per_kit in kit.parts:
            row = self.hold(
                self.levels[variant_id, location_id],
                reference,
                quantity * per_kit,
                kind=MovementKind.RETURN if is_return else MovementKind.RESERVATION,
                reason=reason,
                on_hand=quantity * per_kit if is_return else 0,
                expires_at=expires_at,
            )
            row.part_of = PartOf(kit.bundle_id, kit.variant_id, per_kit, len(kit.parts))
            held.rows.append(row)
            row.lead = held.rows[0]
        self.new_kits.append(held)
        self.concerned.add((kit.variant_id, location_id))
        return held

    def new_holds(self) -> list[Hold]:
        """Returns what this operation has newly held, kits last."""
        return [*(row for row in self.new_reservations if row.part_of is None), *self.new_kits]

    def release(self, hold: Hold, quantity: int, reason: Reason) -> None:
        """Gives units of a hold, or whole kits, back to what is available."""
        for row in hold.rows:
            self._release(row, quantity * hold.per_unit(row), reason)

    def _release(self, held: HeldUnits, quantity: int, reason: Reason) -> None:
        held.open -= quantity
        held.released += quantity
        self.post(
            held.level,
            MovementKind.RELEASE,
            reason,
            reserved=-quantity,
            reservation=held,
        )

    def ship_held(self, hold: Hold, quantity: int) -> None:
        """Takes units of a hold, or whole kits, out of the building."""
        for row in hold.rows:
            self._ship_held(row, quantity * hold.per_unit(row))

    def _ship_held(self, held: HeldUnits, quantity: int) -> None:
        held.open -= quantity
        held.fulfilled += quantity
        self.post(
            held.level,
            MovementKind.SHIPMENT,
            Reason.SALE,
            on_hand=-quantity,
            reserved=-quantity,
            reservation=held,
        )

    def owe(
        self,
        *,
        reference: str,
        variant_id: int,
        quantity: int,
        cause: ConflictCause,
        location_ids: tuple[int, ...],
    ) -> None:
        """Opens a conflict for units that are not there, or adds to the open one of the same demand."""
        key = (reference, variant_id, cause.value)
        owed = self.conflicts.get(key)
        if owed is None:
            owed = self.conflicts[key] = OwedUnits(variant_id, cause.value, reference, location_ids)
        owed.open += quantity
        owed.opened += quantity

    def close(self, owed: OwedUnits, quantity: int) -> None:
        """Takes units off what is owed."""
        owed.open -= quantity
        owed.closed += quantity

    def move_debt(self, owed: OwedUnits, location_ids: tuple[int, ...]) -> None:
        """Has what is owed served from these locations from now on."""
        owed.is_moved = owed.is_moved or owed.location_ids != location_ids
        owed.location_ids = location_ids

    def held(self) -> Iterator[Held]:
        """What was newly reserved."""
        for h in self.new_reservations:
            yield Held(h.id, h.reference, h.level.variant_id, h.level.location_id, h.taken)

    def short(self) -> Iterator[Short]:
        """What could not be covered."""
        for owed in self.conflicts.values():
            if owed.opened:
                yield Short(owed.reference, owed.variant_id, owed.opened)
        yield from self.not_held

    def renewed(self) -> dict[str, list[int]]:
        """Reservations that changed without a movement, for the stored outcome: confirmed ones, and those extended."""
        confirmed = [
            held.id
            for held in self.loaded_reservations.values()
            if held.is_confirmed_now and held.expires_at is not None
        ]
        found = {"confirmed": confirmed, "extended": self.extended}
        return {name: sorted(ids) for name, ids in found.items() if ids}

    def hold_changes(self) -> list[HoldChange]:
        """What to announce: how many units each demand holds more or less at a place, and how many left for it."""
        sums: dict[tuple[str, int, int], list[int]] = {}
        for movement in self.movements:
            held = movement.reservation
            if held is None:
                continue
            key = held.reference, held.level.variant_id, held.level.location_id
            units = sums.setdefault(key, [0, 0])
            units[0] += movement.reserved
            units[1] -= movement.on_hand
        return [HoldChange(*key, *units) for key, units in sums.items() if any(units)]

    def level_changes(self) -> list[LevelChange]:
        """What to announce: levels whose available or inbound changed, and the places the operation was about."""
        inbound = {} if self.inbound is None else self.inbound.spare_changes()
        concerned = self.concerned | inbound.keys()
        changes = [
            LevelChange(
                level.variant_id,
                level.location_id,
                level.available - level.available_before,
                level.available,
                inbound.get(pair, 0),
            )
            for pair, level in self.levels.items()
            if pair[0] not in self.kits and (level.available != level.available_before or pair in concerned)
        ]
        changes += [
            self._change_without_level(variant, place, inbound.get((variant, place), 0))
            for variant, place in sorted(concerned)
            if (variant, place) not in self.levels or variant in self.kits
        ]
        return changes

    def _change_without_level(self, variant_id: int, location_id: int, inbound: int) -> LevelChange:
        """What to announce of a kit, how many can be made, and of a place without a level."""
        kit = self.kits.get(variant_id)
        if kit is None:
            return LevelChange(variant_id, location_id, 0, 0, inbound)
        levels = [(self.levels.get((part, location_id)), units) for part, units in kit.parts]
        before = whole_kits((level.available_before if level else 0, units) for level, units in levels)
        after = whole_kits((level.available if level else 0, units) for level, units in levels)
        return LevelChange(variant_id, location_id, after - before, after, inbound)
