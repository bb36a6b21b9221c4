"""What all simulated shops have in common: stock, orders, customers, and the surface that drives them."""

import contextlib
import time
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from channels.sandbox import control, shoppers
from channels.sandbox.book import Book, CatalogueItem, Item, Line, Order, PlacedOrder, Refused
from channels.sandbox.httpd import Answer, Request
from channels.sandbox.profiles import HEALTHY, Profile
from channels.sandbox.serving import Limits, ServedPlatform

#: Units of lines: what a cancellation, fulfilment or refund touches.
Picks = list[tuple[Line, int]]

_SOLE_PLACE: Final = ""


class SandboxShop(ServedPlatform):
    """A simulated shop with a stock book and an order book of its own, served on the loopback.

    The subclasses say how their platform moves stock, what it announces, and how its API answers.
    """

    def __init__(
        self,
        *,
        name: str = "",
        port: int = 0,
        profile: Profile = HEALTHY,
        seed: int = 0,
        limits: Limits = "true",
    ) -> None:
        super().__init__(name=name, port=port, profile=profile, seed=seed, limits=limits)
        self.records = Book()
        self._shoppers: shoppers.Shoppers | None = None

    def stop(self) -> None:
        """Ends shoppers, webhooks and connections."""
        self.stop_shoppers()
        super().stop()

    def answer_control(self, request: Request) -> Answer:
        return control.answer(self, request)

    @abstractmethod
    def credentials(self) -> dict[str, str]:
        """What a merchant would type in to connect this shop."""

    @abstractmethod
    def settings(self) -> dict[str, object]:
        """The settings of a channel that is to talk to this shop."""

    # -- catalogue and stock
    def add_location(self, code: str, name: str) -> str:
        """Adds a location and returns its id; platforms without locations have one without an id."""
        return _SOLE_PLACE

    def load_catalogue(self, items: Iterable[CatalogueItem]) -> None:
        """Puts items on sale with their opening stock."""
        for item in items:
            self.records.add_item(item, self.opening_levels(item))

    def opening_levels(self, item: CatalogueItem) -> dict[str, int]:
        """Units by location code; here one place with the sum."""
        return {_SOLE_PLACE: sum(item.quantities.values())}

    def item(self, sku: str) -> Item:
        """Returns what is sold under this SKU; raises `KeyError`."""
        return self.records.items[sku]

    def number(self, sku: str) -> int:
        """Units the shop shows and sells."""
        return self.item(sku).available

    def stored_number(self, sku: str) -> int:
        """Units as they were last written."""
        return self.item(sku).available

    def numbers(self, item: Item) -> dict[str, int]:
        """Units the shop sells by location code."""
        return {code: level.available for code, level in item.levels.items() if level.is_active}

    def stored_numbers(self, item: Item) -> dict[str, int]:
        """Units as written by location code."""
        return self.numbers(item)

    def edit_stock(self, sku: str, quantity: int, location_code: str | None = None) -> None:
        """Sets a number as a foreign hand would: in the shop's own back office."""
        with self.records.lock:
            item = self.item(sku)
            code = next(iter(item.levels)) if location_code is None else location_code
            self.write_level(item, code, quantity)
            self.announce_stock(item, code)

    def write_level(self, item: Item, code: str, quantity: int) -> None:
        """Sets the number of an item at a place; hold the lock."""
        level = item.levels[code]
        level.available = quantity
        level.updated_at = item.updated_at = time.time()

    def written_items(self, request: Request) -> list[Item]:
        """Returns what a call writes the numbers of; none for calls that do something else."""
        return []

    def writes_numbers(self, request: Request) -> bool:
        return bool(self.written_items(request))

    def sell_before(self, request: Request) -> None:
        for item in self.written_items(request):
            with contextlib.suppress(Refused):
                self.place_order([(item.sku, 1)])
                return

    # -- orders
    def place_order(
        self,
        lines: Sequence[tuple[str, int]],
        *,
        country: str = "NL",
        currency: str = "EUR",
        force: bool = False,
    ) -> PlacedOrder:
        """Sells, as its customers would; `force` as the merchant would, beyond stock.

        Raises `Refused` for what the shop's own number does not allow, `KeyError` for an unknown SKU.
        """
        with self.records.lock:
            wanted = [(self.item(sku), quantity) for sku, quantity in lines]
            try:
                places = self.route(wanted, force=force)
            except Refused:
                self.records.refused += 1
                raise
            new = [
                self.records.new_line(item, quantity, item.source.price, place)
                for (item, quantity), place in zip(wanted, places, strict=True)
            ]
            order = self.commit(new, country=country, currency=currency)
            return PlacedOrder(
                self.order_id(order), order.committed_at, [(line.sku, line.quantity) for line in new]
            )

    def route(self, wanted: Sequence[tuple[Item, int]], *, force: bool) -> list[str]:
        """Chooses the place of each line; raises `Refused` when there is not enough. Hold the lock."""
        demand: Counter[str] = Counter()
        for item, quantity in wanted:
            demand[item.sku] += quantity
            if not force and not self.sells(item, demand[item.sku]):
                raise Refused(item.sku)
        return [_SOLE_PLACE] * len(wanted)

    def sells(self, item: Item, quantity: int) -> bool:
        """Tells whether the shop would sell so many of an item now."""
        source = item.source
        return source.sells_beyond_stock or not source.is_tracked or self.number(item.sku) >= quantity

    def commit(self, lines: list[Line], *, country: str, currency: str) -> Order:
        """Writes a new order, takes its stock, announces it. Hold the lock."""
        order = self.records.add_order(lines, country=country, currency=currency, status=self.new_status())
        self.take(order)
        self.announce_order(order, "created")
        return order

    def new_status(self) -> str:
        """The platform's word for a paid order."""
        return ""

    def find_order(self, order_id: str) -> Order:
        """Returns an order by its id in any of the platform's forms; raises `KeyError`."""
        return self.records.orders[self.order_number(order_id)]

    def cancel(self, order_id: str, sku: str, quantity: int) -> int:
        """Cancels units not yet shipped and puts them back; returns how many there were."""
        with self.records.lock:
            order = self.find_order(order_id)
            picks = _pick(order, sku, quantity, lambda line: line.open_units)
            if picks:
                self.cancel_units(order, picks)
                now = time.time()
                self.records.movements += [(now, line.sku, units) for line, units in picks]
            return sum(units for _, units in picks)

    def fulfil(self, order_id: str, sku: str, quantity: int) -> int:
        """Ships units; returns how many were left to ship."""
        with self.records.lock:
            order = self.find_order(order_id)
            picks = _pick(order, sku, quantity, lambda line: line.open_units)
            if picks:
                self.fulfil_units(order, picks)
            return sum(units for _, units in picks)

    def ship(self, order_id: str) -> int:
        """Ships all that is still open of an order, in one parcel; returns how many units that was."""
        with self.records.lock:
            order = self.find_order(order_id)
            picks = [(line, line.open_units) for line in order.lines if line.open_units > 0]
            if picks:
                self.fulfil_units(order, picks)
            return sum(units for _, units in picks)

    def refund(self, order_id: str, sku: str, quantity: int, restock: bool) -> int:
        """Takes shipped units back; returns how many there were."""
        with self.records.lock:
            order = self.find_order(order_id)
            picks = _pick(order, sku, quantity, lambda line: line.fulfilled - line.returned)
            if picks:
                self.return_units(order, picks, restock=restock)
            return sum(units for _, units in picks)

    # -- what each platform does in its own way; all are called under the lock
    @abstractmethod
    def order_id(self, order: Order) -> str:
        """The platform's id of an order."""

    @abstractmethod
    def order_number(self, order_id: str) -> int:
        """The book's number of an order id; 0 when it is none."""

    @abstractmethod
    def take(self, order: Order) -> None:
        """Moves the stock of a new order."""

    @abstractmethod
    def cancel_units(self, order: Order, picks: Picks) -> None:
        """Cancels open units, puts them back, announces it."""

    @abstractmethod
    def fulfil_units(self, order: Order, picks: Picks) -> None:
        """Ships open units and announces it."""

    @abstractmethod
    def return_units(self, order: Order, picks: Picks, *, restock: bool) -> None:
        """Takes shipped units back and announces it."""

    @abstractmethod
    def announce_order(self, order: Order, what: str) -> None:
        """Sends what the platform sends when an order changes."""

    @abstractmethod
    def announce_stock(self, item: Item, code: str) -> None:
        """Sends what the platform sends when a number changes."""

    # -- driving and looking
    def start_shoppers(
        self, rate: float, *, mean_lines: float = 1.5, until: float | None = None, seed: int = 0
    ) -> None:
        """Lets customers buy on their own, `rate` orders a second, until a Unix time or until they are stopped."""
        self.stop_shoppers()
        self._shoppers = shoppers.Shoppers(self, rate, mean_lines=mean_lines, until=until, seed=seed)
        self._shoppers.start()

    def stop_shoppers(self) -> None:
        """Sends the customers home."""
        if self._shoppers is not None:
            self._shoppers.stop()
            self._shoppers = None

    def book(self, since: float = 0.0) -> dict[str, Any]:
        """Returns all numbers, the orders changed at or after `since` (Unix seconds), and the counts."""
        with self.records.lock:
            return {
                "kind": self.kind,
                **self.shelves(),
                "movements": list(self.records.movements),
                "orders": [self._order_record(order) for order in self.records.changes(since=since)],
                "refused": self.records.refused,
                "requests": dict(self.requests),
                "throttled": self.throttled,
                "webhooks_sent": self.webhooks_sent,
            }

    def shelves(self) -> dict[str, dict[str, dict[str, int]]]:
        """Returns what is sold and what was written, by SKU and location code."""
        with self.records.lock:
            items = self.records.items.values()
            return {
                "numbers": {item.sku: self.numbers(item) for item in items},
                "stored": {item.sku: self.stored_numbers(item) for item in items},
            }

    def _order_record(self, order: Order) -> dict[str, Any]:
        return {
            "id": self.order_id(order),
            "committed_at": order.committed_at,
            "country": order.country,
            "location": order.lines[0].location if order.lines else "",
            "lines": [
                {
                    "sku": line.sku,
                    "quantity": line.quantity,
                    "cancelled": line.cancelled,
                    "fulfilled": line.fulfilled,
                    "returned": line.returned,
                    "location": line.location,
                }
                for line in order.lines
            ],
        }


def _pick(order: Order, sku: str, quantity: int, units_of: Callable[[Line], int]) -> Picks:
    """Returns units of the lines with this SKU, in their sequence, `quantity` in all if there are as many."""
    picks: Picks = []
    for line in order.lines:
        units = min(units_of(line), quantity) if line.sku == sku else 0
        if units > 0:
            picks.append((line, units))
            quantity -= units
    return picks
