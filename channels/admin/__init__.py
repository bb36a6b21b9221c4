"""The back office of the channels, by topic."""

from channels.admin import (
    channels,
    errors,
    fulfilment,
    inbound,
    listings,
    mutations,
    orders,
    outbound,
    places,
    pools,
    rehearsals,
    retries,
    rule_lists,
    rule_sets,
    rule_versions,
    spans,
)

__all__ = [
    "channels",
    "errors",
    "fulfilment",
    "inbound",
    "listings",
    "mutations",
    "orders",
    "outbound",
    "places",
    "pools",
    "rehearsals",
    "retries",
    "rule_lists",
    "rule_sets",
    "rule_versions",
    "spans",
]
