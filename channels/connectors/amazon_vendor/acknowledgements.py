"""Our word on an order: of a retail order per item, of one of direct fulfilment as a whole.

Amazon takes another word on the same order for a replacement of the last one, so that saying it again changes nothing. Items
that are left out count as rejected: every item is named.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from typing import Any, Final

from channels.connectors.amazon.client import Call, NotThere, SellingPartnerApi
from channels.connectors.amazon_vendor import direct, retail, transactions
from channels.connectors.amazon_vendor.account import VendorAccount
from channels.connectors.amazon_vendor.identities import DIRECT, RETAIL, split
from channels.connectors.amazon_vendor.quantities import eaches, in_units_of, unit_size
from channels.connectors.base import (
    Acknowledged,
    AcknowledgedLine,
    AcknowledgementEnd,
    AcknowledgementStep,
    PromisedLine,
)
from channels.connectors.messages import read_id, read_objects, read_part, read_text
from channels.errors import Throttled, TransientError

_RETAIL_PATH: Final = "/vendor/orders/v1/acknowledgements"
_DIRECT_PATH: Final = "/vendor/directFulfillment/orders/2021-12-28/acknowledgements"
#: Code and description of our word on an order of direct fulfilment, as Amazon lists them.
_SHIPPING_ALL: Final = ("00", "Shipping 100 percent of ordered product")
_UNKNOWN_SKU: Final = ("02", "Canceled due to missing/invalid SKU")
_OUT_OF_STOCK: Final = ("03", "Canceled out of stock")

_NOT_AWAITED: Final = Acknowledged(AcknowledgementStep.NOT_AWAITED)
_CHANGED: Final = Acknowledged(AcknowledgementStep.CHANGED)


def acknowledge(
    api: SellingPartnerApi, account: VendorAccount, external_id: str, lines: Sequence[PromisedLine]
) -> Acknowledged:
    """Says what is delivered of an order, unless Amazon does not wait for it or has changed the order."""
    programme, number = split(external_id)
    by_id = {line.external_id: line for line in lines}
    if programme == RETAIL:
        return _acknowledge_retail(api, number, by_id)
    if programme == DIRECT:
        return _acknowledge_direct(api, account, number, by_id)
    return _NOT_AWAITED


# -- retail orders


def _acknowledge_retail(
    api: SellingPartnerApi, number: str, lines: Mapping[str, PromisedLine]
) -> Acknowledged:
    order = retail.read_order(api, number)
    if order is None or not retail.is_new(order):
        return _NOT_AWAITED
    details = read_part(order, "orderDetails")
    items = _wanted(details)
    if not items:
        return _NOT_AWAITED
    if not _are_as_counted(items, lines):
        return _CHANGED
    shares = [_share(item, lines[_id(item)]) for item in items]
    body = {
        "acknowledgements": [
            {
                "purchaseOrderNumber": number,
                "sellingParty": {"partyId": read_id(read_part(details, "sellingParty"), "partyId")},
                "acknowledgementDate": _now(),
                "items": [
                    _item_word(item, share, lines[_id(item)])
                    for item, share in zip(items, shares, strict=True)
                ],
            }
        ]
    }
    answer = api.call(Call("POST", _RETAIL_PATH, "retail-acknowledgements", body=body))
    return _sent(
        RETAIL, answer, [share.in_eaches(_id(item)) for item, share in zip(items, shares, strict=True)]
    )


def _id(item: Mapping[str, Any]) -> str:
    return read_id(item, "itemSequenceNumber")


def _wanted(details: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns the items of which anything is ordered: those that Amazon cancelled count none any more."""
    return [each for each in read_objects(details, "items") if eaches(read_part(each, "orderedQuantity"))]


def _are_as_counted(items: Sequence[Mapping[str, Any]], lines: Mapping[str, PromisedLine]) -> bool:
    """Tells whether an order is as it was when its units were counted."""
    ordered = {_id(item): eaches(read_part(item, "orderedQuantity")) for item in items}
    return ordered == {identity: line.wanted for identity, line in lines.items() if line.wanted}


@dataclass(frozen=True, slots=True)
class _Share:
    """How the units of one item are divided; in the unit that was ordered, and of how many eaches that is."""

    accepted: int
    backordered: int
    rejected: int
    size: int
    reason: str

    def in_eaches(self, identity: str) -> AcknowledgedLine:
        """Returns what was said of the line, in eaches."""
        return AcknowledgedLine(
            identity,
            self.accepted * self.size,
            self.backordered * self.size,
            self.rejected * self.size,
            self.reason if self.rejected else "",
        )


