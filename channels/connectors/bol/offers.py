"""bol offers (v11): what the account sells, the numbers it gave, and new numbers.

The number compared and written is `amount`, the one we gave: bol itself subtracts its open orders from it when it
shows the offer (`correctedStock`), all of them since we always write `managedByRetailer: false`. Offers that bol
fulfils (FBB) draw on stock in bol's warehouse: they are listed, not active, and never written.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

from channels.connectors.base import Address, ItemOutcome, PlatformListing, PushItem, PushResult, ShelfNumber
from channels.connectors.bol.api import NotThere, RetailerApi
from channels.connectors.messages import read_id, read_instant, read_integer, read_objects, read_text
from channels.connectors.pushing import push_in_calls, result_of
from channels.errors import Rejected

FULFILLED_BY_BOL: Final = "FBB"
#: v10 states this maximum; v11 states none and may have kept it.
LARGEST_QUANTITY: Final = 999

_READ: Final = "offers-read"
_WRITE: Final = "offers-write"
_PAGE_SIZE: Final = 100

_IS_FBB: Final = "fulfilled by bol (FBB): the stock is in bol's warehouse and is not written"
_NO_REFERENCE: Final = "has no reference (SKU) at bol; map it by hand"
_ON_HOLD: Final = "is on hold at bol"
_OWN_COUNT: Final = "bol subtracts only orders since the last update; the next push changes that"
_DUPLICATE_SKU: Final = "the reference is used by more than one offer"


# -- reading


def fetch_listings(api: RetailerApi) -> Iterator[PlatformListing]:
    """Streams all offers; a reference met before is marked."""
    seen: set[str] = set()
    for offer in _offers(api):
        reference = read_text(offer, "reference")
        yield _listing(offer, is_twin=bool(reference) and reference in seen)
        if not is_fulfilled_by_bol(offer):
            seen.add(reference)


def _offers(api: RetailerApi) -> Iterator[dict[str, Any]]:
    parameters = {"page-size": str(_PAGE_SIZE)}
    while True:
        body = api.read("/retailer/offers", parameters, bucket=_READ).body
        yield from read_objects(body, "offers")
        page = body.get("page")
        cursor = read_text(page, "nextCursor") if isinstance(page, dict) else ""
        if not cursor or cursor == parameters.get("cursor"):
            return
        parameters = {**parameters, "cursor": cursor}


def _listing(offer: Mapping[str, Any], *, is_twin: bool) -> PlatformListing:
    ean = read_text(offer, "ean")
    return PlatformListing(
        external_id=read_id(offer, "offerId"),
        sku=read_text(offer, "reference"),
        title=read_text(offer, "unknownProductTitle"),
        gtin=ean,
        data={"fulfilment": _fulfilment(offer), "ean": ean},
        warnings=tuple(_warnings(offer, is_twin=is_twin)),
        is_active=not is_fulfilled_by_bol(offer),
    )


def _warnings(offer: Mapping[str, Any], *, is_twin: bool) -> Iterator[str]:
    if is_fulfilled_by_bol(offer):
        yield _IS_FBB
        return
    if not read_text(offer, "reference"):
        yield _NO_REFERENCE
    if is_twin:
        yield _DUPLICATE_SKU
    if offer.get("onHoldByRetailer") is True:
        yield _ON_HOLD
    if _stock(offer).get("managedByRetailer") is True:
        yield _OWN_COUNT


def _fulfilment(offer: Mapping[str, Any]) -> str:
    fulfilment = offer.get("fulfilment")
    return read_text(fulfilment, "method") if isinstance(fulfilment, dict) else ""


def is_fulfilled_by_bol(offer: Mapping[str, Any]) -> bool:
    """Tells whether an offer or order item is served from bol's own warehouse."""
    return _fulfilment(offer) == FULFILLED_BY_BOL


def _stock(offer: Mapping[str, Any]) -> Mapping[str, Any]:
    stock = offer.get("stock")
    return stock if isinstance(stock, dict) else {}


def fetch_levels(api: RetailerApi) -> Iterator[ShelfNumber]:
    """Streams the `amount` of every offer that we fulfil."""
    for offer in _offers(api):
        if not is_fulfilled_by_bol(offer):
            yield _shelf_number(offer)


def read_levels(api: RetailerApi, addresses: Sequence[Address]) -> list[ShelfNumber]:
    """Reads the `amount` at these addresses, one call each; None for offers that are gone or bol's."""
    return [_read_level(api, address.listing_external_id) for address in addresses]


def _read_level(api: RetailerApi, offer_id: str) -> ShelfNumber:
    try:
        offer = api.read(_path(offer_id), bucket=_READ).body
    except NotThere:
        return ShelfNumber(offer_id, "", None)
    return ShelfNumber(offer_id, "", None) if is_fulfilled_by_bol(offer) else _shelf_number(offer)


def _shelf_number(offer: Mapping[str, Any]) -> ShelfNumber:
    stock = _stock(offer)
    amount = read_integer(stock, "amount") if stock.get("amount") is not None else None
    return ShelfNumber(read_id(offer, "offerId"), "", amount, _modified_at(offer))


def _modified_at(offer: Mapping[str, Any]) -> datetime | None:
    return read_instant(offer, "lastModifiedDateTime") if offer.get("lastModifiedDateTime") else None


def _path(offer_id: str) -> str:
    return f"/retailer/offers/{quote(offer_id, safe='')}"


# -- writing


def push(api: RetailerApi, items: Sequence[PushItem]) -> list[PushResult]:
    """Tells bol these numbers, one call an offer; 204 means that the number is stored."""
    return push_in_calls([[item] for item in items], lambda items: [_push_one(api, items[0])])


def _push_one(api: RetailerApi, item: PushItem) -> PushResult:
    fault = _fault(item)
    if fault:
        return result_of(item, ItemOutcome.REJECTED, fault)
    body = {"stock": {"amount": item.quantity, "managedByRetailer": False}}
    try:
        answer = api.write("PATCH", _path(item.address.listing_external_id), body, bucket=_WRITE)
    except Rejected as error:
        return result_of(item, ItemOutcome.REJECTED, str(error))
    if answer is not None:
        return result_of(item, ItemOutcome.UNKNOWN, "bol did not say that the number is stored (204).")
    return result_of(item, ItemOutcome.CONFIRMED)


def _fault(item: PushItem) -> str:
    """Says why an item cannot be sent; empty when it can."""
    if item.address.data.get("fulfilment") == FULFILLED_BY_BOL:
        return "bol fulfils this offer (FBB) from its own warehouse; its stock is not ours to write."
    if not item.address.listing_external_id:
        return "The listing has no offer id."
    if type(item.quantity) is not int or not 0 <= item.quantity <= LARGEST_QUANTITY:
        return f"{item.quantity} is not a number of units from 0 to {LARGEST_QUANTITY}."
    return ""
