"""Orders as Shopify states them: read by their last change, or one in full, and translated.

The place that ships stands in the fulfilment orders, so that a line shipped from two places becomes two lines
of ours. A page of a query may cost 1,000 points at most, so an order is asked for in a small frame first; what
does not fit into it is read connection by connection.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from channels.connectors.base import OrderPage
from channels.connectors.shopify.graphql import Api, Document, gid, number_of, pages, well_formed
from channels.connectors.shopify.units import units_of
from channels.errors import BadMessage
from channels.events import OrderLineState, OrderState

#: Polls read this much of the past again: clocks differ, and changes commit out of sequence.
OVERLAP: Final = timedelta(minutes=2)

_FRAGMENTS: Final = ("order_fields", "line_fields", "part_line_fields", "refund_line_fields")
_ORDER: Final = Document("order", _FRAGMENTS)
_ORDERS: Final = Document("orders", _FRAGMENTS)
_LINES: Final = Document("order_lines", ("line_fields",))
_PARTS: Final = Document("order_parts")
_PART_LINES: Final = Document("part_lines", ("part_line_fields",))
_REFUNDS: Final = Document("order_refunds")
_REFUND_LINES: Final = Document("refund_lines", ("refund_line_fields",))

#: How much of an order the frame shows. More than 99 % of all orders are smaller.
_FRAME: Final[Mapping[str, int]] = {"lines": 8, "parts": 2, "refunds": 3, "refundLines": 4}
#: Points of the frame: order 3, lines 2 + 8 × 5, fulfilment orders 2 + 2 × (3 + 2 + 8 × 2), refunds 3 × (3 + 4 × 3).
_FRAME_COST: Final = 136
_PAGE: Final = 7
_CONNECTION: Final = 100
_LINE_COST: Final = 5

#: Fulfilment orders that ship nothing any more.
_DEAD_PARTS: Final = frozenset({"CANCELLED"})
#: Refunds that put units back on the shop's own number.
_RESTOCKING: Final = frozenset({"CANCEL", "RETURN"})


@dataclass(frozen=True, slots=True)
class _Cursor:
    """Where the feed stands: the window's beginning, the page in it, the newest change seen."""

    since: str
    after: str | None = None
    newest: str = ""

    @classmethod
    def read(cls, text: str) -> "_Cursor":
        if text:
            return cls(**json.loads(text))
        return cls(since=_iso(datetime.now(UTC) - OVERLAP))

    def __str__(self) -> str:
        return json.dumps({"since": self.since, "after": self.after, "newest": self.newest})

    def next(self, page: Mapping[str, Any], answered_at: datetime) -> "_Cursor":
        """Returns the cursor behind a page; at the end of the window a new one begins, less the overlap.

        While nothing was seen, a beginning that our clock put into Shopify's future moves back to its present.
        """
        newest = max([self.newest, *(node["updatedAt"] for node in page["nodes"])])
        if page["pageInfo"]["hasNextPage"]:
            return replace(self, after=page["pageInfo"]["endCursor"], newest=newest)
        if not newest:
            return replace(self, after=None, since=min(self.since, _iso(answered_at - OVERLAP)))
        since = max(self.since, _iso(datetime.fromisoformat(newest) - OVERLAP))
        return _Cursor(since=since)


