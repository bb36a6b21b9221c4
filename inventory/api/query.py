"""Query parameters that are no filters."""

from collections.abc import Collection
from datetime import UTC, date, datetime
from typing import Final

from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime
from rest_framework.request import Request
from rest_framework.serializers import ValidationError

from config.api.fields import LARGEST_ID

#: Instants before these are nobody's stock; those after them no database can add to.
_FIRST: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST: Final = datetime(9000, 1, 1, tzinfo=UTC)
NO_INSTANT: Final = "An instant with its time zone, such as 2026-01-31T14:00:00Z."


def instant(request: Request, name: str) -> datetime | None:
    """Returns an instant that is over; None where it is not asked for. Raises `ValidationError`."""
    text = request.query_params.get(name)
    if text is None:
        return None
    found = as_instant(text)
    if found is None:
        raise ValidationError({name: [NO_INSTANT]})
    if found > timezone.now():
        raise ValidationError({name: ["It lies in the future, of which nothing is recorded."]})
    return found


def as_instant(text: str) -> datetime | None:
    """Returns the instant that a text names with its time zone; None where it names none."""
    try:
        found = parse_datetime(text)
    except ValueError:
        return None
    if found is None or found.tzinfo is None or not text.isascii() or not _FIRST <= found <= _LAST:
        return None
    return found


def day(request: Request, name: str) -> date | None:
    """Returns a day; None where it is not asked for. Raises `ValidationError`."""
    text = request.query_params.get(name)
    if text is None:
        return None
    try:
        found = parse_date(text) if text.isascii() else None
    except ValueError:
        found = None
    if found is None or not _FIRST.year <= found.year < _LAST.year:
        raise ValidationError({name: ["A day, such as 2026-01-31."]})
    return found


def row_id(request: Request, name: str) -> int | None:
    """Returns an id; None where it is not asked for. Raises `ValidationError`."""
    text = request.query_params.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 20 and 0 < int(text) <= LARGEST_ID):
        raise ValidationError({name: ["An id."]})
    return int(text)


def texts(request: Request, name: str, *, most: int) -> list[str]:
    """Returns the values of a parameter that may be given several times, each once. Raises `ValidationError`."""
    found = list(dict.fromkeys(request.query_params.getlist(name)))
    if len(found) > most or not all(0 < len(each) <= 200 for each in found):
        raise ValidationError({name: [f"At most {most} of 1 to 200 characters."]})
    return found


def choice(request: Request, name: str, choices: Collection[str], default: str | None = None) -> str | None:
    """Returns one of some words; the default where it is not asked for. Raises `ValidationError`."""
    text = request.query_params.get(name)
    if text is None:
        return default
    if text not in choices:
        raise ValidationError({name: [f"One of {', '.join(choices)}."]})
    return text


def text(request: Request, name: str) -> str | None:
    """Returns a text; None where it is not asked for. Raises `ValidationError`."""
    found = texts(request, name, most=1)
    return found[0] if found else None
