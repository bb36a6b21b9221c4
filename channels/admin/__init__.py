"""The back office of the channels, by topic."""

from channels.admin import channels, inbound, listings, mutations, orders, outbound, places, pools, rules

__all__ = ["channels", "inbound", "listings", "mutations", "orders", "outbound", "places", "pools", "rules"]
