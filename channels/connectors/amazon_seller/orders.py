"""Orders of a seller's account (Orders API 2026-01-01): searched by last change, or read one by one.

A pending order reserves: the buyer has committed, and Amazon has taken its units off the number it shows. A buyer who
asks for a cancellation has not cancelled. Nothing of the buyer is asked for: that would need a role of its own.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

from channels.connectors.amazon.client import NotThere, SellingPartnerApi
from channels.connectors.amazon_seller.warehouse import AMAZONS_WAREHOUSE
from channels.connectors.base import OrderPage
from channels.connectors.messages import (
    read_count,
    read_decimal,
    read_id,
    read_instant,
    read_objects,
    read_part,
    read_text,
)
from channels.errors import BadMessage, Rejected
from channels.events import OrderLineState, OrderState

#: How far the first poll of an account looks back.
FIRST_REACH: Final = timedelta(minutes=10)
#: Changes this long before the last poll may have been missed by it.
OVERLAP: Final = timedelta(minutes=5)
PAGE_SIZE: Final = 100

_PATH: Final = "/orders/2026-01-01/orders"
_INCLUDED: Final = "FULFILLMENT,CANCELLATION"
#: Nothing more will be shipped of such an order.
ENDED: Final = frozenset({"CANCELLED", "UNFULFILLABLE"})
#: Items of such an order say nothing yet of what is to be shipped.
_NOT_RELEASED: Final = frozenset({"PENDING", "PENDING_AVAILABILITY"})
AMAZON_SHIPS: Final = "AMAZON"


@dataclass(frozen=True, slots=True)
class Feed:
    """The cursor: changes up to `since` are known; `token` belongs to a search that goes on."""

    since: datetime
    token: str = ""
    #: What the first page of the search covers.
    until: str = ""

    @classmethod
    def load(cls, cursor: str) -> "Feed":
        """Reads a cursor; an empty one starts a little before now."""
        if not cursor:
            return cls(since=datetime.now(UTC) - FIRST_REACH + OVERLAP)
        kept = json.loads(cursor)
        return cls(datetime.fromisoformat(kept["since"]), kept.get("token", ""), kept.get("until", ""))

    def dump(self) -> str:
        """Returns the cursor to store."""
        return json.dumps({"since": self.since.isoformat(), "token": self.token, "until": self.until})

    def parameters(self, marketplace_ids: tuple[str, ...]) -> dict[str, str]:
        """Returns the filter of the present page."""
        found = {
            "lastUpdatedAfter": _utc(self.since - OVERLAP),
            "marketplaceIds": ",".join(marketplace_ids),
            "includedData": _INCLUDED,
            "maxResultsPerPage": str(PAGE_SIZE),
        }
        return {**found, "paginationToken": self.token} if self.token else found

    def behind(self, body: Mapping[str, Any]) -> "Feed":
        """Returns the cursor behind a page."""
        token = read_text(read_part(body, "pagination"), "nextToken")
        until = self.until or read_text(body, "lastUpdatedBefore")
        if token:
            return Feed(self.since, token, until)
        covered = read_instant({"until": until}, "until") if until else self.since
        return Feed(max(covered, self.since))


def _utc(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def fetch_orders(api: SellingPartnerApi, cursor: str) -> OrderPage:
    """Reads the next page of changed orders."""
    feed = Feed.load(cursor)
    try:
        body = api.read(_PATH, feed.parameters(api.marketplace_ids), bucket="search-orders")
    except Rejected:
        if not feed.token:
            raise
        # The token has ended meanwhile: the search begins anew.
        return OrderPage((), (), Feed(feed.since).dump(), has_more=True)
    states, hints = [], []
    for order in read_objects(body, "orders"):
        try:
            states.append(order_state(order))
        except BadMessage:
            # Its fetch says what is wrong with it, and it holds up no other order.
            hints.append(read_id(order, "orderId"))
    behind = feed.behind(body)
    return OrderPage(tuple(states), tuple(hints), behind.dump(), has_more=bool(behind.token))


def fetch_order(api: SellingPartnerApi, order_id: str) -> OrderState | None:
    """Reads one order in full; None when Amazon does not have it."""
    try:
        body = api.read(
            f"{_PATH}/{quote(order_id, safe='')}", {"includedData": _INCLUDED}, bucket="get-order"
        )
    except NotThere:
        return None
    return order_state(read_part(body, "order"))


def order_state(order: Mapping[str, Any]) -> OrderState:
    """Translates an order. Raises `BadMessage`."""
    fulfilment = read_part(order, "fulfillment")
    status = read_text(fulfilment, "fulfillmentStatus")
    if not status:
        raise BadMessage("The order does not say how far it is (fulfillment).")
    place = AMAZONS_WAREHOUSE if read_text(fulfilment, "fulfilledBy") == AMAZON_SHIPS else ""
    items = read_objects(order, "orderItems")
    return OrderState(
        external_id=read_id(order, "orderId"),
        updated_at=read_instant(order, "lastUpdatedTime"),
        ordered_at=read_instant(order, "createdTime"),
        lines=tuple(_line(item, status, place) for item in items),
        number=read_id(order, "orderId"),
        currency=next(filter(None, (_currency(item) for item in items)), ""),
    )


def _line(item: Mapping[str, Any], status: str, place: str) -> OrderLineState:
    product, fulfilment = read_part(item, "product"), read_part(item, "fulfillment")
    ordered = read_count(item, "quantityOrdered")
    fulfilled = min(read_count(fulfilment, "quantityFulfilled", 0), ordered)
    return OrderLineState(
        external_id=read_id(item, "orderItemId"),
        listing_external_id=read_text(product, "sellerSku"),
        sku=read_text(product, "sellerSku"),
        quantity=ordered,
        cancelled=_cancelled(fulfilment, status, ordered, fulfilled),
        fulfilled=fulfilled,
        title=read_text(product, "title"),
        unit_price=read_decimal(read_part(read_part(product, "price"), "unitPrice"), "amount"),
        location_external_id=place,
    )


def _cancelled(fulfilment: Mapping[str, Any], status: str, ordered: int, fulfilled: int) -> int:
    """Returns the units that are neither shipped nor to be shipped any more."""
    if status in ENDED:
        return ordered - fulfilled
    if status in _NOT_RELEASED:
        return 0
    open_units = read_count(fulfilment, "quantityUnfulfilled", ordered - fulfilled)
    return max(ordered - fulfilled - open_units, 0)


def _currency(item: Mapping[str, Any]) -> str:
    price = read_part(read_part(read_part(item, "product"), "price"), "unitPrice")
    return read_text(price, "currencyCode")[:3]
