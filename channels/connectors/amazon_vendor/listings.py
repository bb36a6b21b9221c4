"""What a vendor offers: the items of its vendor code, with their ASINs.

No more than a thousand can be paged through; further ones are found by going on from when the last one was created.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote

from channels.connectors.amazon.client import SellingPartnerApi
from channels.connectors.amazon_vendor.account import VendorAccount
from channels.connectors.base import PlatformListing
from channels.connectors.messages import read_id, read_objects, read_part, read_text
from channels.errors import TransientError

PAGE_SIZE: Final = 20
#: Pages of one search: a thousand items.
_MOST_PAGES: Final = 50
#: Searches of one walk: ten million items.
_MOST_SEARCHES: Final = 10_000
_GTIN_LENGTHS: Final = (8, 12, 13, 14)
_SEARCH: Final = "search-listings"
_NO_ASIN: Final = "Amazon has given it no ASIN yet"


def fetch(api: SellingPartnerApi, account: VendorAccount) -> Iterator[PlatformListing]:
    """Streams the items of the vendor code; of an ASIN that several SKUs share, the first."""
    seen: set[str] = set()
    for item in _items(api, account):
        summary = next(iter(read_objects(item, "summaries")), {})
        sku, asin = read_id(item, "sku"), read_text(summary, "asin")
        if sku in seen or asin in seen:
            continue
        seen |= {sku, asin} - {""}
        yield PlatformListing(
            external_id=asin or sku,
            sku=sku,
            # Vendors mostly name their items by the number on the package.
            gtin=sku if sku.isdecimal() and sku.isascii() and len(sku) in _GTIN_LENGTHS else "",
            title=read_text(summary, "itemName"),
            data={"sku": sku},
            warnings=() if asin else (_NO_ASIN,),
            is_active=bool(asin),
        )


def _items(api: SellingPartnerApi, account: VendorAccount) -> Iterator[Mapping[str, Any]]:
    created_after = ""
    for _ in range(_MOST_SEARCHES):
        last, pages = "", 0
        for page in _pages(api, account, created_after):
            items = read_objects(page, "items")
            yield from items
            last, pages = (_created(items[-1]) if items else last), pages + 1
        if pages < _MOST_PAGES or not last:
            return
        if last == created_after:
            raise TransientError(
                "More than a thousand items were created in the same moment; they cannot be read."
            )
        created_after = last
    raise TransientError("Amazon's list of items does not end.")


def _pages(api: SellingPartnerApi, account: VendorAccount, created_after: str) -> Iterator[Mapping[str, Any]]:
    parameters = {
        "marketplaceIds": api.marketplace_ids[0],
        "includedData": "summaries",
        "sortBy": "createdDate",
        "sortOrder": "ASC",
        "pageSize": str(PAGE_SIZE),
    }
    if created_after:
        parameters["createdAfter"] = created_after
    token = ""
    path = f"/listings/2021-08-01/items/{quote(account.vendor_code, safe='')}"
    for _ in range(_MOST_PAGES):
        page = api.read(path, {**parameters, "pageToken": token} if token else parameters, bucket=_SEARCH)
        yield page
        following = read_text(read_part(page, "pagination"), "nextToken")
        if not following or following == token:
            return
        token = following


def _created(item: Mapping[str, Any]) -> str:
    return read_text(next(iter(read_objects(item, "summaries")), {}), "createdDate")
