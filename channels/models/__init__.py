"""The tables of the channels app, by topic."""

from channels.models.channels import (
    AccessToken,
    Channel,
    ChannelHealth,
    ChannelLocation,
    ChannelLocationSource,
    RateBucket,
)
from channels.models.fanout import BundleChange
from channels.models.inbound import PollFeed, ShelfObservation, WebhookDelivery
from channels.models.listings import Listing, ListingLevel
from channels.models.orders import ChannelOrder, ChannelOrderLine
from channels.models.outbound import Push

__all__ = [
    "AccessToken",
    "BundleChange",
    "Channel",
    "ChannelHealth",
    "ChannelLocation",
    "ChannelLocationSource",
    "ChannelOrder",
    "ChannelOrderLine",
    "Listing",
    "ListingLevel",
    "PollFeed",
    "Push",
    "RateBucket",
    "ShelfObservation",
    "WebhookDelivery",
]
