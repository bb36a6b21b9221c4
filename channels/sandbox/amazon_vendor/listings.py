"""Listings Items 2021-08-01 of a vendor code: what it offers, by when it was created."""

from typing import TYPE_CHECKING, Any, Final

from channels.sandbox.amazon_seller.rest import instant, invalid, listed, utc_exact
from channels.sandbox.amazon_vendor.paging import after, token
from channels.sandbox.book import Item
from channels.sandbox.httpd import Answer, Request, json_answer

if TYPE_CHECKING:
    from channels.sandbox.amazon_vendor.shop import AmazonVendorSandbox

LARGEST_PAGE: Final = 20
#: No more than these can be paged through.
MOST_PAGED: Final = 1000
#: Unix seconds; items were created a second apart from then on.
_FIRST_CREATED: Final = 1_700_000_000


class Listings:
    """The `/listings/2021-08-01/items` resource."""

    def __init__(self, shop: "AmazonVendorSandbox") -> None:
        self._shop = shop

    def search(self, request: Request) -> Answer:
        query = request.query
        if self._shop.marketplace not in listed(request, "marketplaceIds"):
            raise invalid("marketplaceIds is required.")
        size = query.get("pageSize", "10")
        if not size.isascii() or not size.isdigit() or not 1 <= int(size) <= LARGEST_PAGE:
            raise invalid(f"pageSize must be between 1 and {LARGEST_PAGE}.")
        since = instant(query["createdAfter"], "createdAfter") if "createdAfter" in query else 0.0
        items = [each for each in self._shop.records.items.values() if _created_at(each) >= since]
        start = after(query.get("pageToken", ""))
        end = start + int(size)
        body: dict[str, Any] = {
            "numberOfResults": len(items),
            "items": [self._document(item) for item in items[start:end]],
        }
        if end < min(len(items), MOST_PAGED):
            body["pagination"] = {"nextToken": token(end)}
        return json_answer(200, body)

    def _document(self, item: Item) -> dict[str, Any]:
        summary = {
            "marketplaceId": self._shop.marketplace,
            "asin": self._shop.asin_of(item.sku),
            "productType": "HOME",
            "itemName": item.source.title,
            "status": ["DISCOVERABLE"],
            "createdDate": utc_exact(_created_at(item)),
            "lastUpdatedDate": utc_exact(item.updated_at),
        }
        return {"sku": item.sku, "summaries": [summary]}


def _created_at(item: Item) -> float:
    return float(_FIRST_CREATED + item.number)
