"""Bodies come in and go out as JSON, and as nothing else."""

import json
import re
from collections.abc import Iterable
from math import isfinite
from typing import Any, Final, NoReturn

from django.conf import settings
from django.http import QueryDict
from rest_framework.exceptions import ParseError
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser, JSONParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

#: Levels of lists and objects within each other; no request of ours has more than five.
DEEPEST: Final = 20
_UNFIT: Final = re.compile("[\0\ud800-\udfff]")


def plain_query(text: str) -> QueryDict | None:
    """Returns the parameters of a query without escapes as Django reads them, in a fifth of the time: it may name 200 SKUs.

    None where Django has to read it.
    """
    if not text.isascii() or "%" in text or "+" in text:
        return None
    pairs = [pair for pair in text.split("&") if pair]
    most = settings.DATA_UPLOAD_MAX_NUMBER_FIELDS
    if most is not None and len(pairs) > most:
        return None
    lists: dict[str, list[str]] = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        lists.setdefault(name, []).append(value)
    query = QueryDict(mutable=True)
    for name, values in lists.items():
        query.setlist(name, values)
    query._mutable = False
    return query


class StrictJSONParser(JSONParser):
    """Refuses what JSON does not know or no database holds: NaN, 1e400, a name twice, NUL, half characters."""

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        """Returns the body. Raises `ParseError`."""
        try:
            text = stream.read().decode()
            found = json.loads(
                text, parse_constant=_no_number, parse_float=_finite, object_pairs_hook=_without_repeats
            )
        except RecursionError:
            raise ParseError("The body is nested too deeply.") from None
        except ValueError as error:
            raise ParseError(f"The body is no JSON: {error}.") from None
        check(found)
        return found


def check(value: Any, depth: int = 0) -> None:
    """Raises `ParseError` for what PostgreSQL cannot hold and for what is nested too deeply."""
    if depth > DEEPEST:
        raise ParseError("The body is nested too deeply.")
    if isinstance(value, str):
        check_text(value)
    elif isinstance(value, dict):
        for name, each in value.items():
            check_text(name)
            check(each, depth + 1)
    elif isinstance(value, list):
        for each in value:
            check(each, depth + 1)


def check_text(text: str) -> None:
    """Raises `ParseError` for NUL and lone surrogates."""
    if is_unfit(text):
        raise ParseError("The body holds a NUL or half a character.")


def is_unfit(text: str) -> bool:
    """Tells whether a text holds a NUL or half a character, which no database takes."""
    return _UNFIT.search(text) is not None


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _finite(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise ValueError(f"{text[:40]} is too large")
    return number


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("an object names a member twice")
    return found


class AlwaysJSON(BaseContentNegotiation):
    """Answers with JSON whatever the caller says it accepts: there is nothing else."""

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> Any:
        """Returns the parser of the body's media type; None has the request refused with 415."""
        media_type = (request.content_type or "").split(";")[0].strip().lower()
        return next((parser for parser in parsers if parser.media_type == media_type), None)

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        """Returns the renderer."""
        renderer = next(iter(renderers))
        return renderer, str(renderer.media_type)
