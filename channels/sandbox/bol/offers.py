"""Offers v11 (synchronous), the v10 stock call (asynchronous), and the stock in bol's own warehouse."""

import base64
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from channels.sandbox.bol.processes import Process
from channels.sandbox.bol.rest import (
    V10,
    V11,
    body_of,
    not_found,
    page_of,
    utc,
    versioned,
    violation,
)
from channels.sandbox.book import Item
from channels.sandbox.httpd import Answer, Request

if TYPE_CHECKING:
    from channels.sandbox.bol.shop import BolSandbox

LARGEST_AMOUNT: Final = 999
LARGEST_PAGE: Final = 100
_DEFAULT_PAGE: Final = 50


class Offers:
    """The `/retailer/offers` and `/retailer/inventory` resources."""

    def __init__(self, shop: "BolSandbox") -> None:
        self._shop = shop
        self._book = shop.records
        self._by_id: dict[str, Item] = {}

    def offer_id(self, item: Item) -> str:
        """The offer's id; the same for the same shop and SKU."""
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"bol/{self._shop.name}/{item.sku}"))

    def index(self, item: Item) -> None:
        """Makes an item findable by its offer id."""
        self._by_id[self.offer_id(item)] = item

    def find(self, offer_id: str) -> Item:
        item = self._by_id.get(offer_id)
        if item is None:
            raise not_found(f"offer with id {offer_id}")
        return item

    # -- reading
    def document(self, item: Item) -> dict[str, Any]:
        source = item.source
        return {
            "offerId": self.offer_id(item),
            "ean": ean(item),
            "lastModifiedDateTime": utc(item.updated_at),
            "reference": source.sku,
            "onHoldByRetailer": False,
            "unknownProductTitle": source.title,
            "stock": {
                "amount": item.available,
                "correctedStock": max(corrected_stock(item), 0),
                "managedByRetailer": item.is_managed_by_retailer,
            },
            "countryAvailabilities": [
                {"countryCode": code, "forSale": corrected_stock(item) > 0} for code in ("NL", "BE")
            ],
            "condition": {"category": "NEW"},
            "product": {"bolProductId": str(9_000_000_000 + item.number)},
            "pricing": {"bundlePrices": [{"quantity": 1, "unitPrice": float(source.price)}]},
            "fulfilment": {"method": method(item)},
        }

    def read(self, offer_id: str) -> Answer:
        return versioned(200, self.document(self.find(offer_id)), V11)

    def not_for_sale_reasons(self, offer_id: str) -> Answer:
        item = self.find(offer_id)
        reasons = []
        if corrected_stock(item) <= 0:
            reasons = [{"category": "STOCK", "code": "NO_STOCK", "description": "The offer has no stock."}]
        countries = [{"countryCode": code, "reasons": reasons} for code in ("NL", "BE")] if reasons else []
        return versioned(200, {"offerId": offer_id, "countries": countries}, V11)

    def listing(self, request: Request) -> Answer:
        """Offers by cursor; the cursor is where the last page ended."""
        query = request.query
        size = _page_size(query)
        start = _after(query.get("cursor"))
        found = [
            item
            for number in range(start + 1, len(self._book.items_by_number) + 1)
            if self._matches(item := self._book.items_by_number[number], query)
        ]
        page: dict[str, Any] = {"pageSize": size}
        if len(found) > size:
            page["nextCursor"] = base64.urlsafe_b64encode(str(found[size - 1].number).encode()).decode()
        return versioned(200, {"offers": [self.document(item) for item in found[:size]], "page": page}, V11)

    def _matches(self, item: Item, query: Mapping[str, str]) -> bool:
        if "offer-ids" in query and self.offer_id(item) not in query["offer-ids"].split(","):
            return False
        if "eans" in query and ean(item) not in query["eans"].split(","):
            return False
        if "reference" in query and item.sku != query["reference"]:
            return False
        if "for-sale" in query and (corrected_stock(item) > 0) != (query["for-sale"].lower() == "true"):
            return False
        return "last-modified-date-time" not in query or item.updated_at >= _instant(
            query["last-modified-date-time"]
        )

    def inventory(self, request: Request) -> Answer:
        """What lies in bol's warehouse (FBB), fifty a page."""
        wanted = request.query.get("query", "")
        found = [
            item
            for item in self._book.items.values()
            if item.source.is_fulfilled_by_channel
            and (not wanted or wanted in (ean(item), item.source.title))
        ]
        documents = [
            {
                "ean": ean(item),
                "bsku": f"{2_950_000_000_000 + item.number}",
                "gradedStock": 0,
                "regularStock": item.available,
                "title": item.source.title,
            }
            for item in page_of(request, found)
        ]
        return versioned(200, {"inventory": documents}, V10)

    # -- writing
    def patch(self, request: Request, offer_id: str) -> Answer:
        """Changes the members that are present; 204 says that it is stored."""
        item = self.find(offer_id)
        stock = body_of(request).get("stock", {})
        if not isinstance(stock, dict):
            raise violation("stock", "must be an object")
        amount = _amount(stock["amount"]) if "amount" in stock else item.available
        self._write(item, amount, stock.get("managedByRetailer", item.is_managed_by_retailer))
        return Answer(204, headers={"Content-Type": V11})

    def put_stock(self, request: Request, offer_id: str) -> Answer:
        """The deprecated v10 call: accepted at first, stored a little later."""
        item = self.find(offer_id)
        data = body_of(request)
        if "amount" not in data or not isinstance(data.get("managedByRetailer"), bool):
            raise violation("amount", "must not be null")
        amount = _amount(data["amount"])

        def do(process: Process) -> str:
            self._write(item, amount, data["managedByRetailer"])
            return ""

        description = f"Update stock for offer with id {offer_id}."
        return self._shop.processes.accept("UPDATE_OFFER_STOCK", description, do, entity_id=offer_id)

    def _write(self, item: Item, amount: int, is_managed: Any) -> None:
        if not isinstance(is_managed, bool):
            raise violation("stock.managedByRetailer", "must be a boolean")
        if item.source.is_fulfilled_by_channel:
            raise violation("stock.amount", "The stock of an FBB offer is managed by bol.")
        item.is_managed_by_retailer = is_managed
        item.open_units_since_update = 0
        self._shop.write_level(item, "", amount)


