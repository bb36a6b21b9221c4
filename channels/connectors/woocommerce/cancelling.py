"""Cancels units of an order line, which in WooCommerce is a refund of that line.

The refund names the units and does not restock them: they do not exist, and our next push says what does. It
is recorded in the shop; money goes back through the payment gateway only where the channel's settings say so,
since many gateways cannot. The shop has no idempotency key, so the refund's reason carries ours.
"""

from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

from channels.connectors.base import CancelOutcome
from channels.connectors.messages import read_count, read_decimal, read_id, read_objects, read_text
from channels.connectors.woocommerce.api import NotThere, Shop
from channels.connectors.woocommerce.orders import order_state
from channels.errors import BadMessage, Rejected

_CENT: Final = Decimal("0.01")


def cancel_line(
    shop: Shop, order_id: str, line_id: str, quantity: int, *, call_id: str, pays_back: bool
) -> CancelOutcome:
    """Refunds units of a line that were not delivered yet; the same `call_id` refunds once.

    Raises `Rejected` when the line has not that many open units.
    """
    outcome = CancelOutcome(cancelled=quantity, refunds=pays_back, restocks=False)
    order, refunds = read_order(shop, order_id)
    if any(call_id in read_text(refund, "reason") for refund in refunds):
        return outcome
    _check_open(order, refunds, line_id, quantity)
    line = next(each for each in read_objects(order, "line_items") if read_id(each, "id") == line_id)
    body = {
        "reason": f"Out of stock ({call_id})",
        "api_refund": pays_back,
        "api_restock": False,
        "line_items": [_refund_item(line, quantity)],
    }
    shop.write("POST", f"orders/{order_id}/refunds", body)
    return outcome


def read_order(shop: Shop, order_id: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Reads an order and, where it has any, its refunds. Raises `NotThere`."""
    if not (order_id.isascii() and order_id.isdecimal()):
        raise NotThere(f"{order_id[:40]} is not the id of an order.")
    order = shop.read(f"orders/{order_id}").body
    if not isinstance(order, dict):
        raise BadMessage("The shop's answer is not an order.")
    has_refunds = bool(read_objects(order, "refunds"))
    return order, list(shop.read_all(f"orders/{order_id}/refunds")) if has_refunds else []


def _check_open(
    order: Mapping[str, Any], refunds: Sequence[Mapping[str, Any]], line_id: str, quantity: int
) -> None:
    lines = order_state(order, refunds).lines
    line = next((line for line in lines if line.external_id == line_id), None)
    units = line.quantity - line.cancelled - line.fulfilled if line else 0
    if not 0 < quantity <= units:
        raise Rejected(f"The line has {units} open units at the shop; {quantity} cannot be cancelled.")


def _refund_item(line: Mapping[str, Any], quantity: int) -> dict[str, Any]:
    share = Decimal(quantity) / read_count(line, "quantity")
    taxes = [
        {"id": int(read_id(tax, "id")), "refund_total": _part(tax, share)}
        for tax in read_objects(line, "taxes")
        if read_decimal(tax, "total") is not None
    ]
    return {
        "id": int(read_id(line, "id")),
        "quantity": quantity,
        "refund_total": _part(line, share),
        "refund_tax": taxes,
    }


def _part(amounts: Mapping[str, Any], share: Decimal) -> float:
    """Returns the share of a total, in whole cents, as the number that the shop's schema asks for."""
    total = read_decimal(amounts, "total") or Decimal(0)
    return float((total * share).quantize(_CENT, ROUND_HALF_UP))
