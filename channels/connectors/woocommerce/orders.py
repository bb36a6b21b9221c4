"""Order snapshots of WooCommerce: which units are still to be delivered, cancelled, shipped, returned.

What the shop itself still holds (unpaid checkouts) is no demand yet: quantity 0. Refunded units were never
shipped when the refund came before the completion, or there was none; else they are returns. Money alone
moves no stock. All is judged from the order and its refunds as they stand.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Final

from channels.connectors.messages import (
    Fields,
    read_count,
    read_decimal,
    read_id,
    read_integer,
    read_objects,
    read_text,
    reduce_fields,
)
from channels.errors import BadMessage
from channels.events import OrderLineState, OrderState


class Stage(Enum):
    """What a status means for the goods."""

    #: Not paid: the shop holds the units beside its number, or holds nothing.
    HELD = "held"
    #: Sold and to be delivered; the shop has lowered its number.
    OPEN = "open"
    #: Delivered.
    COMPLETED = "completed"
    #: Called off; the shop has put everything back on its number.
    CANCELLED = "cancelled"
    #: Called off, and the number left as it was.
    DROPPED = "dropped"


STAGES: Final[Mapping[str, Stage]] = {
    "pending": Stage.HELD,
    "checkout-draft": Stage.HELD,
    "auto-draft": Stage.HELD,
    "failed": Stage.HELD,
    "processing": Stage.OPEN,
    "on-hold": Stage.OPEN,
    "completed": Stage.COMPLETED,
    "cancelled": Stage.CANCELLED,
    "refunded": Stage.DROPPED,
    "trash": Stage.DROPPED,
}

#: Line meta in which the shop keeps what it took off its number, and what of it refunds put back.
_REDUCED: Final = "_reduced_stock"
_RESTOCKED: Final = "_restock_refunded_items"
_REFUNDED_LINE: Final = "_refunded_item_id"

_META: Final[Fields] = {"key": None, "value": None}
#: What is kept of an order: of the customer only the country.
ORDER_FIELDS: Final[Fields] = {
    "id": None,
    "number": None,
    "status": None,
    "currency": None,
    "date_created_gmt": None,
    "date_modified_gmt": None,
    "date_completed_gmt": None,
    "date_paid_gmt": None,
    "shipping": {"country": None},
    "billing": {"country": None},
    "line_items": {
        "id": None,
        "name": None,
        "product_id": None,
        "variation_id": None,
        "quantity": None,
        "sku": None,
        "price": None,
        "meta_data": _META,
    },
    "refunds": {"id": None},
}


@dataclass(frozen=True, slots=True)
class _Refunded:
    """Units of one line that were refunded while undelivered, and after delivery."""

    undelivered: int = 0
    delivered: int = 0


def reduce_order(order: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the allow-listed fields of an order. Raises `BadMessage`."""
    lines = [_without_foreign_meta(line) for line in read_objects(order, "line_items")]
    kept = {**order, "line_items": lines} if "line_items" in order else order
    return reduce_fields(kept, ORDER_FIELDS)


def _without_foreign_meta(line: dict[str, Any]) -> dict[str, Any]:
    """Leaves only the shop's own counters: other meta holds what customers and plugins wrote."""
    meta = line.get("meta_data")
    entries = meta if isinstance(meta, list) else []
    own = [each for each in entries if isinstance(each, dict) and each.get("key") in (_REDUCED, _RESTOCKED)]
    return {**line, "meta_data": own}


def is_complete(order: Mapping[str, Any]) -> bool:
    """Tells whether a body says enough to be a state; others are hints."""
    return bool(order.get("date_modified_gmt")) and isinstance(order.get("line_items"), list)


def has_refunds(order: Mapping[str, Any]) -> bool:
    """Tells whether the order's refunds have to be read as well."""
    return bool(read_objects(order, "refunds"))


def is_known_status(order: Mapping[str, Any]) -> bool:
    """Tells whether the order's status is one of WooCommerce's own; plugins add others."""
    return read_text(order, "status") in STAGES


def order_state(order: Mapping[str, Any], refunds: Sequence[Mapping[str, Any]] = ()) -> OrderState:
    """Translates an order and its refunds. Raises `BadMessage` where required fields are missing."""
    stage = _stage_of(order)
    completed_at = read_gmt(order, "date_completed_gmt")
    lines = read_objects(order, "line_items")
    refunded = _refunded_units(lines, refunds, completed_at)
    updated_at = _required_gmt(order, "date_modified_gmt")
    return OrderState(
        external_id=read_id(order, "id"),
        updated_at=updated_at,
        ordered_at=read_gmt(order, "date_created_gmt") or updated_at,
        lines=tuple(
            _line_state(line, stage, refunded.get(read_id(line, "id"), _Refunded()), completed_at)
            for line in lines
        ),
        number=read_text(order, "number"),
        country=_country(order),
        currency=read_text(order, "currency"),
    )


