"""Drives a simulated shop in another process through its control surface."""

import http.client
import json
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any, Final
from urllib.parse import quote, urlsplit

from channels.sandbox.book import CatalogueItem, PlacedOrder, Refused

#: Seconds after which a kept connection is opened anew; the shop ends idle ones later.
_LONGEST_PAUSE: Final = 20.0


class SandboxError(Exception):
    """The sandbox does not answer, or refuses a control call; the message says which and why."""


class SandboxClient:
    """The methods of `SandboxShop` over HTTP. Safe to share between threads; each keeps its connection."""

    def __init__(self, base_url: str, *, timeout: float = 60.0) -> None:
        self.base_url = base_url.rstrip("/")
        self._timeout = timeout
        self._local = threading.local()
        self._all: list[http.client.HTTPConnection] = []

    def close(self) -> None:
        """Ends the connections."""
        for connection in self._all:
            connection.close()

    def __enter__(self) -> "SandboxClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- what there is
    def health(self) -> dict[str, Any]:
        """Kind, name, base_url, credentials, settings, and whether all due webhooks have been sent."""
        found: dict[str, Any] = self._call("GET", "health")
        return found

    def credentials(self) -> dict[str, str]:
        found: dict[str, str] = self.health()["credentials"]
        return found

    def settings(self) -> dict[str, object]:
        found: dict[str, object] = self.health()["settings"]
        return found

    def is_idle(self) -> bool:
        return bool(self.health()["is_idle"])

    def number(self, sku: str) -> int:
        return int(self._call("GET", f"stock?sku={quote(sku, safe='')}")["number"])

    def stored_number(self, sku: str) -> int:
        return int(self._call("GET", f"stock?sku={quote(sku, safe='')}")["stored_number"])

    def book(self, since: float = 0.0) -> dict[str, Any]:
        found: dict[str, Any] = self._call("GET", f"book?since={since!r}")
        return found

    def shelves(self) -> dict[str, dict[str, dict[str, int]]]:
        """`numbers` that are sold and numbers as `stored`, by SKU and location code."""
        found: dict[str, dict[str, dict[str, int]]] = self._call("GET", "shelves")
        return found

    @property
    def requests_log(self) -> list[tuple[str, str, str, int]]:
        return [tuple(entry) for entry in self._call("GET", "requests")]

    # -- what can be done
    def add_location(self, code: str, name: str) -> str:
        return str(self._call("POST", "locations", {"code": code, "name": name})["id"])

    def load_catalogue(self, items: Iterable[CatalogueItem]) -> None:
        self._call("POST", "catalogue", {"items": [_plain(item) for item in items]})

    def place_order(
        self,
        lines: Sequence[tuple[str, int]],
        *,
        country: str = "NL",
        currency: str = "EUR",
        force: bool = False,
    ) -> PlacedOrder:
        """Sells; raises `Refused` as the shop does."""
        data = {"lines": list(lines), "country": country, "currency": currency, "force": force}
        made = self._call("POST", "orders", data)
        placed = [(sku, quantity) for sku, quantity in made["lines"]]
        return PlacedOrder(made["id"], made["committed_at"], placed)

    def cancel(self, order_id: str, sku: str, quantity: int) -> int:
        return self._units("cancellations", order_id=order_id, sku=sku, quantity=quantity)

    def fulfil(self, order_id: str, sku: str, quantity: int) -> int:
        return self._units("fulfilments", order_id=order_id, sku=sku, quantity=quantity)

    def ship(self, order_id: str) -> int:
        """Ships all that is still open of an order; returns how many units that was."""
        return self._units("shipments", order_id=order_id)

    def refund(self, order_id: str, sku: str, quantity: int, restock: bool) -> int:
        return self._units("refunds", order_id=order_id, sku=sku, quantity=quantity, restock=restock)

    def edit_stock(self, sku: str, quantity: int, location_code: str | None = None) -> None:
        self._call("PUT", "stock", {"sku": sku, "quantity": quantity, "location_code": location_code})

    def set_faults(self, **faults: object) -> None:
        self._call("PUT", "faults", faults)

    def clear_faults(self) -> None:
        self._call("DELETE", "faults")

    def start_shoppers(
        self, rate: float, *, mean_lines: float = 1.5, until: float | None = None, seed: int = 0
    ) -> None:
        data = {"rate": rate, "mean_lines": mean_lines, "until": until, "seed": seed}
        self._call("POST", "shoppers", data)

    def stop_shoppers(self) -> None:
        self._call("DELETE", "shoppers")

    # -- how
    def _units(self, control: str, **data: object) -> int:
        return int(self._call("POST", control, data)["units"])

    def _call(self, method: str, control: str, data: object = None) -> Any:
        status, body = self._exchange(method, f"/_sandbox/{control}", data)
        if status == 409:
            raise Refused(body["refused"])
        if status != 200:
            raise SandboxError(f"{method} {control}: {status} {body.get('error', '')}")
        return body

    def _exchange(self, method: str, path: str, data: object) -> tuple[int, Any]:
        connection = self._connection()
        body = None if data is None else json.dumps(data)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            connection.close()
            raise SandboxError(f"No answer from {self.base_url}: {error!r}") from error

    def _connection(self) -> http.client.HTTPConnection:
        connection: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        now = time.monotonic()
        if connection is not None and now - self._local.used_at > _LONGEST_PAUSE:
            # The shop may have ended it meanwhile, and an order must not be sent twice to find out.
            connection.close()
        self._local.used_at = now
        if connection is None:
            parts = urlsplit(self.base_url)
            connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=self._timeout)
            self._local.connection = connection
            self._all.append(connection)
        return connection


def _plain(item: CatalogueItem) -> dict[str, Any]:
    return {**asdict(item), "price": str(item.price), "quantities": dict(item.quantities)}
