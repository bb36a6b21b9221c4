"""bol's Retailer API: one token an account, a media type for each resource, problems as errors."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from channels.connectors.base import Account, Client, IssuedToken, LimitReading, RateLimit, Response
from channels.errors import ConnectorError, Misconfigured, Rejected, Throttled, TransientError, Unauthorised

#: Snapshot of bol's public list: calls, and the seconds in which they may be made. Its answers say how many really.
_WINDOWS: Final[Mapping[str, tuple[int, int]]] = {
    "token": (5, 25),
    "offers-read": (25, 1),
    "offers-write": (50, 1),
    "orders-list": (25, 60),
    "order-detail": (25, 1),
    "orders-write": (25, 1),
    "returns": (20, 60),
    "process-status": (100, 1),
    "account": (20, 60),
}
#: Of the calls of one second, those that may go out at once.
_AT_ONCE: Final = 0.04


def _limit(calls: float, seconds: float) -> RateLimit:
    """Returns the bucket for a window.

    A bucket that holds a whole window lets two of them into one, and what is left, which every answer says, is known too late
    to prevent that where a window is over in a second. There the bucket holds little, so that what it holds and what comes
    back in a second are one window together.
    """
    at_once = max(1.0, _AT_ONCE * calls) if seconds <= 1 else calls
    return RateLimit(capacity=at_once, refill_per_second=calls / seconds)


RATE_LIMITS: Final[Mapping[str, RateLimit]] = {
    bucket: _limit(calls, seconds) for bucket, (calls, seconds) in _WINDOWS.items()
}

#: Since v10 each resource has a version of its own: offers moved on to v11.
_OFFERS_TYPE: Final = "application/vnd.retailer.v11+json"
_OTHER_TYPE: Final = "application/vnd.retailer.v10+json"
_OFFERS_PATH: Final = "/retailer/offers"
#: A reset further away than this, in seconds, is a date and not a duration.
_LONGEST_RESET: Final = 3600


class NotThere(Rejected):
    """bol has no such resource."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A good answer; the body of 204 is None."""

    body: Any
    #: By bol's clock; ours where it does not say.
    answered_at: datetime


class RetailerApi:
    """Calls of one account."""

    def __init__(self, account: Account, client: Client) -> None:
        self._account = account
        self._client = client
        self._root = str(account.settings["base_url"]).rstrip("/")

    def read(self, path: str, parameters: Mapping[str, str] | None = None, *, bucket: str) -> Answer:
        """Reads a resource. Raises `NotThere` and the other `ConnectorError`s."""
        return self._call("GET", path, bucket=bucket, parameters=parameters)

    def write(self, method: str, path: str, body: Any, *, bucket: str) -> Any:
        """Creates or changes a resource; returns the answer's body. Raises as `read` does."""
        return self._call(method, path, bucket=bucket, body=body).body

    def _call(
        self,
        method: str,
        path: str,
        *,
        bucket: str,
        parameters: Mapping[str, str] | None = None,
        body: Any = None,
    ) -> Answer:
        token = self._client.token(self._issue_token)
        response = self._send(method, path, token, bucket, parameters, body)
        if response.status == 401:
            token = self._client.token(self._issue_token, rejected=token)
            response = self._send(method, path, token, bucket, parameters, body)
        if response.status >= 400:
            raise _error(response.status, _problem(response))
        return Answer(None if response.status == 204 else _content(response), _clock(response.headers))

    def _send(
        self,
        method: str,
        path: str,
        token: str,
        bucket: str,
        parameters: Mapping[str, str] | None,
        body: Any,
    ) -> Response:
        media_type = _OFFERS_TYPE if path.startswith(_OFFERS_PATH) else _OTHER_TYPE
        headers = {"Accept": media_type, "Authorization": f"Bearer {token}"}
        if body is not None:
            headers["Content-Type"] = media_type
        return self._client.request(
            method, f"{self._root}{path}", bucket=bucket, headers=headers, params=parameters, json=body
        )

    def _issue_token(self) -> IssuedToken:
        """Asks for a new token; bol blocks callers that do so for every call."""
        response = self._client.request(
            "POST",
            f"{str(self._account.settings['login_url']).rstrip('/')}/token",
            bucket="token",
            params={"grant_type": "client_credentials"},
            headers={"Accept": "application/json"},
            auth=(
                str(self._account.credentials["client_id"]),
                str(self._account.credentials["client_secret"]),
            ),
            writes=False,
        )
        if response.status >= 400:
            raise Unauthorised(f"bol does not accept the client id and secret ({response.status}).")
        return _issued(response.json())


