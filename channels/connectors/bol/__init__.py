"""The bol connector."""

from channels.connectors.bol.connector import BolConnector

__all__ = ["BolConnector"]
