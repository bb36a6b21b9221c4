"""How many kits may be promised by a day: the largest number whose parts can be promised, each kit whole at one place.

What is owed and may be served from several places is taken off at each of them, so that no more kits are promised than
there can be.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

#: (variant, units in one kit)
Parts = Sequence[tuple[int, int]]


@dataclass(slots=True)
class PartAtPlace:
    """What of one part may be promised at one place, over time; all in base units."""

    available: int = 0
    owed: int = 0
    #: Day → confirmed and promised to nobody.
    confirmed: defaultdict[date, int] = field(default_factory=lambda: defaultdict(int))
    #: Day → in transit.
    in_transit: defaultdict[date, int] = field(default_factory=lambda: defaultdict(int))

    def units(self, by: date | None, *, with_transit: bool = True) -> int:
        """Returns the units that may be promised by a day; None: those that are there."""
        if by is None:
            return self.available
        days = [self.confirmed, self.in_transit] if with_transit else [self.confirmed]
        coming = sum(units for each in days for day, units in each.items() if day <= by)
        return self.available + max(coming - self.owed, 0)


#: (variant, location) → what of it may be promised there.
Shelf = Mapping[tuple[int, int], PartAtPlace]

_NOTHING = PartAtPlace()


def kits_at(parts: Parts, shelf: Shelf, place: int, by: date | None, *, with_transit: bool = True) -> int:
    """Returns how many kits may be promised at one place by a day; None: of what is there."""
    return min(
        max(shelf.get((part, place), _NOTHING).units(by, with_transit=with_transit), 0) // per_kit
        for part, per_kit in parts
    )


def by_day(parts: Parts, shelf: Shelf) -> list[tuple[date | None, int]]:
    """Returns how many kits may be promised now (None), and by each day by which it is more, all places together."""
    places = sorted({place for _, place in shelf})
    own = {part for part, _ in parts}
    days = {
        day for (part, _), each in shelf.items() if part in own for day in (*each.confirmed, *each.in_transit)
    }
    found: list[tuple[date | None, int]] = [
        (None, sum(kits_at(parts, shelf, place, None) for place in places))
    ]
    for day in sorted(days):
        kits = sum(kits_at(parts, shelf, place, day) for place in places)
        if kits > found[-1][1]:
            found.append((day, kits))
    return found
