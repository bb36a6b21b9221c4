"""Which models of the channels the API shows, and what test keys see of them: simulated shops alone."""

from typing import Any

from django.db.models import QuerySet

from channels.models import (
    Channel,
    ChannelGroup,
    ChannelOrder,
    Listing,
    ListingLevel,
    Rehearsal,
    RuleSet,
    RuleSetVersion,
)
from channels.simulated import has_live_channel, simulated_ids
from inventory.access import guard_test_keys
from inventory.api.visibility import enter
from inventory.models import Tag


def _simulated(rows: QuerySet[Any], merchant_id: int) -> QuerySet[Any]:
    return rows.filter(pk__in=simulated_ids(merchant_id))


def _of_simulated(rows: QuerySet[Any], merchant_id: int) -> QuerySet[Any]:
    return rows.filter(channel_id__in=simulated_ids(merchant_id))


enter(Channel, "merchant", for_tests=_simulated)
enter(Listing, "channel__merchant", for_tests=_of_simulated)
enter(ListingLevel, "channel__merchant", for_tests=_of_simulated)
enter(ChannelOrder, "channel__merchant", for_tests=_of_simulated)
enter(ChannelGroup, "merchant")
enter(Rehearsal, "merchant")
enter(RuleSet, "merchant")
enter(Tag, "merchant")
enter(RuleSetVersion, "rule_set__merchant")
guard_test_keys(has_live_channel)
