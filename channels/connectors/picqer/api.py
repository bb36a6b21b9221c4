"""Picqer's API: HTTP Basic with the API key, 500 calls a minute, lists of a hundred by offset, times without a zone."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from channels.connectors.base import Account, Client, LimitReading, RateLimit, Response
from channels.connectors.messages import read_integer
from channels.errors import ConnectorError, Misconfigured, Rejected, Throttled, TransientError, Unauthorised

BUCKET: Final = "api"
#: Of a user and address together; less where Picqer is busy.
CALLS_A_MINUTE: Final = 500
_PAGE: Final = 100
#: Rows read again with the next page: those that are added meanwhile move all others.
_OVERLAP: Final = 10
#: Pages of one list; what lies beyond is not read.
LARGEST_LIST: Final = 1000
#: Covers the hour that comes twice when summer ends, and clocks that differ.
_SLACK: Final = timedelta(hours=2)
_TOO_MANY: Final = 28


class Refused(Rejected):
    """Picqer refused the call."""


class NotThere(Refused):
    """Picqer has no such thing."""


class PicqerApi:
    """Calls of one account."""

    def __init__(self, account: Account, client: Client) -> None:
        self._client = client
        self._root = str(account.settings["base_url"]).rstrip("/")
        self._auth = (str(account.credentials["api_key"]), "X")
        self._zone = zone_of(account)
        contact = str(account.settings["contact"]) or "onecount.invalid"
        self._headers = {
            "User-Agent": f"OneCount ({contact})",
            "Accept": "application/json",
        }

    def read(self, path: str, parameters: Mapping[str, str] | None = None) -> Any:
        """Reads a resource. Raises `NotThere` and the other `ConnectorError`s."""
        return self._call("GET", path, parameters=parameters)

    def write(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Creates, changes or deletes; returns the answer. Raises as `read` does."""
        return self._call(method, path, body=body)

    def page(
        self, path: str, parameters: Mapping[str, str] | None = None, *, offset: int = 0
    ) -> list[dict[str, Any]]:
        """Reads a hundred rows of a list, from a place on."""
        asked = dict(parameters or {})
        if offset:
            asked["offset"] = str(offset)
        rows = self.read(path, asked)
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise TransientError("Picqer answered something else than a list.")
        return rows

    def rows(
        self,
        path: str,
        identity: str,
        parameters: Mapping[str, str] | None = None,
        *,
        pages: int = LARGEST_LIST,
    ) -> Iterator[dict[str, Any]]:
        """Streams a list, each row once by its id; pages overlap, since rows that are added meanwhile move all others."""
        seen: set[int] = set()
        offset = 0
        for _ in range(pages):
            found = self.page(path, parameters, offset=offset)
            for row in found:
                key = read_integer(row, identity)
                if key not in seen:
                    seen.add(key)
                    yield row
            if len(found) < _PAGE:
                return
            offset += _PAGE - _OVERLAP

    def since(self, at: datetime) -> str:
        """Writes an instant in the account's local time, early enough for every clock."""
        return f"{(at - _SLACK).astimezone(self._zone):%Y-%m-%d %H:%M:%S}"

    def _call(
        self,
        method: str,
        path: str,
        *,
        parameters: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> Any:
        response = self._client.request(
            method,
            f"{self._root}/api/v1{path}",
            bucket=BUCKET,
            headers=self._headers,
            params=parameters,
            json=body,
            auth=self._auth,
        )
        content = None if response.status == 204 or not response.body else response.json()
        if response.status >= 400 or (isinstance(content, dict) and content.get("error")):
            raise _error(response.status, content)
        return content


def zone_of(account: Account) -> ZoneInfo:
    """Returns the zone of the account's times. Raises `Misconfigured`."""
    try:
        return ZoneInfo(str(account.settings["time_zone"]))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Misconfigured("The time zone is none; write it like Europe/Amsterdam.") from None


#: Of a minute's calls this share may go at once, and the rest evenly: then no minute has more of them, whenever it begins.
_AT_ONCE: Final = 0.1


def limit_of(calls: float) -> RateLimit:
    """Returns the bucket that keeps to so many calls in every minute."""
    return RateLimit(capacity=calls * _AT_ONCE, refill_per_second=calls * (1 - _AT_ONCE) / 60)


def read_limits(response: Response) -> LimitReading | None:
    """Returns how many calls a minute has, which depends on Picqer's load, and how many are left of this one."""
    limit, left = (_count(response, f"X-RateLimit-{name}") for name in ("Limit", "Remaining"))
    if not limit or left is None:
        return None
    bucket = limit_of(limit)
    return LimitReading(bucket.capacity, bucket.refill_per_second, tokens=min(float(left), bucket.capacity))


def _count(response: Response, header: str) -> int | None:
    text = response.headers.get(header, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 7 else None


def _error(status: int, content: Any) -> ConnectorError:
    """Translates a refusal; also one that comes with a good status."""
    body = content if isinstance(content, dict) else {}
    code, message = body.get("error_code"), str(body.get("error_message") or "")[:500]
    text = f"{message or 'Picqer refused.'} ({status if code is None else code})"
    if code == _TOO_MANY:
        return Throttled(text)
    if status in (401, 403):
        return Unauthorised(text)
    if status < 400 or status in (423, 425):
        return TransientError(text)
    if not body:
        return Misconfigured(f"There is no Picqer at this address: it answered {status} without a reason.")
    return (NotThere if status == 404 else Refused)(text)
