"""Callers as the platforms want them: with their tokens, signatures and media types."""

import time
import uuid
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import requests

from channels.sandbox import BolSandbox, CatalogueItem, ShopifySandbox, WooCommerceSandbox
from channels.sandbox.httpd import Answer, Request, Server
from channels.sandbox.woocommerce.auth import signature

MUG = CatalogueItem("MUG-1", "Mug", "2000000000015", Decimal("7.50"), {"AMS": 10, "RTM": 4})
SHIRT_S = CatalogueItem("SHIRT-S", "Shirt S", "2000000000022", Decimal("19.00"), {"AMS": 5}, parent="Shirt")
SHIRT_M = CatalogueItem("SHIRT-M", "Shirt M", "2000000000039", Decimal("19.00"), {"AMS": 3}, parent="Shirt")
CATALOGUE = [MUG, SHIRT_S, SHIRT_M]


class Receiver:
    """An endpoint for webhooks that keeps what it gets and answers as told."""

    def __init__(self) -> None:
        self.received: list[Request] = []
        self.status = 200
        self._server = Server(0, self._take)
        self.url = f"http://127.0.0.1:{self._server.port}/hooks"
        self._server.start()

    def _take(self, request: Request) -> Answer:
        self.received.append(request)
        return Answer(self.status)

    def close(self) -> None:
        self._server.close()

    def wait_for(self, count: int) -> list[Request]:
        """Waits until so many messages have come; fails after some seconds."""
        eventually(lambda: len(self.received) >= count, f"{count} messages, got {len(self.received)}")
        return self.received


def eventually(holds: Any, what: str, *, within: float = 8.0) -> None:
    """Waits until something holds; fails when it does not in time."""
    limit = time.monotonic() + within
    while not holds():
        assert time.monotonic() < limit, f"Never came: {what}"
        time.sleep(0.005)


@dataclass
class ShopifyCaller:
    """Speaks GraphQL with a token."""

    shop: ShopifySandbox
    session: requests.Session = field(default_factory=requests.Session)

    def __post_init__(self) -> None:
        self.session.headers["X-Shopify-Access-Token"] = self.token()

    def token(self) -> str:
        form = {"grant_type": "client_credentials", **self.shop.credentials()}
        answer = self.session.post(f"{self.shop.base_url}/admin/oauth/access_token", data=form)
        return str(answer.json()["access_token"])

    def post(self, document: str, /, *, version: str = "2026-10", **variables: Any) -> requests.Response:
        url = f"{self.shop.base_url}/admin/api/{version}/graphql.json"
        return self.session.post(url, json={"query": document, "variables": variables})

    def ask(self, document: str, /, **variables: Any) -> Any:
        """Returns the data; fails on top-level errors."""
        answer = self.post(document, **variables).json()
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    def errors(self, document: str, /, **variables: Any) -> Any:
        """Returns the top-level errors; fails when there are none."""
        answer = self.post(document, **variables).json()
        assert "data" not in answer
        return answer["errors"]


@dataclass
class WooCaller:
    """Speaks REST with Basic credentials behind TLS, or signs with OAuth."""

    shop: WooCommerceSandbox
    session: requests.Session = field(default_factory=requests.Session)

    def call(self, method: str, path: str, **options: Any) -> requests.Response:
        keys = self.shop.credentials()
        return self.session.request(
            method,
            f"{self.shop.base_url}/wp-json/wc/v3/{path}",
            auth=(keys["consumer_key"], keys["consumer_secret"]),
            headers={"X-Forwarded-Proto": "https"},
            **options,
        )

    def signed(
        self, method: str, path: str, *, algorithm: str = "HMAC-SHA256", **changes: str
    ) -> requests.Response:
        keys = self.shop.credentials()
        url = f"{self.shop.base_url}/wp-json/wc/v3/{path}"
        parameters = {
            "oauth_consumer_key": keys["consumer_key"],
            "oauth_timestamp": str(int(time.time())),
            "oauth_nonce": uuid.uuid4().hex,
            "oauth_signature_method": algorithm,
        } | changes
        parameters["oauth_signature"] = signature(method, url, parameters, keys["consumer_secret"])
        return self.session.request(method, url, params=parameters)


@dataclass
class BolCaller:
    """Speaks versioned media types with a bearer token."""

    shop: BolSandbox
    session: requests.Session = field(default_factory=requests.Session)

    def __post_init__(self) -> None:
        keys = self.shop.credentials()
        url = f"{self.shop.base_url}/token?grant_type=client_credentials"
        answer = self.session.post(url, auth=(keys["client_id"], keys["client_secret"]))
        self.session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def call(self, method: str, path: str, **options: Any) -> requests.Response:
        version = 11 if path.startswith("/retailer/offers") and not path.endswith("/stock") else 10
        media_type = f"application/vnd.retailer.v{version}+json"
        headers = {"Accept": media_type}
        if "json" in options:
            headers["Content-Type"] = media_type
        headers |= options.pop("headers", {})
        return self.session.request(method, f"{self.shop.base_url}{path}", headers=headers, **options)

    def process(self, answer: requests.Response) -> Any:
        """Follows an accepted call to its end."""
        assert answer.status_code == 202, answer.text
        path = f"/shared/process-status/{answer.json()['processStatusId']}"
        eventually(lambda: self.call("GET", path).json()["status"] != "PENDING", "the end of a process")
        return self.call("GET", path).json()

    def offer_id(self, sku: str) -> str:
        return str(self.call("GET", f"/retailer/offers?reference={sku}").json()["offers"][0]["offerId"])
