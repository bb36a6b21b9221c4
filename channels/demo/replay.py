"""Plays a merchant's order history as real orders in the simulated shops.

Rows of one order number are one order; a stable hash of the number chooses its shop. A return is matched to the latest
earlier sales of its SKU that still have units, and played there: as a cancellation while the units are unshipped, as a
return after. Every row read ends in exactly one counted outcome.
"""

import hashlib
import time
from bisect import insort
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final

from django.db import connection

from channels.demo.oversell import StockEvent
from channels.demo.sales_file import Row, RowKind, Tally
from channels.demo.shops import Shop
from channels.sandbox import Refused
from inventory.errors import StockBusy
from inventory.ledger import Context
from inventory.stock import AdjustmentLine, adjust

#: Orders placed at the same time.
BUYERS: Final = 6
#: An order is shipped once this many have been placed after it.
SHIP_AFTER: Final = 200
#: Seconds to wait before trying again when others hold the stock.
_PATIENCE: Final = (0.1, 0.5, 2.0)


@dataclass(slots=True)
class SoldUnits:
    """Units of a SKU sold in one order, and how many of them are left with the customer."""

    #: Line of the file.
    line: int
    shop: Shop
    order_id: str
    units: int
    is_shipped: bool = False


@dataclass(frozen=True, slots=True)
class Placement:
    """What a shop made of one order; without an id when it refused every row."""

    shop: Shop
    order_id: str | None
    rows: Sequence[Row]
    refused: Sequence[Row]


@dataclass(slots=True)
class Played:
    """What the rows came to."""

    sold_rows: int = 0
    refused_rows: int = 0
    refused_units: int = 0
    returned_rows: int = 0
    cancelled_units: int = 0
    returned_units: int = 0
    unmatched_rows: int = 0
    unmatched_units: int = 0
    adjusted_rows: int = 0
    adjusted_units: int = 0
    #: Stock changes beside the shops' own books.
    events: list[StockEvent] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """Rows that have an outcome here."""
        return (
            self.sold_rows + self.refused_rows + self.returned_rows + self.unmatched_rows + self.adjusted_rows
        )


def choose_rows(rows: Iterable[Row], tally: Tally, *, limit_orders: int | None) -> list[Row]:
    """Returns the rows before the sale order that would be one more than `limit_orders`; all without a limit.

    The row that shows the end of the part to be played is not counted as read.
    """
    chosen: list[Row] = []
    orders: set[str] = set()
    for row in rows:
        if row.kind is RowKind.SALE and row.order not in orders:
            if limit_orders is not None and len(orders) == limit_orders:
                tally.rows_read -= 1
                break
            orders.add(row.order)
        chosen.append(row)
    return chosen


def units_sold(rows: Iterable[Row]) -> dict[str, int]:
    """Returns the units of each SKU that the rows sell."""
    units: dict[str, int] = defaultdict(int)
    for row in rows:
        if row.kind is RowKind.SALE:
            units[row.sku] += row.quantity
    return dict(units)


def shop_of(order: str, shops: Sequence[Shop]) -> Shop:
    """Returns the shop in which an order is placed; the same for the same number on every machine."""
    digest = hashlib.sha256(order.encode()).digest()
    return shops[int.from_bytes(digest[:8], "big") % len(shops)]


