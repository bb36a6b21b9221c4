"""Listings Items 2021-08-01: searches, single reads, and changes that are accepted first and live later."""

import base64
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from channels.sandbox.amazon_seller.rest import body_of, invalid, listed, not_found, utc
from channels.sandbox.book import Item
from channels.sandbox.httpd import Answer, Request, json_answer

if TYPE_CHECKING:
    from channels.sandbox.amazon_seller.shop import AmazonSellerSandbox

LARGEST_PAGE: Final = 20
#: Further than this nobody pages.
MOST_PAGED: Final = 1000
FBA: Final = "AMAZON_EU"
OWN: Final = "DEFAULT"
PRODUCT_TYPE: Final = "HOME"
_PATH: Final = "/attributes/fulfillment_availability"
#: Slashes in the path of one listing, where its SKU is encoded as it must be.
_PATH_DEPTH: Final = 5


class Listings:
    """The `/listings/2021-08-01/items` resource."""

    def __init__(self, shop: "AmazonSellerSandbox") -> None:
        self._shop = shop
        self._book = shop.records
        #: SKUs that a `DEFAULT` quantity turned from FBA to merchant-fulfilled, stranding their stock.
        self.converted: list[str] = []
        #: What is wrong with a listing's number since the last change, by SKU.
        self.issues: dict[str, list[dict[str, Any]]] = {}

    def asin(self, item: Item) -> str:
        """The catalogue's id of an item."""
        return f"B0{item.number:08d}"

    # -- reading
    def search(self, request: Request) -> Answer:
        query = request.query
        size = _page_size(query.get("pageSize", "10"))
        self._check(request)
        if "identifiers" in query:
            found = self._identified(request)
            return self._page(request, found, 0, size)
        return self._page(request, list(self._book.items.values()), _after(query.get("pageToken", "")), size)

    def _identified(self, request: Request) -> list[Item]:
        identifiers = listed(request, "identifiers")
        if len(identifiers) > LARGEST_PAGE or request.query.get("identifiersType") != "SKU":
            raise invalid("At most 20 identifiers, of the type SKU.")
        return [self._book.items[sku] for sku in identifiers if sku in self._book.items]

    def _page(self, request: Request, items: list[Item], start: int, size: int) -> Answer:
        if start + size > MOST_PAGED:
            raise invalid(f"No more than {MOST_PAGED} items can be paged through.")
        page = items[start : start + size]
        body: dict[str, Any] = {
            "numberOfResults": len(items),
            "items": [self._document(request, item) for item in page],
        }
        if start + size < min(len(items), MOST_PAGED):
            body["pagination"] = {"nextToken": base64.urlsafe_b64encode(str(start + size).encode()).decode()}
        return json_answer(200, body)

    def read(self, request: Request, sku: str) -> Answer:
        self._check(request)
        return json_answer(200, self._document(request, self._find(sku)))

    def _find(self, sku: str) -> Item:
        item = self._book.items.get(sku)
        if item is None:
            raise not_found(f"SKU '{sku}'")
        return item

    def _check(self, request: Request) -> None:
        if self._shop.marketplace not in listed(request, "marketplaceIds"):
            raise invalid("marketplaceIds is required.")

    def _document(self, request: Request, item: Item) -> dict[str, Any]:
        included = set(listed(request, "includedData")) or {"summaries"}
        found: dict[str, Any] = {"sku": item.sku}
        if "summaries" in included:
            found["summaries"] = [
                {
                    "marketplaceId": self._shop.marketplace,
                    "asin": self.asin(item),
                    "productType": PRODUCT_TYPE,
                    "status": ["BUYABLE", "DISCOVERABLE"] if item.available > 0 else ["DISCOVERABLE"],
                    "itemName": item.source.title,
                    "createdDate": utc(item.updated_at),
                    "lastUpdatedDate": utc(item.updated_at),
                }
            ]
        if "fulfillmentAvailability" in included:
            found["fulfillmentAvailability"] = [self._availability(item)]
        if "issues" in included:
            found["issues"] = self.issues.get(item.sku, [])
        return found

    @staticmethod
    def _availability(item: Item) -> dict[str, Any]:
        if item.source.is_fulfilled_by_channel:
            return {"fulfillmentChannelCode": FBA}
        return {"fulfillmentChannelCode": OWN, "quantity": item.available}

    # -- writing
    def patch(self, request: Request, sku: str) -> Answer:
        """Takes a change in, or says in a good answer that it is invalid."""
        self._check(request)
        if urlsplit(request.target).path.count("/") != _PATH_DEPTH:
            raise invalid("The SKU in the path is not encoded.")
        item = self._find(sku)
        data = body_of(request)
        issues = problems_of(data)
        answer = {
            "sku": sku,
            "status": "INVALID" if issues else "ACCEPTED",
            "submissionId": uuid.uuid4().hex,
            "issues": issues,
        }
        if not issues:
            self.accept(item, _quantity(data))
        return json_answer(200, answer)

    def accept(self, item: Item, quantity: int) -> None:
        """Does a change a little later, if ever."""
        if self._shop.happens(self._shop.faults.accepted_is_lost_rate):
            return
        self._shop.later(self._shop.processing_seconds(), lambda: self.apply(item, quantity))

    def apply(self, item: Item, quantity: int) -> None:
        """Makes a number live. For what Amazon ships it makes the merchant ship it, and strands its stock."""
        with self._book.lock:
            if item.source.is_fulfilled_by_channel:
                item.source = replace(item.source, is_fulfilled_by_channel=False)
                self.converted.append(item.sku)
            self._shop.write_level(item, "", quantity)
            self._shop.announce_stock(item, "")


def problems_of(data: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns what is wrong with a change of a number, in Amazon's form."""
    patches = data.get("patches")
    if not data.get("productType") or not isinstance(patches, list) or not patches:
        return [_issue("90000001", "productType and patches are required.", [])]
    for patch in patches:
        if patch.get("op") not in ("add", "replace", "merge", "delete") or patch.get("path") != _PATH:
            return [_issue("4000003", "Only top-level attributes can be patched.", [])]
        values = patch.get("value")
        if not isinstance(values, list) or len(values) != 1 or not isinstance(values[0], dict):
            return [_issue("4000001", "The value must be a list of objects.", ["fulfillment_availability"])]
        if values[0].get("fulfillment_channel_code") != OWN:
            return [_issue("90220", "'fulfillment_channel_code' is required.", ["fulfillment_availability"])]
        quantity = values[0].get("quantity")
        if isinstance(quantity, bool) or not isinstance(quantity, int) or quantity < 0:
            return [_issue("90244", "'quantity' must be at least 0.", ["fulfillment_availability"])]
    return []


def _quantity(data: dict[str, Any]) -> int:
    return int(data["patches"][-1]["value"][0]["quantity"])


def _issue(code: str, message: str, names: list[str]) -> dict[str, Any]:
    return {
        "code": code,
        "message": message,
        "severity": "ERROR",
        "attributeNames": names,
        "categories": ["INVALID_ATTRIBUTE"],
    }


def _page_size(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= LARGEST_PAGE:
        raise invalid(f"pageSize must be between 1 and {LARGEST_PAGE}.")
    return int(text)


def _after(token: str) -> int:
    try:
        return int(base64.urlsafe_b64decode(token)) if token else 0
    except ValueError:
        raise invalid("pageToken is not valid.") from None
