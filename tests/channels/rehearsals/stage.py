"""A shop with two channels, customers, and rules to rehearse."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from channels.exposure import quantity_of
from channels.models import Channel, Listing, Rule, RuleSet, RuleSetActivation, RuleSetVersion
from channels.models.listings import Lane
from channels.models.rules import VersionState
from channels.orders import apply_state
from channels.pushes import mark_listing_levels
from channels.rehearsals.events import Period
from channels.rehearsals.replay import Replay
from channels.rehearsals.rules import rules_of
from tests.channels.shop import Shop, line, open_shop, order
from tests.channels.telling import tell_all, use_platform


def now() -> datetime:
    """Returns the database's clock, which recorded times come from."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        at: datetime = cursor.fetchone()[0]
    return at


def listed(shop: Shop, sku: str = "MUG") -> Listing:
    """Lists a variant, whose number is due to be told."""
    listing = shop.list_variant(sku)
    mark_listing_levels([shop.shelf(listing).pk], lane=Lane.INCREASE)
    return listing


class Stage:
    """Mugs on two channels of one platform; the shops are told what is available, and know it, when the period begins."""

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        stock: int,
        before: Callable[["Stage"], Any] = lambda stage: None,
        **able: Any,
    ) -> None:
        self.shelves = use_platform(monkeypatch, **able)
        self.shop = open_shop({"MUG": stock}, kind="telling")
        self.mug = self.shop.variants["MUG"]
        self.other = self.shop.add_channel("Market", kind="telling")
        self.listings = {
            self.shop.channel.pk: self.shop.list_variant("MUG"),
            self.other.pk: self.shop.list_variant("MUG", channel=self.other, external_id="listing-MARKET"),
        }
        self._serial = count(1)
        self._orders: dict[str, tuple[Channel, int, datetime]] = {}
        before(self)
        levels = [self.shop.shelf(listing).pk for listing in self.listings.values()]
        for listing in self.listings.values():
            self.shelves.numbers[listing.external_id, ""] = stock
        mark_listing_levels(levels, lane=Lane.INCREASE)
        self.tell()
        self.since = now()

    @property
    def channel(self) -> Channel:
        """The shop's first channel."""
        return self.shop.channel

    def listing(self, channel: Channel) -> Listing:
        """Returns the mug's listing on a channel."""
        return self.listings[channel.pk]

    def tell(self, channel: Channel | None = None) -> None:
        """Tells one channel, or both, what is due."""
        for each in [channel] if channel else [self.channel, self.other]:
            tell_all(replace(self.shop, channel=each))

    def sell(self, channel: Channel, units: int = 1, *, at: datetime | None = None) -> str:
        """A customer buys; the order arrives at once, and says that it was made `at`. Returns its number."""
        number = str(next(self._serial))
        made = at or now()
        self._orders[number] = channel, units, made
        self.shelves.sell(self.listing(channel), units)
        self._apply(number)
        return number

    def change(self, number: str, **state: Any) -> None:
        """The order changes: `cancelled` or `fulfilled` units."""
        self._apply(number, **state)

    def _apply(self, number: str, **state: Any) -> None:
        channel, units, made = self._orders[number]
        sold = replace(line("MUG", units, **state), listing_external_id=self.listing(channel).external_id)
        snapshot = replace(order(sold, id=f"{channel.pk}-{number}"), ordered_at=made, updated_at=now())
        apply_state(channel, snapshot, arrived_at=timezone.now())

    def version(self, *, is_active: bool = False, **settings: Any) -> RuleSetVersion:
        """Adds a version with one rule, of a set of its own; in force from now on where asked."""
        rule_set = RuleSet.objects.create(merchant=self.shop.merchant, name=f"Set {next(self._serial)}")
        version = RuleSetVersion.objects.create(rule_set=rule_set, number=1)
        if settings:
            Rule.objects.create(version=version, **settings)
        if is_active:
            version.state = VersionState.ACTIVE
            version.save()
            RuleSetActivation.objects.create(
                rule_set=rule_set, version=version, began_at=now() - timedelta(seconds=1)
            )
        return version

    def rehearse(self, version: RuleSetVersion) -> dict[str, Any]:
        """Replays what happened since the period began, and returns the result."""
        until = now()
        period = Period(self.shop.merchant.pk, self.since, until)
        seconds = max(int((until - self.since).total_seconds()), 1)
        tally = Replay(period, rules_of(version, self.since), quantity_of).run()
        return tally.result(seconds_replayed=seconds)


def totals(result: dict[str, Any], *figures: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Returns these figures as it happened, and as it would have been."""
    total = result["total"]
    happened = tuple(total["happened"][figure] for figure in figures)
    return happened, tuple(total["rehearsed"][figure] for figure in figures)
