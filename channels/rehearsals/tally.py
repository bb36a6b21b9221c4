"""What is counted in a rehearsal, for what happened and for what would have."""

from collections import defaultdict
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(slots=True)
class Figures:
    """The figures of one world; units and counts, for one channel or all."""

    #: Units that customers got promised.
    sold: int = 0
    #: Units of them that were not there.
    oversold: int = 0
    #: Units that customers wanted and the shelf would not have offered.
    refused: int = 0
    #: Times that a shelf was told that nothing is left.
    stock_outs: int = 0
    #: Numbers sent.
    pushes: int = 0
    #: Units that were there and not shown, times the seconds for which they were not.
    hidden_seconds: int = 0

    def add(self, other: "Figures") -> None:
        """Adds another one's figures."""
        self.sold += other.sold
        self.oversold += other.oversold
        self.refused += other.refused
        self.stock_outs += other.stock_outs
        self.pushes += other.pushes
        self.hidden_seconds += other.hidden_seconds


@dataclass(slots=True)
class Pair:
    """One thing as it happened and as it would have been."""

    happened: Figures = field(default_factory=Figures)
    rehearsed: Figures = field(default_factory=Figures)


@dataclass(slots=True)
class Tally:
    """Everything that is counted."""

    channels: defaultdict[int, Pair] = field(default_factory=lambda: defaultdict(Pair))
    #: By listing level; what is refused, and the oversold units of both worlds.
    listings: defaultdict[int, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0, 0]))
    operations: int = 0
    told: int = 0
    #: Numbers that the rules would have made another than was told.
    differing: int = 0
    #: Units sold of which it is not known from which shelf.
    not_judged: int = 0

    @property
    def events(self) -> int:
        """How many events were replayed."""
        return self.operations + self.told

    def result(self, *, seconds_replayed: int) -> dict[str, Any]:
        """Returns the figures as JSON; hidden units as the average over the period, in thousandths of a unit."""
        total = Pair()
        for pair in self.channels.values():
            total.happened.add(pair.happened)
            total.rehearsed.add(pair.rehearsed)
        return {
            "operations": self.operations,
            "told": self.told,
            "differing": self.differing,
            "not_judged": self.not_judged,
            "total": _as_json(total, seconds_replayed),
            "channels": [
                {"channel": channel_id, **_as_json(pair, seconds_replayed)}
                for channel_id, pair in sorted(self.channels.items())
            ],
            "listings": [
                {"listing_level": level_id, "refused": refused, "oversold": was, "oversold_rehearsed": would}
                for level_id, (refused, was, would) in self._most_affected()
            ],
        }

    def _most_affected(self) -> list[tuple[int, list[int]]]:
        affected = [row for row in self.listings.items() if row[1][0] or row[1][1] != row[1][2]]
        return sorted(affected, key=lambda row: (-row[1][0] - abs(row[1][1] - row[1][2]), row[0]))[:50]


def _as_json(pair: Pair, seconds: int) -> dict[str, Any]:
    worlds = {"happened": asdict(pair.happened), "rehearsed": asdict(pair.rehearsed)}
    for figures in worlds.values():
        figures["hidden_milliunits"] = figures.pop("hidden_seconds") * 1000 // max(seconds, 1)
    return worlds
