"""A simulated vendor's account at Amazon."""

from channels.sandbox.amazon_vendor.shop import AmazonVendorSandbox

__all__ = ["AmazonVendorSandbox"]
