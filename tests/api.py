"""A caller of the merchants' API, with a key of its own."""

import json
from dataclasses import dataclass, field
from typing import Any

from django.test import Client

from inventory.access import KeyTerms, issue
from inventory.models import ApiKey, Merchant

#: Where the endpoints begin.
ROOT = "/api/v1"


def make_key(merchant: Merchant, *scopes: str, **terms: Any) -> tuple[ApiKey, str]:
    """Returns a key with these scopes, all of them where none is named, and its text."""
    terms.setdefault("requests_per_minute", 100_000)
    return issue(merchant, KeyTerms(terms.pop("name", "tests"), scopes or ["owner"], **terms), by="tests")


@dataclass
class Api:
    """Calls the API for a merchant; a test may say with which key."""

    merchant: Merchant
    key: str = ""
    client: Client = field(default_factory=Client)

    def __post_init__(self) -> None:
        if not self.key:
            self.key = make_key(self.merchant)[1]

    def get(self, path: str, query: Any = None, **headers: str) -> Any:
        """Reads."""
        return self.client.get(f"{ROOT}{path}", query or {}, headers=self._headers(headers))

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        """Writes."""
        return self.send("POST", path, json.dumps(body or {}), **headers)

    def patch(self, path: str, body: Any, **headers: str) -> Any:
        """Changes."""
        return self.send("PATCH", path, json.dumps(body), **headers)

    def send(
        self,
        method: str,
        path: str,
        body: str | bytes = b"",
        content_type: str = "application/json",
        **headers: str,
    ) -> Any:
        """Sends a body as it stands."""
        address = f"{ROOT}{path}"
        return self.client.generic(
            method, address, body, content_type=content_type, headers=self._headers(headers)
        )

    def _headers(self, headers: dict[str, str]) -> dict[str, str]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return {"Authorization": f"Bearer {self.key}", **named}


def problem_of(response: Any, status: int, kind: str) -> dict[str, Any]:
    """Returns the problem that a request was refused with, after checking which one it is."""
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert problem["type"] == f"urn:onecount:problem:{kind}", problem
    assert problem["remedy"]
    return problem
