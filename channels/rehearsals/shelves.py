"""Shelves in two worlds: what shops showed, and what they would have shown."""

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final, NamedTuple

from channels.exposure import Inputs, Pinned
from inventory.kit_history import KitSpan, PastPart

#: Numbers kept of each shelf: a sale that arrives late is judged by what the shelf showed when it was made.
KEPT: Final = 16


@dataclass(slots=True)
class Number:
    """A number from the instant on from which the shop had it, and what the shop has sold of it since."""

    at: datetime
    shown: int
    shown_other: int
    #: The number as it was told; more than is shown where the platform subtracts its open orders itself.
    told_other: int
    sold: int = 0
    sold_other: int = 0


@dataclass(frozen=True, slots=True)
class Source:
    """One of our locations behind a shelf."""

    location_id: int
    code: str


class PinSpan(NamedTuple):
    """A span in which a person had fixed the number."""

    since: datetime
    until: datetime
    pin: Pinned


@dataclass(slots=True)
class Shelf:
    """One listing level."""

    listing_level_id: int
    channel_id: int
    listing_id: int
    place_id: int
    variant_id: int
    sources: tuple[Source, ...]
    #: What its number depends on, with the rules that are rehearsed; the stock is put in.
    inputs: Inputs
    #: The same with the rules that were in force when the period began.
    inputs_before: Inputs
    pins: tuple[PinSpan, ...] = ()
    #: Of what was a kit in the period: what it was made of, version by version.
    kits: tuple[KitSpan, ...] = ()
    is_compared: bool = False
    subtracts_open_orders: bool = False
    numbers: list[Number] = field(default_factory=list)
    #: Units that are there and not shown, in both worlds, since when.
    hidden: tuple[int, int] = (0, 0)
    hidden_since: datetime | None = None
    #: The day (UTC) on which the other world last raised the number, and how often.
    raised_on: date | None = None
    raises: int = 0

    def told(self, at: datetime, shown: int, shown_other: int, *, told_other: int) -> None:
        """Notes what the shop has from an instant on."""
        expected = self.expected_other
        if expected is not None and told_other > expected:
            self.raises = self.raises_on(at.date()) + 1
            self.raised_on = at.date()
        self.numbers.append(Number(at, shown, shown_other, told_other))
        del self.numbers[:-KEPT]

    @property
    def goods(self) -> tuple[int, ...]:
        """The variants whose stock its number depends on."""
        parts = {part.variant_id for span in self.kits for part in span.parts}
        return self.variant_id, *sorted(parts)

    def parts_at(self, at: datetime) -> tuple[PastPart, ...]:
        """Returns what one kit was made of at an instant; nothing where it was none."""
        for span in self.kits:
            if span.since <= at and (span.until is None or at < span.until):
                return span.parts
        return ()

    @property
    def expected_other(self) -> int | None:
        """The number that stands at the platform in the other world: a shop that takes its sales off has lowered it."""
        if not self.numbers:
            return None
        last = self.numbers[-1]
        return last.told_other - (0 if self.subtracts_open_orders else last.sold_other)

    def pin_at(self, at: datetime) -> Pinned | None:
        """Returns what a person had fixed at an instant."""
        return next((span.pin for span in self.pins if span.since <= at < span.until), None)

    def raises_on(self, day: date) -> int:
        """Returns how often the other world has raised the number on a day."""
        return self.raises if self.raised_on == day else 0

    def number_at(self, at: datetime) -> Number | None:
        """Returns the number that the shop had at an instant; the oldest known one for an instant before."""
        for number in reversed(self.numbers):
            if number.at <= at:
                return number
        return self.numbers[0] if self.numbers else None

    def sell(self, units: int, at: datetime) -> int:
        """Has customers buy what they bought; returns the units that the other world would have sold them.

        A shop that sold beyond its number did so for reasons of its own, and would have done so again.
        """
        number = self.number_at(at)
        if number is None:
            return units
        shown, other = max(number.shown - number.sold, 0), max(number.shown_other - number.sold_other, 0)
        accepted = units if other >= shown else min(units, other + max(units - shown, 0))
        number.sold += units
        number.sold_other += accepted
        return accepted