class Replay:
    """Plays rows in the shops; orders of different shops and numbers at the same time, as customers do."""

    def __init__(
        self, shops: Sequence[Shop], *, merchant_id: int, location_id: int, variant_ids: dict[str, int]
    ) -> None:
        self._shops = shops
        self._merchant_id = merchant_id
        self._location_id = location_id
        self._variant_ids = variant_ids
        self._sold: dict[str, list[SoldUnits]] = defaultdict(list)
        self._placed: list[tuple[Shop, str, list[str]]] = []
        self._shipped = 0
        self.played = Played()
        self.orders = 0

    def play(
        self,
        rows: Sequence[Row],
        *,
        rate: float | None,
        should_stop: Callable[[], bool],
        report: Callable[[str], None],
    ) -> None:
        """Plays all rows in their sequence, at most `rate` orders a second."""
        started = time.monotonic()
        with ThreadPoolExecutor(BUYERS, thread_name_prefix="buyer") as buyers:
            waiting: list[Future[Placement]] = []
            for kind, order, of_order in _orders(rows):
                if should_stop():
                    return
                if kind is RowKind.SALE:
                    self.orders += 1
                    waiting.append(buyers.submit(_place, shop_of(order, self._shops), of_order))
                    _pace(started, self.orders, rate)
                else:
                    self._finish(waiting)
                    self._apply(kind, of_order)
                if len(waiting) >= BUYERS * 4:
                    self._finish(waiting)
                    self._ship_older()
                    report(f"{self.orders} orders placed, {self.played.sold_rows} lines")
            self._finish(waiting)

    def _finish(self, waiting: list[Future[Placement]]) -> None:
        """Waits for the orders, and notes them in the sequence of the file, whichever was placed first."""
        for future in waiting:
            self._note(future.result())
        waiting.clear()

    def _note(self, placement: Placement) -> None:
        self.played.refused_rows += len(placement.refused)
        self.played.refused_units += sum(row.quantity for row in placement.refused)
        if placement.order_id is None:
            return
        shop, order_id, rows = placement.shop, placement.order_id, placement.rows
        self.played.sold_rows += len(rows)
        for row in rows:
            sold = SoldUnits(row.line, shop, order_id, row.quantity)
            insort(self._sold[row.sku], sold, key=_line_of)
        self._placed.append((shop, order_id, [row.sku for row in rows]))

    def _ship_older(self) -> None:
        """Ships the orders after which enough others were placed."""
        while self._shipped < len(self._placed) - SHIP_AFTER:
            shop, order_id, skus = self._placed[self._shipped]
            self._shipped += 1
            for sku in skus:
                for sold in self._sold[sku]:
                    if sold.order_id == order_id and sold.shop is shop:
                        sold.is_shipped = True
            shop.client.ship(order_id)

    def _apply(self, kind: RowKind, rows: Sequence[Row]) -> None:
        for row in rows:
            if kind is RowKind.RETURN:
                self._take_back(row)
            else:
                self._adjust(row)

    def _take_back(self, row: Row) -> None:
        """Takes units back from the latest sales of the SKU that have some left."""
        missing = row.quantity
        for sold in reversed(self._sold[row.sku]):
            units = min(sold.units, missing)
            if units and sold.line < row.line:
                missing -= self._take_back_from(sold, row.sku, units)
        self.played.unmatched_units += missing
        if missing == row.quantity:
            self.played.unmatched_rows += 1
        else:
            self.played.returned_rows += 1

    def _take_back_from(self, sold: SoldUnits, sku: str, units: int) -> int:
        client = sold.shop.client
        if sold.is_shipped:
            done = client.refund(sold.order_id, sku, units, restock=False)
            self.played.returned_units += done
        else:
            done = client.cancel(sold.order_id, sku, units)
            self.played.cancelled_units += done
        sold.units -= done
        return done

    def _adjust(self, row: Row) -> None:
        line = AdjustmentLine(self._variant_ids[row.sku], self._location_id, row.quantity)
        context = Context(
            self._merchant_id, f"replay:{row.order}:{row.line}", actor="replay", document=row.order
        )
        _adjust_patiently(context, line)
        self.played.events.append(StockEvent(time.time(), row.sku, row.quantity, is_sale=False))
        self.played.adjusted_rows += 1
        self.played.adjusted_units += row.quantity


def _place(shop: Shop, rows: Sequence[Row]) -> Placement:
    """Places one order; what the shop refuses is left out, and the rest is ordered all the same."""
    wanted, refused = list(rows), []
    while wanted:
        try:
            placed = shop.client.place_order([(row.sku, row.quantity) for row in wanted])
        except Refused as refusal:
            last = max(index for index, row in enumerate(wanted) if row.sku == refusal.sku)
            refused.append(wanted.pop(last))
        else:
            return Placement(shop, placed.id, wanted, refused)
    return Placement(shop, None, (), refused)


def _adjust_patiently(context: Context, line: AdjustmentLine) -> None:
    """Adjusts, again a few times while others hold the stock; the key makes repeating it harmless."""
    for seconds in _PATIENCE:
        try:
            adjust(context, [line])
        except StockBusy:
            time.sleep(seconds)
        else:
            return
    adjust(context, [line])


def _line_of(sold: SoldUnits) -> int:
    return sold.line


def _orders(rows: Sequence[Row]) -> Iterator[tuple[RowKind, str, list[Row]]]:
    """Groups rows that belong together; a sale order's rows come where its first one is, even when they lie apart."""
    sales: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row.kind is RowKind.SALE:
            sales[row.order].append(row)
    for (kind, order), group in groupby(rows, key=lambda row: (row.kind, row.order)):
        if kind is not RowKind.SALE:
            yield kind, order, list(group)
        elif order in sales:
            yield kind, order, sales.pop(order)


def _pace(started: float, orders: int, rate: float | None) -> None:
    if rate is not None:
        time.sleep(max(started + orders / rate - time.monotonic(), 0.0))


def account_for(tally: Tally, played: Played) -> bool:
    """Whether every row read has exactly one outcome."""
    return tally.rows_read == played.rows + sum(tally.rejected.values())


def close_connections() -> None:
    """Closes this thread's database connection."""
    connection.close()
