"""The manners of Square's API: errors as lists, pages by cursor, times with milliseconds."""

import base64
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from channels.sandbox.httpd import Answer, Request, json_answer

_CATEGORIES: Final = {401: "AUTHENTICATION_ERROR", 403: "AUTHENTICATION_ERROR", 429: "RATE_LIMIT_ERROR"}


class SquareError(Exception):
    """A refusal in Square's form."""

    def __init__(self, status: int, code: str, detail: str, field: str = "") -> None:
        super().__init__(detail)
        self.status = status
        category = _CATEGORIES.get(status, "API_ERROR" if status >= 500 else "INVALID_REQUEST_ERROR")
        fault = {"category": category, "code": code, "detail": detail, **({"field": field} if field else {})}
        self.document = {"errors": [fault]}

    def answer(self) -> Answer:
        return json_answer(self.status, self.document)


def not_found(what: str) -> SquareError:
    return SquareError(404, "NOT_FOUND", f"{what} was not found.")


def body_of(request: Request) -> dict[str, Any]:
    """The JSON object that was sent; raises `SquareError`."""
    try:
        data = request.json()
    except ValueError:
        data = None
    if not isinstance(data, dict):
        raise SquareError(400, "EXPECTED_JSON_BODY", "The request body is not a JSON object.")
    return data


def moment(at: float) -> str:
    """An instant in UTC with milliseconds."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def instant(text: Any, field: str) -> float:
    """Reads an RFC 3339 instant; raises `SquareError`."""
    try:
        found = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise SquareError(400, "INVALID_TIME", f"{text!r} is not a valid time.", field) from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def page(
    found: Sequence[Any], cursor: Any, limit: int, name: str, show: Callable[[Any], Any]
) -> dict[str, Any]:
    """Cuts a page; the cursor is where the last one ended."""
    try:
        start = int(base64.urlsafe_b64decode(cursor)) if cursor else 0
    except (TypeError, ValueError):
        raise SquareError(400, "INVALID_CURSOR", "The cursor is not valid.", "cursor") from None
    document: dict[str, Any] = {}
    if found[start : start + limit]:
        document[name] = [show(each) for each in found[start : start + limit]]
    if start + limit < len(found):
        document["cursor"] = base64.urlsafe_b64encode(str(start + limit).encode()).decode()
    return document


def limit_of(data: Mapping[str, Any], default: int, largest: int) -> int:
    """Reads the size of a page; raises `SquareError`."""
    limit = data.get("limit") or default
    if not isinstance(limit, int) or not 1 <= limit <= largest:
        raise SquareError(400, "VALUE_TOO_HIGH", f"limit must be at most {largest}.", "limit")
    return limit
