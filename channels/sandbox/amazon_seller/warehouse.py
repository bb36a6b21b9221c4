"""Amazon's own warehouse (FBA): what lies there, what is promised to orders."""

import base64
import json
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from channels.sandbox.amazon_seller.rest import instant, invalid, listed, utc
from channels.sandbox.book import Item
from channels.sandbox.httpd import Answer, Request, json_answer

if TYPE_CHECKING:
    from channels.sandbox.amazon_seller.shop import AmazonSellerSandbox

PAGE: Final = 50
#: A token to the next page ends so soon.
TOKEN_SECONDS: Final = 30.0
_MOST_SKUS: Final = 50


class Warehouse:
    """The `/fba/inventory/v1/summaries` resource."""

    def __init__(self, shop: "AmazonSellerSandbox") -> None:
        self._shop = shop
        self._pending: Counter[str] = Counter()

    def token_seconds(self) -> float:
        """Seconds after which a token to the next page has ended."""
        return TOKEN_SECONDS

    def fnsku(self, item: Item) -> str:
        """The warehouse's own id of an item."""
        return f"X00{item.number:07d}"

    def pending(self, item: Item) -> int:
        """Units that are promised to orders and have not left."""
        return self._pending[item.sku]

    def promise(self, item: Item, units: int) -> None:
        """Takes units off what is free, for an order; negative ones go back."""
        next(iter(item.levels.values())).available -= units
        self._pending[item.sku] += units
        item.updated_at = time.time()

    def ship(self, item: Item, units: int) -> None:
        """Has promised units leave."""
        self._pending[item.sku] -= units
        item.updated_at = time.time()

    def summaries(self, request: Request) -> Answer:
        query = request.query
        marketplaces = listed(request, "marketplaceIds")
        if query.get("granularityType") != "Marketplace" or query.get("granularityId") not in marketplaces:
            raise invalid("granularityType, granularityId and marketplaceIds are required.")
        skus = listed(request, "sellerSkus")
        if len(skus) > _MOST_SKUS:
            raise invalid("At most 50 SKUs.")
        since = instant(query["startDateTime"], "startDateTime") if "startDateTime" in query else 0.0
        found = [
            item
            for item in self._shop.records.items.values()
            if item.source.is_fulfilled_by_channel
            and item.updated_at >= since
            and (not skus or item.sku in skus)
        ]
        start = _start(query.get("nextToken", ""), self.token_seconds())
        payload = {
            "granularity": {"granularityType": "Marketplace", "granularityId": query["granularityId"]},
            "inventorySummaries": [self._summary(item) for item in found[start : start + PAGE]],
        }
        body: dict[str, Any] = {"payload": payload}
        if start + PAGE < len(found):
            body["pagination"] = {"nextToken": _token(start + PAGE)}
        return json_answer(200, body)

    def _summary(self, item: Item) -> dict[str, Any]:
        pending = self.pending(item)
        return {
            "asin": self._shop.listings.asin(item),
            "fnSku": self.fnsku(item),
            "sellerSku": item.sku,
            "condition": "NewItem",
            "lastUpdatedTime": utc(item.updated_at),
            "productName": item.source.title,
            "totalQuantity": item.available + pending + 1000,
            "inventoryDetails": {
                "fulfillableQuantity": item.available,
                "inboundWorkingQuantity": 1000,
                "inboundShippedQuantity": 0,
                "inboundReceivingQuantity": 0,
                "reservedQuantity": {
                    "totalReservedQuantity": pending,
                    "pendingCustomerOrderQuantity": pending,
                    "pendingTransshipmentQuantity": 0,
                    "fcProcessingQuantity": 0,
                },
            },
        }


def _token(start: int) -> str:
    return base64.urlsafe_b64encode(json.dumps([start, time.time()]).encode()).decode()


def _start(token: str, lasts: float) -> int:
    if not token:
        return 0
    try:
        start, issued_at = json.loads(base64.urlsafe_b64decode(token))
    except ValueError:
        raise invalid("nextToken is not valid.") from None
    if time.time() - issued_at > lasts:
        raise invalid("nextToken has expired.")
    return int(start)
