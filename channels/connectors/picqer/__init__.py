"""The Picqer connector."""

from channels.connectors.picqer.connector import PicqerConnector

__all__ = ["PicqerConnector"]
