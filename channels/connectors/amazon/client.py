"""Calls to the Selling Partner API: a token of Login with Amazon, errors as ours, request ids in what is reported."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from channels.connectors.amazon.regions import api_host, marketplace_ids
from channels.connectors.base import Account, Client, IssuedToken, Response
from channels.errors import (
    ConnectorError,
    Misconfigured,
    OutcomeUnknown,
    Rejected,
    Throttled,
    TransientError,
    Unauthorised,
)

_USER_AGENT: Final = "OneCount/0.1 (Language=Python)"
#: What needs no seller's consent: destinations of notifications.
_GRANTLESS_SCOPE: Final = "sellingpartnerapi::notifications"
#: Refusals of a token that somebody has to mend.
_DEAD_CREDENTIALS: Final = frozenset(
    {
        "invalid_grant",
        "invalid_client",
        "unauthorized_client",
        "access_denied",
        "invalid_scope",
        "invalid_request",
    }
)


class NotThere(Rejected):
    """Amazon has no such thing."""


class Exists(Rejected):
    """Amazon has it already."""


@dataclass(frozen=True, slots=True)
class Call:
    """One operation: which bucket it spends from, and how it is addressed."""

    method: str
    path: str
    bucket: str
    parameters: Mapping[str, str] | None = None
    body: Any = None
    #: Whether it changes something; None: all but GET do.
    writes: bool | None = None


class SellingPartnerApi:
    """Calls of one account."""

    def __init__(self, account: Account, client: Client) -> None:
        self.account = account
        self.client = client
        #: Speaks for the app alone; kept for as long as this object, which is seldom more than a moment.
        self._app_token = ""

    @property
    def marketplace_ids(self) -> tuple[str, ...]:
        """The marketplaces of the channel, the first one first. Raises `Misconfigured`."""
        return marketplace_ids(str(self.account.settings["marketplaces"]))

    @property
    def root(self) -> str:
        """The address of the API: as entered, else that of the marketplaces' region."""
        entered = str(self.account.settings["base_url"])
        return (entered or api_host(self.marketplace_ids)).rstrip("/")

    def read(self, path: str, parameters: Mapping[str, str] | None = None, *, bucket: str) -> dict[str, Any]:
        """Reads a resource. Raises `NotThere` and the other `ConnectorError`s."""
        return self.call(Call("GET", path, bucket, parameters))

    def call(self, call: Call) -> dict[str, Any]:
        """Makes a call with the seller's token; one that is refused is replaced once. Raises `ConnectorError`."""
        token = self.client.token(self._issue)
        response = self._send(call, token)
        if response.status in (401, 403):
            # An expired token and a missing role are both answered "Unauthorized".
            token = self.client.token(self._issue, rejected=token)
            response = self._send(call, token)
        return _content(call, response)

    def call_without_grant(self, call: Call) -> dict[str, Any]:
        """Makes a call that needs no seller's consent, with a token of its own. Raises `ConnectorError`."""
        if not self._app_token:
            grant = {"grant_type": "client_credentials", "scope": _GRANTLESS_SCOPE}
            self._app_token = self._ask(grant).value
        return _content(call, self._send(call, self._app_token))

    def _send(self, call: Call, token: str) -> Response:
        headers = {"Accept": "application/json", "User-Agent": _USER_AGENT, "x-amz-access-token": token}
        return self.client.request(
            call.method,
            f"{self.root}{call.path}",
            bucket=call.bucket,
            headers=headers,
            params=call.parameters,
            json=call.body,
            writes=call.writes,
        )

    # -- tokens
    def _issue(self) -> IssuedToken:
        """Asks for a token that speaks for the seller."""
        refresh_token = str(self.account.credentials["refresh_token"])
        return self._ask({"grant_type": "refresh_token", "refresh_token": refresh_token})

    def _ask(self, grant: Mapping[str, str]) -> IssuedToken:
        credentials = self.account.credentials
        response = self.client.request(
            "POST",
            f"{str(self.account.settings['login_url']).rstrip('/')}/auth/o2/token",
            bucket="lwa",
            headers={"Accept": "application/json", "User-Agent": _USER_AGENT},
            data={
                **grant,
                "client_id": str(credentials["client_id"]),
                "client_secret": str(credentials["client_secret"]),
            },
            writes=False,
        )
        body = response.json()
        if response.status >= 400:
            raise _refused_token(response.status, body)
        return _issued(body)


def _refused_token(status: int, body: Any) -> ConnectorError:
    code = str(body.get("error", "")) if isinstance(body, dict) else ""
    if code == "invalid_grant":
        return Unauthorised("The seller has withdrawn the consent; authorise the app again (invalid_grant).")
    if code in _DEAD_CREDENTIALS or 400 <= status < 500:
        return Unauthorised(f"Login with Amazon does not accept the credentials ({code or status}).")
    return TransientError(f"Login with Amazon does not answer now ({code or status}).")


def _issued(body: Any) -> IssuedToken:
    token = body.get("access_token") if isinstance(body, dict) else None
    seconds = body.get("expires_in") if isinstance(body, dict) else None
    if not isinstance(token, str) or not token or not isinstance(seconds, int | float):
        raise TransientError("Login with Amazon answered without a token.")
    return IssuedToken(token, float(seconds))


def _content(call: Call, response: Response) -> dict[str, Any]:
    """Returns the object in a good answer. Errors may come with a good status, too."""
    body = response.json()
    if not isinstance(body, dict):
        raise _unreadable(call)
    errors = body.get("errors")
    if response.status < 400 and not (isinstance(errors, list) and errors):
        return body
    raise _error(call, response, errors if isinstance(errors, list) else [])


def _unreadable(call: Call) -> ConnectorError:
    is_write = call.writes if call.writes is not None else call.method != "GET"
    return (OutcomeUnknown if is_write else TransientError)("Amazon answered something else than an object.")


#: Status and code of a refusal → what it means.
_BY_STATUS: Final[Mapping[int, type[ConnectorError]]] = {
    401: Unauthorised,
    403: Unauthorised,
    404: NotThere,
    409: Exists,
    413: Rejected,
    415: Misconfigured,
    429: Throttled,
}
_BY_CODE: Final[Mapping[str, type[ConnectorError]]] = {
    "Unauthorized": Unauthorised,
    "NotFound": NotThere,
    "QuotaExceeded": Throttled,
    "InternalFailure": TransientError,
}


def _error(call: Call, response: Response, errors: Sequence[Any]) -> ConnectorError:
    """Translates a refusal; the ones that mean the same on every platform are raised before."""
    first = errors[0] if errors and isinstance(errors[0], dict) else {}
    text = "; ".join(
        str(each.get("message") or each.get("code")) for each in errors if isinstance(each, dict)
    )
    request_id = next((v for n, v in response.headers.items() if n.lower() == "x-amzn-requestid"), "")
    message = f"{text or 'Amazon refused.'} ({response.status}, request {request_id or 'without an id'})"[
        :1000
    ]
    kind = _BY_STATUS.get(response.status) or _BY_CODE.get(str(first.get("code")), Rejected)
    if kind is NotThere and not errors:
        # Never "gone": a wrong address answers so for everything.
        kind = Misconfigured
    return kind(message)
