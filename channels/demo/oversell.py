"""Counts oversold units from the shops' own books, without asking the engine.

A unit is oversold when it was sold beyond the stock and its sale was committed more than a second after the sale that
took the last unit; within that second no message could have stopped it (a conflict of physics).
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

#: Seconds that a sale needs to reach every shelf.
GRACE: Final = 1.0


@dataclass(frozen=True, slots=True, order=True)
class StockEvent:
    """Units of a SKU that went (negative) or came (positive) at an instant, Unix seconds."""

    at: float
    sku: str
    delta: int
    #: A correction of the stock takes units too, but sells none.
    is_sale: bool = True


@dataclass(slots=True)
class Oversell:
    """Units sold beyond stock, by whose fault."""

    #: Ours to prevent.
    oversold_units: int = 0
    #: Sold within the second.
    physics_units: int = 0


def count_oversold(
    opening: Mapping[str, int], events: Iterable[StockEvent], *, grace: float = GRACE
) -> Oversell:
    """Walks each SKU's events in time and counts the units that went when none were left."""
    by_sku: dict[str, list[StockEvent]] = defaultdict(list)
    for event in events:
        by_sku[event.sku].append(event)
    total = Oversell()
    for sku, of_sku in by_sku.items():
        _walk(opening.get(sku, 0), sorted(of_sku), grace, total)
    return total


def _walk(stock: int, events: Iterable[StockEvent], grace: float, total: Oversell) -> None:
    ran_out_at: float | None = -math.inf if stock <= 0 else None
    for event in events:
        beyond = max(-event.delta - max(stock, 0), 0) if event.is_sale else 0
        if beyond and ran_out_at is not None and event.at - ran_out_at > grace:
            total.oversold_units += beyond
        else:
            total.physics_units += beyond
        stock += event.delta
        if stock > 0:
            ran_out_at = None
        elif ran_out_at is None:
            ran_out_at = event.at
