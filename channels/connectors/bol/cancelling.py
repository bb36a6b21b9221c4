"""Cancels an order item at bol: all of its open units, since bol knows no part of an item."""

from typing import Final
from urllib.parse import quote

from channels.connectors.base import CancelOutcome
from channels.connectors.bol import processes
from channels.connectors.bol.api import RetailerApi
from channels.connectors.bol.orders import open_units
from channels.errors import Rejected

_REASON: Final = "OUT_OF_STOCK"


def cancel_line(api: RetailerApi, order_id: str, item_id: str, quantity: int) -> CancelOutcome:
    """Has bol cancel an item and follows the process; asking again for what is cancelled is harmless.

    bol pays the customer back, and the cancelled units no longer count against the number it shows. While bol
    has not decided, `cancelled` is 0 and `tracking_id` leads on. Raises `Rejected`.
    """
    order = api.read(f"/retailer/orders/{quote(order_id, safe='')}", bucket="order-detail").body
    open_now, cancelled = open_units(order, item_id)
    if not open_now and cancelled >= quantity > 0:
        return _outcome(quantity)
    if quantity != open_now or quantity <= 0:
        raise Rejected(f"bol cancels whole items; this one has {open_now} open units, not {quantity}.")
    body = {"orderItems": [{"orderItemId": item_id, "reasonCode": _REASON}]}
    process = api.write("PUT", "/retailer/orders/cancellation", body, bucket="orders-write")
    tracking_id = processes.follow(api, process)
    return _outcome(0 if tracking_id else quantity, tracking_id)


def _outcome(cancelled: int, tracking_id: str = "") -> CancelOutcome:
    return CancelOutcome(cancelled=cancelled, refunds=True, restocks=True, tracking_id=tracking_id)
