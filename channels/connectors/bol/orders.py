"""bol orders: the list says which have changed, the detail says what they are.

The list is a sliding window of minutes (up to an hour) or single days (up to three months), newest first, fifty an
answer and without a total: it is read until a short page. It names no offers, so that an order on it is a glimpse:
fetched where it is not as we know it. Orders seen by the poll before, and not changed since, are left out.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Any, Final
from urllib.parse import quote

from channels.connectors.base import OrderGlimpse, OrderPage
from channels.connectors.bol.api import NotThere, RetailerApi
from channels.connectors.bol.offers import FULFILLED_BY_BOL, is_fulfilled_by_bol
from channels.connectors.messages import (
    read_count,
    read_decimal,
    read_id,
    read_instant,
    read_objects,
    read_text,
)
from channels.errors import BadMessage
from channels.events import OrderLineState, OrderState

#: How far the first poll of an account looks back.
FIRST_REACH: Final = timedelta(minutes=10)
#: Changes this long before the last poll may have been missed by it.
OVERLAP: Final = timedelta(minutes=1)
PAGE_SIZE: Final = 50

_LARGEST_INTERVAL: Final = 60
#: bol keeps changes for three months.
_LONGEST_REACH: Final = timedelta(days=89)
_LIST: Final = "orders-list"
_DETAIL: Final = "order-detail"
#: bol sells in euros only.
_CURRENCY: Final = "EUR"


# -- the list


@dataclass(frozen=True, slots=True)
class Feed:
    """The cursor: changes up to `since` are known; `started` and `page` belong to a poll that goes on."""

    since: datetime
    started: datetime | None = None
    #: Days still to be read where the gap is longer than an hour, the present one first.
    days: tuple[str, ...] = ()
    minutes: int = 0
    page: int = 1

    @classmethod
    def load(cls, cursor: str) -> "Feed":
        """Reads a cursor; an empty one starts a little before now."""
        if not cursor:
            return cls(since=datetime.now(UTC) - FIRST_REACH)
        kept = json.loads(cursor)
        started = kept.get("started")
        return cls(
            since=datetime.fromisoformat(kept["since"]),
            started=datetime.fromisoformat(started) if started else None,
            days=tuple(kept.get("days", ())),
            minutes=kept.get("minutes", 0),
            page=kept.get("page", 1),
        )

    def dump(self) -> str:
        """Returns the cursor to store."""
        if not (self.days or self.minutes):
            return json.dumps({"since": self.since.isoformat()})
        started = self.started.isoformat() if self.started else None
        kept = {"since": self.since.isoformat(), "started": started}
        return json.dumps({**kept, "days": self.days, "minutes": self.minutes, "page": self.page})

    def begin(self, now: datetime) -> "Feed":
        """Chooses what to read, unless a poll goes on: minutes, or whole days after a long gap."""
        if self.days or self.minutes:
            return self
        # bol asks for an interval at least a minute longer than the time between polls.
        minutes = max(ceil((now - self.since) / timedelta(minutes=1)), 1) + 1
        if minutes <= _LARGEST_INTERVAL:
            return replace(self, minutes=minutes)
        return replace(self, days=tuple(_days(max(self.since, now - _LONGEST_REACH), now)))

    def falls_short(self, now: datetime) -> bool:
        """Tells whether what was chosen by another clock does not reach from what is known to this instant."""
        if self.days:
            return now.date().isoformat() > self.days[-1]
        return now - self.since > timedelta(minutes=self.minutes)

    def parameters(self) -> dict[str, str]:
        """Returns the filter of the present page."""
        span = (
            {"latest-change-date": self.days[0]}
            if self.days
            else {"change-interval-minute": str(self.minutes)}
        )
        return {"status": "ALL", "fulfilment-method": "FBR", "page": str(self.page), **span}

    def behind(self, answered_at: datetime, *, is_last_page: bool) -> "Feed":
        """Returns the cursor behind a page."""
        started = self.started or answered_at
        if not is_last_page:
            return replace(self, started=started, page=self.page + 1)
        if len(self.days) > 1:
            return replace(self, started=started, days=self.days[1:], page=1)
        return Feed(since=started)


def _days(first: datetime, last: datetime) -> Iterator[str]:
    """Yields days, one more on either side: bol's days may begin in its own time zone."""
    day = first.date() - timedelta(days=1)
    while day <= last.date() + timedelta(days=1):
        yield day.isoformat()
        day += timedelta(days=1)


