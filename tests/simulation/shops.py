"""Simulated platforms: each with a stock book, an order book and a clock of its own, reached without a network.

They differ as the real ones do in what decides the protocol: whether a push is compared, what the number means, and how
the list of orders is read. The lists are read by the connectors' own cursors.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from channels.connectors.base import (
    Address,
    Capabilities,
    Convention,
    ItemOutcome,
    OrderPage,
    PushItem,
    PushResult,
    ShelfNumber,
)
from channels.connectors.bol import orders as bol_orders
from channels.connectors.shopify import orders as shopify_orders
from channels.connectors.woocommerce import order_feed as woo_feed
from channels.connectors.woocommerce.api import Walk
from channels.errors import OutcomeUnknown, Throttled, TransientError
from channels.events import OrderLineState, OrderState

if TYPE_CHECKING:
    from tests.simulation.world import World

#: What each kind can do; batches are small, so that a few shelves need several.
KINDS: Final[Mapping[str, Capabilities]] = {
    "compares": Capabilities(push_batch_size=2, poll_interval=timedelta(minutes=5), compare_and_set=True),
    "plain": Capabilities(push_batch_size=2, poll_interval=timedelta(minutes=5)),
    "includes": Capabilities(
        push_batch_size=1,
        poll_interval=timedelta(minutes=1),
        convention=Convention.INCLUDES_OPEN_ORDERS,
        largest_quantity=999,
    ),
}
AMSTERDAM: Final = ZoneInfo("Europe/Amsterdam")


@dataclass
class Line:
    """One line of a simulated order; counts in units."""

    listing: str
    sku: str
    quantity: int
    cancelled: int = 0
    fulfilled: int = 0
    #: Cancelled units that are back on the shop's number.
    restocked: int = 0

    @property
    def open(self) -> int:
        """Units still to be shipped."""
        return self.quantity - self.cancelled - self.fulfilled

    @property
    def demand(self) -> int:
        """Units that have to be delivered."""
        return self.quantity - self.cancelled


@dataclass
class Order:
    """One simulated order; its stamps are the shop's."""

    id: str
    placed_at: datetime
    changed_at: datetime
    lines: list[Line]
    version: int = 1


@dataclass
class Shop:
    """A simulated shop."""

    world: "World"
    kind: str
    channel_id: int
    numbers: dict[str, int]
    skus: dict[str, str]
    #: How far its clock is ahead.
    offset: timedelta = timedelta()
    zone: tzinfo = AMSTERDAM
    orders: dict[str, Order] = field(default_factory=dict)

    @property
    def able(self) -> Capabilities:
        """What it can do."""
        return KINDS[self.kind]

    @property
    def decrements(self) -> bool:
        """Whether it takes its orders off its own number."""
        return self.able.convention is Convention.EXCLUDES_OPEN_ORDERS

    def clock(self) -> datetime:
        """What its clock shows: whole seconds, with the offset of its zone at that time, as platforms write it."""
        shown = (self.world.now + self.offset).astimezone(self.zone).replace(microsecond=0)
        return datetime.fromisoformat(shown.isoformat())

    def shown(self, listing: str) -> int:
        """Units that it sells now."""
        return self.numbers[listing] if self.decrements else self.numbers[listing] - self._open(listing)

    def _open(self, listing: str) -> int:
        return sum(line.open for o in self.orders.values() for line in o.lines if line.listing == listing)

    # -- what customers and its people do
    def sell(self, wanted: Mapping[str, int]) -> Order | None:
        """A customer buys as much as is shown; None where nothing is."""
        lines = []
        for listing, units in wanted.items():
            quantity = min(units, self.shown(listing))
            if quantity > 0:
                lines.append(Line(listing, self.skus[listing], quantity))
                if self.decrements:
                    self.numbers[listing] -= quantity
        if not lines:
            return None
        now = self.clock()
        order = Order(str(self.channel_id * 100_000 + len(self.orders) + 1), now, now, lines)
        self.orders[order.id] = order
        return order

    def cancel(self, order: Order, line: Line, units: int, *, restocks: bool) -> None:
        """Units that have not left are not wanted any more."""
        line.cancelled += units
        if self.decrements and restocks:
            line.restocked += units
            self.numbers[line.listing] += units
        self._touch(order)

    def ship(self, order: Order, line: Line, units: int) -> None:
        """Units leave. The number stays, so that one that includes open orders shows them again until it is told."""
        line.fulfilled += units
        self._touch(order)

    def _touch(self, order: Order) -> None:
        """Stamps a change; a platform stamps no change of an order before the one it follows."""
        order.changed_at = max(self.clock(), order.changed_at)
        order.version += 1

    def state_of(self, order: Order) -> OrderState:
        """Returns an order as the shop tells it."""
        return OrderState(
            external_id=order.id,
            updated_at=order.changed_at,
            ordered_at=order.placed_at,
            lines=tuple(
                OrderLineState(
                    external_id=f"{order.id}-{line.listing}",
                    listing_external_id=line.listing,
                    sku=line.sku,
                    quantity=line.quantity,
                    cancelled=line.cancelled,
                    fulfilled=line.fulfilled,
                    restocked=line.restocked,
                )
                for line in order.lines
            ),
            country="NL",
        )

    # -- its lists of orders
    def list_orders(self, cursor: str) -> OrderPage:
        """Returns the next page of changed orders."""
        readers = {"compares": _read_by_change, "plain": _read_by_window, "includes": _read_by_minutes}
        return readers[self.kind](self, cursor)


