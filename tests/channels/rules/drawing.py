"""Versions of rules in a line: drawn up, approved, in force."""

from typing import Any

from channels.models import Channel, ChannelGroup, Listing, ListingLevel, Rule, RuleSet, RuleSetVersion
from channels.rules import lifecycle
from inventory.models import Merchant
from tests.channels.shop import Shop


def draft(merchant: Merchant, *rules: dict[str, Any], name: str = "House") -> RuleSetVersion:
    """Draws up a version with these rules, in this order."""
    rule_set, _ = RuleSet.objects.get_or_create(merchant=merchant, name=name)
    version = lifecycle.draw_up(rule_set, actor="anna")
    for position, rule in enumerate(rules, start=1):
        Rule.objects.create(version=version, position=position, **rule)
    return version


def approved(merchant: Merchant, *rules: dict[str, Any], name: str = "House", **dates: Any) -> RuleSetVersion:
    """Draws up a version and approves it."""
    version = draft(merchant, *rules, name=name)
    for field, instant in dates.items():
        setattr(version, field, instant)
    version.save()
    return lifecycle.approve(version.pk, actor="bert", because="tried out")


def in_force(merchant: Merchant, *rules: dict[str, Any], name: str = "House") -> RuleSetVersion:
    """Draws up a version and puts it in force."""
    version = approved(merchant, *rules, name=name)
    assert lifecycle.activate(version.pk, actor="bert", because="a test", is_confirmed=True)
    version.refresh_from_db()
    return version


def group_of(merchant: Merchant, name: str, *channels: Channel) -> ChannelGroup:
    """Returns a group of channels."""
    group, _ = ChannelGroup.objects.get_or_create(merchant=merchant, name=name)
    group.channels.add(*channels)
    return group


def settle_marks() -> None:
    """Lets everything that is due count as told."""
    for level in ListingLevel.objects.all():
        ListingLevel.objects.filter(pk=level.pk).update(done=level.wanted, due_since=None)


def due(*listings: Listing) -> list[bool]:
    """Tells of each listing whether its one shelf is due."""
    return [listing.levels.get().is_due for listing in listings]


def sell_on(shop: Shop, name: str, *skus: str, kind: str = "woocommerce") -> tuple[Channel, list[Listing]]:
    """Adds a channel that lists these variants."""
    channel = shop.add_channel(name, kind=kind)
    listings = [shop.list_variant(sku, channel=channel, external_id=f"{name}-{sku}") for sku in skus]
    return channel, listings
