"""The back office of the channels, by topic."""

from channels.admin import channels, fulfilment, inbound, listings, orders, outbound, places

__all__ = ["channels", "fulfilment", "inbound", "listings", "orders", "outbound", "places"]
