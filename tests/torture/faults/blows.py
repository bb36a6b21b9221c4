"""What a blow is, and when blows fall: one timetable from one seed."""

import random
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tests.torture.world import World


@dataclass(frozen=True, slots=True)
class Act:
    """One blow at its moment."""

    #: Seconds from the start.
    at: float
    blow: str
    #: Position of the shop that it hits.
    channel: int
    #: Which of the blow's ways.
    how: str


def _nothing(world: "World", act: Act) -> None:
    """Is over by itself."""


@dataclass(frozen=True, slots=True)
class Blow:
    """One fault that falls at a moment, lasts a while and is over."""

    name: str
    what: str
    strike: Callable[["World", Act], None]
    #: Seconds that it lasts.
    lasts: float = 0.0
    #: Seconds that the world then needs before the next blow of its kind is another one.
    rest: float = 1.0
    end: Callable[["World", Act], None] = _nothing
    ways: tuple[str, ...] = ("",)
    #: Whether it takes processes or the database away; these fall one after another.
    is_heavy: bool = False

    @property
    def takes(self) -> float:
        """Seconds from its beginning to the next one."""
        return self.lasts + self.rest


#: The share of a run before the first and after the last blow.
_MARGIN: Final = 0.08
#: On long runs the same blow comes again after about so many seconds.
_AGAIN: Final = 120.0


def timetable(
    seed: int, blows: Mapping[str, Blow], names: Collection[str], *, seconds: float, channels: int
) -> list[Act]:
    """Returns the acts of a run in their sequence. What does not fit into a short run is left out, by the seed."""
    dice = random.Random(f"torture blows {seed}")
    wanted = [blow for name, blow in blows.items() if name in names]
    rounds = max(round(seconds / _AGAIN), 1)
    acts: list[Act] = []
    for number in range(rounds):
        length = seconds / rounds
        begins, room = (number + _MARGIN) * length, (1 - 2 * _MARGIN) * length
        dice.shuffle(wanted)
        heavy = [blow for blow in wanted if blow.is_heavy]
        acts += _one_after_another(dice, heavy, begins, room, dice.randrange(channels))
        light = [blow for blow in wanted if not blow.is_heavy]
        for channel in range(channels):
            acts += _one_after_another(dice, light[channel::channels], begins, room, channel)
    return sorted(acts, key=lambda act: act.at)


def _one_after_another(
    dice: random.Random, blows: Sequence[Blow], begins: float, room: float, channel: int
) -> list[Act]:
    """Lets blows fall with equal pauses between them, as many as there is room for, and one at least."""
    fitting: list[Blow] = []
    for blow in blows:
        if blow.takes <= room - sum(each.takes for each in fitting) or not fitting:
            fitting.append(blow)
    pause = max(room - sum(blow.takes for blow in fitting), 0.0) / (len(fitting) + 1)
    acts, at = [], begins + pause
    for blow in fitting:
        acts.append(Act(at, blow.name, channel, dice.choice(blow.ways)))
        at += blow.takes + pause
    return acts
