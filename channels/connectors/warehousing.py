"""The words in which warehouses and ERPs are spoken to: what lies where, what is to be shipped, what has come in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum


@dataclass(frozen=True, slots=True)
class Stated:
    """Units of goods at one place of a warehouse."""

    #: What could still be promised: below 0 where more is promised than lies there.
    free: int
    #: What lies there, promised units included.
    stock: int


@dataclass(frozen=True, slots=True)
class StatedGoods:
    """What a warehouse says of some goods now."""

    #: As in `Listing.external_id`.
    external_id: str
    #: By the warehouse's id of the place; a place that is not named here gives no number.
    places: Mapping[str, Stated] = field(default_factory=dict)
    #: Why its numbers are none to count by (it never runs out, it is put together from others); empty: they are.
    not_counted: str = ""


class OrderStage(Enum):
    """How far an order is at the warehouse."""

    #: Written down, and binding for nobody.
    DRAFT = "draft"
    ACCEPTED = "accepted"
    #: Somebody took goods for it off the shelf.
    PICKED = "picked"
    #: Nothing more will leave, and something may have.
    DONE = "done"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class WarehouseRequest:
    """What a warehouse is to ship, together."""

    #: Unique, and chosen by us: the warehouse keeps it with the order, and it is found again by it.
    reference: str
    place_external_id: str
    #: Units by the warehouse's id of the goods.
    goods: Mapping[str, int]
    #: The number by which the customer knows the order.
    order_number: str = ""
    #: ISO 3166-1 alpha-2; empty where nobody knows.
    country: str = ""


@dataclass(frozen=True, slots=True)
class OrderReport:
    """An order as the warehouse has it; counts in units, by its id of the goods."""

    external_id: str
    reference: str
    stage: OrderStage
    #: The warehouse's own word.
    status: str
    #: Without what was cancelled.
    goods: Mapping[str, int]
    shipped: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ArrivedLine:
    """One line of a receipt or return; `units` so far, in all."""

    external_id: str
    goods_external_id: str
    sku: str
    units: int


@dataclass(frozen=True, slots=True)
class Arrival:
    """A receipt of a supplier's goods or a return of a customer's, as the warehouse recorded it."""

    external_id: str
    #: As its people know it.
    number: str
    place_external_id: str
    lines: tuple[ArrivedLine, ...]
    is_return: bool = False
    #: Numbers under which the purchase may be known to us.
    purchase_numbers: tuple[str, ...] = ()
    #: The warehouse's id of the order of which goods came back; empty where it does not say.
    order_external_id: str = ""


@dataclass(frozen=True, slots=True)
class WarehouseChanges:
    """What happened at a warehouse since a cursor: what to read anew, and what came in."""

    cursor: str
    #: There was more than could be told: all goods have to be read.
    reads_all: bool = False
    #: Goods whose numbers may be others now.
    goods: frozenset[str] = frozenset()
    #: Orders that may be further than we know.
    orders: frozenset[str] = frozenset()
    arrivals: tuple[Arrival, ...] = ()


@dataclass(frozen=True, slots=True)
class Search:
    """Orders of ours to look for: their references begin alike, and they were made at or after an instant."""

    prefix: str
    since: datetime