def _share(item: Mapping[str, Any], line: PromisedLine) -> _Share:
    """Divides the units of an item: whole cases of what is held, then of what is to come, and the rest is rejected."""
    size = unit_size(read_part(item, "orderedQuantity"))
    units = line.wanted // size
    accepted = min(line.held // size, units)
    # What is held beyond the last whole case goes with what is to come.
    later = (line.held - accepted * size + line.backordered) // size
    may_wait = item.get("isBackOrderAllowed") is True and line.expected_on is not None
    backordered = min(later, units - accepted) if may_wait else 0
    return _Share(accepted, backordered, units - accepted - backordered, size, _reason(line))


def _reason(line: PromisedLine) -> str:
    if not line.is_known:
        return "InvalidProductIdentifier"
    return "TemporarilyUnavailable" if line.is_sold else "ObsoleteProduct"


_NAMES: Final = ("itemSequenceNumber", "amazonProductIdentifier", "vendorProductIdentifier")
_PRICES: Final = ("netCost", "listPrice")
_MONEY: Final = ("currencyCode", "amount", "unitOfMeasure")


def _item_word(item: Mapping[str, Any], share: _Share, line: PromisedLine) -> dict[str, Any]:
    ordered = read_part(item, "orderedQuantity")
    found: dict[str, Any] = {name: read_text(item, name) for name in _NAMES if read_text(item, name)}
    found["orderedQuantity"] = in_units_of(ordered, share.accepted + share.backordered + share.rejected)
    for name in _PRICES:
        price = read_part(item, name)
        if price:
            found[name] = {each: price[each] for each in _MONEY if price.get(each) is not None}
    found["itemAcknowledgements"] = [
        {"acknowledgementCode": code, "acknowledgedQuantity": in_units_of(ordered, amount), **details}
        for code, amount, details in (
            ("Accepted", share.accepted, {}),
            ("Backordered", share.backordered, _shipped_on(line)),
            ("Rejected", share.rejected, {"rejectionReason": share.reason}),
        )
        if amount
    ]
    return found


def _shipped_on(line: PromisedLine) -> dict[str, str]:
    if line.expected_on is None:
        return {}
    return {"scheduledShipDate": _utc(datetime.combine(line.expected_on, time(), UTC))}


# -- orders of direct fulfilment


def _acknowledge_direct(
    api: SellingPartnerApi, account: VendorAccount, number: str, lines: Mapping[str, PromisedLine]
) -> Acknowledged:
    order = direct.read_order(api, number)
    if order is None or direct.status_of(order) != direct.NEW:
        return _NOT_AWAITED
    details = read_part(order, "orderDetails")
    items = _wanted(details)
    if not _are_as_counted(items, lines):
        return _CHANGED
    code, description = _verdict(list(lines.values()))
    is_accepted = (code, description) == _SHIPPING_ALL
    body = {
        "orderAcknowledgements": [
            {
                "purchaseOrderNumber": number,
                "vendorOrderNumber": number,
                "acknowledgementDate": _now(),
                "acknowledgementStatus": {"code": code, "description": description},
                "sellingParty": {"partyId": account.vendor_code},
                "shipFromParty": {"partyId": read_id(read_part(details, "shipFromParty"), "partyId")},
                "itemAcknowledgements": [_direct_item(item) for item in items],
            }
        ]
    }
    answer = api.call(Call("POST", _DIRECT_PATH, "direct-acknowledgements", body=body))
    said = [
        AcknowledgedLine(_id(item), lines[_id(item)].wanted)
        if is_accepted
        else AcknowledgedLine(_id(item), 0, rejected=lines[_id(item)].wanted, reason=description)
        for item in items
    ]
    return _sent(DIRECT, answer, said)


def _verdict(lines: Sequence[PromisedLine]) -> tuple[str, str]:
    """Decides on an order as a whole: Amazon takes no part of it."""
    short = [line for line in lines if line.is_short]
    if not short:
        return _SHIPPING_ALL
    return _UNKNOWN_SKU if any(not line.is_known for line in short) else _OUT_OF_STOCK


def _direct_item(item: Mapping[str, Any]) -> dict[str, Any]:
    names = ("itemSequenceNumber", "buyerProductIdentifier", "vendorProductIdentifier")
    found: dict[str, Any] = {name: read_text(item, name) for name in names if read_text(item, name)}
    # Also of an order that is cancelled the quantity is the one ordered: none must be zero.
    amount = eaches(read_part(item, "orderedQuantity"))
    return {**found, "acknowledgedQuantity": {"amount": amount, "unitOfMeasure": "Each"}}


# -- what became of it


def _sent(programme: str, answer: Mapping[str, Any], lines: Sequence[AcknowledgedLine]) -> Acknowledged:
    tracking_id = f"{programme}:{transactions.taken(answer)}"
    return Acknowledged(AcknowledgementStep.SENT, tracking_id, tuple(lines))


def follow(api: SellingPartnerApi, tracking_ids: Sequence[str]) -> dict[str, AcknowledgementEnd | None]:
    """Asks after each transaction once; those that cannot be asked after now stay open."""
    ends: dict[str, AcknowledgementEnd | None] = {}
    for tracking_id in tracking_ids:
        programme, identity = split(tracking_id)
        try:
            found = transactions.ask(api, programme, identity)
        except Throttled:
            break
        except NotThere:
            ends[tracking_id] = AcknowledgementEnd(False, "Amazon does not know the transaction any more.")
            continue
        except TransientError:
            if not ends:
                raise
            break
        if found.is_done:
            ends[tracking_id] = AcknowledgementEnd(
                not found.has_failed, found.reason if found.has_failed else ""
            )
    return ends


def _now() -> str:
    return _utc(datetime.now(UTC))


def _utc(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")
