"""Picqer's products: what it keeps, and how much of it is free in each warehouse.

`freestock` is what lies there less what is reserved, and the number to go by. It may be negative: orders wait for goods then.
Products that never run out, and those that are put together from others, have no number of their own.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from channels.connectors.base import PlatformListing, PlatformLocation
from channels.connectors.messages import read_id, read_integer, read_objects, read_text
from channels.connectors.picqer.api import PicqerApi
from channels.connectors.warehousing import Stated, StatedGoods

#: Types of products → why their number is not counted.
NOT_COUNTED: Final[Mapping[str, str]] = {
    "unlimited_stock": "It never runs out there, so that it has no number.",
    "virtual_composition": "It is put together from other products; these are counted.",
}
_NORMAL: Final = frozenset({"", "normal", "composition_with_stock"})


def fetch_listings(api: PicqerApi) -> Iterator[PlatformListing]:
    """Streams all products, those that are not active too."""
    for is_active, parameters in ((True, {}), (False, {"inactive": "true"})):
        for product in api.rows("/products", "idproduct", parameters):
            yield _listing(product, is_active=is_active and product.get("active") is not False)


def _listing(product: Mapping[str, Any], *, is_active: bool) -> PlatformListing:
    reason = why_not_counted(product)
    return PlatformListing(
        external_id=read_id(product, "idproduct"),
        sku=read_text(product, "productcode"),
        title=read_text(product, "name"),
        gtin=read_text(product, "barcode"),
        data={"type": read_text(product, "type")},
        warnings=(reason,) if reason else (),
        is_active=is_active,
    )


def why_not_counted(product: Mapping[str, Any]) -> str:
    """Says why a product's numbers are none to count by; empty where they are."""
    kind = read_text(product, "type")
    if kind in _NORMAL and product.get("unlimitedstock") is not True:
        return ""
    if kind in NOT_COUNTED:
        return NOT_COUNTED[kind]
    return (
        NOT_COUNTED["unlimited_stock"]
        if kind in _NORMAL
        else f"Products of the type {kind[:50]} are not known."
    )


def fetch_stock(api: PicqerApi, goods: Sequence[str]) -> list[StatedGoods]:
    """Reads what Picqer has of these products, in one call."""
    if not goods:
        return []
    wanted = set(goods)
    found = api.page("/products", {"idproducts": ",".join(goods)})
    return [_stated(product) for product in found if read_id(product, "idproduct") in wanted]


def _stated(product: Mapping[str, Any]) -> StatedGoods:
    places = {
        read_id(level, "idwarehouse"): Stated(read_integer(level, "freestock"), read_integer(level, "stock"))
        for level in read_objects(product, "stock")
    }
    return StatedGoods(read_id(product, "idproduct"), places, why_not_counted(product))


def fetch_warehouses(api: PicqerApi) -> list[PlatformLocation]:
    """Reads the warehouses. Nothing is sold there, so that they come in switched off."""
    return [
        PlatformLocation(
            read_id(row, "idwarehouse"), read_text(row, "name"), is_sellable=False, is_foreign=True
        )
        for row in api.rows("/warehouses", "idwarehouse")
        if row.get("active") is not False
    ]
