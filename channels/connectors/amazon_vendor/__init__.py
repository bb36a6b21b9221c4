"""The connector to a vendor's account at Amazon."""

from channels.connectors.amazon_vendor.connector import AmazonVendorConnector

__all__ = ["AmazonVendorConnector"]
