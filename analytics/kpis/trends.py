"""Key figures over the last weeks, as people look at them: each day, this week against the week before, the target."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from statistics import median
from typing import Final

from analytics.kpis.targets import FLOORS, LATENCIES, TIMES, Targets, targets_of
from analytics.models import Kpi, KpiDay
from channels.models import Channel

#: Days shown, and days that make up a week's value.
DAYS: Final = 30
WEEK: Final = 7


@dataclass(frozen=True, slots=True)
class Point:
    """A figure on one day; percent or seconds, infinite while half of it or more is on its way."""

    day: date
    part: int
    whole: int
    value: float | None
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None


@dataclass(frozen=True, slots=True)
class Series:
    """One figure over some days, of one channel or of all."""

    kpi: Kpi
    #: None: all channels together.
    channel_id: int | None
    name: str
    #: Oldest first; only days on which something was measured.
    points: tuple[Point, ...]
    until: date
    target: float | None
    is_time: bool

    @property
    def value(self) -> float | None:
        """The value of the last seven days, today included; of a latency the median of the days' p95."""
        return self._of_week(0)

    @property
    def percentiles(self) -> tuple[float | None, float | None, float | None]:
        """The medians of the last seven days' p50, p95 and p99; of a latency alone."""
        week = self._week(0)
        return (
            middle([point.p50 for point in week]),
            middle([point.p95 for point in week]),
            middle([point.p99 for point in week]),
        )

    @property
    def before(self) -> float | None:
        """The value of the seven days before."""
        return self._of_week(1)

    @property
    def part(self) -> int:
        """What was counted in the last seven days, and of how many."""
        return sum(point.part for point in self._week(0))

    @property
    def whole(self) -> int:
        """Of how many in the last seven days."""
        return sum(point.whole for point in self._week(0))

    @property
    def is_met(self) -> bool | None:
        """Whether the week's value meets the target; None where there is none of either."""
        return self.verdict_of(self.value)

    def verdict_of(self, value: float | None) -> bool | None:
        """Tells whether a value meets the target; None where there is none of either."""
        if value is None or self.target is None:
            return None
        return value >= self.target if self.kpi in FLOORS else value <= self.target

    @property
    def trend(self) -> str:
        """Says whether it became better or worse against the week before; empty where that cannot be said."""
        if self.value is None or self.before is None:
            return ""
        if math.isclose(self.value, self.before, rel_tol=0.02, abs_tol=1e-9):
            return "unchanged"
        return "better" if (self.value < self.before) != (self.kpi in FLOORS) else "worse"

    def _week(self, back: int) -> list[Point]:
        last = self.until - timedelta(days=back * WEEK)
        return [point for point in self.points if last - timedelta(days=WEEK) < point.day <= last]

    def _of_week(self, back: int) -> float | None:
        points = self._week(back)
        if self.kpi in LATENCIES:
            return middle([point.p95 for point in points])
        return value_of(self.kpi, sum(p.part for p in points), sum(p.whole for p in points))


def middle(values: Sequence[float | None]) -> float | None:
    """Returns the median of the days that have a value."""
    known = [value for value in values if value is not None]
    return median(known) if known else None


def value_of(kpi: str, part: int, whole: int) -> float | None:
    """Returns percent, or seconds each; None where there is nothing to divide by."""
    if not whole:
        return None
    return part / whole if kpi in TIMES else 100 * part / whole


def series_of(merchant_id: int, *, until: date, days: int = DAYS) -> dict[Kpi, list[Series]]:
    """Returns every figure up to a day: first of all channels together, then of each channel that has any. Three statements."""
    rows: dict[tuple[str, int | None], list[Point]] = defaultdict(list)
    found = KpiDay.objects.filter(
        merchant_id=merchant_id, measured_on__gt=until - timedelta(days=days), measured_on__lte=until
    )
    for row in found.order_by("measured_on"):
        rows[row.kpi, row.channel_id].append(point_of(row))
    names = dict(Channel.objects.filter(merchant_id=merchant_id).order_by("name").values_list("id", "name"))
    targets = targets_of(merchant_id)
    channels: Sequence[int | None] = [None, *names]
    return {
        kpi: [
            _series(kpi, each, names, rows[kpi.value, each], until, targets)
            for each in channels
            if each is None or (kpi.value, each) in rows
        ]
        for kpi in Kpi
    }


def point_of(row: KpiDay) -> Point:
    """Returns a day's row as a point."""
    value = row.p95 if row.kpi in LATENCIES else value_of(row.kpi, row.part, row.whole)
    return Point(row.measured_on, row.part, row.whole, value, row.p50, row.p95, row.p99)


def _series(
    kpi: Kpi,
    channel_id: int | None,
    names: dict[int, str],
    points: Iterable[Point],
    until: date,
    targets: Targets,
) -> Series:
    return Series(
        kpi,
        channel_id,
        "All channels" if channel_id is None else names[channel_id],
        tuple(points),
        until,
        targets.of(kpi, channel_id),
        kpi in TIMES,
    )
