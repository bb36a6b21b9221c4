"""The REST interface of one shop: addresses, authorisation, errors, and walks over long lists."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from channels.connectors.base import Account, Client
from channels.connectors.woocommerce.oauth import signed_parameters
from channels.errors import ConnectorError, Misconfigured, Rejected, Throttled, TransientError, Unauthorised

BUCKET: Final = "rest"
#: WordPress caps a page here.
PAGE_SIZE: Final = 100
#: A page begins this many entries before the end of the last one, to notice that the list has shifted.
_ANCHOR: Final = 5
_STEP_BACK: Final = 50
_NAMESPACE: Final = "/wp-json/wc/v3/"


class NotThere(Rejected):
    """The shop has no such resource."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A good answer."""

    body: Any
    #: The shop's own clock; ours where it does not say.
    answered_at: datetime
    #: Entries of the whole list; None where it does not say.
    total: int | None


@dataclass(frozen=True, slots=True)
class Walk:
    """How far a list sorted by id has been read."""

    offset: int = 0
    last_id: int = 0


class Shop:
    """Speaks to `<shop>/wp-json/wc/v3/`: Basic authorisation over https, OAuth 1.0a over plain http."""

    def __init__(self, account: Account, client: Client) -> None:
        self._client = client
        self._root = str(account.settings["base_url"]).rstrip("/")
        self._credentials = (
            str(account.credentials["consumer_key"]),
            str(account.credentials["consumer_secret"]),
        )

    def read(self, path: str, parameters: Mapping[str, str] | None = None) -> Answer:
        """Reads a resource. Raises `NotThere` and the other `ConnectorError`s."""
        return self._call("GET", path, parameters or {})

    def write(self, method: str, path: str, body: Any = None) -> Any:
        """Creates, changes or deletes a resource; returns the answer's body. Raises as `read` does."""
        parameters = {"force": "true"} if method == "DELETE" else {}
        return self._call(method, path, parameters, body).body

    def read_index(self) -> Any:
        """Reads the site's own description, which needs no authorisation."""
        response = self._client.request("GET", f"{self._root}/wp-json/", bucket=BUCKET)
        body = response.json()
        _raise_for(response.status, body)
        return body

    def read_page(
        self, path: str, parameters: Mapping[str, str], walk: Walk
    ) -> tuple[list[dict[str, Any]], Walk | None, datetime]:
        """Reads the next page of a list: what is new on it, where to go on (None: at the end), and when that was.

        Entries that leave the list while it is read shift the rest forward. A page therefore has to show
        something that was read before; where it does not, the walk steps back, so that nothing is skipped.
        """
        paging = {"per_page": str(PAGE_SIZE), "offset": str(walk.offset), "orderby": "id", "order": "asc"}
        answer = self.read(path, {**parameters, **paging})
        entries = _entries(answer.body)
        if answer.total is not None and walk.offset + len(entries) > max(answer.total, walk.offset):
            raise TransientError("The shop shows the same page again; something on the way ignores `offset`.")
        if walk.offset and not any(entry["id"] <= walk.last_id for entry in entries):
            return [], Walk(max(walk.offset - _STEP_BACK, 0), walk.last_id), answer.answered_at
        fresh = [entry for entry in entries if entry["id"] > walk.last_id]
        if len(entries) < PAGE_SIZE:
            return fresh, None, answer.answered_at
        last_id = max(walk.last_id, *(entry["id"] for entry in entries))
        return fresh, Walk(walk.offset + len(entries) - _ANCHOR, last_id), answer.answered_at

    def read_all(self, path: str, parameters: Mapping[str, str] | None = None) -> Iterator[dict[str, Any]]:
        """Streams a list to its end, sorted by id, each entry once."""
        walk: Walk | None = Walk()
        while walk is not None:
            fresh, walk, _ = self.read_page(path, parameters or {}, walk)
            yield from fresh

    def _call(self, method: str, path: str, parameters: Mapping[str, str], body: Any = None) -> Answer:
        url = f"{self._root}{_NAMESPACE}{path}"
        is_safe = url.startswith("https://")
        if not is_safe:
            parameters = signed_parameters(method, url, parameters, self._credentials)
        response = self._client.request(
            method,
            url,
            bucket=BUCKET,
            params=parameters,
            json=body,
            auth=self._credentials if is_safe else None,
        )
        content = response.json()
        _raise_for(response.status, content)
        return Answer(content, _clock(response.headers), _total(response.headers))


def _entries(body: Any) -> list[dict[str, Any]]:
    if not isinstance(body, list) or not all(
        isinstance(entry, dict) and isinstance(entry.get("id"), int) for entry in body
    ):
        raise TransientError("The shop answered something else than a list.")
    return body


def _header(headers: Mapping[str, str], wanted: str) -> str:
    return next((value for name, value in headers.items() if name.lower() == wanted), "")


def _total(headers: Mapping[str, str]) -> int | None:
    text = _header(headers, "x-wp-total")
    return int(text) if text.isascii() and text.isdecimal() else None


def _clock(headers: Mapping[str, str]) -> datetime:
    text = _header(headers, "date")
    try:
        return parsedate_to_datetime(text).astimezone(UTC)
    except ValueError:
        return datetime.now(UTC)


def _raise_for(status: int, body: Any) -> None:
    """Raises what an error answer means; also for error documents that come with status 200."""
    if status < 400 and not (isinstance(body, dict) and "code" in body and "message" in body):
        return
    code, message, stated = read_error(body)
    raise error_for(status if status >= 400 else stated, code, message)


def read_error(body: Any) -> tuple[str, str, int]:
    """Returns code, message and HTTP status of an error document; empty and 500 where it does not say."""
    body = body if isinstance(body, dict) else {}
    data = body.get("data")
    status = data.get("status") if isinstance(data, dict) else None
    stated = status if isinstance(status, int) else 500
    return str(body.get("code", "")), str(body.get("message", ""))[:500], stated


def error_for(status: int, code: str, message: str) -> ConnectorError:
    """Translates an error of the shop."""
    text = f"{message or 'The shop refused.'} ({code or status})"
    if status == 429:
        return Throttled(text)
    if status in (408, 425) or status >= 500 or not code:
        return TransientError(text)
    if status in (401, 403):
        return Unauthorised(text)
    if status == 404 and not code.startswith("woocommerce_"):
        # Never "deleted": a closed REST interface answers so for everything.
        return Misconfigured(f"There is no WooCommerce REST interface at this address: {text}")
    return NotThere(text) if status in (404, 410) or "invalid_id" in code else Rejected(text)
