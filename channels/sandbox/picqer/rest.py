"""How the simulated Picqer writes: errors, times without a zone, lists of a hundred by offset."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from channels.sandbox.httpd import Answer, Request, json_answer

ZONE: Final = ZoneInfo("Europe/Amsterdam")
PAGE: Final = 100


class PicqerError(Exception):
    """A refusal: a status, a code and a message."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.document = {"error": True, "error_code": code, "error_message": message}

    def answer(self) -> Answer:
        return json_answer(self.status, self.document)


def not_found(what: str) -> PicqerError:
    """Says that there is no such thing."""
    return PicqerError(404, 16, f"{what} does not exist.")


def refused(message: str) -> PicqerError:
    """Says why something is not done."""
    return PicqerError(400, 24, message)


def moment(at: float) -> str:
    """An instant in local time, to the second, without a zone."""
    return datetime.fromtimestamp(at, ZONE).strftime("%Y-%m-%d %H:%M:%S")


def body_of(request: Request) -> dict[str, Any]:
    """The body as an object."""
    try:
        data = json.loads(request.body or b"{}")
    except ValueError:
        raise refused("The body is not JSON.") from None
    if not isinstance(data, dict):
        raise refused("The body is no object.")
    return data


def page(request: Request, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """A hundred rows from the offset on; nothing says how many there are."""
    offset = request.query.get("offset", "0")
    start = int(offset) if offset.isdecimal() else 0
    return list(rows[start : start + PAGE])


def since(request: Request, name: str) -> str:
    """The local time that a list is asked from; empty for none."""
    return request.query.get(name, "")
