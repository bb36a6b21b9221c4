"""Who makes things happen: customers in the shops, and the merchant's own systems, which call the API."""

import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

import requests

from channels.demo.shops import Shop
from channels.sandbox import PlacedOrder, Refused
from tests.torture.plan import Ending, Event, Kind
from tests.torture.processes import HOST, PATIENCE

#: Seconds that a cart is held.
_HELD: Final = 2
#: Orders that may still be changed.
_REMEMBERED: Final = 1_000


class Customers:
    """Buy, change their mind, and are sent their goods; the shops' books say what came of it."""

    def __init__(self, shops: Sequence[Shop]) -> None:
        self._shops = shops
        self._placed: dict[int, tuple[Shop, PlacedOrder]] = {}
        self._lock = threading.Lock()
        self.done: Counter[str] = Counter()

    def carry_out(self, event: Event) -> None:
        """Does what an event of the shops says."""
        if event.kind is Kind.ORDER:
            self._buy(event)
            return
        with self._lock:
            shop, order = self._placed.get(event.about, (None, None))
        if shop is None or order is None:
            return  # it was refused, or has not come yet
        if event.kind is Kind.SHIP:
            shop.client.ship(order.id)
        else:
            sku, quantity = order.lines[event.number % len(order.lines)]
            shop.client.cancel(order.id, sku, quantity)
        self._count(event.kind)

    def _buy(self, event: Event) -> None:
        shop = self._shops[event.channel]
        try:
            order = shop.client.place_order(event.lines, force=event.is_forced)
        except Refused:
            self._count("refused")
            return
        with self._lock:
            self._placed[event.number] = (shop, order)
            while len(self._placed) > _REMEMBERED:
                del self._placed[next(iter(self._placed))]
        self._count(event.kind)

    def _count(self, what: str) -> None:
        with self._lock:
            self.done[str(what)] += 1


@dataclass(frozen=True, slots=True)
class Cart:
    """Units that a cart asked for, and what is known of them."""

    reference: str
    lines: tuple[tuple[str, int], ...]
    #: Whether they were confirmed and are to stay.
    is_kept: bool


@dataclass(slots=True)
class Account:
    """What the API has acknowledged."""

    #: (SKU, place) → units that arrived.
    received: Counter[tuple[str, str]] = field(default_factory=Counter)
    carts: list[Cart] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    #: Keys of calls that were answered in two ways, with the answers.
    ambiguous: list[str] = field(default_factory=list)
    #: Calls that never got a useful answer.
    unanswered: list[str] = field(default_factory=list)


class Clerk:
    """Calls the API as careful systems do: again under the same key, until there is an answer."""

    def __init__(self, *, port: int, key: str, patience: float = PATIENCE) -> None:
        """`patience` is in seconds, for an answer that decides."""
        self._patience = patience
        self._base = f"http://{HOST}:{port}/api/v1/"
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self._local = threading.local()
        self._lock = threading.Lock()
        self._copies = ThreadPoolExecutor(8, thread_name_prefix="clerk")
        self.account = Account()

    def close(self) -> None:
        """Ends its threads."""
        self._copies.shutdown(wait=True, cancel_futures=True)

    def carry_out(self, event: Event) -> None:
        """Does what an event of the API says."""
        if event.kind is Kind.RECEIVE:
            self._receive(event)
        else:
            self._hold(event)

    def get(self, path: str) -> str:
        """Returns what the API shows. Raises `requests.HTTPError`."""
        response = self._session().get(self._base + path, headers=self._headers, timeout=60)
        response.raise_for_status()
        return response.text

    def _receive(self, event: Event) -> None:
        (sku, quantity), *_ = event.lines
        line = {"sku": sku, "location": event.place, "quantity": quantity}
        status, _ = self._call("stock/receive", {"lines": [line]}, f"receive-{event.number}", event.copies)
        if status == 200:
            with self._lock:
                self.account.received[sku, event.place] += quantity

    def _hold(self, event: Event) -> None:
        reference = f"cart-{event.number}"
        lines = [{"reference": reference, "sku": sku, "quantity": quantity} for sku, quantity in event.lines]
        body = {"lines": lines, "ttl_seconds": _HELD}
        began = time.monotonic()
        status, answer = self._call("reservations", body, f"hold-{event.number}", event.copies)
        if status != 201:
            return
        ids = [held["reservation_id"] for held in answer["held"]]
        is_kept = self._end(event, ids, began)
        with self._lock:
            self.account.carts.append(Cart(reference, event.lines, is_kept))

    def _end(self, event: Event, ids: list[int], began: float) -> bool:
        """Ends a cart as planned; returns whether its units are to stay held."""
        if event.ending is Ending.EXPIRES:
            return False
        if event.ending is Ending.RELEASED:
            units = {"units": [{"reservation_id": identity} for identity in ids]}
            self._call("reservations/release", units, f"release-{event.number}", event.copies)
            return False
        if event.ending is Ending.RACED:
            time.sleep(max(began + _HELD - time.monotonic(), 0.0))
        key = f"confirm-{event.number}"
        status, _ = self._call("reservations/confirm", {"reservation_ids": ids}, key, event.copies)
        return status == 200

    def _call(self, path: str, body: dict[str, Any], key: str, copies: int) -> tuple[int, Any]:
        """Makes a call, several times at once where it is repeated; returns one status and answer: all are alike."""
        others = [self._copies.submit(self._insist, path, body, key) for _ in range(copies - 1)]
        answers = [self._insist(path, body, key), *(other.result() for other in others)]
        answered = [each for each in answers if each[0]]
        if not answered:
            return 0, None
        with self._lock:
            self.account.ambiguous += [
                f"{key}: {answered[0]} and {other}"[:300]
                for other in answered[1:]
                if answered[0][0] < 300 and other != answered[0]
            ]
        return answered[0]

    def _insist(self, path: str, body: dict[str, Any], key: str) -> tuple[int, Any]:
        """Sends until the answer decides: success, or a refusal for good."""
        deadline = time.monotonic() + self._patience
        headers = {**self._headers, "Idempotency-Key": key}
        while time.monotonic() < deadline:
            try:
                response = self._session().post(self._base + path, json=body, headers=headers, timeout=60)
                status, answer = response.status_code, response.json()
            except (requests.RequestException, ValueError):
                self._local.session = None
                status, answer = 0, None
            with self._lock:
                self.account.statuses[status] += 1
            is_final = status and (status < 300 or (400 <= status < 500 and status != 429))
            if is_final and not _is_in_progress(answer):
                return status, answer
            time.sleep(0.2)
        with self._lock:
            self.account.unanswered.append(f"{key}: last {status}")
        return 0, None

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = requests.Session()
        return session


def _is_in_progress(answer: Any) -> bool:
    """Whether a refusal only says that the first call under the key is still being worked on."""
    return isinstance(answer, dict) and str(answer.get("type", "")).endswith(":request-in-progress")
