"""What other apps measure: each names a function, and its figures stand beside ours.

A function is asked for one merchant and one day, inside a transaction, and answers by channel; None stands for what belongs
to no channel. Without a function the figure is shown as not measured.
"""

from collections.abc import Callable, Iterable
from datetime import date
from typing import NamedTuple


class Drift(NamedTuple):
    """What the reconciliations of a day found."""

    channel_id: int | None
    #: Shelves compared, and those of them that showed another number than they should have.
    compared: int
    drifted: int


class Handled(NamedTuple):
    """Items (conflicts, discrepancies …) that were resolved on a day."""

    channel_id: int | None
    by_people: int
    automatically: int
    #: Time that people spent on theirs; None where nobody knows, which is not the same as none.
    minutes: float | None = None


#: What an app below answers are plain tuples, in the order of the fields: it does not know this one.
DriftSource = Callable[[int, date], Iterable[tuple[int | None, int, int]]]
HandledSource = Callable[
    [int, date], Iterable[tuple[int | None, int, int] | tuple[int | None, int, int, float | None]]
]

_drift: list[DriftSource] = []
_handled: list[HandledSource] = []


def measure_drift_with(source: DriftSource) -> None:
    """Has the drift rate measured by this function."""
    if source not in _drift:
        _drift.append(source)


def count_handled_with(source: HandledSource) -> None:
    """Has items counted that this function knows of, beside those of others."""
    if source not in _handled:
        _handled.append(source)


def drift_of(merchant_id: int, day: date) -> list[Drift]:
    """Returns what all sources say of the drift of a day."""
    return [Drift(*each) for source in _drift for each in source(merchant_id, day)]


def handled_on(merchant_id: int, day: date) -> list[Handled]:
    """Returns what all sources say of the items resolved on a day."""
    return [Handled(*each) for source in _handled for each in source(merchant_id, day)]


def has_drift() -> bool:
    """Tells whether anybody measures drift."""
    return bool(_drift)


def has_handled() -> bool:
    """Tells whether anybody counts what is resolved."""
    return bool(_handled)