def _stage_of(order: Mapping[str, Any]) -> Stage:
    """Reads the status; one of a plugin's own is judged by what the shop has done."""
    known = STAGES.get(read_text(order, "status"))
    if known is not None:
        return known
    if order.get("date_completed_gmt"):
        return Stage.COMPLETED
    has_left_the_number = any(_meta(line, _REDUCED) for line in read_objects(order, "line_items"))
    return Stage.OPEN if has_left_the_number or order.get("date_paid_gmt") else Stage.HELD


def _line_state(
    line: Mapping[str, Any], stage: Stage, refunded: _Refunded, completed_at: datetime | None
) -> OrderLineState:
    quantity = 0 if stage is Stage.HELD else read_count(line, "quantity")
    cancelled, fulfilled, returned = _split(quantity, stage, refunded, has_left=completed_at is not None)
    return OrderLineState(
        external_id=read_id(line, "id"),
        listing_external_id=_listing_id(line),
        sku=read_text(line, "sku"),
        quantity=quantity,
        cancelled=cancelled,
        fulfilled=fulfilled,
        returned=returned,
        restocked=_restocked(line, quantity, stage, refunded),
        title=read_text(line, "name"),
        unit_price=read_decimal(line, "price"),
    )


def _split(quantity: int, stage: Stage, refunded: _Refunded, *, has_left: bool) -> tuple[int, int, int]:
    """Divides the units of a line into cancelled, fulfilled, and returned of the fulfilled ones."""
    undelivered = min(refunded.undelivered, quantity)
    is_called_off = stage in (Stage.CANCELLED, Stage.DROPPED)
    if stage is Stage.COMPLETED or (is_called_off and has_left):
        fulfilled = quantity - undelivered
        returned = fulfilled if stage is Stage.CANCELLED else min(refunded.delivered, fulfilled)
        return undelivered, fulfilled, returned
    if is_called_off:
        return quantity, 0, 0
    return min(refunded.undelivered + refunded.delivered, quantity), 0, 0


def _restocked(line: Mapping[str, Any], quantity: int, stage: Stage, refunded: _Refunded) -> int:
    """Returns the units that the shop put back on its own number.

    Its counters say so where they are shown; without them refunds count as put back, as is the shop's default.
    """
    reduced = _meta(line, _REDUCED)
    if reduced is not None:
        units = quantity - reduced
    elif stage is Stage.CANCELLED:
        units = quantity
    else:
        units = _meta(line, _RESTOCKED) or refunded.undelivered + refunded.delivered
    return min(max(units, 0), quantity)


def _meta(line: Mapping[str, Any], key: str) -> int | None:
    for entry in read_objects(line, "meta_data"):
        if entry.get("key") == key and entry.get("value") not in (None, ""):
            return read_integer(entry, "value")
    return None


def _listing_id(line: Mapping[str, Any]) -> str:
    """The variation carries the stock where there is one; both are 0 for a product that no longer exists."""
    for name in ("variation_id", "product_id"):
        number = read_text(line, name)
        if number not in ("", "0"):
            return number
    return ""


def _country(order: Mapping[str, Any]) -> str:
    for name in ("shipping", "billing"):
        address = order.get(name)
        # PHP writes an empty address as a list.
        country = read_text(address, "country") if isinstance(address, dict) else ""
        if country:
            return country
    return ""


# -- refunds


def _refunded_units(
    lines: Sequence[Mapping[str, Any]], refunds: Iterable[Mapping[str, Any]], completed_at: datetime | None
) -> dict[str, _Refunded]:
    """Sums the refunded units by line id; amounts without line items move nothing."""
    found: dict[str, _Refunded] = {}
    for refund in refunds:
        refunded_at = read_gmt(refund, "date_created_gmt")
        is_delivered = completed_at is not None and (refunded_at is None or refunded_at >= completed_at)
        for item in read_objects(refund, "line_items"):
            units = abs(read_integer(item, "quantity", 0))
            line_id = _refunded_line_id(item, lines)
            before = found.get(line_id, _Refunded())
            found[line_id] = _Refunded(
                before.undelivered + (0 if is_delivered else units),
                before.delivered + (units if is_delivered else 0),
            )
    return found


def _refunded_line_id(item: Mapping[str, Any], lines: Sequence[Mapping[str, Any]]) -> str:
    """Finds the line that a refund's item is about: by the shop's own reference, else by what was sold."""
    meta = item.get("meta_data")
    for entry in meta if isinstance(meta, list) else []:
        if isinstance(entry, dict) and entry.get("key") == _REFUNDED_LINE:
            return read_text(entry, "value")
    same = (line for line in lines if _listing_id(line) == _listing_id(item))
    return next((read_id(line, "id") for line in same), "")


# -- times


def read_gmt(payload: Mapping[str, Any], name: str) -> datetime | None:
    """Reads a `_gmt` field, which carries no time zone; None where it is absent. Raises `BadMessage`."""
    text = read_text(payload, name)
    if not text:
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise BadMessage(f"{name} is not a time: {text[:40]!r}.") from None
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)


def _required_gmt(payload: Mapping[str, Any], name: str) -> datetime:
    instant = read_gmt(payload, name)
    if instant is None:
        raise BadMessage(f"{name} is missing.")
    return instant
