"""The WooCommerce connector."""

from channels.connectors.woocommerce.connector import WooCommerceConnector

__all__ = ["WooCommerceConnector"]
