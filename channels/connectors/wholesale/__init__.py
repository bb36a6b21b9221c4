"""The connector of wholesale portals and buyers' systems."""

from channels.connectors.wholesale.connector import WholesaleConnector

__all__ = ["WholesaleConnector"]
