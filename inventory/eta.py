"""What a listing says of when goods arrive at the customer, from days and lead times; reads nothing."""

from dataclasses import dataclass
from datetime import date
from typing import Final

#: From here on a listing speaks of weeks.
_DAYS_BECOME_WEEKS: Final = 21

#: Said where nothing is in stock and no day is known.
UNKNOWN: Final = "date to be announced"


@dataclass(frozen=True, slots=True)
class LeadTime:
    """Days from goods in stock to goods at the customer, picking and the way together; from the shortest to the longest."""

    shortest: int = 0
    longest: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.shortest <= self.longest:
            raise ValueError("A lead time is 0 days or more, and its shortest is at most its longest.")


def eta_text(available: int, arrives_on: date | None, *, lead_time: LeadTime, today: date) -> str:
    """Returns when a unit ordered today arrives: "within 2 to 4 days", "within 5 to 6 weeks", "today".

    `available` are units that may be sold from stock; `arrives_on` is when the first unit comes that is promised to nobody,
    None or a day that is over where nobody knows.
    """
    if available > 0:
        return _within(lead_time.shortest, lead_time.longest)
    if arrives_on is None or arrives_on < today:
        return UNKNOWN
    wait = (arrives_on - today).days
    return _within(wait + lead_time.shortest, wait + lead_time.longest)


def _within(shortest: int, longest: int) -> str:
    if longest == 0:
        return "today"
    if longest > _DAYS_BECOME_WEEKS:
        # Rounded up at both ends, so that nothing is said to come too early.
        return _range(-(-shortest // 7), -(-longest // 7), "week")
    return _range(shortest, longest, "day")


def _range(shortest: int, longest: int, unit: str) -> str:
    plural = "" if longest == 1 else "s"
    if shortest in (0, longest):
        return f"within {longest} {unit}{plural}"
    return f"within {shortest} to {longest} {unit}{plural}"
