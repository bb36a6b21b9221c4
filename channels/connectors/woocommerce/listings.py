"""What a WooCommerce shop sells and shows: products, variations, and pools that variations share.

The listing is whatever keeps the stock: a simple product, a variation, or the parent product whose stock its
variations share (`manage_stock: "parent"`). Such variations are listed too, but not active: they are never
written.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import chain
from math import floor, isfinite
from typing import Any, Final, TypeVar

from channels.connectors.base import Address, PlatformListing, ShelfNumber
from channels.connectors.messages import read_id, read_text
from channels.connectors.woocommerce.api import PAGE_SIZE, NotThere, Shop
from channels.connectors.woocommerce.orders import read_gmt

_Item = TypeVar("_Item")

#: Types that have no stock of their own.
_WITHOUT_STOCK: Final = frozenset({"grouped", "external"})
_LISTING_FIELDS: Final = (
    "id,name,type,status,sku,global_unique_id,manage_stock,stock_quantity,backorders,parent_id,attributes,"
    "date_modified_gmt"
)
_LEVEL_FIELDS: Final = "id,type,manage_stock,stock_quantity,date_modified_gmt"

_NOT_TRACKED: Final = "does not keep stock in the shop; switch on “Manage stock?” there"
_SELLS_BELOW_ZERO: Final = "sells below zero: backorders are allowed in the shop"
_SHARES_STOCK: Final = "shares the stock of its parent product, which is written instead"
_DUPLICATE_SKU: Final = "the SKU is used more than once in the shop"


def stock_quantity(entry: Mapping[str, Any]) -> int | None:
    """Returns the number a product or variation keeps itself, negative when oversold; None if it keeps none.

    Plugins may keep fractions: only whole units can be sold.
    """
    quantity = entry.get("stock_quantity")
    if entry.get("manage_stock") is not True or isinstance(quantity, bool):
        return None
    return floor(quantity) if isinstance(quantity, int | float) and isfinite(quantity) else None


def is_kept_by_parent(entry: Mapping[str, Any]) -> bool:
    """Tells whether a variation draws on the pool of its parent."""
    return entry.get("manage_stock") == "parent"


# -- listings


def fetch_listings(shop: Shop) -> Iterator[PlatformListing]:
    """Streams products and variations; a SKU met before is marked."""
    seen: set[str] = set()
    for listing in _listings(shop):
        is_twin = bool(listing.sku) and listing.is_active and listing.sku in seen
        if listing.is_active:
            seen.add(listing.sku)
        yield replace(listing, warnings=(*listing.warnings, _DUPLICATE_SKU)) if is_twin else listing


def _listings(shop: Shop) -> Iterator[PlatformListing]:
    for product in shop.read_all("products", {"_fields": _LISTING_FIELDS}):
        kind = read_text(product, "type")
        if kind in _WITHOUT_STOCK:
            continue
        if is_variable(product):
            yield from _family(product, list(_variations(shop, product["id"], _LISTING_FIELDS)))
        else:
            yield _listing(product, title=read_text(product, "name"))


def is_variable(product: Mapping[str, Any]) -> bool:
    """Tells whether a product has variations; plugins add types such as `variable-subscription`."""
    return read_text(product, "type").startswith("variable")


def _variations(shop: Shop, product_id: int, fields: str) -> Iterator[dict[str, Any]]:
    """Streams the variations of a product; none when it was deleted meanwhile."""
    try:
        yield from shop.read_all(f"products/{product_id}/variations", {"_fields": fields})
    except NotThere:
        return


def _family(product: Mapping[str, Any], variations: Sequence[Mapping[str, Any]]) -> Iterator[PlatformListing]:
    title = read_text(product, "name")
    if any(is_kept_by_parent(variation) for variation in variations):
        yield _listing(product, title=title)
    for variation in variations:
        options = ", ".join(_options(variation))
        listing = _listing(variation, title=f"{title} – {options}" if options else title)
        yield replace(listing, parent_external_id=read_id(product, "id"))


def _options(variation: Mapping[str, Any]) -> Iterator[str]:
    attributes = variation.get("attributes")
    for attribute in attributes if isinstance(attributes, list) else []:
        if isinstance(attribute, dict) and attribute.get("option"):
            yield read_text(attribute, "option")


def _listing(entry: Mapping[str, Any], *, title: str) -> PlatformListing:
    return PlatformListing(
        external_id=read_id(entry, "id"),
        sku=read_text(entry, "sku"),
        title=title,
        gtin=read_text(entry, "global_unique_id"),
        warnings=tuple(_warnings(entry)),
        is_active=not is_kept_by_parent(entry),
        shown=stock_quantity(entry),
    )


def _warnings(entry: Mapping[str, Any]) -> Iterator[str]:
    if is_kept_by_parent(entry):
        yield _SHARES_STOCK
    elif entry.get("manage_stock") is not True:
        yield _NOT_TRACKED
    elif read_text(entry, "backorders") in ("yes", "notify"):
        yield _SELLS_BELOW_ZERO


# -- numbers


def fetch_levels(shop: Shop) -> Iterator[ShelfNumber]:
    """Streams the numbers of everything that keeps stock itself; those that keep none as None."""
    for product in shop.read_all("products", {"_fields": _LEVEL_FIELDS}):
        if not is_variable(product):
            if read_text(product, "type") not in _WITHOUT_STOCK:
                yield shelf_number(product)
            continue
        variations = list(_variations(shop, product["id"], _LEVEL_FIELDS))
        kept_by_parent = [product] if any(map(is_kept_by_parent, variations)) else []
        own = (variation for variation in variations if not is_kept_by_parent(variation))
        yield from map(shelf_number, chain(kept_by_parent, own))


def read_levels(shop: Shop, addresses: Sequence[Address]) -> list[ShelfNumber]:
    """Reads the numbers at these addresses; None for what the shop no longer has."""
    found: dict[str, ShelfNumber] = {}
    for parent_id, siblings in by_parent(addresses, lambda address: address):
        for chunk in chunks(siblings, PAGE_SIZE):
            found.update((number.listing_external_id, number) for number in _read(shop, parent_id, chunk))
    missing = (ShelfNumber(address.listing_external_id, "", None) for address in addresses)
    return [found.get(number.listing_external_id, number) for number in missing]


def _read(shop: Shop, parent_id: str, addresses: Sequence[Address]) -> list[ShelfNumber]:
    path = f"products/{parent_id}/variations" if parent_id else "products"
    ids = ",".join(address.listing_external_id for address in addresses)
    parameters = {"include": ids, "per_page": str(PAGE_SIZE), "_fields": _LEVEL_FIELDS}
    try:
        entries = shop.read(path, parameters).body
    except NotThere:
        return []
    return [shelf_number(entry) for entry in entries if isinstance(entry, dict)]


def shelf_number(entry: Mapping[str, Any]) -> ShelfNumber:
    """Translates a product or variation."""
    observed_at: datetime | None = read_gmt(entry, "date_modified_gmt")
    return ShelfNumber(read_id(entry, "id"), "", stock_quantity(entry), observed_at)


# -- grouping


def by_parent(
    items: Iterable[_Item], address_of: Callable[[_Item], Address]
) -> list[tuple[str, list[_Item]]]:
    """Groups by parent product: one call can only hold siblings. Products without a parent come first."""
    groups: dict[str, list[_Item]] = {}
    for item in items:
        groups.setdefault(address_of(item).parent_external_id, []).append(item)
    return sorted(groups.items(), key=lambda group: group[0])


def chunks(items: Sequence[_Item], size: int) -> Iterator[Sequence[_Item]]:
    """Cuts into pieces of at most `size`."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
