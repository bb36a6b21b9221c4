"""What a shop sells, and from which places.

A small catalogue is paged through, which is there at once; a large one comes as a bulk query, which costs no points.
"""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final

from channels.connectors.base import PlatformListing, PlatformLocation
from channels.connectors.shopify import bulk
from channels.connectors.shopify.graphql import Api, Document, number_of, pages

_LISTINGS: Final = Document("listings")
_ALL_LISTINGS: Final = Document("bulk_listings")
_LOCATIONS: Final = Document("locations")
_PAGE: Final = 250
#: Variants that are paged through; where there are more, all of them come in bulk.
PAGED: Final = 500


def stream_listings(api: Api) -> Iterator[PlatformListing]:
    """Streams what the shop sells; stock stands with inventory items, which several variants may share."""
    seen: set[int] = set()
    for node in _variants(api):
        item = number_of(node["inventoryItem"]["id"])
        if int(item) not in seen:
            seen.add(int(item))
            yield _listing(item, node)


def _variants(api: Api) -> Iterator[Mapping[str, Any]]:
    """Yields the variants; of a large catalogue the first ones twice."""
    nodes = pages(api, _LISTINGS, ("productVariants",), {"first": _PAGE, "query": None}, cost=2.0 + _PAGE * 3)
    yield from islice(nodes, PAGED)
    if next(nodes, None) is not None:
        yield from bulk.stream(api, _ALL_LISTINGS)


def _listing(item: str, node: Mapping[str, Any]) -> PlatformListing:
    product = node["product"]
    return PlatformListing(
        external_id=item,
        sku=node["sku"] or "",
        title=node["displayName"] or "",
        gtin=_gtin(node["barcode"]),
        parent_external_id=number_of(product["id"]),
        data={"variant_id": number_of(node["id"])},
        warnings=tuple(_warnings(node)),
        is_active=bool(node["inventoryItem"]["tracked"]) and product["status"] != "ARCHIVED",
    )


def _gtin(barcode: str | None) -> str:
    """Returns a barcode that is a GTIN; shops write other things there as well."""
    text = (barcode or "").strip()
    return text if text.isascii() and text.isdigit() and len(text) in (8, 12, 13, 14) else ""


def _warnings(node: Mapping[str, Any]) -> Iterator[str]:
    item = node["inventoryItem"]
    if not item["tracked"]:
        yield "Shopify does not track its quantity, so numbers have no effect."
    if node["inventoryPolicy"] == "CONTINUE":
        yield "Shopify goes on selling it at zero."
    if item["duplicateSkuCount"]:
        yield "Its SKU stands on several products."


def read_locations(api: Api) -> list[PlatformLocation]:
    """Reads the shop's places; a fulfilment service's stock is somebody else's."""
    nodes = pages(api, _LOCATIONS, ("locations",), {"first": 100}, cost=102)
    return [
        PlatformLocation(
            external_id=number_of(node["id"]),
            name=node["name"] or "",
            is_sellable=bool(node["isActive"] and node["fulfillsOnlineOrders"]),
            is_foreign=bool(node["isFulfillmentService"]),
        )
        for node in nodes
    ]
