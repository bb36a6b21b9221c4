"""The manners of the Selling Partner API: tokens, usage plans with their header, errors in a list."""

import json
import secrets
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from channels.sandbox.httpd import Answer, Request, json_answer
from channels.sandbox.limits import Bucket

#: Calls a second and burst by operation, as the model files have them; of two numbers the lower.
PLANS: Final[Mapping[str, tuple[float, int]]] = {
    "patchListingsItem": (5, 5),
    "getListingsItem": (5, 5),
    "searchListingsItems": (5, 5),
    "searchOrders": (0.0056, 20),
    "getOrder": (0.5, 30),
    "getInventorySummaries": (2, 2),
    "notifications": (1, 5),
    "createFeedDocument": (0.5, 15),
    "createFeed": (5 / 300, 5),
    "getFeeds": (0.0222, 10),
    "getFeed": (2, 15),
    "getFeedDocument": (0.0222, 10),
    "createReport": (0.0167, 15),
    "getReports": (0.0222, 10),
    "getReport": (2, 15),
    "getReportDocument": (0.0167, 15),
    "getMarketplaceParticipations": (0.016, 15),
}
_GENEROSITY: Final = 400
TOKEN_SECONDS: Final = 3600


class Problem(Exception):
    """A refusal in Amazon's form."""

    def __init__(self, status: int, code: str, message: str, details: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.error = {"code": code, "message": message, "details": details}

    def answer(self) -> Answer:
        headers = {"x-amzn-RequestId": request_id(), "x-amzn-ErrorType": self.error["code"]}
        return json_answer(self.status, {"errors": [self.error]}, headers)


def request_id() -> str:
    """Returns what Amazon names each call by."""
    return secrets.token_hex(16)


def not_found(what: str) -> Problem:
    return Problem(404, "NotFound", f"{what} not found.")


def invalid(message: str) -> Problem:
    return Problem(400, "InvalidInput", message)


def unauthorized(details: str) -> Problem:
    return Problem(403, "Unauthorized", "Access to requested resource is denied.", details)


def too_many() -> Problem:
    return Problem(429, "QuotaExceeded", "You exceeded your quota for the requested resource.")


def body_of(request: Request) -> dict[str, Any]:
    """The JSON object that was sent; raises `Problem`."""
    try:
        data = request.json()
    except ValueError:
        data = None
    if not isinstance(data, dict):
        raise invalid("The request body is not a JSON object.")
    return data


def listed(request: Request, name: str) -> list[str]:
    """A parameter that holds several values, with commas or repeated."""
    return [each for key, text in request.query_pairs if key == name for each in text.split(",") if each]


def utc(at: float) -> str:
    """An instant in UTC, whole seconds."""
    return datetime.fromtimestamp(int(at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def utc_exact(at: float) -> str:
    """An instant in UTC with milliseconds, as notifications have it."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def instant(text: str, name: str) -> float:
    """Reads an instant; raises `Problem`."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise invalid(f"{name} must be an ISO 8601 time.") from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


class Plans:
    """A bucket for each operation."""

    def __init__(self, *, is_generous: bool, plans: Mapping[str, tuple[float, int]] = PLANS) -> None:
        self._plans = plans
        self._factor = _GENEROSITY if is_generous else 1
        self._buckets: dict[str, Bucket] = {}
        self._lock = threading.Lock()

    def take(self, operation: str) -> Mapping[str, str]:
        """Counts a call; returns the headers that say how many there may be. Raises `Problem`."""
        rate, burst = self._plans[operation]
        with self._lock:
            bucket = self._buckets.setdefault(operation, Bucket(burst * self._factor, rate * self._factor))
        if not bucket.take(1):
            raise too_many()
        return {"x-amzn-RateLimit-Limit": f"{rate * self._factor:g}", "x-amzn-RequestId": request_id()}


class Tokens:
    """Login with Amazon: tokens that speak for the seller, and such that speak for the app alone."""

    def __init__(self, keys: Mapping[str, str]) -> None:
        self._keys = dict(keys)
        self._lock = threading.Lock()
        #: Token → when it ends, and whether it speaks for the seller.
        self._tokens: dict[str, tuple[float, bool]] = {}
        self.is_revoked = False

    def answer(self, request: Request) -> Answer:
        """Answers `POST /auth/o2/token`."""
        form = request.form()
        if (form.get("client_id"), form.get("client_secret")) != (
            self._keys["client_id"],
            self._keys["client_secret"],
        ):
            return _oauth_error(401, "invalid_client", "Client authentication failed")
        grant = form.get("grant_type")
        if grant == "refresh_token":
            if self.is_revoked or form.get("refresh_token") != self._keys["refresh_token"]:
                return _oauth_error(400, "invalid_grant", "The request has an invalid grant parameter")
            return self._issued(is_sellers=True, extra={"refresh_token": self._keys["refresh_token"]})
        if grant == "client_credentials":
            if form.get("scope") != "sellingpartnerapi::notifications":
                return _oauth_error(400, "invalid_scope", "The scope is not known")
            return self._issued(is_sellers=False, extra={})
        return _oauth_error(400, "unsupported_grant_type", "The grant type is not known")

    def _issued(self, *, is_sellers: bool, extra: Mapping[str, str]) -> Answer:
        token = f"Atza|{secrets.token_urlsafe(40)}"
        with self._lock:
            self._tokens[token] = (time.time() + TOKEN_SECONDS, is_sellers)
        data = {"access_token": token, "token_type": "bearer", "expires_in": TOKEN_SECONDS, **extra}
        return json_answer(200, data)

    def check(self, request: Request, *, is_sellers: bool) -> None:
        """Raises `Problem` unless the call carries a token of the right kind."""
        token = request.headers.get("x-amz-access-token", "")
        ends_at, for_seller = self._tokens.get(token, (0.0, is_sellers))
        if ends_at <= time.time():
            raise unauthorized("The access token you provided has expired.")
        if for_seller != is_sellers:
            raise unauthorized("The access token you provided is of another kind.")
        if not request.headers.get("user-agent"):
            raise invalid("The User-Agent header is missing.")

    def expire(self) -> None:
        """Makes every token invalid."""
        with self._lock:
            self._tokens = {}


def _oauth_error(status: int, error: str, description: str) -> Answer:
    return json_answer(status, {"error": error, "error_description": description})


def dumped(data: Any) -> bytes:
    """Returns JSON as it is stored in a document."""
    return json.dumps(data, separators=(",", ":")).encode()
