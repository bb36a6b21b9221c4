"""What a Square account sells, and where: item variations, and its locations."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from channels.connectors.base import PlatformListing, PlatformLocation
from channels.connectors.messages import read_id, read_objects, read_part, read_text
from channels.connectors.square.api import SquareApi

#: Items that have stock; services, gift cards and the like have none.
_WITH_STOCK: Final = frozenset({"", "REGULAR", "FOOD_AND_BEV"})

_NOT_TRACKED: Final = "its stock is not tracked; switch on “Track inventory” in Square"
_MEASURED: Final = "is sold by measure; OneCount counts pieces, so that it is not told and its sales wait"
_NOT_STOCKED: Final = "is sold out of the stock of another variation, which is told instead"
_SOLD_OUT: Final = "is marked as sold out by hand in Square, whatever its number is"
_DUPLICATE_SKU: Final = "the SKU is used more than once in Square"


def fetch_locations(api: SquareApi) -> list[PlatformLocation]:
    """Reads the account's locations; closed ones sell nothing."""
    return [
        PlatformLocation(
            external_id=read_id(place, "id"),
            name=read_text(place, "name") or read_id(place, "id"),
            is_sellable=read_text(place, "status") != "INACTIVE",
        )
        for place in read_objects(api.read("/v2/locations").body, "locations")
    ]


def fetch_listings(api: SquareApi) -> Iterator[PlatformListing]:
    """Streams the variations of all items; a SKU met before is marked."""
    seen: set[str] = set()
    for item in api.read_all("/v2/catalog/list", "objects", {"types": "ITEM"}):
        for listing in _variations(item):
            is_twin = bool(listing.sku) and listing.is_active and listing.sku in seen
            if listing.is_active:
                seen.add(listing.sku)
            yield replace(listing, warnings=(*listing.warnings, _DUPLICATE_SKU)) if is_twin else listing


def _variations(item: Mapping[str, Any]) -> Iterator[PlatformListing]:
    data = read_part(item, "item_data")
    variations = [each for each in read_objects(data, "variations") if each.get("is_deleted") is not True]
    if read_text(data, "product_type") not in _WITH_STOCK:
        return
    is_sold = item.get("is_deleted") is not True and data.get("is_archived") is not True
    for variation in variations:
        title = read_text(data, "name")
        if len(variations) > 1:
            title = f"{title}, {read_text(read_part(variation, 'item_variation_data'), 'name')}"
        yield _listing(variation, item_id=read_id(item, "id"), title=title, is_sold=is_sold)


def _listing(variation: Mapping[str, Any], *, item_id: str, title: str, is_sold: bool) -> PlatformListing:
    data = read_part(variation, "item_variation_data")
    is_measured, is_stocked = bool(read_text(data, "measurement_unit_id")), data.get("stockable") is not False
    return PlatformListing(
        external_id=read_id(variation, "id"),
        sku=read_text(data, "sku"),
        title=title,
        gtin=read_text(data, "upc"),
        parent_external_id=item_id,
        warnings=tuple(_warnings(data, is_measured=is_measured, is_stocked=is_stocked)),
        is_active=is_sold and is_stocked and not is_measured,
    )


def _warnings(data: Mapping[str, Any], *, is_measured: bool, is_stocked: bool) -> Iterator[str]:
    places = read_objects(data, "location_overrides")
    if data.get("track_inventory") is not True and not any(
        place.get("track_inventory") is True for place in places
    ):
        yield _NOT_TRACKED
    if is_measured:
        yield _MEASURED
    if not is_stocked:
        yield _NOT_STOCKED
    if any(place.get("sold_out") is True for place in places):
        yield _SOLD_OUT
