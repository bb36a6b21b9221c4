"""A simulated Shopify shop."""

from channels.sandbox.shopify.shop import ShopifySandbox

__all__ = ["ShopifySandbox"]
