"""Square's Connect API: a bearer token, a pinned version, errors as lists, pages by cursor."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from channels.connectors.base import Account, Client
from channels.connectors.messages import read_objects, read_text
from channels.errors import ConnectorError, Misconfigured, Rejected, Throttled, TransientError, Unauthorised

BUCKET: Final = "api"
#: What the connector was written for.
VERSION: Final = "2025-08-20"

_MAY_PASS: Final = frozenset({"CONFLICT", "TEMPORARY_ERROR", "REQUEST_TIMEOUT", "GATEWAY_TIMEOUT"})
_ACCESS: Final = "AUTHENTICATION_ERROR"


@dataclass(frozen=True, slots=True)
class Fault:
    """One entry of Square's list of errors."""

    category: str
    code: str
    detail: str
    #: What it is about, such as `changes[3].physical_count.quantity`.
    field: str

    def __str__(self) -> str:
        where = f" at {self.field}" if self.field else ""
        return f"{self.detail or 'Square refused.'} ({self.code}{where})"


class Refused(Rejected):
    """Square refused the call; each fault says what it is about."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(map(str, faults))[:1000])

    def is_about(self, code: str) -> bool:
        """Whether one of the faults has this code."""
        return any(fault.code == code for fault in self.faults)


class NotThere(Refused):
    """Square has no such thing."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A good answer."""

    body: dict[str, Any]
    #: By Square's clock; ours where it does not say.
    answered_at: datetime


class SquareApi:
    """Calls of one account."""

    def __init__(self, account: Account, client: Client) -> None:
        self._client = client
        self._root = str(account.settings["base_url"]).rstrip("/")
        self._headers = {
            "Authorization": f"Bearer {account.credentials['access_token']}",
            "Square-Version": VERSION,
            "Accept": "application/json",
        }

    def read(self, path: str, parameters: Mapping[str, str] | None = None) -> Answer:
        """Reads a resource. Raises `NotThere` and the other `ConnectorError`s."""
        return self._call("GET", path, parameters=parameters)

    def search(self, path: str, body: Mapping[str, Any]) -> Answer:
        """Reads by a POST that changes nothing. Raises as `read` does."""
        return self._call("POST", path, body=body, writes=False)

    def write(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Creates, changes or deletes; returns the answer's body. Raises as `read` does."""
        return self._call(method, path, body=body, writes=True).body

    def read_all(
        self, path: str, name: str, parameters: Mapping[str, str] | None = None
    ) -> Iterator[dict[str, Any]]:
        """Streams a list to its end, page by page."""
        asked = dict(parameters or {})
        while True:
            body = self.read(path, asked).body
            yield from read_objects(body, name)
            asked["cursor"] = read_text(body, "cursor")
            if not asked["cursor"]:
                return

    def search_all(self, path: str, name: str, body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Streams what a search finds, page by page."""
        asked = dict(body)
        while True:
            found = self.search(path, asked).body
            yield from read_objects(found, name)
            asked["cursor"] = read_text(found, "cursor")
            if not asked["cursor"]:
                return

    def _call(
        self,
        method: str,
        path: str,
        *,
        parameters: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        writes: bool | None = None,
    ) -> Answer:
        response = self._client.request(
            method,
            f"{self._root}{path}",
            bucket=BUCKET,
            headers=self._headers,
            params=parameters,
            json=body,
            writes=writes,
        )
        content = response.json()
        if not isinstance(content, dict):
            raise TransientError("Square answered something else than an object.")
        faults = _faults(content)
        if response.status >= 400 or faults:
            raise _error(response.status, faults)
        return Answer(content, _clock(response.headers))


def _faults(body: Mapping[str, Any]) -> list[Fault]:
    found = body.get("errors")
    names = ("category", "code", "detail", "field")
    return [
        Fault(*(str(each.get(name) or "")[:500] for name in names))
        for each in (found if isinstance(found, list) else [])
        if isinstance(each, dict)
    ]


def _error(status: int, faults: Sequence[Fault]) -> ConnectorError:
    """Translates a refusal; also one that comes with a good status."""
    text = "; ".join(map(str, faults))[:1000] or f"Square refused ({status})."
    codes, categories = {fault.code for fault in faults}, {fault.category for fault in faults}
    if "RATE_LIMITED" in codes:
        return Throttled(text)
    if "API_ERROR" in categories or codes & _MAY_PASS or status >= 500:
        return TransientError(text)
    if status in (401, 403) or _ACCESS in categories:
        return Unauthorised(text)
    if not faults:
        return Misconfigured(f"There is no Square at this address: it answered {status} without a reason.")
    return (NotThere if status == 404 or codes == {"NOT_FOUND"} else Refused)(faults)


def _clock(headers: Mapping[str, str]) -> datetime:
    text = next((value for name, value in headers.items() if name.lower() == "date"), "")
    try:
        return parsedate_to_datetime(text).astimezone(UTC)
    except ValueError:
        return datetime.now(UTC)
