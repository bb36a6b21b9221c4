"""Which models of the channels the API shows, and what test keys see of them: simulated shops alone."""

from typing import Any

from django.db.models import QuerySet

from channels.models import (
    Authority,
    Channel,
    ChannelGroup,
    ChannelOrder,
    ChannelOrderLine,
    ErrorEntry,
    Listing,
    ListingLevel,
    Push,
    Rehearsal,
    Retry,
    Rule,
    RuleSet,
    RuleSetVersion,
    ShadowRun,
    ShadowSpan,
    WebhookDelivery,
)
from channels.simulated import has_live_channel, simulated_ids
from inventory.access import guard_test_keys
from inventory.api.visibility import enter
from inventory.models import Tag


def _simulated(rows: QuerySet[Any], merchant_id: int) -> QuerySet[Any]:
    return rows.filter(pk__in=simulated_ids(merchant_id))


def of_simulated(rows: QuerySet[Any], merchant_id: int) -> QuerySet[Any]:
    """Keeps what belongs to a simulated channel."""
    return rows.filter(channel_id__in=simulated_ids(merchant_id))


def _of_simulated_run(rows: QuerySet[Any], merchant_id: int) -> QuerySet[Any]:
    return rows.filter(run__channel_id__in=simulated_ids(merchant_id))


def _of_simulated_places(rows: QuerySet[Any], merchant_id: int) -> QuerySet[Any]:
    """Keeps what a simulated warehouse has the say over."""
    return rows.filter(place__channel_id__in=simulated_ids(merchant_id))


def _unless_live(rows: QuerySet[Any], merchant_id: int) -> QuerySet[Any]:
    """Keeps what is about all channels, where none of them is live."""
    return rows.none() if has_live_channel(merchant_id) else rows


enter(Channel, "merchant", for_tests=_simulated)
enter(Authority, "location__merchant", for_tests=_of_simulated_places)
enter(Listing, "channel__merchant", for_tests=of_simulated)
enter(ListingLevel, "channel__merchant", for_tests=of_simulated)
enter(ChannelOrder, "channel__merchant", for_tests=of_simulated)
enter(ChannelOrderLine, "order__channel__merchant")
enter(Push, "channel__merchant", for_tests=of_simulated)
enter(ShadowRun, "channel__merchant", for_tests=of_simulated)
enter(ShadowSpan, "run__channel__merchant", for_tests=_of_simulated_run)
enter(ErrorEntry, "channel__merchant", for_tests=of_simulated)
enter(WebhookDelivery, "channel__merchant", for_tests=of_simulated)
enter(Retry, "merchant", for_tests=of_simulated)
enter(ChannelGroup, "merchant")
enter(Rehearsal, "merchant", for_tests=_unless_live)
enter(Rule, "version__rule_set__merchant")
enter(RuleSet, "merchant")
enter(Tag, "merchant")
enter(RuleSetVersion, "rule_set__merchant", for_tests=_unless_live)
guard_test_keys(has_live_channel)
