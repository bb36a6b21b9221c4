"""Refuses messages that are signed and yet cannot be true, before anything of them is stored.

Connectors translate; what no platform can mean (negative units, numbers beyond any stock, text that no
database holds) is refused here once for all of them.
"""

from collections.abc import Iterable
from typing import Any, Final

from channels.errors import BadMessage
from channels.events import ChannelEvent, LevelObserved, OrderDeleted, OrderHint, OrderLineState, OrderState

#: More units than any shelf or order line holds; Shopify's own limit for a quantity.
LARGEST_QUANTITY: Final = 1_000_000_000
#: How deep a reduced payload may be nested.
DEEPEST_NESTING: Final = 64


def check_payload(value: Any, depth: int = 0) -> None:
    """Raises `BadMessage` for JSON that PostgreSQL cannot hold, such as NUL, lone surrogates and NaN."""
    if depth > DEEPEST_NESTING:
        raise BadMessage("The message is nested too deeply.")
    if isinstance(value, str):
        check_text(value)
    elif isinstance(value, dict):
        check_payload(list(value.keys()), depth + 1)
        check_payload(list(value.values()), depth + 1)
    elif isinstance(value, list | tuple):
        for item in value:
            check_payload(item, depth + 1)
    elif isinstance(value, float) and not (float("-inf") < value < float("inf")):
        raise BadMessage("The message holds a number that is not finite.")


def check_text(text: str) -> None:
    """Raises `BadMessage` for text with a NUL or half a character in it."""
    if "\x00" in text:
        raise BadMessage("The message holds a NUL character.")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadMessage("The message holds half a character (a lone surrogate).") from error


def check_events(events: Iterable[ChannelEvent]) -> None:
    """Raises `BadMessage` where an event claims something that cannot be."""
    for event in events:
        if isinstance(event, OrderState):
            check_order(event)
        elif isinstance(event, LevelObserved):
            _check_shelf(event)
        elif isinstance(event, OrderHint | OrderDeleted):
            _check_id("order", event.external_id)


def check_order(state: OrderState) -> None:
    """Raises `BadMessage` for an order without id, with a line twice, or with counts that cannot be."""
    _check_id("order", state.external_id)
    check_text("".join((state.number, state.country, state.currency)))
    if state.updated_at.tzinfo is None or state.ordered_at.tzinfo is None:
        raise BadMessage(f"Order {state.external_id} has a time without a time zone.")
    seen: set[str] = set()
    for line in state.lines:
        _check_id("order line", line.external_id)
        if line.external_id in seen:
            raise BadMessage(f"Order {state.external_id} names line {line.external_id} twice.")
        seen.add(line.external_id)
        _check_line(line)


def _check_line(line: OrderLineState) -> None:
    check_text(
        "".join((line.external_id, line.listing_external_id, line.sku, line.title, line.location_external_id))
    )
    counts = (line.quantity, line.cancelled, line.fulfilled, line.returned, line.restocked)
    if not all(0 <= count <= LARGEST_QUANTITY for count in counts):
        raise BadMessage(f"Order line {line.external_id} has a count below 0 or above {LARGEST_QUANTITY}.")


def _check_shelf(event: LevelObserved) -> None:
    # A shop that oversold shows a negative number.
    if event.quantity is not None and abs(event.quantity) > LARGEST_QUANTITY:
        raise BadMessage(f"Listing {event.listing_external_id} shows a number beyond ±{LARGEST_QUANTITY}.")


def _check_id(what: str, external_id: str) -> None:
    if not external_id or len(external_id) > 200:
        raise BadMessage(f"The id of the {what} is empty or longer than 200 characters.")
    check_text(external_id)
