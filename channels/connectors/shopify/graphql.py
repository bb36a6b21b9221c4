"""GraphQL to Shopify: the documents, one call, and what its errors mean.

Source: shopify.dev, "API limits" and "Response codes"; costs are those the vendor's rules give for the largest
answer (object 1, connection by its size, mutation 10).
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

from channels.connectors.base import Account, Client, IssuedToken, LimitReading, Response
from channels.errors import (
    ConnectorError,
    Misconfigured,
    OutcomeUnknown,
    Rejected,
    Throttled,
    TransientError,
    Unauthorised,
    Unsupported,
)

BUCKET: Final = "graphql"
TOKEN_BUCKET: Final = "oauth"  # noqa: S105  # a limit's name
DOWNLOAD_BUCKET: Final = "downloads"
_DOCUMENTS: Final = Path(__file__).parent / "documents"

#: Answers by status that never change by asking again.
_REFUSALS: Final[Mapping[int, ConnectorError]] = {
    402: Misconfigured("Shopify has frozen the shop (402); its bill is open."),
    403: Unauthorised("Shopify refuses the app (403); check that it is installed and its scopes."),
    404: Misconfigured("Shopify knows no such shop or API version (404)."),
    423: Misconfigured("Shopify has locked the shop (423)."),
}


@dataclass(frozen=True, slots=True)
class Document:
    """A GraphQL document, kept in a file of its own beside the code."""

    name: str
    #: Names of the fragments it uses, in further files.
    fragments: tuple[str, ...] = ()
    is_mutation: bool = False
    #: A mutation that changes nothing of the shop: it only has something read.
    only_reads: bool = False

    @property
    def writes(self) -> bool:
        """Whether it may change something of the shop."""
        return self.is_mutation and not self.only_reads

    @property
    def text(self) -> str:
        return _text((self.name, *self.fragments))


@cache
def _text(names: tuple[str, ...]) -> str:
    return "\n".join((_DOCUMENTS / f"{name}.graphql").read_text() for name in names)


def gid(kind: str, number: str) -> str:
    """Returns Shopify's global id, e.g. `gid://shopify/Order/1`, of the bare number that we keep."""
    return f"gid://shopify/{kind}/{number}"


def number_of(global_id: str) -> str:
    """Returns the bare number of a global id."""
    return global_id.rpartition("/")[2].partition("?")[0]


class Api:
    """One shop's Admin API."""

    def __init__(self, account: Account, client: Client) -> None:
        self._credentials = account.credentials
        self.client = client
        domain = account.settings["shop_domain"]
        base_url = (account.settings["base_url"] or f"https://{domain}").rstrip("/")
        self._url = f"{base_url}/admin/api/{account.settings['api_version']}/graphql.json"
        self._token_url = f"{base_url}/admin/oauth/access_token"

    def run(self, document: Document, variables: Mapping[str, Any], *, cost: float) -> dict[str, Any]:
        """Runs a document and returns its data; `cost` are the points it takes at most.

        Raises `Throttled`, `TransientError`, `OutcomeUnknown` (of a mutation), `Unauthorised`, `Misconfigured`,
        `Rejected`, `Unsupported`.
        """
        return self.ask(document, variables, cost=cost)[0]

    def ask(
        self, document: Document, variables: Mapping[str, Any], *, cost: float
    ) -> tuple[dict[str, Any], datetime]:
        """Does as `run`, and also returns when Shopify answered, by its own clock."""
        answer = self._send(document, variables, cost)
        body = answer.json()
        if not isinstance(body, dict):
            raise _unclear(document, "Shopify answered JSON that is no object.")
        errors = body.get("errors")
        data = body.get("data")
        if errors and not _can_be_passed_over(errors, data):
            raise _error(document, errors, body)
        if not isinstance(data, dict):
            raise _unclear(document, "Shopify answered without data.")
        return data, _clock(answer.headers)

    def _send(self, document: Document, variables: Mapping[str, Any], cost: float) -> Response:
        token = self._token()
        answer = self._post(document, variables, cost, token)
        if answer.status == 401 and not self._credentials.get("access_token"):
            answer = self._post(document, variables, cost, self.client.token(self._issue, rejected=token))
        if answer.status == 401:
            raise Unauthorised("Shopify does not accept the access token (401).")
        if answer.status == 430:
            raise Throttled("Shopify holds our calls for suspicious (430).", retry_after=60.0)
        if answer.status in _REFUSALS:
            refusal = _REFUSALS[answer.status]
            raise type(refusal)(str(refusal))
        if answer.status != 200:
            raise Rejected(f"Shopify refuses the call ({answer.status}).")
        return answer

    def _post(self, document: Document, variables: Mapping[str, Any], cost: float, token: str) -> Response:
        return self.client.request(
            "POST",
            self._url,
            bucket=BUCKET,
            cost=cost,
            headers={"X-Shopify-Access-Token": token},
            json={"query": document.text, "variables": dict(variables)},
            writes=document.writes,
        )

    def _token(self) -> str:
        static: str = self._credentials.get("access_token") or ""
        return static or self.client.token(self._issue)

    def _issue(self) -> IssuedToken:
        """Asks for a token with the app's own credentials; there is no refresh token, one just asks again."""
        client_id = self._credentials.get("client_id")
        if not client_id:
            raise Misconfigured("Enter a client id, or the access token of a legacy custom app.")
        form = {
            "grant_type": "client_credentials",
            "client_id": client_id,
            "client_secret": self._credentials["client_secret"],
        }
        answer = self.client.request("POST", self._token_url, bucket=TOKEN_BUCKET, data=form, writes=False)
        if answer.status != 200:
            raise Unauthorised(f"Shopify does not accept client id and secret ({answer.status}).")
        body = answer.json()
        token = body.get("access_token") if isinstance(body, dict) else None
        if not isinstance(token, str) or not token:
            raise TransientError("Shopify answered without an access token.")
        lifetime = body.get("expires_in")
        return IssuedToken(token, float(lifetime) if isinstance(lifetime, int | float) else 3600.0)


