"""The rules of a rehearsal: the version that is rehearsed, and beside it all that was in force when the period began."""

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from channels.exposure import Inputs, load_inputs
from channels.models import ListingLevel, Rule, RuleSetVersion
from channels.models.rules import SETTINGS
from channels.past_rules import channels_at, versions_at
from channels.rehearsals.loading import Rules
from channels.rules.book import load_book_of


@dataclass(frozen=True, slots=True)
class InputsUnder:
    """Loads inputs with these versions in force, by the tags, categories, groups and own settings of an instant.

    What is measured (ranks, what sells within a lag) is taken as it is now: it is not recorded over time.
    """

    version_ids: tuple[int, ...]
    at: datetime

    def __call__(
        self, listing_level_ids: Collection[int], parts: Mapping[int, Collection[int]]
    ) -> Mapping[int, Inputs]:
        """Returns the inputs of these listing levels, by id; a number of statements that does not grow with them."""
        listed = ListingLevel.objects.filter(pk__in=listing_level_ids, listing__variant__isnull=False)
        goods = {
            pk: (channel, variant)
            for pk, channel, variant in listed.values_list("pk", "channel_id", "listing__variant_id")
        }
        variants = {variant for _, variant in goods.values()}
        book = load_book_of(self.version_ids, variants, parts, at=self.at)
        channels = channels_at({channel for channel, _ in goods.values()}, self.at)
        found = load_inputs(list(goods), book=book)
        return {
            pk: replace(
                found[pk],
                rules=book.rules_for(channels[channel], variant),
                pin=None,
                may_split=channels[channel].may_split,
            )
            for pk, (channel, variant) in goods.items()
        }


def rules_of(version: RuleSetVersion, since: datetime) -> Rules:
    """Returns the rules with the version in its set's place, and those that were in force when the period began."""
    then = versions_at(version.rule_set.merchant_id, since)
    rehearsed = {**then, version.rule_set_id: version.pk}
    return Rules(
        InputsUnder(tuple(sorted(rehearsed.values())), since),
        InputsUnder(tuple(sorted(then.values())), since),
    )


def digest_of(version: RuleSetVersion) -> str:
    """Returns the SHA-256 of a version's rules, which tells whether a draft was edited since."""
    fields = (
        "position", "channel_id", "group_id", "variant_id", "tag_id", "category", "pool_id", "pool_units",
        "pool_percent", *SETTINGS,
    )  # fmt: skip
    rules: list[tuple[Any, ...]] = list(
        Rule.objects.filter(version=version).order_by("id").values_list(*fields)
    )
    return hashlib.sha256(json.dumps(rules).encode()).hexdigest()
