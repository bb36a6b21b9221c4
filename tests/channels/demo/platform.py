"""A shop of a few lines, in place of a simulated platform: it sells what it has, and remembers its orders."""

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from channels.demo.shops import Shop
from channels.sandbox import PlacedOrder, Refused
from channels.sandbox.client import SandboxClient


@dataclass
class Platform:
    """Sells up to its numbers; all units of an order are open until they are shipped, cancelled or returned."""

    numbers: dict[str, int]
    #: Order id → its lines, as they were placed.
    orders: dict[str, list[tuple[str, int]]] = field(default_factory=dict)
    #: (order id, SKU) → units.
    open: Counter[tuple[str, str]] = field(default_factory=Counter)
    shipped: Counter[tuple[str, str]] = field(default_factory=Counter)
    #: What was asked for after the sale: (verb, order id, SKU, units done).
    calls: list[tuple[str, str, str, int]] = field(default_factory=list)
    #: An order that names this SKU waits until the gate is opened.
    slow_sku: str = ""
    gate: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def place_order(self, lines: Sequence[tuple[str, int]]) -> PlacedOrder:
        if any(sku == self.slow_sku for sku, _ in lines):
            self.gate.wait(10)
        with self._lock:
            wanted: Counter[str] = Counter()
            for sku, quantity in lines:
                wanted[sku] += quantity
                if wanted[sku] > self.numbers.get(sku, 0):
                    raise Refused(sku)
            order_id = str(len(self.orders) + 1)
            self.orders[order_id] = list(lines)
            for sku, quantity in lines:
                self.numbers[sku] -= quantity
                self.open[order_id, sku] += quantity
        return PlacedOrder(order_id, 0.0, list(lines))

    def cancel(self, order_id: str, sku: str, quantity: int) -> int:
        done = self._move("cancel", self.open, order_id, sku, quantity)
        self.numbers[sku] += done
        return done

    def ship(self, order_id: str) -> int:
        count = 0
        for sku in sorted({sku for sku, _ in self.orders[order_id]}):
            if units := self.open[order_id, sku]:
                self.shipped[order_id, sku] += self._move("ship", self.open, order_id, sku, units)
                count += units
        return count

    def refund(self, order_id: str, sku: str, quantity: int, restock: bool) -> int:
        done = self._move("restock" if restock else "refund", self.shipped, order_id, sku, quantity)
        self.numbers[sku] += done if restock else 0
        return done

    def _move(
        self, verb: str, units: Counter[tuple[str, str]], order_id: str, sku: str, quantity: int
    ) -> int:
        done = min(units[order_id, sku], quantity)
        units[order_id, sku] -= done
        self.calls.append((verb, order_id, sku, done))
        return done


def shop(platform: Platform, kind: str = "shopify") -> Shop:
    """Returns a shop of the demo that is this platform."""
    opened = Shop(kind, kind, port=1)
    opened.client = cast(SandboxClient, platform)
    return opened


def plenty(*skus: str) -> Platform:
    """Returns a platform with more than anybody wants of each SKU."""
    return Platform(dict.fromkeys(skus, 10_000))


def stocked(numbers: Mapping[str, int]) -> Platform:
    """Returns a platform with these numbers."""
    return Platform(dict(numbers))