def _issued(body: Any) -> IssuedToken:
    token = body.get("access_token") if isinstance(body, dict) else None
    seconds = body.get("expires_in") if isinstance(body, dict) else None
    if not isinstance(token, str) or not token or not isinstance(seconds, int | float):
        raise TransientError("bol's login answered without a token.")
    return IssuedToken(token, float(seconds))


def _clock(headers: Mapping[str, str]) -> datetime:
    text = next((value for name, value in headers.items() if name.lower() == "date"), "")
    try:
        return parsedate_to_datetime(text).astimezone(UTC)
    except ValueError:
        return datetime.now(UTC)


def _content(response: Response) -> dict[str, Any]:
    """Returns the object in a good answer; a problem that comes with a good status is raised as well."""
    body = response.json()
    if not isinstance(body, dict):
        raise TransientError("bol answered something else than an object.")
    stated = body.get("status")
    if isinstance(stated, int) and stated >= 400:
        raise _error(stated, body)
    return body


def _error(status: int, problem: Mapping[str, Any]) -> ConnectorError:
    """Translates a refusal; the ones that mean the same on every platform are raised before."""
    text = _text(problem, status)
    if status == 429:
        return Throttled(text)
    if status >= 500 or status in (408, 425):
        return TransientError(text)
    if status in (401, 403):
        return Unauthorised(text)
    if status == 404 and problem.get("status") != 404:
        # Never "deleted": a wrong address answers so for everything.
        return Misconfigured(f"There is no Retailer API at this address: {text}")
    return NotThere(text) if status in (404, 410) else Rejected(text)


def _problem(response: Response) -> dict[str, Any]:
    body = response.json()
    return body if isinstance(body, dict) else {}


def _text(problem: Mapping[str, Any], status: int) -> str:
    """Reads bol's description of a refusal, the violated fields included."""
    violations = problem.get("violations")
    fields = [
        f"{each.get('name')}: {each.get('reason')}"
        for each in (violations if isinstance(violations, list) else [])
        if isinstance(each, dict)
    ]
    text = str(problem.get("detail") or problem.get("title") or "bol refused.")
    return "; ".join([f"{text} ({status})", *fields])[:1000]


def read_limits(bucket: str, response: Response) -> LimitReading | None:
    """Reads the limit headers that come with every answer; None where they are absent or odd.

    They name no span of time: the one of bol's public list is kept.
    """
    headers = {name.lower(): value for name, value in response.headers.items()}
    limit = _number(headers.get("x-ratelimit-limit"))
    remaining = _number(headers.get("x-ratelimit-remaining"))
    if limit is None and remaining is None:
        return None
    reset = _number(headers.get("x-ratelimit-reset"))
    is_empty = remaining == 0 and reset is not None and reset <= _LONGEST_RESET
    learned = _limit(limit, _WINDOWS[bucket][1]) if limit else None
    return LimitReading(
        capacity=None if learned is None else learned.capacity,
        refill_per_second=None if learned is None else learned.refill_per_second,
        tokens=remaining,
        blocked_for=reset if is_empty else None,
    )


def _number(text: str | None) -> float | None:
    found = (text or "").split(",")[0].split(";")[0].strip()
    return float(found) if found.isascii() and found.isdecimal() and len(found) < 10 else None
