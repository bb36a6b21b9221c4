"""Listings of a seller's account: what is sold, which numbers are shown, and new numbers.

A number is taken in first and live later: what a push comes to is seen by reading it back, or by the notification
that Amazon sends when the number changes. A listing that Amazon ships (FBA) is never written: a `DEFAULT` quantity
would turn it into one that the merchant ships, and strand what lies in Amazon's warehouse.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

from channels.connectors.amazon.client import Call, NotThere, SellingPartnerApi
from channels.connectors.amazon_seller import reports
from channels.connectors.amazon_seller.warehouse import AMAZONS_WAREHOUSE, OWN_STOCK, is_amazons
from channels.connectors.base import (
    AcceptedPush,
    Address,
    ItemOutcome,
    PlatformListing,
    PushItem,
    PushResult,
    ShelfNumber,
)
from channels.connectors.messages import read_count, read_id, read_objects, read_text
from channels.connectors.pushing import push_in_calls, result_of
from channels.errors import Rejected, Throttled, TransientError

#: More listings than these cannot be paged through; they come as a report.
MOST_PAGED: Final = 1000
#: SKUs in one search, and listings on one page.
PAGE_SIZE: Final = 20
#: Amazon names no limit; more than any seller has of one thing.
LARGEST_QUANTITY: Final = 99_999_999
#: An accepted number that is not live by then is a matter for people, and is sent again.
LONGEST_WAIT: Final = timedelta(minutes=5)

_SEARCH: Final = "search-listings"
_PATCH: Final = "patch-listing"
#: Fits every listing where nothing but the offer is changed.
_ANY_PRODUCT: Final = "PRODUCT"
_STOCK: Final = "fulfillment_availability"

_IS_FBA: Final = "fulfilled by Amazon (FBA): the stock is in Amazon's warehouse and is not written"
_GONE: Final = "Amazon has no listing of this SKU (any more)."
_NOT_OURS: Final = "Amazon fulfils this listing (FBA) from its own warehouse; its stock is not ours to write."


@dataclass(frozen=True, slots=True)
class _Found:
    """A listing as it was just read."""

    sku: str
    title: str
    asin: str
    product_type: str
    #: Units by fulfilment channel code.
    numbers: Mapping[str, int | None]
    #: What is wrong with the number, in Amazon's words.
    faults: tuple[str, ...]

    @property
    def is_amazons(self) -> bool:
        """Whether Amazon ships it, by any of its channel codes."""
        return any(map(is_amazons, self.numbers))

    @property
    def shown(self) -> int | None:
        """Units of the merchant's own stock on offer; None where it is not told there."""
        return None if self.is_amazons else self.numbers.get(OWN_STOCK)


# -- reading


def fetch_listings(api: SellingPartnerApi) -> Iterator[PlatformListing]:
    """Streams all listings: page by page while they are few, else from a report."""
    first = _search(api, {"pageSize": str(PAGE_SIZE)})
    if read_count(first, "numberOfResults", 0) > MOST_PAGED:
        yield from map(_reported, reports.fetch_rows(api))
        return
    for found in _pages(api, first):
        yield _listing(found)


def _listing(found: _Found) -> PlatformListing:
    return PlatformListing(
        external_id=found.sku,
        sku=found.sku,
        title=found.title,
        data={
            "asin": found.asin,
            "fulfilment": AMAZONS_WAREHOUSE if found.is_amazons else OWN_STOCK,
            "product_type": found.product_type,
        },
        warnings=(_IS_FBA,) if found.is_amazons else (),
        is_active=not found.is_amazons,
        shown=found.shown,
    )


def _reported(row: reports.Row) -> PlatformListing:
    is_fba = is_amazons(row.fulfilment_channel)
    return PlatformListing(
        external_id=row.sku,
        sku=row.sku,
        title=row.title,
        data={"asin": row.asin, "fulfilment": AMAZONS_WAREHOUSE if is_fba else OWN_STOCK},
        warnings=(_IS_FBA,) if is_fba else (),
        is_active=not is_fba,
        shown=None if is_fba else row.quantity,
    )


def fetch_levels(api: SellingPartnerApi) -> Iterator[ShelfNumber]:
    """Streams the numbers of all listings that the merchant ships."""
    for listing in fetch_listings(api):
        if listing.is_active:
            yield ShelfNumber(listing.external_id, "", listing.shown)


def read_levels(api: SellingPartnerApi, addresses: Sequence[Address]) -> list[ShelfNumber]:
    """Reads the numbers at these addresses; None for listings that are gone or Amazon's, and at Amazon's warehouse."""
    found = _read(api, [address.listing_external_id for address in addresses])
    return [
        ShelfNumber(
            address.listing_external_id,
            address.location_external_id,
            found[address.listing_external_id].shown
            if address.listing_external_id in found and not address.location_external_id
            else None,
        )
        for address in addresses
    ]


