"""Customers who buy on their own: few goods sell often, most sell rarely, some change their mind."""

import math
import random
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Final, Protocol

from channels.sandbox.book import PlacedOrder, Refused

if TYPE_CHECKING:
    from channels.sandbox.shop import SandboxShop

CANCEL_SHARE: Final = 0.02
FULFIL_SHARE: Final = 0.10
_COUNTRIES: Final = ("NL", "NL", "NL", "BE", "DE", "FR")
_TRIES: Final = 8


class Shoppers:
    """A crowd at one shop: so many orders a second, at random instants."""

    def __init__(
        self, shop: "SandboxShop", rate: float, *, mean_lines: float, until: float | None, seed: int
    ) -> None:
        if rate <= 0 or mean_lines < 1:
            raise ValueError("Shoppers need a rate above 0 and at least one line an order.")
        self._shop = shop
        self._rate = rate
        self._another_line = 1 - 1 / mean_lines
        self._until = math.inf if until is None else until
        self._random = random.Random(f"shoppers {seed} {shop.kind}")
        self._stop = threading.Event()
        self._recent: deque[PlacedOrder] = deque(maxlen=500)
        self._skus = sorted(shop.records.items)
        self._random.shuffle(self._skus)
        self._thread = threading.Thread(
            target=self._shop_on, name=f"sandbox-{shop.kind}-shoppers", daemon=True
        )

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(5)

    def _shop_on(self) -> None:
        """Buys at exponential intervals, measured against the clock so that slowness does not lower the rate."""
        at = time.time()
        while at < self._until:
            at += self._random.expovariate(self._rate)
            if self._stop.wait(max(0.0, min(at, self._until) - time.time())) or at >= self._until:
                return
            self._act()

    def _act(self) -> None:
        chance = self._random.random()
        if self._recent and chance < CANCEL_SHARE:
            self._change(self._shop.cancel)
        elif self._recent and chance < CANCEL_SHARE + FULFIL_SHARE:
            self._change(self._shop.fulfil)
        self._buy()

    def _change(self, change: "_Change") -> None:
        order = self._random.choice(self._recent)
        sku, quantity = self._random.choice(order.lines)
        change(order.id, sku, quantity)

    def _buy(self) -> None:
        lines = [(self._choose(), self._quantity())]
        while self._random.random() < self._another_line:
            lines.append((self._choose(), self._quantity()))
        try:
            order = self._shop.place_order(lines, country=self._random.choice(_COUNTRIES))
        except Refused:
            return  # sold out while they were at the till; the book counts it
        self._recent.append(order)

    def _choose(self) -> str:
        """A SKU by a Zipf-like rank, by preference one that is in stock."""
        sku = self._by_rank()
        for _ in range(_TRIES):
            if self._shop.number(sku) > 0:
                break
            sku = self._by_rank()
        return sku

    def _by_rank(self) -> str:
        """The rank is log-uniform: the first ten sell as often as the next ninety."""
        count = len(self._skus)
        return self._skus[min(int((count + 1) ** self._random.random()) - 1, count - 1)]

    def _quantity(self) -> int:
        return self._random.choices((1, 2, 3), weights=(85, 12, 3))[0]


class _Change(Protocol):
    """The shape of `SandboxShop.cancel` and `fulfil`."""

    def __call__(self, order_id: str, sku: str, quantity: int) -> int: ...
