"""What a warehouse or shop system of the merchant's own tells of a shelf: picked, packed, received, counted.

Each event says by how much it changed what is on hand, or what is on hand after it, and is recorded once for its id. A
system that both picks and packs tells the change at the step at which its own number changes, and 0 at the other.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from inventory.errors import InvalidStockRequest
from inventory.ledger import Context, Outcome
from inventory.stock import AdjustmentLine, CountLine, ShipmentLine, StockLine, adjust, count, receive, ship


class EventKind(StrEnum):
    """What somebody did."""

    PICK = "pick"
    PACK = "pack"
    RECEIPT = "receipt"
    COUNT = "count"


_LEAVING: Final = (EventKind.PICK, EventKind.PACK)


@dataclass(frozen=True, slots=True)
class StockEvent:
    """One thing that happened to one variant at one location; it has a change or a level, not both."""

    kind: EventKind
    variant_id: int
    location_id: int
    #: Units more, or less with a minus.
    change: int | None = None
    #: Units on hand after it.
    level: int | None = None
    #: Whose goods they are; of goods that leave, its reservation is used up first.
    reference: str = ""


def record(context: Context, event: StockEvent) -> Outcome | None:
    """Records an event once for its key; None where it changed nothing. Facts are never refused."""
    place = (event.variant_id, event.location_id)
    if (event.change is None) == (event.level is None):
        raise InvalidStockRequest("change", "an event has either a change or a level.")
    if event.level is not None:
        return count(context, [CountLine(*place, event.level)])
    change = event.change or 0
    if change == 0:
        return None
    if change < 0 and event.kind in _LEAVING:
        return ship(context, [ShipmentLine(*place, -change, event.reference)])
    if change > 0 and event.kind is EventKind.RECEIPT:
        return receive(context, [StockLine(*place, change)])
    return adjust(context, [AdjustmentLine(*place, change)])
