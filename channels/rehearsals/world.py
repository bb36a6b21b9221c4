"""Stock in two worlds: as it was recorded, and as it would have been.

The recorded world is what the movements say, to the unit. The other one is kept as its difference: units that would not
have been sold are there, and may have gone to somebody who got none. Where nothing would have been different, the
two are the same by construction.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from channels.rehearsals.events import Move
from inventory.history import PastLevel

Pair = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Sale:
    """What an order line newly demanded of a variant in one operation."""

    line_id: int
    variant_id: int
    #: Units that it got, by place.
    held: Sequence[tuple[Pair, int]]
    #: Units that were not there.
    short: int
    #: As in a move.
    per_kit: int | None = None

    @property
    def units(self) -> int:
        """All units that it wanted."""
        return sum(units for _, units in self.held) + self.short


@dataclass(slots=True)
class LineDifference:
    """How one order line would stand in the other world; units by (variant, location)."""

    #: Held in the record, not in the other world.
    missing: defaultdict[Pair, int] = field(default_factory=lambda: defaultdict(int))
    #: Held in the other world only.
    extra: defaultdict[Pair, int] = field(default_factory=lambda: defaultdict(int))
    #: Owed in the other world, and in the record.
    owed: int = 0
    recorded_owed: int = 0

    @property
    def is_over(self) -> bool:
        """Whether nothing is left of it that could still differ."""
        is_held = any(self.missing.values()) or any(self.extra.values())
        return not (self.owed or self.recorded_owed or is_held)


@dataclass(slots=True)
class World:
    """Levels by (variant, location): on hand, reserved, unavailable."""

    levels: dict[Pair, tuple[int, int, int]] = field(default_factory=dict)
    #: What the other world has more on hand, and more reserved.
    on_hand: defaultdict[Pair, int] = field(default_factory=lambda: defaultdict(int))
    reserved: defaultdict[Pair, int] = field(default_factory=lambda: defaultdict(int))
    lines: dict[int, LineDifference] = field(default_factory=dict)
    #: What levels kept back when the period began, and what they were set to keep back since: instants and units.
    safety_stock: dict[Pair, int] = field(default_factory=dict)
    safety_changes: dict[Pair, tuple[list[datetime], list[int]]] = field(default_factory=dict)

    def load(self, levels: Iterable[PastLevel]) -> None:
        """Takes in levels as they were when the period began."""
        for level in levels:
            pair = level.variant_id, level.location_id
            self.levels[pair] = level.on_hand, level.reserved, level.unavailable
            if level.safety_stock:
                self.safety_stock[pair] = level.safety_stock

    def load_safety_changes(self, changes: Iterable[tuple[Pair, datetime, int]]) -> None:
        """Takes in changes of safety stock, in order of time."""
        for pair, at, units in changes:
            instants, values = self.safety_changes.setdefault(pair, ([], []))
            instants.append(at)
            values.append(units)

    def safety_stock_at(self, pair: Pair, at: datetime) -> int:
        """Returns what a level kept back at an instant; the same in both worlds."""
        instants, values = self.safety_changes.get(pair, ((), ()))
        changed = bisect_right(instants, at)
        return values[changed - 1] if changed else self.safety_stock.get(pair, 0)

    def record(self, move: Move) -> None:
        """Sets a level to what a movement left."""
        self.levels[move.variant_id, move.location_id] = move.on_hand, move.reserved, move.unavailable

    def stock(self, pair: Pair, *, is_other: bool) -> tuple[int, int, int]:
        """Returns a level's on hand, reserved and unavailable in one of the worlds."""
        on_hand, reserved, unavailable = self.levels.get(pair, (0, 0, 0))
        if not is_other:
            return on_hand, reserved, unavailable
        return on_hand + self.on_hand.get(pair, 0), reserved + self.reserved.get(pair, 0), unavailable

    def available(self, pair: Pair) -> int:
        """Returns what could be promised in the other world."""
        return self.available_in(pair, is_other=True)

    def available_in(self, pair: Pair, *, is_other: bool) -> int:
        """Returns what could be promised in one of the worlds."""
        on_hand, reserved, unavailable = self.stock(pair, is_other=is_other)
        return on_hand - reserved - unavailable

    def sell(self, sale: "Sale", accepted: int, places: Sequence[Pair]) -> int:
        """Has a line hold `accepted` of the units it demanded; returns those that are not there in the other world.

        Recorded places come first, as far as the other world has the units; then what it has beyond the record.
        """
        difference = LineDifference(recorded_owed=sale.short)
        rest = accepted
        for pair, units in sale.held:
            kept = min(units, rest)
            # The record has taken `units` already; what that leaves below nothing is not there.
            kept -= min(kept, max(-(self.available(pair) + units - kept), 0))
            self._hold(difference, pair, kept - units)
            rest -= kept
        for pair in places:
            spare = min(self.available(pair), self.on_hand.get(pair, 0) - self.reserved.get(pair, 0), rest)
            if spare > 0:
                self._hold(difference, pair, spare)
                rest -= spare
        difference.owed = rest
        if accepted != sale.units or rest != sale.short or sale.line_id in self.lines:
            self._keep(sale.line_id, difference)
        return rest

    def _hold(self, difference: LineDifference, pair: Pair, units: int) -> None:
        if units:
            self.reserved[pair] += units
            (difference.extra if units > 0 else difference.missing)[pair] += abs(units)

    def _keep(self, line_id: int, new: LineDifference) -> None:
        known = self.lines.setdefault(line_id, new)
        if known is new:
            return
        for pair, units in new.missing.items():
            known.missing[pair] += units
        for pair, units in new.extra.items():
            known.extra[pair] += units
        known.owed += new.owed
        known.recorded_owed += new.recorded_owed

    def fill(self, line_id: int, move: Move) -> None:
        """Follows a fill of what a line was owed: the other world fills what it owes."""
        difference = self.lines.get(line_id)
        if difference is None:
            return
        filled = min(move.reserved_delta, difference.owed)
        difference.owed -= filled
        difference.recorded_owed -= move.reserved_delta
        self._hold(difference, (move.variant_id, move.location_id), filled - move.reserved_delta)
        self._forget_if_over(line_id, difference)

    def give_up(self, line_id: int, move: Move) -> int:
        """Follows a release or shipment of a line's units; returns those that the other world has given up.

        What it does not hold stays where it is.
        """
        difference = self.lines.get(line_id)
        if difference is None:
            return -move.reserved_delta
        pair, units = (move.variant_id, move.location_id), -move.reserved_delta
        missing = min(units, difference.missing[pair])
        has_left = move.on_hand_delta < 0
        self._undo(difference, pair, missing, has_left=has_left)
        self._give_extra(difference, missing, has_left=has_left)
        if move.reason == "broken":
            difference.owed += units - missing
            difference.recorded_owed += units
        given = units - missing
        if move.reason == "cancellation":
            given += self._cancel(difference)
        self._forget_if_over(line_id, difference)
        return given

    def _cancel(self, difference: LineDifference) -> int:
        """Gives up what only the other world holds: a cancellation takes off what is owed before what is held."""
        units = sum(difference.extra.values())
        self._give_extra(difference, units, has_left=False)
        difference.owed = difference.recorded_owed = 0
        return units

    def _undo(self, difference: LineDifference, pair: Pair, units: int, *, has_left: bool) -> None:
        difference.missing[pair] -= units
        self.reserved[pair] += units
        if has_left:
            self.on_hand[pair] += units

    def _give_extra(self, difference: LineDifference, units: int, *, has_left: bool) -> None:
        for pair, held in difference.extra.items():
            given = min(held, units)
            difference.extra[pair] -= given
            self.reserved[pair] -= given
            if has_left:
                self.on_hand[pair] -= given
            units -= given

    def _forget_if_over(self, line_id: int, difference: LineDifference) -> None:
        if difference.is_over:
            del self.lines[line_id]
