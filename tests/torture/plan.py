"""One seed decides everything: what is bought, changed and booked when, and what goes wrong when.

Events are made one after another, so that a night of a million needs no memory for them. The timing of processes is
not decided by the seed: the same seed tries the same things, and they may meet otherwise.
"""

import random
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from tests.torture.goods import FIRST, POOLED, SECOND, Assortment

#: Buyers of one last unit.
RUSH: Final = 100
#: An order is changed while it is among this many latest events.
_MEMORY: Final = 400

#: In a short run opposite lines are more frequent, so that they meet at all.
_OPPOSITES: Final = 40


class Kind(StrEnum):
    """What an event is."""

    ORDER = "order"
    CANCEL = "cancel"
    SHIP = "ship"
    #: Goods arrive, told through the API.
    RECEIVE = "receive"
    #: Units are held for a cart, through the API.
    HOLD = "hold"


class Ending(StrEnum):
    """What becomes of a cart."""

    RELEASED = "released"
    EXPIRES = "expires"
    #: Confirmed in the very moment of its end.
    RACED = "raced"
    KEPT = "kept"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happens in a shop, or is told through the API."""

    number: int
    #: Seconds from the start.
    at: float
    kind: Kind
    #: Position of the shop.
    channel: int = 0
    lines: tuple[tuple[str, int], ...] = ()
    #: The order that is changed, by its event's number.
    about: int = 0
    #: Sold by the merchant, beyond what the shop shows.
    is_forced: bool = False
    #: How often the same call of the API is sent, at the same time and under one key.
    copies: int = 1
    place: str = FIRST
    ending: Ending = Ending.RELEASED


def rushes_in(events: int) -> int:
    """Returns how many last units there are to be fought for in a run."""
    return min(max(events // 500, 1), 12)


def buyers_of(events: int) -> int:
    """Returns how many want one last unit: a hundred, or fewer in a run that has no room for them."""
    return min(RUSH, max(events // 4, 8))


class Plan:
    """All events of one run, in their sequence."""

    def __init__(
        self,
        seed: int,
        *,
        events: int,
        seconds: float,
        channels: int,
        faults: Collection[str],
        goods: Assortment,
    ) -> None:
        self._seed = seed
        self.events = events
        self.seconds = seconds
        self._channels = channels
        self._faults = frozenset(faults)
        self._goods = goods

    def __iter__(self) -> Iterator[Event]:
        dice = random.Random(f"torture events {self._seed}")
        orders: list[int] = []
        number = 0
        rushes = self._rushes(dice)
        while number < self.events:
            at = number / self.events * self.seconds
            while rushes and rushes[0][0] <= number:
                _, sku = rushes.pop(0)
                for event in self._rush(dice, number, at, sku):
                    yield event
                    number += 1
            for event in self._some(dice, number, at, orders):
                if event.kind is Kind.ORDER:
                    orders.append(event.number)
                    del orders[:-_MEMORY]
                yield event
                number += 1

    def _rushes(self, dice: random.Random) -> list[tuple[int, str]]:
        last = self._goods.last if "last-unit" in self._faults else ()
        return [
            (int((n + dice.uniform(0.2, 0.8)) / len(last) * self.events), sku) for n, sku in enumerate(last)
        ]

    def _rush(self, dice: random.Random, number: int, at: float, sku: str) -> Iterator[Event]:
        """A hundred buyers on all channels at the same instant, some of them let through by the merchant."""
        for position in range(buyers_of(self.events)):
            yield Event(
                number + position,
                at,
                Kind.ORDER,
                position % self._channels,
                ((sku, 1),),
                is_forced=dice.random() < 0.05,
            )

    def _some(self, dice: random.Random, number: int, at: float, orders: list[int]) -> list[Event]:
        """Returns what happens next: one event, or a few that only make sense together."""
        (kind,) = dice.choices(
            (Kind.ORDER, Kind.CANCEL, Kind.SHIP, Kind.RECEIVE, Kind.HOLD), weights=(66, 8, 10, 7, 9)
        )
        channel = dice.randrange(self._channels)
        if kind in (Kind.CANCEL, Kind.SHIP) and orders:
            return [Event(number, at, kind, about=dice.choice(orders))]
        if kind is Kind.RECEIVE:
            line = (self._sku(dice), dice.randint(1, 6))
            place = dice.choice((FIRST, FIRST, SECOND))
            return [Event(number, at, kind, lines=(line,), copies=self._copies(dice), place=place)]
        if kind is Kind.HOLD:
            return self._hold(dice, number, at)
        if "opposite-lines" in self._faults and dice.random() < max(0.15, _OPPOSITES / self.events):
            return self._opposite(dice, number, at)
        return [Event(number, at, Kind.ORDER, channel, self._basket(dice), is_forced=dice.random() < 0.02)]

    def _copies(self, dice: random.Random) -> int:
        return dice.choice((1, 2, 3, 5)) if "repeated-calls" in self._faults else 1

    def _hold(self, dice: random.Random, number: int, at: float) -> list[Event]:
        ending = dice.choice((Ending.RELEASED, Ending.EXPIRES, Ending.KEPT))
        if "expiry-race" in self._faults and dice.random() < 0.5:
            ending = Ending.RACED
        lines = ((self._sku(dice), 1),)
        return [Event(number, at, Kind.HOLD, lines=lines, copies=self._copies(dice), ending=ending)]

    def _opposite(self, dice: random.Random, number: int, at: float) -> list[Event]:
        """The same goods in opposite sequence at the same instant: two orders, and two carts."""
        there = tuple((sku, 1) for sku in self._goods.hot)
        back = there[::-1]
        first, second = dice.randrange(self._channels), dice.randrange(self._channels)
        return [
            Event(number, at, Kind.ORDER, first, there),
            Event(number + 1, at, Kind.ORDER, second, back),
            Event(number + 2, at, Kind.HOLD, lines=there),
            Event(number + 3, at, Kind.HOLD, lines=back),
        ]

    def _basket(self, dice: random.Random) -> tuple[tuple[str, int], ...]:
        chance = dice.random()
        if "two-bundles" in self._faults and chance < 0.08:
            return (("KIT-A", 1), ("KIT-B", dice.randint(1, 2)))
        lines = [(self._sku(dice), dice.choice((1, 1, 1, 2)))]
        if "same-sku-twice" in self._faults and chance > 0.9:
            return (lines[0], (lines[0][0], 1))
        while dice.random() < 0.3:
            sku = self._sku(dice)
            if all(sku != known for known, _ in lines):
                lines.append((sku, 1))
        return tuple(lines)

    def _sku(self, dice: random.Random) -> str:
        goods = self._goods
        (group,) = dice.choices((goods.hot, goods.plain, goods.thin, (POOLED,)), weights=(45, 30, 20, 5))
        return dice.choice(group)
