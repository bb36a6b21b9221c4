"""Rows that one operation is about to write: what is held, owed and moved, as it has them in memory."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from inventory.kits import Kit
from inventory.locking import LockedLevel


@dataclass(frozen=True, slots=True)
class PartOf:
    """Which kit a reservation's units are part of."""

    bundle_id: int
    #: The kit's own variant.
    variant_id: int
    #: Units of the reservation in one kit.
    quantity: int
    #: How many reservations hold the kit together.
    part_count: int


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
    #: Set where the units are part of kits; then also the first reservation of the same kits.
    part_of: PartOf | None = None
    lead_id: int = 0
    lead: "HeldUnits | None" = None

    @property
    def variant_id(self) -> int:
        """The variant that is held."""
        return self.level.variant_id

    @property
    def location_id(self) -> int:
        """Where it is held."""
        return self.level.location_id

    @property
    def rows(self) -> "list[HeldUnits]":
        """The reservations that it consists of: itself."""
        return [self]

    def per_unit(self, row: "HeldUnits") -> int:
        """Returns the base units that one unit takes of a row."""
        return 1

    def per_unit_at(self, level: LockedLevel) -> int:
        """Returns the base units that one unit takes of a level."""
        return 1


@dataclass(frozen=True, slots=True)
class HeldKits:
    """Whole kits held for one demand at one location: a reservation for each part. Counted in kits."""

    rows: list[HeldUnits]

    @property
    def _kit(self) -> PartOf:
        part_of = self.rows[0].part_of
        if part_of is None:
            raise ValueError("The reservation is no part of a kit.")
        return part_of

    @property
    def id(self) -> int:
        """The id of the first of its reservations."""
        return self.rows[0].id

    @property
    def reference(self) -> str:
        """Whose demand it is."""
        return self.rows[0].reference

    @property
    def variant_id(self) -> int:
        """The kit's variant."""
        return self._kit.variant_id

    @property
    def location_id(self) -> int:
        """Where all parts are held."""
        return self.rows[0].location_id

    @property
    def open(self) -> int:
        """Kits still held; none where a part is not held any more, which only expiry brings about."""
        if len(self.rows) < self._kit.part_count:
            return 0
        return min(row.open // self.per_unit(row) for row in self.rows)

    @property
    def kit(self) -> Kit:
        """The kit as it was when they were held."""
        parts = tuple((row.variant_id, self.per_unit(row)) for row in self.rows)
        return Kit(self._kit.bundle_id, self.variant_id, parts)

    def per_unit(self, row: HeldUnits) -> int:
        """Returns the base units that one kit takes of a row."""
        return row.part_of.quantity if row.part_of else 1

    def per_unit_at(self, level: LockedLevel) -> int:
        """Returns the base units that one kit takes of a level."""
        return sum(self.per_unit(row) for row in self.rows if row.level is level)


Hold = HeldUnits | HeldKits


def whole(rows: Iterable[HeldUnits]) -> list[Hold]:
    """Returns reservations as they are held: the parts of the same kits as one hold, in the place of the first."""
    holds: list[Hold] = []
    kits: dict[int, HeldKits] = {}
    for row in rows:
        if row.part_of is None:
            holds.append(row)
        elif row.lead_id in kits:
            kits[row.lead_id].rows.append(row)
        else:
            kits[row.lead_id] = HeldKits([row])
            holds.append(kits[row.lead_id])
    return holds


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