def _read(api: SellingPartnerApi, skus: Sequence[str]) -> dict[str, _Found]:
    """Reads these listings as they are now, by SKU; those that are gone are left out."""
    wanted = list(dict.fromkeys(skus))
    # A comma separates the SKUs of a search: one that has a comma itself is read alone.
    together = [sku for sku in wanted if "," not in sku]
    items = [item for sku in wanted if "," in sku and (item := _read_alone(api, sku)) is not None]
    for start in range(0, len(together), PAGE_SIZE):
        identifiers = ",".join(together[start : start + PAGE_SIZE])
        parameters = {"identifiers": identifiers, "identifiersType": "SKU", "pageSize": str(PAGE_SIZE)}
        items += read_objects(_search(api, parameters), "items")
    return {found.sku: found for found in map(_found, items)}


def _read_alone(api: SellingPartnerApi, sku: str) -> dict[str, Any] | None:
    try:
        return api.read(f"{_path(api)}/{quote(sku, safe='')}", _asked(api), bucket="get-listing")
    except NotThere:
        return None


def _search(api: SellingPartnerApi, parameters: Mapping[str, str]) -> dict[str, Any]:
    return api.read(_path(api), {**_asked(api), **parameters}, bucket=_SEARCH)


def _asked(api: SellingPartnerApi) -> dict[str, str]:
    return {
        "marketplaceIds": ",".join(api.marketplace_ids),
        "includedData": "summaries,fulfillmentAvailability,issues",
    }


def _path(api: SellingPartnerApi) -> str:
    return f"/listings/2021-08-01/items/{quote(str(api.account.settings['seller_id']), safe='')}"


def _pages(api: SellingPartnerApi, first: dict[str, Any]) -> Iterator[_Found]:
    body, seen = first, set()
    while True:
        yield from map(_found, read_objects(body, "items"))
        page = body.get("pagination")
        token = read_text(page, "nextToken") if isinstance(page, dict) else ""
        if not token or token in seen:
            return
        seen.add(token)
        body = _search(api, {"pageSize": str(PAGE_SIZE), "pageToken": token})


def _found(item: Mapping[str, Any]) -> _Found:
    summary = next(iter(read_objects(item, "summaries")), {})
    return _Found(
        sku=read_id(item, "sku"),
        title=read_text(summary, "itemName"),
        asin=read_text(summary, "asin"),
        product_type=read_text(summary, "productType"),
        numbers={
            read_text(each, "fulfillmentChannelCode"): read_count(each, "quantity")
            if each.get("quantity") is not None
            else None
            for each in read_objects(item, "fulfillmentAvailability")
        },
        faults=tuple(_faults(item)),
    )


def _faults(answer: Mapping[str, Any], *, about: str = _STOCK) -> Iterator[str]:
    """Yields errors about the number; `about` empty: all errors. Others leave the number as it is."""
    for issue in read_objects(answer, "issues"):
        names = issue.get("attributeNames")
        is_meant = not about or (isinstance(names, list) and any(str(n).startswith(about) for n in names))
        if is_meant and read_text(issue, "severity") == "ERROR":
            yield f"{read_text(issue, 'message')} ({read_text(issue, 'code')})"


# -- writing


@dataclass(frozen=True, slots=True)
class Screened:
    """What may be written, as it was just read, and a refusal for everything else."""

    items: tuple[PushItem, ...]
    #: By SKU.
    found: Mapping[str, "_Found"]
    refusals: tuple[PushResult, ...]

    def product_type(self, item: PushItem) -> str:
        """Returns the product type that a change of the listing has to name."""
        return self.found[item.address.listing_external_id].product_type or _ANY_PRODUCT

    def shown(self, item: PushItem) -> int | None:
        """Returns what the listing shows now."""
        return self.found[item.address.listing_external_id].shown


def push(api: SellingPartnerApi, items: Sequence[PushItem]) -> list[PushResult]:
    """Tells Amazon these numbers, one call a listing, after a look at who ships each of them now."""
    ready = screen(api, items)
    calls = [[item] for item in ready.items]
    sent = push_in_calls(calls, lambda part: [_push_one(api, part[0], ready.product_type(part[0]))])
    return [*ready.refusals, *sent]


def screen(api: SellingPartnerApi, items: Sequence[PushItem]) -> Screened:
    """Sorts out what must not be written.

    Who ships a listing may have changed since it was imported: it is read at once before it is written.
    """
    faults = {item.address.listing_level_id: _fault(item) for item in items}
    sound = [item for item in items if not faults[item.address.listing_level_id]]
    found = _read(api, [item.address.listing_external_id for item in sound]) if sound else {}
    for item in sound:
        faults[item.address.listing_level_id] = _refusal(found.get(item.address.listing_external_id))
    return Screened(
        tuple(item for item in items if not faults[item.address.listing_level_id]),
        found,
        tuple(
            result_of(item, ItemOutcome.REJECTED, fault)
            for item in items
            if (fault := faults[item.address.listing_level_id])
        ),
    )


