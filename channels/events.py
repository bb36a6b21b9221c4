"""What platforms tell us, in one vocabulary: the `ChannelEvent`s that connectors parse messages into.

A full snapshot of an order is a state; everything else is a hint.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class OrderLineState:
    """One line of an order snapshot; all counts in units and cumulative."""

    external_id: str
    #: The platform's id of what was sold, as in `Listing.external_id`; may be empty.
    listing_external_id: str
    sku: str
    #: Units ordered that the merchant has to deliver; 0 while the platform itself still holds them (Woo `pending`).
    quantity: int
    #: Units no longer to be delivered, of those never fulfilled.
    cancelled: int = 0
    fulfilled: int = 0
    #: Fulfilled units whose return is announced or done.
    returned: int = 0
    #: Cancelled or returned units that the shop put back on its own number; 0 where it does not say.
    restocked: int = 0
    title: str = ""
    unit_price: Decimal | None = None
    #: The platform's id of the place it is taken from; empty when it does not say.
    location_external_id: str = ""
    #: The platform's id of the place that takes returned units back; empty when it does not say.
    returned_to_external_id: str = ""


@dataclass(frozen=True, slots=True)
class OrderState:
    """A full snapshot of an order."""

    external_id: str
    #: The platform's time stamp of this snapshot; states are ordered by it first.
    updated_at: datetime
    ordered_at: datetime
    lines: tuple[OrderLineState, ...]
    number: str = ""
    #: ISO 3166-1 alpha-2 of the ship-to address; nothing else of the customer is kept.
    country: str = ""
    currency: str = ""
    is_test: bool = False
    #: The platform waits for our word on what we deliver of it.
    awaits_acknowledgement: bool = False


@dataclass(frozen=True, slots=True)
class OrderHint:
    """Something about this order changed: fetch it."""

    external_id: str


@dataclass(frozen=True, slots=True)
class OrderDeleted:
    """The order no longer exists at the platform."""

    external_id: str


@dataclass(frozen=True, slots=True)
class LevelObserved:
    """The platform says that a shelf shows this many units."""

    listing_external_id: str
    location_external_id: str
    #: None when the platform does not track it there.
    quantity: int | None
    observed_at: datetime


@dataclass(frozen=True, slots=True)
class WarehouseChanged:
    """A warehouse holds other numbers of our goods, or is further with an order of ours."""

    #: Its ids of the goods and orders; empty where it does not say.
    goods: tuple[str, ...] = ()
    orders: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ListingChanged:
    """A product or listing was created, changed or deleted."""

    external_id: str
    is_deleted: bool = False


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The platform ended our access (app uninstalled, subscription switched off)."""

    reason: str


@dataclass(frozen=True, slots=True)
class Ignored:
    """Known, and of no consequence for stock (pings, notices)."""

    reason: str


@dataclass(frozen=True, slots=True)
class UnknownEvent:
    """Authentic, but nothing the connector knows; kept and shown."""

    topic: str


ChannelEvent = (
    OrderState
    | OrderHint
    | OrderDeleted
    | LevelObserved
    | WarehouseChanged
    | ListingChanged
    | Disconnected
    | Ignored
    | UnknownEvent
)
