"""A simulated WooCommerce shop."""

from channels.sandbox.woocommerce.shop import WooCommerceSandbox

__all__ = ["WooCommerceSandbox"]