def ean(item: Item) -> str:
    """The item's GTIN, or one made up where it has none."""
    return item.source.gtin or f"{2_990_000_000_000 + item.number}"


def method(item: Item) -> str:
    """FBR: the retailer ships; FBB: bol does."""
    return "FBB" if item.source.is_fulfilled_by_channel else "FBR"


def corrected_stock(item: Item) -> int:
    """Units that bol sells: the amount less its open orders, or less those since the last write to the offer."""
    if item.source.is_fulfilled_by_channel:
        return item.available
    return item.available - (item.open_units_since_update if item.is_managed_by_retailer else item.open_units)


def _amount(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise violation("stock.amount", "must be an integer")
    if not 0 <= value <= LARGEST_AMOUNT:
        raise violation("stock.amount", f"must be between 0 and {LARGEST_AMOUNT}")
    return value


def _page_size(query: Mapping[str, str]) -> int:
    text = query.get("page-size", str(_DEFAULT_PAGE))
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= LARGEST_PAGE:
        raise violation("page-size", f"must be between 1 and {LARGEST_PAGE}")
    return int(text)


def _after(cursor: str | None) -> int:
    try:
        return int(base64.urlsafe_b64decode(cursor)) if cursor else 0
    except ValueError:
        raise violation("cursor", "is invalid") from None


def _instant(text: str) -> float:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise violation("last-modified-date-time", "must be a UTC ISO 8601 time") from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
