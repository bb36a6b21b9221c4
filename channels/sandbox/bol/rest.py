"""The manners of bol's Retailer API: media types per version, problems, pages of fifty, limits per endpoint."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final

from channels.sandbox.httpd import Answer, Request, json_answer
from channels.sandbox.limits import Window

V10: Final = "application/vnd.retailer.v10+json"
V11: Final = "application/vnd.retailer.v11+json"
PAGE_SIZE: Final = 50
#: Calls and seconds by endpoint (bol's public rate limit list as of 2025); what is not named has the last.
_LIMITS: Final[Mapping[str, tuple[int, int]]] = {
    "GET /retailer/orders": (25, 60),
    "GET /retailer/orders/{id}": (25, 1),
    "GET /retailer/offers": (25, 1),
    "GET /retailer/offers/{id}": (25, 1),
    "PATCH /retailer/offers/{id}": (50, 1),
    "PUT /retailer/offers/{id}/stock": (50, 1),
    "GET /retailer/returns": (20, 60),
    "GET /retailer/inventory": (20, 60),
    "GET /shared/process-status": (100, 1),
    "GET /shared/process-status/{id}": (100, 1),
    "POST /shared/process-status": (100, 1),
    "GET /retailer/shipments": (25, 60),
}
_OTHER_LIMIT: Final = (25, 1)
_GENEROSITY: Final = 40
_DUTCH_WINTER: Final = timezone(timedelta(hours=1))


class Problem(Exception):
    """A refusal in bol's form."""

    def __init__(
        self, status: int, title: str, detail: str, violations: Sequence[tuple[str, str]] = ()
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.document: dict[str, Any] = {
            "type": "https://api.bol.com/problems",
            "title": title,
            "status": status,
            "detail": detail,
            "host": "sandbox",
        }
        if violations:
            self.document["violations"] = [{"name": name, "reason": reason} for name, reason in violations]

    def answer(self) -> Answer:
        body = json.dumps(self.document).encode()
        return Answer(self.status, body, {"Content-Type": "application/vnd.retailer.v10+problem+json"})


def not_found(what: str) -> Problem:
    return Problem(404, "Not Found", f"No {what} found.")


def violation(name: str, reason: str) -> Problem:
    return Problem(400, "Bad Request", "Bad request", [(name, reason)])


def versioned(status: int, data: Any, media_type: str) -> Answer:
    """Returns JSON under a versioned media type."""
    return json_answer(status, data, {"Content-Type": media_type})


def check_media_types(request: Request, media_type: str) -> None:
    """Refuses a call that does not name the version of the resource. Raises `Problem`."""
    accepted = [part.split(";")[0].strip() for part in request.headers.get("accept", "").split(",")]
    if media_type not in accepted:
        raise Problem(406, "Not Acceptable", f"This resource is only served as {media_type}.")
    if request.body and request.headers.get("content-type", "").split(";")[0].strip() != media_type:
        raise Problem(415, "Unsupported Media Type", f"This resource only takes {media_type}.")


def body_of(request: Request) -> dict[str, Any]:
    """The JSON object that was sent; raises `Problem`."""
    try:
        data = request.json()
    except ValueError:
        data = None
    if not isinstance(data, dict):
        raise Problem(400, "Bad Request", "The request body is not a JSON object.")
    return data


def moment(at: float) -> str:
    """An instant with its offset, whole seconds."""
    return datetime.fromtimestamp(int(at), _DUTCH_WINTER).isoformat()


def utc(at: float) -> str:
    """An instant in UTC, whole seconds."""
    return datetime.fromtimestamp(int(at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def page_number(request: Request) -> int:
    """The page asked for, from 1; raises `Problem`."""
    text = request.query.get("page", "1")
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise violation("page", "must be greater than or equal to 1")
    return int(text)


def page_of(request: Request, found: Sequence[Any]) -> Sequence[Any]:
    """Cuts a page of fifty; there is no total and no next link."""
    start = (page_number(request) - 1) * PAGE_SIZE
    return found[start : start + PAGE_SIZE]


class Limits:
    """A window of calls for each endpoint."""

    def __init__(self, *, is_generous: bool) -> None:
        self._factor = _GENEROSITY if is_generous else 1
        self._windows: dict[str, Window] = {}

    def take(self, endpoint: str) -> tuple[bool, dict[str, str]]:
        """Counts a call: whether it is allowed, and the headers that say how things stand."""
        window = self._windows.get(endpoint)
        if window is None:
            calls, seconds = _LIMITS.get(endpoint, _OTHER_LIMIT)
            window = self._windows.setdefault(endpoint, Window(calls * self._factor, seconds))
        is_allowed, left, seconds_left = window.take()
        wait = str(max(1, round(seconds_left + 0.499)))
        headers = {
            "x-ratelimit-limit": str(window.limit),
            "x-ratelimit-remaining": str(left),
            "x-ratelimit-reset": wait,
        }
        return is_allowed, headers if is_allowed else {**headers, "Retry-After": wait}
