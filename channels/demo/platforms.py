"""The platforms that the demo can start, each by its name: one entry is all that another one takes.

A platform needs a connector (`channels.connectors`) and a simulated shop (`channels.sandbox`) of the same kind.
"""

from argparse import ArgumentTypeError
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

#: What stands on the command line for every platform.
ALL: Final = "all"


@dataclass(frozen=True, slots=True)
class DemoPlatform:
    """A platform as the demo shows it."""

    kind: str
    #: Name of its channel.
    name: str
    #: Whether it is there when nobody says which ones should be.
    is_default: bool = False
    #: Codes of the merchant's locations that the shop has; None: all of them.
    places: tuple[str, ...] | None = None
    #: Whether it keeps the goods of those locations, and sells nothing.
    is_warehouse: bool = False


_ENTRIES: Final = (
    DemoPlatform("shopify", "Web shop (Shopify)", is_default=True),
    DemoPlatform("woocommerce", "Outlet (WooCommerce)", is_default=True),
    DemoPlatform("bol", "Marketplace (Bol.com)", is_default=True),
    DemoPlatform("square", "Rotterdam till (Square)", places=("RTM",)),
    DemoPlatform("wholesale", "Dealers (wholesale portal)"),
    DemoPlatform("amazon_seller", "Marketplace (Amazon)"),
    DemoPlatform("amazon_vendor", "Wholesale to Amazon (vendor)", places=("AMS",)),
    DemoPlatform("picqer", "Rotterdam warehouse (Picqer)", places=("RTM",), is_warehouse=True),
)

#: By kind; each one's port is the first one of the shops and its position here.
PLATFORMS: Final[Mapping[str, DemoPlatform]] = {entry.kind: entry for entry in _ENTRIES}
DEFAULT: Final = tuple(kind for kind, entry in PLATFORMS.items() if entry.is_default)


def platforms(text: str) -> tuple[str, ...]:
    """Reads a list of platforms, separated by commas, or `all`; returns their kinds, each once, in the registry's sequence."""
    asked = {name.strip() for name in text.split(",") if name.strip()}
    known = ", ".join((*PLATFORMS, ALL))
    if not asked:
        raise ArgumentTypeError(f"name at least one platform: {known}.")
    if unknown := sorted(asked - {*PLATFORMS, ALL}):
        raise ArgumentTypeError(f"{', '.join(unknown)} is no platform of the demo; choose from {known}.")
    return tuple(kind for kind in PLATFORMS if ALL in asked or kind in asked)
