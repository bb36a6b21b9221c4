"""Reads changed orders in windows of time, each walked by id, so that nothing is skipped.

A window ends when its first page was answered, by the shop's own clock; the next one begins before that.
Orders that change while a window is walked leave it, and are in the next one.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from channels.connectors.answers import readable
from channels.connectors.base import OrderPage
from channels.connectors.woocommerce.api import NotThere, Shop, Walk
from channels.connectors.woocommerce.cancelling import read_order
from channels.connectors.woocommerce.orders import has_refunds, is_complete, is_known_status, order_state
from channels.errors import BadMessage
from channels.events import OrderState

#: How far a window reaches back behind the last one's end, at least once in `SWEEP_INTERVAL`.
OVERLAP: Final = timedelta(minutes=10)
SWEEP_INTERVAL: Final = timedelta(minutes=5)
#: How far in between, so that polls in quick succession stay small.
SHORT_OVERLAP: Final = timedelta(minutes=1)

_SECOND: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Window:
    """A span of time, and how far its orders have been walked."""

    #: When the full overlap was last read, this window included.
    swept: datetime
    after: datetime
    #: Unknown until the first page is answered.
    before: datetime | None = None
    offset: int = 0
    last_id: int = 0

    @classmethod
    def load(cls, cursor: str) -> "Window":
        """Reads a cursor; an empty one starts now, less the overlap."""
        if not cursor:
            now = datetime.now(UTC)
            return cls(swept=now, after=now - OVERLAP)
        kept = json.loads(cursor)
        times = {name: datetime.fromisoformat(text) for name, text in kept["times"].items()}
        return cls(**times, offset=kept["offset"], last_id=kept["last_id"])

    def dump(self) -> str:
        """Returns the cursor to store."""
        times = {name: getattr(self, name) for name in ("swept", "after", "before")}
        kept = {name: instant.isoformat() for name, instant in times.items() if instant is not None}
        return json.dumps({"times": kept, "offset": self.offset, "last_id": self.last_id})

    def parameters(self) -> dict[str, str]:
        """Returns the filter. Without `dates_are_gmt` the shop reads times in its own zone."""
        found = {"modified_after": _gmt(self.after), "dates_are_gmt": "true"}
        return found if self.before is None else found | {"modified_before": _gmt(self.before)}

    def behind(self, answered_at: datetime, walk: Walk | None) -> "Window":
        """Returns the cursor behind a page; `walk` None ends this window."""
        before = self.before or answered_at + _SECOND
        if walk is not None:
            return replace(self, before=before, offset=walk.offset, last_id=walk.last_id)
        reached = before - _SECOND
        # A shop's clock that was put back stamps changes before what was read already.
        if reached < self.swept or reached - self.swept >= SWEEP_INTERVAL:
            return Window(swept=reached, after=reached - OVERLAP)
        return Window(swept=self.swept, after=reached - SHORT_OVERLAP)


def fetch_orders(shop: Shop, cursor: str) -> OrderPage:
    """Reads the next page. Orders with refunds, and those that cannot be read as they are, come as hints."""
    window = Window.load(cursor)
    walk = Walk(window.offset, window.last_id)
    fresh, next_walk, answered_at = shop.read_page("orders", window.parameters(), walk)
    states = {order["id"]: state for order in fresh if (state := _state(order)) is not None}
    hints = tuple(str(order["id"]) for order in fresh if order["id"] not in states)
    kept = window.behind(answered_at, next_walk)
    return OrderPage(tuple(states.values()), hints, kept.dump(), has_more=next_walk is not None)


def fetch_order(shop: Shop, order_id: str) -> OrderState | None:
    """Reads one order in full; None when the shop does not have it (any more)."""
    try:
        with readable("WooCommerce"):
            order, refunds = read_order(shop, order_id)
    except NotThere:
        return None
    return order_state(order, refunds)


def _state(order: Mapping[str, Any]) -> OrderState | None:
    try:
        is_state = is_complete(order) and is_known_status(order) and not has_refunds(order)
        return order_state(order) if is_state else None
    except BadMessage:
        return None


def _gmt(instant: datetime) -> str:
    """Writes an instant as the shop reads it with `dates_are_gmt`: UTC, whole seconds, no zone."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
