"""The connector to a seller's account at Amazon."""

from channels.connectors.amazon_seller.connector import AmazonSellerConnector

__all__ = ["AmazonSellerConnector"]
