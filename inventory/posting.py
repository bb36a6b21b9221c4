"""What one operation is about to write: collected in memory under the level locks, appended by the ledger."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from inventory.announcements import HoldChange, LevelChange
from inventory.errors import UnknownStock
from inventory.locking import LockedLevel, create_missing_levels, lock_levels
from inventory.models.conflicts import ConflictCause
from inventory.models.stock import MovementKind, Reason

if TYPE_CHECKING:
    from inventory.inbound import Inbound


@dataclass(slots=True)
class HeldUnits:
    """A reservation, new (`id` given when appended) or loaded, with what the operation does to it."""

    level: LockedLevel
    reference: str
    open: int
    id: int = 0
    expires_at: datetime | None = None
    is_new: bool = False
    taken: int = 0
    fulfilled: int = 0
    released: int = 0
    is_confirmed_now: bool = False


@dataclass(slots=True)
class OwedUnits:
    """A conflict, new or loaded under lock, with what the operation does to it."""

    variant_id: int
    cause: str
    reference: str
    location_ids: tuple[int, ...]
    open: int = 0
    id: int = 0
    #: Units opened and closed by this operation.
    opened: int = 0
    closed: int = 0
    #: Whether it is to be served from other locations than before.
    is_moved: bool = False


@dataclass(slots=True)
class Movement:
    """One ledger row to be."""

    level_id: int
    version: int
    kind: str
    reason: str
    on_hand: int
    reserved: int
    unavailable: int
    on_hand_after: int
    reserved_after: int
    unavailable_after: int
    reservation: HeldUnits | None
    reverses_id: int | None
    #: When it happened, where that differs from the operation's own time.
    occurred_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """Units that an operation newly reserved."""

    reservation_id: int
    reference: str
    variant_id: int
    location_id: int
    quantity: int

    def as_row(self) -> list[int | str]:
        """The fields in order, for the stored outcome."""
        return [
            self.reservation_id,
            self.reference,
            self.variant_id,
            self.location_id,
            self.quantity,
        ]


@dataclass(frozen=True, slots=True)
class Short:
    """Units that an operation could not cover: a conflict, or a partial hold's rest."""

    reference: str
    variant_id: int
    quantity: int

    def as_row(self) -> list[int | str]:
        """The fields in order, for the stored outcome."""
        return [self.reference, self.variant_id, self.quantity]


@dataclass(frozen=True, slots=True)
class Promised:
    """Units of a line of a purchase order that an operation newly promised."""

    backorder_id: int
    reference: str
    variant_id: int
    line_id: int
    quantity: int
    #: The day for which the goods are confirmed, as ISO 8601.
    promised_on: str

    def as_row(self) -> list[int | str]:
        """The fields in order, for the stored outcome."""
        return [
            self.backorder_id,
            self.reference,
            self.variant_id,
            self.line_id,
            self.quantity,
            self.promised_on,
        ]


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
        for level in lock_levels(self.merchant_id, variant_ids, location_ids):
            self.levels[level.variant_id, level.location_id] = level
        if not pairs <= self.levels.keys():
            raise UnknownStock

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

    def release(self, held: HeldUnits, quantity: int, reason: Reason) -> None:
        """Gives units of a reservation back to what is available."""
        held.open -= quantity
        held.released += quantity
        self.post(
            held.level,
            MovementKind.RELEASE,
            reason,
            reserved=-quantity,
            reservation=held,
        )

    def ship_held(self, held: HeldUnits, quantity: int) -> None:
        """Takes units of a reservation out of the building."""
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
            if level.available != level.available_before or pair in concerned
        ]
        changes += [
            LevelChange(variant, place, 0, 0, inbound.get((variant, place), 0))
            for variant, place in sorted(concerned)
            if (variant, place) not in self.levels
        ]
        return changes
