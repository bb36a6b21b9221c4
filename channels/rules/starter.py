"""The starter set: a sensible first version for a merchant, as a draft to look at, rehearse and approve."""

from typing import Final

from django.db import transaction

from channels.models import Channel, ChannelGroup, Rule, RuleSet, RuleSetVersion
from channels.models.rules import Quantile
from channels.rules.lifecycle import draw_up
from inventory.models import Merchant, Tag

NAME: Final = "Starter"
FAST_SELLER: Final = "fast seller"
#: Units a week from which a variant counts as a fast seller.
FAST_UNITS: Final = 7
#: Platforms on which many merchants offer the same goods.
MARKETPLACES: Final = frozenset({"bol", "amazon_seller", "amazon_vendor"})


@transaction.atomic
def add_starter_set(merchant: Merchant, *, actor: str) -> RuleSetVersion:
    """Adds the starter set with its first draft; returns the newest version where the merchant has it already.

    Fast sellers keep 1 to 3 pieces back, by what sells within each channel's lag; marketplaces show 5 at most.
    """
    rule_set, is_new = RuleSet.objects.get_or_create(
        merchant=merchant,
        name=NAME,
        defaults={"description": "1 to 3 pieces of fast sellers kept back; marketplaces show 5 at most."},
    )
    if not is_new and (newest := rule_set.versions.order_by("-number").first()):
        return newest
    fast, _ = Tag.objects.get_or_create(
        merchant=merchant, name=FAST_SELLER, defaults={"weekly_units": FAST_UNITS}
    )
    version = draw_up(
        rule_set, actor=actor, why="A first set of rules that keeps the commonest oversells off."
    )
    Rule.objects.create(
        version=version,
        position=1,
        tag=fast,
        velocity_quantile=Quantile.NINETY_FIVE,
        velocity_least=1,
        velocity_most=3,
    )
    Rule.objects.create(version=version, position=2, group=_marketplaces(merchant), maximum=5)
    return version


def _marketplaces(merchant: Merchant) -> ChannelGroup:
    group, is_new = ChannelGroup.objects.get_or_create(merchant=merchant, name="Marketplaces")
    if is_new:
        group.channels.set(Channel.objects.filter(merchant=merchant, kind__in=MARKETPLACES).only("id"))
    return group
