"""The Square connector."""

from channels.connectors.square.connector import SquareConnector

__all__ = ["SquareConnector"]
