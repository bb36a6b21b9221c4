"""The back office of the channels, by topic."""

from channels.admin import channels, inbound, listings, orders, outbound, places

__all__ = ["channels", "inbound", "listings", "orders", "outbound", "places"]
