"""What a seller's notifications mean: they come in any sequence, more than once, late or never.

`ORDER_CHANGE` on the level of an order names all of its items with their counts: that is enough to reserve. It is dated
just before the second it speaks of, so that what the Orders API says of the same second outranks it, and the polls,
which bring that, have the last word. Everything else about an order is a hint.
"""

import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from channels.connectors.amazon import envelopes
from channels.connectors.amazon_seller.warehouse import AMAZONS_WAREHOUSE, OWN_STOCK
from channels.connectors.base import InboundMessage, InboundRequest
from channels.connectors.messages import (
    Fields,
    digest_of,
    read_count,
    read_id,
    read_instant,
    read_objects,
    read_part,
    read_text,
    reduce_fields,
)
from channels.events import (
    ChannelEvent,
    Ignored,
    LevelObserved,
    ListingChanged,
    OrderHint,
    OrderLineState,
    OrderState,
    UnknownEvent,
    WarehouseChanged,
)

#: All names in small letters, as the envelope has them; the buyer's postal code is not among them.
_FIELDS: Final[Fields] = {
    "orderchangenotification": {
        "notificationlevel": None,
        "sellerid": None,
        "amazonorderid": None,
        "orderchangetype": None,
        "orderchangetrigger": {"timeoforderchange": None, "changereason": None},
        "summary": {
            "marketplaceid": None,
            "orderstatus": None,
            "purchasedate": None,
            "fulfillmenttype": None,
            "orderitems": {
                "orderitemid": None,
                "sellersku": None,
                "supplysourceid": None,
                "orderitemstatus": None,
                "quantity": None,
                "quantityshipped": None,
                "isbuyerrequestedcancel": None,
            },
        },
    },
    "sellerid": None,
    "fulfillmentchannelcode": None,
    "sku": None,
    "quantity": None,
    "marketplaceid": None,
    "status": None,
    "severities": None,
    "feedprocessingfinishednotification": {
        "sellerid": None,
        "feedid": None,
        "feedtype": None,
        "processingstatus": None,
    },
    "reportprocessingfinishednotification": {
        "sellerid": None,
        "reportid": None,
        "reporttype": None,
        "processingstatus": None,
    },
}
_WHOLE_ORDER: Final = "OrderLevel"
#: Statuses of an order of which nothing more will be shipped, as notifications spell them.
_ENDED: Final = frozenset({"Canceled", "Cancelled", "Unfulfillable"})
_KNOWN: Final = frozenset(
    {"Pending", "PendingAvailability", "Unshipped", "PartiallyShipped", "Shipped", "InvoiceUnconfirmed"}
)
_JUST_BEFORE: Final = timedelta(microseconds=1)


def receive(request: InboundRequest) -> InboundMessage:
    """Reads and reduces a notification. Raises `BadMessage`."""
    envelope = envelopes.read(request)
    payload = {"eventtime": envelope.event_time, **reduce_fields(envelope.payload, _FIELDS)}
    key = envelope.notification_id or digest_of(envelope.topic, json.dumps(payload, sort_keys=True))
    return InboundMessage(envelope.topic, key, payload)


def parse(topic: str, payload: Mapping[str, Any]) -> list[ChannelEvent]:
    """Translates a reduced notification. Raises `BadMessage`."""
    translate = _TRANSLATIONS.get(topic)
    return [translate(payload)] if translate else [UnknownEvent(topic)]


def _order_change(payload: Mapping[str, Any]) -> ChannelEvent:
    change = read_part(payload, "orderchangenotification")
    order_id = read_id(change, "amazonorderid")
    summary = read_part(change, "summary")
    changed_at = read_part(change, "orderchangetrigger").get("timeoforderchange")
    items = [_line(item, summary) for item in read_objects(summary, "orderitems")]
    is_whole = read_text(change, "notificationlevel") == _WHOLE_ORDER and bool(items and changed_at)
    if not is_whole or read_text(summary, "orderstatus") not in _KNOWN | _ENDED:
        return OrderHint(order_id)
    stamp = read_instant({"timeoforderchange": changed_at}, "timeoforderchange")
    return OrderState(
        external_id=order_id,
        updated_at=_before_the_second(stamp),
        ordered_at=read_instant(summary, "purchasedate") if summary.get("purchasedate") else stamp,
        lines=tuple(items),
        number=order_id,
    )


def _before_the_second(stamp: datetime) -> datetime:
    return stamp.replace(microsecond=0) - _JUST_BEFORE


def _line(item: Mapping[str, Any], summary: Mapping[str, Any]) -> OrderLineState:
    quantity = read_count(item, "quantity")
    fulfilled = min(read_count(item, "quantityshipped", 0), quantity)
    is_ended = read_text(summary, "orderstatus") in _ENDED
    sku = read_text(item, "sellersku")
    return OrderLineState(
        external_id=read_id(item, "orderitemid"),
        listing_external_id=sku,
        sku=sku,
        quantity=quantity,
        cancelled=quantity - fulfilled if is_ended else 0,
        fulfilled=fulfilled,
        location_external_id=AMAZONS_WAREHOUSE if read_text(summary, "fulfillmenttype") == "AFN" else "",
    )


def _own_number(payload: Mapping[str, Any]) -> ChannelEvent:
    """The number of a listing that the merchant ships, as it is for customers now."""
    if read_text(payload, "fulfillmentchannelcode") != OWN_STOCK:
        return Ignored("The number of another fulfilment channel.")
    return LevelObserved(
        read_id(payload, "sku"), "", read_count(payload, "quantity"), read_instant(payload, "eventtime")
    )


def _warehouse(payload: Mapping[str, Any]) -> ChannelEvent:
    return WarehouseChanged()


def _listing(payload: Mapping[str, Any]) -> ChannelEvent:
    status = payload.get("status")
    is_deleted = isinstance(status, list) and "DELETED" in status
    return ListingChanged(read_id(payload, "sku"), is_deleted=is_deleted)


def _of_no_consequence(payload: Mapping[str, Any]) -> ChannelEvent:
    return Ignored("It says nothing about stock that is not read elsewhere.")


_TRANSLATIONS: Final[Mapping[str, Callable[[Mapping[str, Any]], ChannelEvent]]] = {
    "ORDER_CHANGE": _order_change,
    "LISTINGS_ITEM_MFN_QUANTITY_CHANGE": _own_number,
    "FBA_INVENTORY_AVAILABILITY_CHANGES": _warehouse,
    # The vendor's schema and its own example spell it differently.
    "LISTINGS_ITEM_STATUS_CHANGE": _listing,
    "LISTINGS_ITEM_STATUS_CHANGED": _listing,
    "LISTINGS_ITEM_ISSUES_CHANGE": _of_no_consequence,
    "FEED_PROCESSING_FINISHED": _of_no_consequence,
    "REPORT_PROCESSING_FINISHED": _of_no_consequence,
    "ANY_OFFER_CHANGED": _of_no_consequence,
}