def _iso(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def fetch_page(api: Api, cursor_text: str) -> OrderPage:
    """Reads the next page of changed orders; those that are larger than the frame come as hints."""
    cursor = _Cursor.read(cursor_text)
    variables = {"query": f"updated_at:>='{cursor.since}'", "first": _PAGE, "after": cursor.after, **_FRAME}
    data, answered_at = api.ask(_ORDERS, variables, cost=2 + _PAGE * _FRAME_COST)
    page = data["orders"]
    states = {node["id"]: _state_at_once(node) for node in page["nodes"]}
    return OrderPage(
        orders=tuple(state for state in states.values() if state is not None),
        hints=tuple(number_of(identity) for identity, state in states.items() if state is None),
        cursor=str(cursor.next(page, answered_at)),
        has_more=page["pageInfo"]["hasNextPage"],
    )


def _state_at_once(node: Mapping[str, Any]) -> OrderState | None:
    """Translates an order of a page; None where it has to be looked at by itself, and must not hold the others."""
    try:
        return order_state(node) if _is_whole(node) else None
    except BadMessage:
        return None


@well_formed()
def fetch_one(api: Api, external_id: str) -> OrderState | None:
    """Reads one order in full, however large; None when Shopify has it no more."""
    variables = {"id": gid("Order", external_id), **_FRAME}
    node = api.run(_ORDER, variables, cost=_FRAME_COST)["order"]
    if node is None:
        return None
    return order_state(node if _is_whole(node) else _completed(api, node))


def _is_whole(node: Mapping[str, Any]) -> bool:
    """Tells whether nothing of an order was cut off by the frame."""
    connections = [node["lineItems"], node["fulfillmentOrders"]]
    connections += [part["lineItems"] for part in node["fulfillmentOrders"]["nodes"]]
    connections += [refund["refundLineItems"] for refund in node["refunds"]]
    is_cut = any(connection["pageInfo"]["hasNextPage"] for connection in connections)
    return not is_cut and len(node["refunds"]) < _FRAME["refunds"]


def _completed(api: Api, node: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the order with all its connections read to their ends."""
    variables = {"id": node["id"], "first": _CONNECTION}
    cost = 3 + _CONNECTION * _LINE_COST
    lines = pages(api, _LINES, ("order", "lineItems"), variables, cost=cost)
    parts = pages(api, _PARTS, ("order", "fulfillmentOrders"), variables, cost=cost)
    refunds = api.run(_REFUNDS, {"id": node["id"], "first": 250}, cost=260)["order"]["refunds"]
    return {
        **node,
        "lineItems": {"nodes": list(lines)},
        "fulfillmentOrders": {"nodes": [_with_lines(api, part) for part in parts]},
        "refunds": [_with_refund_lines(api, refund) for refund in refunds],
    }


def _with_lines(api: Api, part: Mapping[str, Any]) -> dict[str, Any]:
    variables = {"id": part["id"], "first": _CONNECTION}
    lines = pages(api, _PART_LINES, ("fulfillmentOrder", "lineItems"), variables, cost=3 + _CONNECTION * 2)
    return {**part, "lineItems": {"nodes": list(lines)}}


def _with_refund_lines(api: Api, refund: Mapping[str, Any]) -> dict[str, Any]:
    variables = {"id": refund["id"], "first": _CONNECTION}
    lines = pages(api, _REFUND_LINES, ("refund", "refundLineItems"), variables, cost=3 + _CONNECTION * 3)
    return {**refund, "refundLineItems": {"nodes": list(lines)}}


# -- translation


@dataclass(slots=True)
class _Part:
    """What one place ships of a line."""

    location: str
    quantity: int = 0
    fulfilled: int = 0


def order_state(node: Mapping[str, Any]) -> OrderState:
    """Translates an order as GraphQL shows it. Raises `BadMessage` where that cannot be."""
    try:
        return OrderState(
            external_id=number_of(node["id"]),
            updated_at=datetime.fromisoformat(node["updatedAt"]),
            ordered_at=datetime.fromisoformat(node["createdAt"]),
            lines=tuple(_line_states(node)),
            number=node["name"] or "",
            country=(node["shippingAddress"] or {}).get("countryCodeV2") or "",
            currency=node["currencyCode"] or "",
            is_test=node["test"] is True,
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BadMessage("An order of Shopify's has another shape than its schema says.") from error


def _line_states(node: Mapping[str, Any]) -> Iterable[OrderLineState]:
    parts = _parts_by_line(node)
    returned, restocked = _refunded_units(node)
    returned_to = _returned_to(node)
    counter = number_of((node["retailLocation"] or {}).get("id", ""))
    for line in node["lineItems"]["nodes"]:
        whole = _line_state(
            line,
            parts.get(line["id"], []),
            returned=returned[line["id"]],
            restocked=restocked[line["id"]],
            is_cancelled=node["cancelledAt"] is not None,
        )
        whole = replace(whole, returned_to_external_id=returned_to.get(line["id"], ""))
        placed = parts.get(line["id"]) or [_Part(counter, whole.quantity, whole.fulfilled)]
        yield from _split(whole, placed)


def _line_state(
    line: Mapping[str, Any], parts: Sequence[_Part], *, returned: int, restocked: int, is_cancelled: bool
) -> OrderLineState:
    quantity, current = int(line["quantity"]), int(line["currentQuantity"])
    # Fulfilment orders that the app may not see are left out of the answer: then the line's own counts tell.
    by_line = current - int(line["unfulfilledQuantity"]) + returned
    units = units_of(
        quantity,
        current=current,
        fulfilled=max(sum(part.fulfilled for part in parts), by_line),
        returned=returned,
        is_cancelled=is_cancelled,
    )
    item = (line["variant"] or {}).get("inventoryItem") or {}
    return OrderLineState(
        external_id=number_of(line["id"]),
        listing_external_id=number_of(item.get("id", "")),
        sku=line["sku"] or "",
        quantity=quantity,
        cancelled=units.cancelled,
        fulfilled=units.fulfilled,
        returned=units.returned,
        restocked=min(restocked, units.cancelled + units.returned),
        title=line["title"] or "",
        unit_price=_price(line),
    )


def _price(line: Mapping[str, Any]) -> Decimal | None:
    try:
        return Decimal(str(line["originalUnitPriceSet"]["shopMoney"]["amount"]))
    except InvalidOperation:
        return None


def _parts_by_line(node: Mapping[str, Any]) -> dict[str, list[_Part]]:
    """Returns, by line, what each place ships of it; the same place is named once."""
    found: dict[str, dict[str, _Part]] = {}
    for fulfilment_order in node["fulfillmentOrders"]["nodes"]:
        if fulfilment_order["status"] in _DEAD_PARTS:
            continue
        location = number_of((fulfilment_order["assignedLocation"]["location"] or {}).get("id", ""))
        for part_line in fulfilment_order["lineItems"]["nodes"]:
            places = found.setdefault(part_line["lineItem"]["id"], {})
            part = places.setdefault(location, _Part(location))
            part.quantity += int(part_line["totalQuantity"])
            part.fulfilled += int(part_line["totalQuantity"]) - int(part_line["remainingQuantity"])
    return {line: list(places.values()) for line, places in found.items()}


def _refunded_units(node: Mapping[str, Any]) -> tuple[Counter[str], Counter[str]]:
    """Returns units refunded as returns, and units that the shop put back on its number, by line."""
    returned: Counter[str] = Counter()
    restocked: Counter[str] = Counter()
    for refund in node["refunds"]:
        for part in refund["refundLineItems"]["nodes"]:
            line, count = part["lineItem"]["id"], int(part["quantity"])
            returned[line] += count if part["restockType"] == "RETURN" else 0
            restocked[line] += count if part["restockType"] in _RESTOCKING else 0
    return returned, restocked


def _returned_to(node: Mapping[str, Any]) -> dict[str, str]:
    """Returns the place that takes back what was refunded as returned, by line; of several the last one named."""
    return {
        part["lineItem"]["id"]: number_of(part["location"]["id"])
        for refund in node["refunds"]
        for part in refund["refundLineItems"]["nodes"]
        if part["restockType"] == "RETURN" and part.get("location")
    }


def _split(line: OrderLineState, parts: Sequence[_Part]) -> list[OrderLineState]:
    """Divides a line between the places that ship it.

    The first one keeps the line's id and what no place ships any more; each further one's id names its place.
    """
    first, *others = parts
    if not others:
        return [replace(line, location_external_id=first.location)]
    states: list[OrderLineState] = []
    returned, restocked = line.returned, line.restocked
    for part in others:
        back = min(returned, part.fulfilled)
        put_back = min(restocked, back)
        returned, restocked = returned - back, restocked - put_back
        states.append(
            replace(
                line,
                external_id=f"{line.external_id}@{part.location}",
                location_external_id=part.location,
                quantity=part.quantity,
                cancelled=0,
                fulfilled=min(part.fulfilled, part.quantity),
                returned=back,
                restocked=put_back,
            )
        )
    rest = replace(
        line,
        location_external_id=first.location,
        quantity=max(line.quantity - sum(state.quantity for state in states), 0),
        fulfilled=max(line.fulfilled - sum(state.fulfilled for state in states), 0),
        returned=returned,
        restocked=restocked,
    )
    return [rest, *states]
