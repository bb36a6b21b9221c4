"""What tests of the facts do all the time: read them as they are, and work them out another way."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from analytics.facts.rebuilding import rebuild
from analytics.facts.updating import update
from analytics.models import SalesFact, StockDay, StockFact
from channels.models import ChannelOrderLine
from inventory.models import Merchant, StockMovement

STOCK: Sequence[str] = (
    "variant_id", "location_id", "channel_id", "recorded_on", "received", "shipped", "returned", "transferred",
    "adjusted", "held", "released",
)  # fmt: skip
DAYS: Sequence[str] = (
    "variant_id", "location_id", "recorded_on", "first_at", "last_at", "first_version", "version",
    "opening_available", "on_hand", "available", "out_for",
)  # fmt: skip
SALES: Sequence[str] = (
    "channel_id", "variant_id", "currency", "ordered_on", "lines", "orders", "ordered", "cancelled", "shipped",
    "returned", "unpriced", "amount", "cancelled_amount", "returned_amount",
)  # fmt: skip


def facts_of(merchant: Merchant) -> dict[str, list[tuple[Any, ...]]]:
    """Returns all facts of a merchant, in an order of their own."""
    return {
        "stock": _rows(StockFact.objects.filter(merchant=merchant).values_list(*STOCK)),
        "days": _rows(StockDay.objects.filter(merchant=merchant).values_list(*DAYS)),
        "sales": _rows(SalesFact.objects.filter(merchant=merchant).values_list(*SALES)),
    }


def _rows(found: Any) -> list[tuple[Any, ...]]:
    return sorted(found, key=repr)


def assert_rebuilt_is_the_same(merchant: Merchant) -> None:
    """Brings the facts up to date, counts all anew, and compares."""
    update()
    kept = facts_of(merchant)
    done = rebuild(merchant.pk)
    assert done.differing == 0
    assert facts_of(merchant) == kept
    assert_facts_are_what_was_told(merchant, kept)


def assert_facts_are_what_was_told(merchant: Merchant, kept: dict[str, list[tuple[Any, ...]]]) -> None:
    """Works the sums out in Python, from movements and lines."""
    moved: dict[int, int] = defaultdict(int)
    for row in kept["stock"]:
        received, shipped, returned, transferred, adjusted = row[4:9]
        moved[row[0]] += received - shipped + returned + transferred + adjusted
    told: dict[int, int] = defaultdict(int)
    for movement in StockMovement.objects.filter(merchant=merchant).select_related("level"):
        told[movement.level.variant_id] += movement.on_hand_delta
    assert {key: units for key, units in moved.items() if units} == {
        key: units for key, units in told.items() if units
    }
    lines = ChannelOrderLine.objects.filter(
        order__channel__merchant=merchant, order__is_test=False
    ).select_related("order")
    ordered = sum(max(line.quantity, line.fulfilled) for line in lines)
    wanted = sum(line.fulfilled if line.order.is_deleted else line.demand for line in lines)
    assert sum(row[6] for row in kept["sales"]) == ordered
    assert sum(row[6] - row[7] for row in kept["sales"]) == wanted
