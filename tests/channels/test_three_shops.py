"""A sale in one simulated shop reaches the shelves of the others, over real HTTP and through the real connectors."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import F
from django.utils import timezone

from channels.accounts import open_connector
from channels.demo.platforms import DEFAULT
from channels.feeds import ask_for_poll, ensure_feeds
from channels.importing import import_channel
from channels.models import (
    Channel,
    ChannelLocation,
    ChannelLocationSource,
    ChannelOrder,
    ListingLevel,
    PollFeed,
)
from channels.models.listings import Lane
from channels.pusher import Pusher
from channels.pushes import mark_listing_levels
from channels.sandbox import INSTANT, SANDBOXES, CatalogueItem, SandboxShop
from inventory.models import StockLevel
from inventory.proof import prove
from tests.channels.shop import Shop, open_shop

pytestmark = pytest.mark.django_db(transaction=True)

#: Long enough for any machine; nothing waits this long unless the test fails.
PATIENCE = 60.0
SKUS = [f"SKU-{number}" for number in range(6)]


class Market:
    """One merchant who sells the same goods in three shops."""

    def __init__(self, shop: Shop, sandboxes: dict[str, SandboxShop]) -> None:
        self.shop = shop
        self.sandboxes = sandboxes
        self.channels = {kind: self._connect(sandbox) for kind, sandbox in sandboxes.items()}

    def _connect(self, sandbox: SandboxShop) -> Channel:
        sandbox.add_location("main", "Main")
        sandbox.load_catalogue(
            [CatalogueItem(sku=sku, title=sku, quantities={"main": 3}) for sku in self.shop.variants]
        )
        channel = Channel.objects.create(
            merchant=self.shop.merchant,
            name=sandbox.kind,
            kind=sandbox.kind,
            settings=sandbox.settings(),
            credentials=sandbox.credentials(),  # type: ignore[misc]
            poll_interval=timedelta(seconds=1),
        )
        connector = open_connector(channel)
        for found in connector.fetch_locations():
            place = ChannelLocation.objects.create(channel=channel, external_id=found.external_id)
            ChannelLocationSource.objects.create(channel_location=place, location=self.shop.locations["main"])
        import_channel(channel, connector)
        ensure_feeds()
        later = timezone.now() + timedelta(hours=1)
        PollFeed.objects.filter(channel=channel, name="listings").update(next_poll_at=later)
        ids = ListingLevel.objects.filter(channel=channel).values_list("id", flat=True)
        mark_listing_levels(list(ids), lane=Lane.INCREASE)
        return channel

    def available(self, sku: str) -> int:
        return StockLevel.objects.get(variant=self.shop.variants[sku]).available

    def shown(self, sku: str) -> dict[str, int]:
        return {kind: sandbox.number(sku) for kind, sandbox in self.sandboxes.items()}

    def is_quiet(self) -> bool:
        due = ListingLevel.objects.filter(wanted__gt=F("done"))
        fetches = ChannelOrder.objects.filter(fetch_wanted__gt=F("fetched"))
        return not due.exists() and not fetches.exists()

    def agrees(self) -> bool:
        """Whether every shop shows its customers what is available."""
        return self.is_quiet() and all(
            set(self.shown(sku).values()) == {self.available(sku)} for sku in self.shop.variants
        )


@pytest.fixture
def market() -> Iterator[Market]:
    with ExitStack() as stack:
        sandboxes = {
            kind: stack.enter_context(SANDBOXES[kind](profile=INSTANT, limits="generous")) for kind in DEFAULT
        }
        shop = open_shop(dict.fromkeys(SKUS, 40))
        Channel.objects.update(is_active=False)
        yield Market(shop, sandboxes)
        connection.close()


@contextmanager
def pushing() -> Iterator[None]:
    pusher = Pusher(threads=12)
    thread = threading.Thread(target=pusher.run)
    thread.start()
    try:
        yield
    finally:
        pusher.stop()
        thread.join(20.0)


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.05)


def test_a_sale_in_any_shop_is_shown_by_all_the_others(market: Market) -> None:
    with pushing():
        wait_for(market.agrees)
        assert market.shown("SKU-1") == dict.fromkeys(DEFAULT, 40)
        for number, (kind, sandbox) in enumerate(market.sandboxes.items()):
            sandbox.place_order([("SKU-1", number + 1), ("SKU-2", 1)])
            ask_for_poll(market.channels[kind].pk)
        wait_for(lambda: ChannelOrder.objects.filter(applied_at__isnull=False).count() == 3)
        wait_for(market.agrees)
        wait_for(lambda: not ChannelOrder.objects.filter(propagated_at__isnull=True).exists())
    assert market.shown("SKU-1") == dict.fromkeys(DEFAULT, 34)
    assert market.shown("SKU-2") == dict.fromkeys(DEFAULT, 37)
    assert market.shown("SKU-3") == dict.fromkeys(DEFAULT, 40)


@pytest.mark.slow
@pytest.mark.xdist_group("processes")
def test_the_last_unit_disappears_from_all_shelves_and_returns_with_a_cancellation(market: Market) -> None:
    with pushing():
        wait_for(market.agrees)
        placed = market.sandboxes["shopify"].place_order([("SKU-0", 40)])
        ask_for_poll(market.channels["shopify"].pk)
        wait_for(lambda: market.shown("SKU-0") == dict.fromkeys(DEFAULT, 0))
        market.sandboxes["shopify"].cancel(placed.id, "SKU-0", 5)
        wait_for(lambda: market.available("SKU-0") == 5)
        wait_for(market.agrees)
    assert market.shown("SKU-0") == dict.fromkeys(DEFAULT, 5)


@pytest.mark.slow
def test_shops_that_fail_in_every_way_agree_again_once_they_recover(market: Market) -> None:
    with pushing():
        wait_for(market.agrees)
        for sandbox in market.sandboxes.values():
            sandbox.set_faults(
                error_rate=0.15, html_rate=0.1, error_in_200_rate=0.1, drop_rate=0.1, half_batch_rate=0.2
            )
        for number in range(24):
            sandbox = list(market.sandboxes.values())[number % 3]
            sandbox.place_order([(SKUS[number % 6], 1 + number % 2)])
            time.sleep(0.05)
        for sandbox in market.sandboxes.values():
            sandbox.clear_faults()
        wait_for(lambda: ChannelOrder.objects.filter(applied_at__isnull=False).count() == 24)
        for kind in market.sandboxes:
            ask_for_poll(market.channels[kind].pk)
        wait_for(market.agrees)
    assert not ListingLevel.objects.filter(dead_at__isnull=False).exists()
    assert sum(market.available(sku) for sku in SKUS) == 6 * 40 - 36
    assert [proof.is_ok for proof in prove()][-1]
