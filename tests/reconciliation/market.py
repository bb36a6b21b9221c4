"""A shop whose shelves are a dict, told by the engine and compared with the ledger."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from channels.connectors import CONNECTORS
from channels.connectors.base import OrderPage
from channels.events import OrderState
from channels.models import Listing, ListingLevel
from channels.models.listings import Lane
from channels.pushes import mark_listing_levels
from reconciliation import discrepancies, runs
from reconciliation.models import Discrepancy, ReconciliationPolicy, ReconciliationRun
from reconciliation.models.discrepancies import Policy, RunKind
from tests.channels.shop import Shop, open_shop
from tests.channels.telling import CAS, Shelves, tell_all, use_platform


@dataclass
class Market:
    """One merchant, one shop that shows what it was told."""

    shop: Shop
    shelves: Shelves
    listings: dict[str, Listing]
    #: What the platform answers to the next polls of its orders.
    orders: list[OrderState] = field(default_factory=list)
    #: Done once, when the orders are polled next.
    on_poll: list[Callable[[], None]] = field(default_factory=list)

    def edit(self, sku: str, number: int) -> None:
        """Somebody writes a number into the shop."""
        self.shelves.numbers[self.listings[sku].external_id, ""] = number

    def number(self, sku: str) -> int | None:
        return self.shelves.number(self.listings[sku])

    def level(self, sku: str) -> ListingLevel:
        return self.shop.shelf(self.listings[sku])

    def policy(self, policy: Policy, threshold: int = 10) -> None:
        ReconciliationPolicy.objects.update_or_create(
            channel=self.shop.channel, defaults={"policy": policy, "threshold_units": threshold}
        )

    def compare(self, kind: RunKind = RunKind.ON_DEMAND, **scope: Any) -> ReconciliationRun:
        """Asks for a run and makes it."""
        run = runs.perform(runs.ask(self.shop.channel, kind, **scope).pk)
        assert run is not None
        return run

    def settle(self) -> None:
        """Tells the shop what is due, and notes what that corrected."""
        tell_all(self.shop)
        discrepancies.follow()

    def discrepancy(self, sku: str) -> Discrepancy:
        return Discrepancy.objects.get(listing_level=self.level(sku))


def open_market(
    monkeypatch: pytest.MonkeyPatch, stock: Mapping[str, int], *, compares: bool = False, **capabilities: Any
) -> Market:
    """Opens a shop that shows its right numbers."""
    shelves = use_platform(monkeypatch, **(CAS if compares else {}), **capabilities)
    shop = open_shop(stock, kind="telling")
    listings = {sku: shop.list_variant(sku) for sku in stock}
    market = Market(shop, shelves, listings)

    def fetch_orders(self: Any, cursor: str) -> OrderPage:
        while market.on_poll:
            market.on_poll.pop(0)()
        page, market.orders = OrderPage(tuple(market.orders)), []
        return page

    monkeypatch.setattr(CONNECTORS["telling"], "fetch_orders", fetch_orders)
    for listing in listings.values():
        shelves.numbers[listing.external_id, ""] = 0
    mark_listing_levels([shop.shelf(each).pk for each in listings.values()], lane=Lane.INCREASE)
    tell_all(shop)
    # A shop that compares is looked at once more after the first contact.
    ListingLevel.objects.update(next_attempt_at=None)
    tell_all(shop)
    # Long ago: what was confirmed a moment before a reading began would count as on its way.
    ListingLevel.objects.update(sent_at=timezone.now() - timedelta(hours=1))
    ListingLevel.objects.update(confirmed_at=timezone.now() - timedelta(hours=1))
    return market
