"""Square's orders: read by their last change, or one in full, and translated.

What is sold at the till is handed over at once. An order that is still to be paid moves no stock at Square, and none here.
A return is an order of its own, which names what came back and where, and not the sale of which all is known already: it
becomes an order whose lines have nothing but returned units.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

from channels.connectors.base import OrderPage
from channels.connectors.messages import read_id, read_instant, read_objects, read_part, read_text
from channels.connectors.square.api import Answer, NotThere, Refused, SquareApi
from channels.connectors.square.catalogue import fetch_locations
from channels.connectors.square.quantities import read_amount, read_money, rfc3339, whole
from channels.errors import BadMessage
from channels.events import OrderLineState, OrderState

#: Each poll reads this much of the past again: changes commit out of sequence, and clocks differ.
OVERLAP: Final = timedelta(minutes=2)
#: A till that was offline may send its sales with the times at which they were made, so that now and then a day is read.
SWEEP_REACH: Final = timedelta(hours=25)
SWEEP_INTERVAL: Final = timedelta(hours=1)
#: Locations in one search, and orders on one page.
MOST_LOCATIONS: Final = 10
PAGE_SIZE: Final = 500

_GONE: Final = "CANCELED"
_DONE: Final = "COMPLETED"
#: Lines that are no goods: amounts typed in by hand, and gift cards.
_NO_GOODS: Final = frozenset({"CUSTOM_AMOUNT", "GIFT_CARD"})


# -- the feed


@dataclass(frozen=True, slots=True)
class Window:
    """A span of changes, and how far it has been read."""

    since: datetime
    #: When a whole day was last read.
    swept: datetime
    #: When its first page was answered, by Square's clock; unknown before that.
    answered: datetime | None = None
    #: Locations that are still to be read, the present ones first.
    locations: tuple[str, ...] = ()
    cursor: str = ""

    @classmethod
    def load(cls, cursor: str) -> "Window":
        """Reads a cursor; an empty one starts now, less the overlap."""
        now = datetime.now(UTC)
        if not cursor:
            return cls(since=now - OVERLAP, swept=now)
        kept = json.loads(cursor)
        times = {name: datetime.fromisoformat(text) for name, text in kept["times"].items()}
        return cls(**times, locations=tuple(kept["locations"]), cursor=kept["cursor"])

    def dump(self) -> str:
        """Returns the cursor to store."""
        times = {name: getattr(self, name) for name in ("since", "swept", "answered")}
        kept = {name: instant.isoformat() for name, instant in times.items() if instant is not None}
        return json.dumps({"times": kept, "locations": self.locations, "cursor": self.cursor})

    @property
    def is_over(self) -> bool:
        """Whether nothing of it is left to read."""
        return not self.locations

    def body(self) -> dict[str, Any]:
        """Returns the search for its next page."""
        filtered = {"date_time_filter": {"updated_at": {"start_at": rfc3339(self.since)}}}
        return {
            "location_ids": list(self.locations[:MOST_LOCATIONS]),
            "query": {"filter": filtered, "sort": {"sort_field": "UPDATED_AT", "sort_order": "ASC"}},
            "limit": PAGE_SIZE,
            **({"cursor": self.cursor} if self.cursor else {}),
        }

    def behind(self, answer: Answer) -> "Window":
        """Returns the cursor behind a page."""
        answered, cursor = self.answered or answer.answered_at, read_text(answer.body, "cursor")
        if cursor:
            return replace(self, answered=answered, cursor=cursor)
        rest = self.locations[MOST_LOCATIONS:]
        if rest:
            return replace(self, answered=answered, locations=rest, cursor="")
        return Window(since=answered - OVERLAP, swept=self.swept)

    def begin(self, locations: tuple[str, ...]) -> "Window":
        """Returns it from its beginning at these locations; once in a while a whole day is read."""
        now = datetime.now(UTC)
        if now - self.swept < SWEEP_INTERVAL:
            return replace(self, locations=locations)
        return replace(self, locations=locations, since=min(self.since, now - SWEEP_REACH), swept=now)


def fetch_orders(api: SquareApi, cursor: str) -> OrderPage:
    """Reads the next page; orders that cannot be read as they are come as hints."""
    window = Window.load(cursor)
    if window.is_over:
        window = window.begin(tuple(place.external_id for place in fetch_locations(api)))
    if window.is_over:
        return OrderPage((), cursor=window.dump())
    try:
        answer = api.search("/v2/orders/search", window.body())
    except Refused as refusal:
        if not (window.cursor and refusal.is_about("INVALID_CURSOR")):
            raise
        # Square forgets its cursors after a while: these locations are read from the beginning.
        return OrderPage((), cursor=replace(window, cursor="").dump(), has_more=True)
    states, hints = [], []
    for order in read_objects(answer.body, "orders"):
        try:
            states.append(order_state(order))
        except BadMessage:
            hints.append(read_id(order, "id"))
    left = window.behind(answer)
    return OrderPage(tuple(states), tuple(hints), left.dump(), has_more=not left.is_over)


def fetch_order(api: SquareApi, order_id: str) -> OrderState | None:
    """Reads one order; None when Square does not have it (any more)."""
    try:
        found = api.read(f"/v2/orders/{quote(order_id, safe='')}").body
    except NotThere:
        return None
    return order_state(read_part(found, "order"))


# -- translation


def order_state(order: Mapping[str, Any]) -> OrderState:
    """Translates an order. Raises `BadMessage`."""
    ordered_at = read_instant(order, "created_at")
    return OrderState(
        external_id=read_id(order, "id"),
        updated_at=read_instant(order, "updated_at") if order.get("updated_at") else ordered_at,
        ordered_at=ordered_at,
        lines=(*_lines(order), *_returned_lines(order)),
        number=read_text(order, "reference_id") or read_text(order, "ticket_name"),
        country=_country(order),
        currency=read_text(read_part(order, "total_money"), "currency"),
    )


def _lines(order: Mapping[str, Any]) -> Iterator[OrderLineState]:
    handed_over, takes_all = _handed_over(order)
    state = read_text(order, "state")
    for line in read_objects(order, "line_items"):
        if read_text(line, "item_type") in _NO_GOODS:
            continue
        uid = read_id(line, "uid")
        found = _line(order, line, uid)
        is_all = takes_all or state == _DONE
        fulfilled = found.quantity if is_all else min(handed_over[uid], found.quantity)
        yield replace(
            found,
            fulfilled=fulfilled,
            cancelled=found.quantity - fulfilled if state == _GONE else 0,
        )


def _returned_lines(order: Mapping[str, Any]) -> Iterator[OrderLineState]:
    """Yields what came back: nothing was ordered by this order, so that nothing is taken from stock for it."""
    for each in read_objects(order, "returns"):
        for line in read_objects(each, "return_line_items"):
            if read_text(line, "item_type") not in _NO_GOODS:
                found = _line(order, line, f"return:{read_id(line, 'uid')}", is_counted=True)
                yield replace(
                    found,
                    quantity=0,
                    returned=found.quantity,
                    returned_to_external_id=found.location_external_id,
                )


def _line(
    order: Mapping[str, Any], line: Mapping[str, Any], external_id: str, *, is_counted: bool | None = None
) -> OrderLineState:
    """Reads a line. Goods by measure name no listing: they are seen as waiting, rather than rounded into the ledger."""
    amount = read_amount(line, "quantity")
    if amount < 0:
        raise BadMessage("quantity is negative.")
    pieces = whole(amount)
    names = (read_text(line, "name"), read_text(line, "variation_name"))
    title = ", ".join(filter(None, names))
    units = -int(-amount // 1) if pieces is None else pieces
    return OrderLineState(
        external_id=external_id,
        listing_external_id=read_text(line, "catalog_object_id") if pieces is not None else "",
        sku="",
        quantity=units if (is_counted or _is_sold(order)) else 0,
        title=title if pieces is not None else f"{title} ({amount} by measure)",
        unit_price=read_money(line, "base_price_money"),
        location_external_id=read_text(order, "location_id"),
    )


def _is_sold(order: Mapping[str, Any]) -> bool:
    """Tells whether Square has taken the goods off its number: an order that is open has to be paid for that."""
    state = read_text(order, "state")
    if state == "OPEN":
        due = read_part(order, "net_amount_due_money").get("amount")
        return bool(read_objects(order, "tenders")) or due == 0
    return state in (_DONE, _GONE)


def _handed_over(order: Mapping[str, Any]) -> tuple[Counter[str], bool]:
    """Returns the units that fulfilments have completed by line, and whether one of them was for all lines."""
    units: Counter[str] = Counter()
    is_all = False
    for fulfilment in read_objects(order, "fulfillments"):
        if read_text(fulfilment, "state") != _DONE:
            continue
        entries = read_objects(fulfilment, "entries")
        is_all |= read_text(fulfilment, "line_item_application") != "ENTRY_LIST" and not entries
        for entry in entries:
            units[read_id(entry, "line_item_uid")] += whole(read_amount(entry, "quantity")) or 0
    return units, is_all


def _country(order: Mapping[str, Any]) -> str:
    """Returns where it is shipped to; what is sold at the till goes nowhere."""
    for fulfilment in read_objects(order, "fulfillments"):
        recipient = read_part(read_part(fulfilment, "shipment_details"), "recipient")
        if country := read_text(read_part(recipient, "address"), "country"):
            return country
    return ""
