"""Line charts as plain SVG: no script, a sentence for those who do not see them, and the same numbers as a table beside."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from analytics.kpis.targets import LATENCIES
from analytics.kpis.trends import DAYS, Point, Series
from config.admin_panels import NOTHING, duration

WIDTH: Final = 600
HEIGHT: Final = 140
#: Room for the numbers of the axis, and below for the days.
LEFT: Final = 56
BOTTOM: Final = 20
_TOP: Final = 8


@dataclass(frozen=True, slots=True)
class Dot:
    """A day's value in the chart."""

    x: float
    y: float
    label: str
    #: Beyond the chart: still on its way.
    is_endless: bool


@dataclass(frozen=True, slots=True)
class Chart:
    """What the template draws."""

    title: str
    #: The chart as a sentence.
    label: str
    dots: Sequence[Dot]
    #: Points of the lines between days that follow each other.
    lines: Sequence[str]
    target_y: float | None
    target: str
    largest: str
    first_day: date
    last_day: date
    rows: Sequence[tuple[str, ...]]
    headers: Sequence[str]


def chart_of(series: Series, title: str, days: int = DAYS) -> Chart:
    """Returns the chart of a series, over so many days up to its last."""
    known = [point for point in series.points if point.value is not None]
    finite = [point.value for point in known if point.value is not None and math.isfinite(point.value)]
    largest = max([*finite, series.target or 0.0]) * 1.1 or 1.0
    first = series.until - timedelta(days=days - 1)
    dots = [_dot(series, point, first, days, largest) for point in known]
    return Chart(
        title,
        _sentence(series, title, known),
        dots,
        _lines(known, dots),
        None if series.target is None else _y(series.target, largest),
        shown_value(series, series.target),
        shown_value(series, largest),
        first,
        series.until,
        [_row(series, point) for point in reversed(series.points)],
        _headers(series),
    )


def shown_value(series: Series, value: float | None) -> str:
    """Returns percent or a duration, as people read it."""
    if value is None:
        return NOTHING
    if math.isinf(value):
        return "on its way"
    return duration(value) if series.is_time else percent(value)


def percent(value: float) -> str:
    """Returns a percentage; small ones with more digits."""
    return f"{value:.2f} %" if value < 1 else f"{value:.1f} %"


def _x(day: date, first: date, days: int) -> float:
    return round(LEFT + (WIDTH - LEFT - 8) * (day - first).days / max(days - 1, 1), 1)


def _y(value: float, largest: float) -> float:
    room = HEIGHT - BOTTOM - _TOP
    return round(_TOP + room * (1 - min(value / largest, 1.0)), 1)


def _dot(series: Series, point: Point, first: date, days: int, largest: float) -> Dot:
    value = point.value or 0.0
    label = f"{point.day}: {shown_value(series, point.value)}"
    return Dot(_x(point.day, first, days), _y(value, largest), label, math.isinf(value))


def _lines(points: Sequence[Point], dots: Sequence[Dot]) -> list[str]:
    """Joins days that follow each other; a day without a value leaves a gap."""
    lines: list[list[str]] = []
    last: date | None = None
    for point, dot in zip(points, dots, strict=True):
        if last is None or point.day - last > timedelta(days=1):
            lines.append([])
        lines[-1].append(f"{dot.x},{dot.y}")
        last = point.day
    return [" ".join(line) for line in lines if len(line) > 1]


def _sentence(series: Series, title: str, known: Sequence[Point]) -> str:
    if not known:
        return f"{title}: nothing measured yet."
    last = known[-1]
    highest = max(known, key=lambda point: point.value or 0.0)
    parts = [
        f"{title}, {len(known)} days up to {series.until}",
        f"on {last.day} {shown_value(series, last.value)}",
        f"highest {shown_value(series, highest.value)} on {highest.day}",
    ]
    if series.target is not None:
        parts.append(f"target {shown_value(series, series.target)}")
    return ", ".join(parts) + "."


def _headers(series: Series) -> tuple[str, ...]:
    percentiles = ("p50", "p95", "p99") if series.kpi in LATENCIES else ("Value",)
    return ("Day", *percentiles, *PARTS[series.kpi])


def _row(series: Series, point: Point) -> tuple[str, ...]:
    values = (point.p50, point.p95, point.p99) if series.kpi in LATENCIES else (point.value,)
    shown = (shown_value(series, value) for value in values)
    return (f"{point.day}", *shown, f"{point.part:,}", f"{point.whole:,}")


#: How part and whole of a figure are called.
PARTS: Final[dict[str, tuple[str, str]]] = {
    "oversold_units": ("Units beyond stock", "Units ordered"),
    "oversold_orders": ("Orders beyond stock", "Orders"),
    "oversold_fast": ("SKUs beyond stock", "Fast-selling SKUs sold"),
    "latency": ("Within the target", "Orders"),
    "told": ("Within the target", "Orders told"),
    "drift": ("Shelves off", "Shelves compared"),
    "cancelled": ("Orders cancelled for it", "Orders"),
    "tickets": ("Tickets", "Orders"),
    "automatic": ("Without a person", "Items resolved"),
    "handling": ("Seconds spent", "Items by people"),
}