def _refusal(found: _Found | None) -> str:
    """Says why a listing must not be written, by what it is now; empty when it may."""
    if found is None:
        return _GONE
    if found.is_amazons:
        return _NOT_OURS
    if found.numbers and OWN_STOCK not in found.numbers:
        return (
            "The listing's stock is kept by supply source (Multi-Location Inventory), which is not written."
        )
    return ""


def _fault(item: PushItem) -> str:
    """Says why an item cannot be sent, whatever Amazon says of it; empty when it can."""
    if item.address.location_external_id:
        return _NOT_OURS
    if item.address.data.get("fulfilment") == AMAZONS_WAREHOUSE:
        return _NOT_OURS
    if not item.address.listing_external_id:
        return "The listing has no SKU."
    if type(item.quantity) is not int or not 0 <= item.quantity <= LARGEST_QUANTITY:
        return f"{item.quantity} is not a number of units from 0 to {LARGEST_QUANTITY}."
    return ""


def patches(quantity: int) -> list[dict[str, Any]]:
    """Returns the change of a number alone: `merge` leaves the handling time and the restock date as they are."""
    return [
        {
            "op": "merge",
            "path": f"/attributes/{_STOCK}",
            "value": [{"fulfillment_channel_code": OWN_STOCK, "quantity": quantity}],
        }
    ]


def _push_one(api: SellingPartnerApi, item: PushItem, product_type: str) -> PushResult:
    call = Call(
        "PATCH",
        f"{_path(api)}/{quote(item.address.listing_external_id, safe='')}",
        _PATCH,
        {"marketplaceIds": ",".join(api.marketplace_ids)},
        {"productType": product_type, "patches": patches(item.quantity)},
    )
    try:
        answer = api.call(call)
    except Rejected as error:
        return result_of(item, ItemOutcome.REJECTED, str(error))
    return _taken(item, answer)


def _taken(item: PushItem, answer: Mapping[str, Any]) -> PushResult:
    """Reads what Amazon made of a change: even a good answer may say that it is refused."""
    status = read_text(answer, "status")
    if status == "INVALID":
        reason = "; ".join(_faults(answer, about="")) or "Amazon calls the change invalid."
        return result_of(item, ItemOutcome.REJECTED, reason[:1000])
    if status != "ACCEPTED":
        return result_of(
            item, ItemOutcome.UNKNOWN, f"Amazon did not say that it took the number in ({status})."
        )
    tracking_id = read_text(answer, "submissionId")[:200] or f"level {item.address.listing_level_id}"
    return PushResult(item.address.listing_level_id, ItemOutcome.ACCEPTED, tracking_id=tracking_id)


# -- what became of it


def follow(api: SellingPartnerApi, pushes: Sequence[AcceptedPush]) -> dict[str, PushResult | None]:
    """Reads accepted numbers back; those that cannot be read now stay open."""
    ends: dict[str, PushResult | None] = {}
    for start in range(0, len(pushes), PAGE_SIZE):
        part = pushes[start : start + PAGE_SIZE]
        try:
            found = _read(api, [each.address.listing_external_id for each in part])
        except Throttled:
            break
        except TransientError:
            if not ends:
                raise
            break
        for each in part:
            ends[each.tracking_id] = _end(each, found.get(each.address.listing_external_id))
    return ends


def _end(push: AcceptedPush, found: _Found | None) -> PushResult | None:
    if found is None:
        return _ended(push, ItemOutcome.REJECTED, _GONE)
    if found.is_amazons:
        return _ended(push, ItemOutcome.REJECTED, _NOT_OURS)
    if found.faults:
        return _ended(push, ItemOutcome.REJECTED, "; ".join(found.faults)[:1000])
    if is_live(push, found.shown):
        return _ended(push, ItemOutcome.CONFIRMED)
    if datetime.now(UTC) - push.sent_at < LONGEST_WAIT:
        return None
    minutes = int(LONGEST_WAIT.total_seconds() // 60)
    reason = f"Amazon accepted {push.quantity} and still shows {found.shown} after {minutes} minutes."
    return _ended(push, ItemOutcome.RETRY, reason)


def is_live(push: AcceptedPush, shown: int | None) -> bool:
    """Tells whether the number is the one that was sent, less what Amazon sold since.

    Each of those sales has the listing told again, so that nothing hangs on telling them apart from an older number.
    """
    return shown is not None and push.quantity - push.sold_since <= shown <= push.quantity


def _ended(push: AcceptedPush, outcome: ItemOutcome, reason: str = "") -> PushResult:
    return PushResult(push.address.listing_level_id, outcome, reason)
