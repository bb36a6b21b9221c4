"""The stock book and the order book of a simulated shop: plain objects behind one lock."""

import threading
import time
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from operator import itemgetter
from typing import Any

from channels.sandbox.people import Customer


class Refused(Exception):
    """The shop does not sell that many: its own number does not allow it."""

    def __init__(self, sku: str) -> None:
        super().__init__(f"The shop has not enough of {sku}.")
        self.sku = sku


@dataclass(frozen=True, slots=True)
class CatalogueItem:
    """Something a shop sells, as it is loaded."""

    sku: str
    title: str
    gtin: str = ""
    price: Decimal = Decimal("9.95")
    #: Units by location code; shops without locations take the sum.
    quantities: Mapping[str, int] = field(default_factory=dict)
    #: Title of the product of which this is a variation; None: a product of its own.
    parent: str | None = None
    #: Sells below zero: Shopify `CONTINUE`, WooCommerce backorders.
    sells_beyond_stock: bool = False
    is_tracked: bool = True
    #: The platform's own warehouse holds and ships it (bol FBB).
    is_fulfilled_by_channel: bool = False
    #: All such variations of a parent draw on one pool (WooCommerce `manage_stock: "parent"`).
    shares_parent_stock: bool = False

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "CatalogueItem":
        """Reads the form of the control surface; raises `TypeError` for unknown fields."""
        return cls(**{**data, "price": Decimal(str(data.get("price", "9.95")))})


@dataclass(slots=True)
class Place:
    """A location of the shop."""

    number: int
    code: str
    name: str
    is_active: bool = True


@dataclass(slots=True)
class Level:
    """How many of an item a place has."""

    available: int
    committed: int = 0
    #: Other states by name (Shopify `damaged`, `incoming` …).
    other: dict[str, int] = field(default_factory=dict)
    updated_at: float = 0.0
    is_active: bool = True


@dataclass(slots=True, eq=False)
class Item:
    """Something a shop sells, with its stock by location code."""

    number: int
    source: CatalogueItem
    #: Number of the parent product; 0 when it is its own.
    parent_number: int
    levels: dict[str, Level]
    updated_at: float
    #: Bol: the retailer's flag, and units ordered and still open (since the last write to the offer).
    is_managed_by_retailer: bool = False
    open_units: int = 0
    open_units_since_update: int = 0

    @property
    def sku(self) -> str:
        return self.source.sku

    @property
    def available(self) -> int:
        """Units over all active places."""
        return sum(level.available for level in self.levels.values() if level.is_active)


@dataclass(slots=True, eq=False)
class Line:
    """One line of an order."""

    number: int
    item: Item | None
    quantity: int
    price: Decimal
    #: Code of the place it is taken from.
    location: str = ""
    cancelled: int = 0
    fulfilled: int = 0
    returned: int = 0
    #: Units the shop has taken from its number for this line (Woo's `_reduced_stock`).
    taken: int = 0
    #: Woo: units that an edit of the order took off the line, and units held by a status that may be undone.
    edited_away: int = 0
    suspended: int = 0
    #: Bol: the customer has asked to cancel.
    is_cancellation_requested: bool = False

    @property
    def open_units(self) -> int:
        """Units still to be shipped."""
        return self.quantity - self.cancelled - self.fulfilled

    @property
    def sku(self) -> str:
        return self.item.sku if self.item else ""


@dataclass(frozen=True, slots=True)
class RefundLine:
    """Units of a line taken back."""

    number: int
    line: Line
    quantity: int
    #: Shopify's words: CANCEL, RETURN, NO_RESTOCK.
    restock_type: str


@dataclass(frozen=True, slots=True)
class Refund:
    """Units taken back together."""

    number: int
    created_at: float
    lines: tuple[RefundLine, ...]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Fulfilment:
    """Units shipped together."""

    number: int
    created_at: float
    lines: tuple[tuple[Line, int], ...]
    location: str


@dataclass(slots=True, eq=False)
class Order:
    """One order; `status` is in the platform's words."""

    number: int
    #: When the sale became a fact, Unix seconds.
    committed_at: float
    updated_at: float
    lines: list[Line]
    country: str
    currency: str
    customer: Customer
    status: str = ""
    cancelled_at: float | None = None
    #: When it was first completed; later changes leave it.
    completed_at: float | None = None
    cancel_reason: str = ""
    refunds: list[Refund] = field(default_factory=list)
    fulfilments: list[Fulfilment] = field(default_factory=list)
    #: Position in the log of changes; the newest entry of an order is the one that counts.
    sequence: int = 0
    is_deleted: bool = False

    @property
    def is_open(self) -> bool:
        return any(line.open_units for line in self.lines)

    @property
    def total(self) -> Decimal:
        return sum((line.price * line.quantity for line in self.lines), Decimal(0))


@dataclass(frozen=True, slots=True)
class PlacedOrder:
    """A sale that the shop has committed."""

    #: The platform's own order id: Shopify's and Woo's number, Bol's order id.
    id: str
    #: Unix seconds, exact.
    committed_at: float
    lines: list[tuple[str, int]]


