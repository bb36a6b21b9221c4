"""Simulated platforms: each shop an HTTP server of its own with its own stock book, order book, webhooks and customers.

They serve the demo, the tests, and a merchant who wants to rehearse before connecting. They know nothing of the engine
and need no Django.
"""

from typing import Final

from channels.sandbox.amazon_seller import AmazonSellerSandbox
from channels.sandbox.amazon_vendor import AmazonVendorSandbox
from channels.sandbox.bol import BolSandbox
from channels.sandbox.book import CatalogueItem, PlacedOrder, Refused
from channels.sandbox.client import SandboxClient, SandboxError
from channels.sandbox.picqer import PicqerSandbox
from channels.sandbox.profiles import HEALTHY, INSTANT, MEAN, PROFILES, SLOW, Faults, Profile
from channels.sandbox.shop import SandboxShop
from channels.sandbox.shopify import ShopifySandbox
from channels.sandbox.square import SquareSandbox
from channels.sandbox.wholesale import WholesaleSandbox
from channels.sandbox.woocommerce import WooCommerceSandbox

SANDBOXES: Final[dict[str, type[SandboxShop]]] = {
    shop.kind: shop
    for shop in (
        ShopifySandbox,
        WooCommerceSandbox,
        BolSandbox,
        SquareSandbox,
        WholesaleSandbox,
        AmazonSellerSandbox,
        AmazonVendorSandbox,
        PicqerSandbox,
    )
}

__all__ = [
    "HEALTHY",
    "INSTANT",
    "MEAN",
    "PROFILES",
    "SANDBOXES",
    "SLOW",
    "AmazonSellerSandbox",
    "AmazonVendorSandbox",
    "BolSandbox",
    "CatalogueItem",
    "Faults",
    "PicqerSandbox",
    "PlacedOrder",
    "Profile",
    "Refused",
    "SandboxClient",
    "SandboxError",
    "SandboxShop",
    "ShopifySandbox",
    "SquareSandbox",
    "WholesaleSandbox",
    "WooCommerceSandbox",
]