def _read_by_change(shop: Shop, cursor: str) -> OrderPage:
    """As Shopify lists them: by their last change, some to a page."""

    def ask(document: object, variables: Mapping[str, Any], cost: int) -> tuple[dict[str, Any], datetime]:
        match = re.search(r"'(.+)'", variables["query"])
        since = datetime.fromisoformat(match[1] if match else "")
        changed = [o for o in shop.orders.values() if o.changed_at >= since]
        changed.sort(key=lambda order: (order.changed_at, order.id))
        start = int(variables["after"] or 0)
        page = changed[start : start + variables["first"]]
        more = start + len(page) < len(changed)
        nodes = [{"id": o.id, "updatedAt": _utc(o.changed_at), "order": o} for o in page]
        info = {"hasNextPage": more, "endCursor": str(start + len(page))}
        return {"orders": {"nodes": nodes, "pageInfo": info}}, shop.clock().astimezone(UTC)

    return shopify_orders.fetch_page(SimpleNamespace(ask=ask), cursor)  # type: ignore[arg-type]


def _read_by_window(shop: Shop, cursor: str) -> OrderPage:
    """As WooCommerce lists them: those changed within a window of its own time, by id."""

    def read_page(
        path: str, parameters: Mapping[str, str], walk: Walk
    ) -> tuple[list[dict[str, Any]], Walk | None, datetime]:
        after = datetime.fromisoformat(parameters["modified_after"]).replace(tzinfo=UTC)
        before = datetime.fromisoformat(parameters.get("modified_before", "9999-01-01")).replace(tzinfo=UTC)
        found = [o for o in shop.orders.values() if after < o.changed_at < before]
        return [{"id": int(o.id), "order": o} for o in found], None, shop.clock().astimezone(UTC)

    return woo_feed.fetch_orders(SimpleNamespace(read_page=read_page), cursor)  # type: ignore[arg-type]


def _read_by_minutes(shop: Shop, cursor: str) -> OrderPage:
    """As bol lists them: of the last minutes or of a day, by its own clock, newest first."""

    def read(path: str, parameters: Mapping[str, str], *, bucket: str) -> Any:
        now = shop.clock()
        orders = sorted(shop.orders.values(), key=lambda o: o.changed_at, reverse=True)
        if minutes := parameters.get("change-interval-minute"):
            found = [o for o in orders if o.changed_at >= now - timedelta(minutes=int(minutes))]
        else:
            found = [o for o in orders if o.changed_at.date().isoformat() == parameters["latest-change-date"]]
        start = (int(parameters["page"]) - 1) * bol_orders.PAGE_SIZE
        page = [_glimpsed(order) for order in found[start : start + bol_orders.PAGE_SIZE]]
        return SimpleNamespace(body={"orders": page}, answered_at=now.astimezone(UTC))

    return bol_orders.fetch_orders(SimpleNamespace(read=read), cursor)  # type: ignore[arg-type]


def _glimpsed(order: Order) -> dict[str, Any]:
    items = [
        {
            "orderItemId": f"{order.id}-{line.listing}",
            "quantity": line.quantity,
            "quantityCancelled": line.cancelled,
            "quantityShipped": line.fulfilled,
            "latestChangedDateTime": order.changed_at.isoformat(),
        }
        for line in order.lines
    ]
    return {"orderId": order.id, "orderItems": items}


def _utc(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class _NoClient:
    @contextmanager
    def budget(self, seconds: float) -> Iterator[None]:
        yield


@dataclass
class SimulatedConnector:
    """Speaks to a simulated shop; `fault` befalls the next push, and `meanwhile` happens before and after it."""

    shop: Shop
    fault: str = ""
    capabilities: Capabilities = field(init=False)
    client: _NoClient = field(default_factory=_NoClient)

    def __post_init__(self) -> None:
        self.capabilities = self.shop.able

    def fetch_orders(self, cursor: str) -> OrderPage:
        """Reads the next page of changed orders."""
        return self.shop.list_orders(cursor)

    def fetch_order(self, external_id: str) -> OrderState | None:
        """Reads one order."""
        order = self.shop.orders.get(external_id)
        return None if order is None else self.shop.state_of(order)

    def read_levels(self, addresses: Sequence[Address]) -> list[ShelfNumber]:
        """Reads what shelves show."""
        found = [
            ShelfNumber(a.listing_external_id, "", self.shop.numbers[a.listing_external_id])
            for a in addresses
        ]
        self.shop.world.meanwhile()
        return found

    def push(self, items: Sequence[PushItem], *, call_id: str) -> list[PushResult]:
        """Takes numbers in, unless something befalls the call."""
        world, fault = self.shop.world, self.fault
        self.fault = ""
        world.meanwhile()
        if fault == "throttled":
            raise Throttled("Too many calls.", retry_after=world.random.choice([None, 1.0, 30.0, 86_400.0]))
        if fault == "down":
            raise TransientError("502 Bad Gateway")
        if fault == "lost":
            raise OutcomeUnknown
        if fault == "died":
            world.die()
        if fault == "half":
            results = [self._take(items[0])]
            results += [PushResult(i.address.listing_level_id, ItemOutcome.RETRY, "half") for i in items[1:]]
            return results
        results = [self._take(item) for item in items]
        if fault == "late":
            raise OutcomeUnknown
        if fault == "died after":
            world.die()
        world.meanwhile()
        return results

    def _take(self, item: PushItem) -> PushResult:
        listing = item.address.listing_external_id
        if item.compare_with is not None and self.shop.numbers[listing] != item.compare_with:
            return PushResult(item.address.listing_level_id, ItemOutcome.STALE)
        self.shop.numbers[listing] = item.quantity
        self.shop.world.note_told(self.shop, item)
        return PushResult(item.address.listing_level_id, ItemOutcome.CONFIRMED)
