"""The buyers' side: a small REST interface of our own design, which portals and buyers' systems offer.

The handbook describes it (`channels/README.md`). Lists come in pages with a cursor; refusals have a `code` and a `message`.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from channels.connectors.base import Account, Client
from channels.connectors.messages import read_objects, read_text
from channels.errors import ConnectorError, Misconfigured, Rejected, TransientError, Unauthorised

BUCKET: Final = "api"


class NotThere(Rejected):
    """The buyers' side has no such thing."""


class BuyersApi:
    """Calls of one portal."""

    def __init__(self, account: Account, client: Client) -> None:
        self._client = client
        self._root = str(account.settings["base_url"]).rstrip("/")
        self._authorization = {"Authorization": f"Bearer {account.credentials['api_key']}"}

    def read(self, path: str, parameters: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Reads a resource. Raises `NotThere` and the other `ConnectorError`s."""
        return self._call("GET", path, params=parameters)

    def write(self, method: str, path: str, body: Mapping[str, Any], *, key: str = "") -> dict[str, Any]:
        """Creates or changes; `key` has a repeat do nothing more. Raises as `read` does."""
        return self._call(method, path, json=body, headers={"Idempotency-Key": key} if key else None)

    def post_signed(self, path: str, body: bytes, headers: Mapping[str, str]) -> dict[str, Any]:
        """Posts a message that is signed as it stands. Raises as `read` does."""
        return self._call("POST", path, data=body, headers={"Content-Type": "application/json", **headers})

    def read_all(
        self, path: str, name: str, parameters: Mapping[str, str] | None = None
    ) -> Iterator[dict[str, Any]]:
        """Streams a list to its end."""
        asked = dict(parameters or {})
        while True:
            page = self.read(path, asked)
            yield from read_objects(page, name)
            asked["cursor"] = read_text(page, "cursor")
            if not asked["cursor"]:
                return

    def _call(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **content: Any
    ) -> dict[str, Any]:
        response = self._client.request(
            method,
            f"{self._root}{path}",
            bucket=BUCKET,
            headers={**self._authorization, **(headers or {})},
            **content,
        )
        body = {} if response.status == 204 else response.json()
        if not isinstance(body, dict):
            raise TransientError("The buyers' side answered something else than an object.")
        if response.status >= 400 or "code" in body:
            raise _error(response.status, body)
        return body


def _error(status: int, body: Mapping[str, Any]) -> ConnectorError:
    """Translates a refusal; also one that comes with a good status."""
    code, message = str(body.get("code", ""))[:100], str(body.get("message", ""))[:500]
    text = f"{message or 'The buyers’ side refused.'} ({code or status})"
    if status in (401, 403):
        return Unauthorised(text)
    if status == 410:
        return Misconfigured(f"The buyers' side takes nothing at this address any more: {text}")
    if status < 400 or status == 425:
        return TransientError(text)
    if not code:
        return Misconfigured(f"There is no such interface at this address: {text}")
    return NotThere(text) if status == 404 else Rejected(text)