class Book:
    """Everything a shop knows about stock and orders. Hold `lock` to read or change more than one thing."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.places: dict[str, Place] = {}
        self.items: dict[str, Item] = {}
        self.items_by_number: dict[int, Item] = {}
        self.parents: dict[str, int] = {}
        self.parent_titles: dict[int, str] = {}
        self.parent_items: dict[int, list[Item]] = {}
        self.orders: dict[int, Order] = {}
        #: Orders with open units, oldest first.
        self.open_orders: dict[int, Order] = {}
        self.refused = 0
        #: Units sold (negative) and given back by cancellations, with the Unix second: (at, SKU, units).
        self.movements: list[tuple[float, str, int]] = []
        #: Number of the first order; a shop that starts again goes on behind its earlier ones.
        self.first_order = 1
        self._pools: dict[str, dict[str, Level]] = {}
        #: (sequence, changed at, order), in sequence; only an order's newest entry counts.
        self._log: list[tuple[int, float, Order]] = []
        self._sequence = 0
        self._changed_at = 0.0
        self._line_number = 0
        self._number = 0

    def next_number(self) -> int:
        """Returns a number for a refund, a fulfilment, anything that has an id of its own."""
        with self.lock:
            self._number += 1
            return self._number

    def add_place(self, code: str, name: str) -> Place:
        """Adds a location, or returns the one with that code."""
        with self.lock:
            if code not in self.places:
                self.places[code] = Place(len(self.places) + 1, code, name)
            return self.places[code]

    def add_item(self, source: CatalogueItem, quantities: Mapping[str, int]) -> Item:
        """Adds an item, or replaces what the shop had under its SKU."""
        now = time.time()
        with self.lock:
            levels = self._levels(source, quantities, now)
            known = self.items.get(source.sku)
            if known is not None:
                known.source, known.levels, known.updated_at = source, levels, now
                return known
            parent = self._parent_number(source.parent)
            item = Item(len(self.items) + 1, source, parent, levels, now)
            self.items[source.sku] = self.items_by_number[item.number] = item
            if parent:
                self.parent_items[parent].append(item)
            return item

    def _levels(self, source: CatalogueItem, quantities: Mapping[str, int], now: float) -> dict[str, Level]:
        if source.shares_parent_stock and source.parent is not None and source.parent in self._pools:
            return self._pools[source.parent]
        levels = {code: Level(quantity, updated_at=now) for code, quantity in quantities.items()}
        if source.shares_parent_stock and source.parent is not None:
            self._pools[source.parent] = levels
        return levels

    def _parent_number(self, title: str | None) -> int:
        if title is None:
            return 0
        if title not in self.parents:
            number = len(self.parents) + 1
            self.parents[title] = number
            self.parent_titles[number] = title
            self.parent_items[number] = []
        return self.parents[title]

    def new_line(self, item: Item | None, quantity: int, price: Decimal, location: str) -> Line:
        """Returns a line with a number of its own; it belongs to no order yet."""
        with self.lock:
            self._line_number += 1
            return Line(self._line_number, item, quantity, price, location)

    def add_order(self, lines: list[Line], *, country: str, currency: str, status: str) -> Order:
        """Commits an order at this instant."""
        with self.lock:
            now = time.time()
            number = self.first_order + len(self.orders)
            order = Order(number, now, now, lines, country, currency, Customer(number, country), status)
            self.orders[number] = order
            self.movements += [(now, line.sku, -line.quantity) for line in lines if line.item is not None]
            self.touch(order)
            return order

    def touch(self, order: Order) -> None:
        """Notes that the order changed now."""
        with self.lock:
            self._changed_at = order.updated_at = max(time.time(), self._changed_at)
            self._sequence += 1
            order.sequence = self._sequence
            self._log.append((self._sequence, order.updated_at, order))
            if order.is_open and not order.is_deleted:
                self.open_orders[order.number] = order
            else:
                self.open_orders.pop(order.number, None)
            if len(self._log) > 2 * len(self.orders) + 1000:
                self._log = [entry for entry in self._log if entry[0] == entry[2].sequence]

    def changes(self, *, since: float = 0.0, after: int = 0) -> Iterator[Order]:
        """Yields the orders changed at or after an instant, each once, in the sequence of their last change.

        `after` continues behind an order's `sequence`. Take what you need while you hold the lock.
        """
        log = self._log
        start = max(
            bisect_left(log, after + 1, key=itemgetter(0)), bisect_left(log, since, key=itemgetter(1))
        )
        for position in range(start, len(log)):
            sequence, _, order = log[position]
            if sequence == order.sequence:
                yield order

    def newest_changes(self, *, since: float = 0.0) -> Iterator[Order]:
        """Yields the orders changed at or after an instant, the last change first."""
        for sequence, changed_at, order in reversed(self._log):
            if changed_at < since:
                return
            if sequence == order.sequence:
                yield order