@contextmanager
def well_formed(*, writes: bool = False) -> Iterator[None]:
    """Turns an answer that is not shaped as the schema says into a failure of the call."""
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        failure = OutcomeUnknown if writes else TransientError
        raise failure("Shopify answered something that cannot be read.") from error


def pages(
    api: Api, document: Document, path: tuple[str, ...], variables: Mapping[str, Any], *, cost: float
) -> Iterator[Any]:
    """Yields the nodes of a connection, page by page; `path` leads to it from the data."""
    after: str | None = None
    while True:
        data: Any = api.run(document, {**variables, "after": after}, cost=cost)
        for name in path:
            data = data.get(name) if data else None
        if not data:
            return
        yield from data["nodes"]
        if not data["pageInfo"]["hasNextPage"]:
            return
        after = data["pageInfo"]["endCursor"]


def read_limits(response: Response) -> LimitReading | None:
    """Returns what an answer tells about the cost bucket: `extensions.cost`."""
    if response.status != 200:
        return None
    try:
        cost = response.json()["extensions"]["cost"]
        status = cost["throttleStatus"]
        return LimitReading(
            capacity=float(status["maximumAvailable"]),
            refill_per_second=float(status["restoreRate"]),
            tokens=float(status["currentlyAvailable"]),
            cost=float(cost["actualQueryCost"] or 0),
        )
    except (ConnectorError, KeyError, TypeError, ValueError):
        return None


def _clock(headers: Mapping[str, str]) -> datetime:
    text = next((value for name, value in headers.items() if name.lower() == "date"), "")
    try:
        return parsedate_to_datetime(text).astimezone(UTC)
    except ValueError:
        return datetime.now(UTC)


def _can_be_passed_over(errors: Any, data: Any) -> bool:
    """Tells whether only details were withheld, such as the country of an address from an app without consent.

    An object that is missing as a whole is not passed over: it would look like one that was deleted.
    """
    if not isinstance(data, dict) or any(value is None for value in data.values()):
        return False
    return all(
        isinstance(error, dict) and _code(error) == "ACCESS_DENIED" and len(error.get("path") or ()) > 1
        for error in _listed(errors)
    )


def _error(document: Document, errors: Any, body: Mapping[str, Any]) -> ConnectorError:
    """Returns the error that a failed operation means."""
    first = _listed(errors)[0]
    code, message = _code(first), _message(first)
    if code == "THROTTLED":
        return Throttled("Shopify throttles the app.", retry_after=_wait(body))
    if code == "ACCESS_DENIED":
        return Misconfigured(f"The app lacks an access scope: {message}")
    if code == "SHOP_INACTIVE":
        return Misconfigured("The shop is not active.")
    if code in ("MAX_COST_EXCEEDED", "MAX_INPUT_SIZE_EXCEEDED", "BAD_REQUEST"):
        return Rejected(f"Shopify refuses the call: {message}")
    if code == "INTERNAL_SERVER_ERROR" or code == "TIMEOUT":
        return _unclear(document, f"Shopify failed: {message}")
    return Unsupported(f"Shopify does not understand the call: {message}")


def _unclear(document: Document, message: str) -> TransientError:
    return OutcomeUnknown(message) if document.writes else TransientError(message)


def _wait(body: Mapping[str, Any]) -> float | None:
    """Seconds until the points that the call needs have come back."""
    try:
        cost = body["extensions"]["cost"]
        status = cost["throttleStatus"]
        missing = float(cost["requestedQueryCost"]) - float(status["currentlyAvailable"])
        return max(missing / float(status["restoreRate"]), 0.1)
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None


def _listed(errors: Any) -> list[Any]:
    return errors if isinstance(errors, list) and errors else [errors]


def _code(error: Any) -> str:
    extensions = error.get("extensions") if isinstance(error, dict) else None
    return str(extensions.get("code") or "") if isinstance(extensions, dict) else ""


def _message(error: Any) -> str:
    text = error.get("message") if isinstance(error, dict) else error
    return str(text)[:300]
