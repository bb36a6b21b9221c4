"""The rules as they were: the versions in force at an instant, what they went by, and the channels' own settings."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from django.db import connection
from django.db.models import Q

from channels.models import RuleSetActivation
from channels.rules.book import ChannelFacts, RuleBook, channels_by_id, load_book_of
from channels.rules.past_statements import GROUPS_AT

# The history has the channel as it was after each change; what was changed before the history began is not known.
_OWN_SETTINGS: Final = """
SELECT channel.id, past.buffer_units, past.buffer_percent, past.minimum_exposure, past.maximum_exposure,
       past.may_split
FROM channels_channel channel
CROSS JOIN LATERAL (
    SELECT * FROM channels_historicalchannel past
    WHERE past.id = channel.id AND past.history_date <= %s
    ORDER BY past.history_date DESC, past.history_id DESC LIMIT 1
) past
WHERE channel.id = ANY(%s::bigint[])
"""


def versions_at(merchant_id: int, at: datetime) -> dict[int, int]:
    """Returns the versions that were in force at an instant, by rule set."""
    then = RuleSetActivation.objects.filter(Q(ended_at__isnull=True) | Q(ended_at__gt=at), began_at__lte=at)
    rows = then.filter(rule_set__merchant_id=merchant_id).values_list("rule_set_id", "version_id")
    return dict(rows.order_by("id"))


def book_at(
    merchant_id: int, variant_ids: Collection[int], at: datetime, parts: Mapping[int, Collection[int]]
) -> RuleBook:
    """Returns the rules that were in force at an instant, as far as they may concern these variants, kits with `parts`."""
    return load_book_of(versions_at(merchant_id, at).values(), variant_ids, parts, at=at)


def channels_at(channel_ids: Collection[int], at: datetime) -> dict[int, ChannelFacts]:
    """Returns what rules know of channels, with their own settings and their groups as they were."""
    now = channels_by_id(channel_ids)
    with connection.cursor() as cursor:
        cursor.execute(_OWN_SETTINGS, [at, sorted(channel_ids)])
        then: dict[int, tuple[Any, ...]] = {row[0]: row[1:] for row in cursor.fetchall()}
        cursor.execute(GROUPS_AT, {"at": at, "channels": sorted(channel_ids)})
        members: list[tuple[int, int]] = cursor.fetchall()
    groups = {pk: frozenset(group for member, group in members if member == pk) for pk in now}
    grouped = {pk: replace(facts, group_ids=groups[pk]) for pk, facts in now.items()}
    return {pk: _with_settings(facts, then[pk]) if pk in then else facts for pk, facts in grouped.items()}


def _with_settings(facts: ChannelFacts, settings: tuple[Any, ...]) -> ChannelFacts:
    units, percent, minimum, maximum, may_split = settings
    return replace(
        facts,
        buffer_units=units,
        buffer_percent=percent,
        minimum=minimum,
        maximum=maximum,
        may_split=may_split,
    )
