"""The Shopify connector."""

from channels.connectors.shopify.connector import ShopifyConnector

__all__ = ["ShopifyConnector"]
