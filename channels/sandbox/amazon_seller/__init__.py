"""A simulated seller's account at Amazon."""

from channels.sandbox.amazon_seller.shop import AmazonSellerSandbox

__all__ = ["AmazonSellerSandbox"]
