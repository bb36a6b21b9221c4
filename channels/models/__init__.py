"""The tables of the channels app, by topic."""

from channels.models.acknowledgements import OrderAcknowledgement
from channels.models.channels import (
    AccessToken,
    Channel,
    ChannelHealth,
    ChannelLocation,
    ChannelLocationSource,
    RateBucket,
)
from channels.models.error_log import ErrorEntry
from channels.models.fanout import BundleChange
from channels.models.fulfilment import FulfilmentLine, FulfilmentRequest
from channels.models.heartbeats import Heartbeat
from channels.models.history import SourceSpan
from channels.models.inbound import PollFeed, ShelfObservation, WebhookDelivery
from channels.models.listings import Listing, ListingLevel
from channels.models.matches import ListingMatch
from channels.models.measures import ChannelLag, LagDemand, ListingRank, ListingStanding
from channels.models.mutations import Mutation, MutationFuse
from channels.models.onboarding import Onboarding
from channels.models.orders import ChannelOrder, ChannelOrderLine
from channels.models.outbound import Push
from channels.models.pins import Pin
from channels.models.pools import ChannelGroup, PoolHold, PoolUse
from channels.models.rehearsals import Rehearsal
from channels.models.retry_queue import Retry
from channels.models.rules import Rule, RuleSet, RuleSetActivation, RuleSetVersion
from channels.models.shadow import ShadowRun, ShadowSpan
from channels.models.warehouses import Authority, StatedLevel, WarehouseArrival, WarehouseOrder

__all__ = [
    "AccessToken",
    "Authority",
    "BundleChange",
    "Channel",
    "ChannelGroup",
    "ChannelHealth",
    "ChannelLag",
    "ChannelLocation",
    "ChannelLocationSource",
    "ChannelOrder",
    "ChannelOrderLine",
    "ErrorEntry",
    "FulfilmentLine",
    "FulfilmentRequest",
    "Heartbeat",
    "LagDemand",
    "Listing",
    "ListingLevel",
    "ListingMatch",
    "ListingRank",
    "ListingStanding",
    "Mutation",
    "MutationFuse",
    "Onboarding",
    "OrderAcknowledgement",
    "Pin",
    "PollFeed",
    "PoolHold",
    "PoolUse",
    "Push",
    "RateBucket",
    "Rehearsal",
    "Retry",
    "Rule",
    "RuleSet",
    "RuleSetActivation",
    "RuleSetVersion",
    "ShadowRun",
    "ShadowSpan",
    "ShelfObservation",
    "SourceSpan",
    "StatedLevel",
    "WarehouseArrival",
    "WarehouseOrder",
    "WebhookDelivery",
]
