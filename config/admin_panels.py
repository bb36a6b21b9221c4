"""What a page shows beside a form: panels of facts, and the words and figures in them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from django.contrib.humanize.templatetags.humanize import intcomma
from django.db.models import Model
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

NOTHING: Final = "–"


@dataclass(frozen=True, slots=True)
class Cell:
    """One field of a panel's table, ready to be shown."""

    header: str
    text: str
    is_number: bool


@dataclass(frozen=True, slots=True)
class Panel:
    """A table under a heading."""

    title: str
    headers: Sequence[str]
    rows: Iterable[Sequence[Any]]
    #: Shown where there is no row.
    empty: str = "Nothing yet."
    #: A sentence that explains what is shown.
    note: str = ""
    #: Addresses and texts of links beside the heading.
    links: Sequence[tuple[str, str]] = field(default=())

    @property
    def cells(self) -> list[list[Cell]]:
        """The rows as they are shown."""
        return [
            [
                Cell(header, shown(value), is_count(value))
                for header, value in zip(self.headers, row, strict=True)
            ]
            for row in self.rows
        ]


@dataclass(frozen=True, slots=True)
class Change:
    """A change of a count; shown with its sign, 0 as a dash."""

    units: int

    def __str__(self) -> str:
        return signed(self.units)


@dataclass(frozen=True, slots=True)
class Figure:
    """A number in the words of its unit, such as a rate or an amount."""

    text: str

    def __str__(self) -> str:
        return self.text


def is_count(value: Any) -> bool:
    """Returns whether a value is lined up to the right."""
    return isinstance(value, int | float | Change | Figure) and not isinstance(value, bool)


def shown(value: Any) -> str:
    """Returns a value as people read it: counts with thousands, times with seconds, nothing as a dash."""
    if value is None or value == "":
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return moment(value)
    return str(intcomma(value)) if isinstance(value, int | float) else str(value)


def moment(value: datetime | None) -> str:
    """Returns an instant to the second; the page's script adds how long ago that is."""
    if value is None:
        return NOTHING
    return format_html(
        '<time datetime="{}" data-moment>{}</time>', value.isoformat(), f"{value:%Y-%m-%d %H:%M:%S}"
    )


def duration(seconds: float | timedelta | None) -> str:
    """Returns a length of time in the unit that fits: 340 ms, 1.2 s, 4 min, 3 h, 2 days."""
    if seconds is None:
        return NOTHING
    total = seconds.total_seconds() if isinstance(seconds, timedelta) else seconds
    if total < 1:
        return f"{total * 1000:.0f} ms"
    for limit, unit, size in ((60, "s", 1), (3600, "min", 60), (172_800, "h", 3600)):
        if total < limit:
            return f"{total / size:.1f} {unit}" if size == 1 else f"{total / size:.0f} {unit}"
    return f"{total / 86400:.0f} days"


def signed(value: int) -> str:
    """Returns a change with its sign; 0 as a dash."""
    return f"{value:+,}".replace("-", "−") if value else NOTHING


def badge(text: str, tone: str = "neutral") -> SafeString:
    """Returns a word that stands out: `good`, `warning`, `bad` or `neutral`."""
    return format_html('<span class="oc-badge oc-{}">{}</span>', tone, text)


def link(address: str, text: object) -> SafeString:
    """Returns a link."""
    return format_html('<a class="oc-link" href="{}">{}</a>', address, text)


def page_of(instance: Model | None, text: object = None) -> str:
    """Returns a link to a row's own page; a dash for None."""
    if instance is None:
        return NOTHING
    return link(address_of(instance._meta.label_lower, instance.pk), instance if text is None else text)


def address_of(model_label: str, key: object) -> str:
    """Returns the address of a row's own page, given `app.model`."""
    return reverse(f"admin:{model_label.replace('.', '_')}_change", args=[key])


def list_of(model_label: str, query: str = "") -> str:
    """Returns the address of a model's list, given `app.model`, and a query that filters it."""
    address = reverse(f"admin:{model_label.replace('.', '_')}_changelist")
    return f"{address}?{query}" if query else address