def fetch_orders(api: RetailerApi, cursor: str) -> OrderPage:
    """Reads the next page of the list."""
    kept = Feed.load(cursor)
    feed = kept.begin(datetime.now(UTC))
    answer = api.read("/retailer/orders", feed.parameters(), bucket=_LIST)
    if feed is not kept and feed.falls_short(answer.answered_at):
        # Our clock is behind bol's, by which the changes are stamped.
        feed = kept.begin(answer.answered_at)
        answer = api.read("/retailer/orders", feed.parameters(), bucket=_LIST)
    orders = read_objects(answer.body, "orders")
    glimpses, hints = [], []
    for order in (each for each in orders if _is_news(each, feed.since - OVERLAP)):
        try:
            glimpses.append(_glimpse(order))
        except BadMessage:
            hints.append(read_id(order, "orderId"))
    rest = feed.behind(answer.answered_at, is_last_page=len(orders) < PAGE_SIZE)
    has_more = bool(rest.days or rest.minutes)
    return OrderPage((), tuple(hints), rest.dump(), has_more=has_more, glimpses=tuple(glimpses))


def _glimpse(order: Mapping[str, Any]) -> OrderGlimpse:
    """Reads what the list says of an order; what bol fulfils itself is not ours to follow."""
    items = read_objects(order, "orderItems")
    lines = {
        read_id(item, "orderItemId"): (
            read_count(item, "quantity"),
            read_count(item, "quantityCancelled"),
            read_count(item, "quantityShipped"),
        )
        for item in items
        if item.get("fulfilmentMethod") != FULFILLED_BY_BOL
    }
    return OrderGlimpse(read_id(order, "orderId"), lines)


def _is_news(order: Mapping[str, Any], known_until: datetime) -> bool:
    try:
        changes = _changes(order)
    except BadMessage:
        return True  # the detail says what is wrong with it, and holds up no other order
    return not changes or max(changes) >= known_until


def _changes(order: Mapping[str, Any]) -> list[datetime]:
    items = read_objects(order, "orderItems")
    return [
        read_instant(item, "latestChangedDateTime") for item in items if item.get("latestChangedDateTime")
    ]


# -- the detail


def fetch_order(api: RetailerApi, order_id: str) -> OrderState | None:
    """Reads one order in full; None when bol does not have it (any more)."""
    try:
        body = api.read(f"/retailer/orders/{quote(order_id, safe='')}", bucket=_DETAIL).body
    except NotThere:
        return None
    return order_state(body)


def order_state(order: Mapping[str, Any]) -> OrderState:
    """Translates an order's detail. Raises `BadMessage`."""
    changes = _changes(order)
    if not changes or order.get("orderPlacedDateTime"):
        changes.append(read_instant(order, "orderPlacedDateTime"))
    address = order.get("shipmentDetails")
    return OrderState(
        external_id=read_id(order, "orderId"),
        updated_at=max(changes),
        ordered_at=min(changes),
        lines=tuple(_line(item) for item in read_objects(order, "orderItems")),
        number=read_id(order, "orderId"),
        country=read_text(address, "countryCode") if isinstance(address, dict) else "",
        currency=_CURRENCY,
    )


def _line(item: Mapping[str, Any]) -> OrderLineState:
    """Items that bol fulfils show no units: they leave bol's warehouse, whose place they name."""
    offer, product = _part(item, "offer"), _part(item, "product")
    is_ours = not is_fulfilled_by_bol(item)
    offer_id = read_text(offer, "offerId")
    return OrderLineState(
        external_id=read_id(item, "orderItemId"),
        listing_external_id=offer_id,
        # Several offers can share an EAN: it only says what was sold where no offer does.
        sku=read_text(offer, "reference") or ("" if offer_id else read_text(product, "ean")),
        quantity=read_count(item, "quantity") if is_ours else 0,
        cancelled=read_count(item, "quantityCancelled", 0) if is_ours else 0,
        fulfilled=read_count(item, "quantityShipped", 0) if is_ours else 0,
        title=read_text(product, "title"),
        unit_price=read_decimal(item, "unitPrice"),
        location_external_id="" if is_ours else FULFILLED_BY_BOL,
    )


def _part(item: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = item.get(name)
    return part if isinstance(part, dict) else {}


def open_units(order: Mapping[str, Any], item_id: str) -> tuple[int, int]:
    """Returns an item's units that are open, and those cancelled. Raises `BadMessage`."""
    for item in read_objects(order, "orderItems"):
        if read_id(item, "orderItemId") == item_id:
            cancelled = read_count(item, "quantityCancelled", 0)
            return read_count(item, "quantity") - cancelled - read_count(
                item, "quantityShipped", 0
            ), cancelled
    return 0, 0
