"""Pages by cursor: what is added or removed meanwhile neither repeats nor skips a row."""

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from datetime import date
from typing import Any, Final

from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import ValidationError
from rest_framework.utils.urls import replace_query_param

from config.api.fields import LARGEST_ID

USUAL: Final = 50
MOST: Final = 200

_NO_CURSOR: Final[dict[str, Any]] = {"cursor": ["No cursor of ours. Begin with the first page."]}


class CursorPages(BasePagination):
    """Rows in order of their id, the oldest first; with `newest_first` on the view the other way round.

    A cursor says after which id to go on. It needs one statement, however far the page is from the first.
    """

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        """Returns the rows of the page, and remembers whether there are more."""
        self.request = request
        limit, after = page_size(request), cursor_of(request)
        is_newest_first = getattr(view, "newest_first", False)
        rows = queryset.order_by("-pk" if is_newest_first else "pk")
        if after is not None:
            rows = rows.filter(**{"pk__lt" if is_newest_first else "pk__gt": after})
        found = list(rows[: limit + 1])
        self.has_more = len(found) > limit
        self.last = found[limit - 1].pk if self.has_more else None
        return found[:limit]

    def get_paginated_response(self, data: Any) -> Response:
        """Returns the page, with the cursor of the next one also as a link."""
        cursor = None if self.last is None else cursor_for(self.last)
        headers = {}
        if cursor:
            address = replace_query_param(self.request.build_absolute_uri(), "cursor", cursor)
            headers["Link"] = f'<{address}>; rel="next"'
        page = {"data": data, "has_more": self.has_more, "next_cursor": cursor}
        return Response(page, headers=headers)

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Describes a page."""
        return {
            "type": "object",
            "required": ["data", "has_more", "next_cursor"],
            "properties": {
                "data": schema,
                "has_more": {"type": "boolean", "example": True},
                "next_cursor": {
                    "type": ["string", "null"],
                    "example": "NDgyMTE",
                    "description": "Give it as `cursor` to read on; null on the last page.",
                },
            },
        }

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        """Describes the parameters of a page."""
        limit = {"type": "integer", "minimum": 1, "maximum": MOST, "default": USUAL}
        return [
            {"name": "cursor", "in": "query", "required": False, "description": "`next_cursor` of the page before.",
             "schema": {"type": "string"}},
            {"name": "limit", "in": "query", "required": False, "description": "Rows of a page.", "schema": limit},
        ]  # fmt: skip


class KeyPages(CursorPages):
    """Rows that are computed, in order of a key that each has for itself; a cursor holds the key of the last one.

    What is paged is a function of the key after which to go on, as the view's `key_types` has it, and of how many rows.
    The view's `key_of` names the key of a row.
    """

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        """Returns the rows of the page, and remembers whether there are more."""
        fetch: Callable[[tuple[Any, ...] | None, int], Sequence[Any]] = queryset
        self.request = request
        limit = page_size(request)
        found = list(fetch(key_of(request, view.key_types), limit + 1))
        self.has_more = len(found) > limit
        self.last = view.key_of(found[limit - 1]) if self.has_more else None
        return found[:limit]


def page_size(request: Request, *, usual: int = USUAL, most: int = MOST) -> int:
    """Returns how many rows are asked for. Raises `ValidationError`."""
    text = request.query_params.get("limit")
    if text is None:
        return usual
    if not (text.isascii() and text.isdecimal() and len(text) < 6 and 1 <= int(text) <= most):
        raise ValidationError({"limit": [f"A whole number between 1 and {most}."]})
    return int(text)


def cursor_of(request: Request) -> int | None:
    """Returns what the caller's cursor stands for; None without one. Raises `ValidationError`."""
    cursor = request.query_params.get("cursor")
    if cursor is None:
        return None
    text = _decoded(cursor)
    if not text.isdecimal() or len(text) > 19 or int(text) > LARGEST_ID:
        raise ValidationError(_NO_CURSOR)
    return int(text)


def key_of(request: Request, types: Sequence[type]) -> tuple[Any, ...] | None:
    """Returns the key that the caller's cursor stands for; None without one. Raises `ValidationError`."""
    cursor = request.query_params.get("cursor")
    if cursor is None:
        return None
    try:
        parts = json.loads(_decoded(cursor))
    except (ValueError, RecursionError):
        parts = None
    if not isinstance(parts, list) or len(parts) != len(types):
        raise ValidationError(_NO_CURSOR)
    return tuple(_key_part(kind, part) for kind, part in zip(types, parts, strict=True))


def _key_part(kind: type, part: Any) -> Any:
    """Returns a part of a key. Raises `ValidationError` where it is none."""
    if kind is date and isinstance(part, str):
        try:
            return date.fromisoformat(part)
        except ValueError:
            raise ValidationError(_NO_CURSOR) from None
    if kind is int and type(part) is int and 0 <= part <= LARGEST_ID:
        return part
    if kind is str and isinstance(part, str) and len(part) <= 200 and part.isprintable():
        return part
    raise ValidationError(_NO_CURSOR)


def _decoded(cursor: str) -> str:
    try:
        return base64.urlsafe_b64decode(cursor.encode("ascii") + b"==").decode("ascii")
    except (UnicodeError, binascii.Error):
        return ""


def cursor_for(last: int | tuple[Any, ...]) -> str:
    """Returns the cursor that stands for the last row given out, by its id or its key."""
    text = str(last)
    if isinstance(last, tuple):
        parts = [part.isoformat() if isinstance(part, date) else part for part in last]
        text = json.dumps(parts, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
