"""Amazon beside a shop of one's own: sales go both ways through the resident process, over real HTTP and a real queue."""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from channels import accounts
from channels.accounts import open_connector
from channels.feeds import ensure_feeds
from channels.importing import import_channel
from channels.models import (
    Channel,
    ChannelLocation,
    ChannelLocationSource,
    ChannelOrder,
    ListingLevel,
    PollFeed,
    Push,
)
from channels.models.listings import Lane
from channels.models.outbound import PushOutcome
from channels.pushes import mark_listing_levels
from channels.sandbox import INSTANT, AmazonSellerSandbox, CatalogueItem, SandboxShop, WooCommerceSandbox
from channels.subscriptions import audit
from channels.tasks import process_deliveries
from inventory.models import StockLevel
from inventory.proof import prove
from tests.channels.connectors.amazon import check_requests
from tests.channels.shop import Shop, open_shop
from tests.channels.test_three_shops import pushing, wait_for

pytestmark = pytest.mark.django_db(transaction=True)


class Market:
    """One merchant who sells mugs in a shop of one's own and at Amazon."""

    def __init__(self, shop: Shop, woo: SandboxShop, amazon: AmazonSellerSandbox) -> None:
        self.shop, self.woo, self.amazon = shop, woo, amazon
        self.channels = {sandbox.kind: self._connect(sandbox) for sandbox in (woo, amazon)}
        assert audit(self.channels["amazon_seller"]) == []
        accounts.forget_channels()

    def _connect(self, sandbox: SandboxShop) -> Channel:
        sandbox.load_catalogue([CatalogueItem("MUG", "Mug", quantities={"main": 3})])
        channel = Channel.objects.create(
            merchant=self.shop.merchant,
            name=sandbox.kind,
            kind=sandbox.kind,
            settings=sandbox.settings(),
            credentials=sandbox.credentials(),  # type: ignore[misc]
            poll_interval=timedelta(seconds=1) if sandbox.kind == "woocommerce" else None,
        )
        own = ChannelLocation.objects.create(channel=channel, external_id="")
        ChannelLocationSource.objects.create(channel_location=own, location=self.shop.locations["main"])
        import_channel(channel, open_connector(channel))
        ensure_feeds()
        later = timezone.now() + timedelta(hours=1)
        PollFeed.objects.filter(channel=channel).exclude(name="orders").update(next_poll_at=later)
        return channel

    def mark_all(self) -> None:
        ids = ListingLevel.objects.filter(channel__in=self.channels.values()).values_list("id", flat=True)
        mark_listing_levels(list(ids), lane=Lane.INCREASE)

    @property
    def available(self) -> int:
        return StockLevel.objects.get(variant=self.shop.variants["MUG"]).available

    def shows(self, number: int) -> bool:
        process_deliveries()
        numbers = {self.available, self.woo.number("MUG"), self.amazon.number("MUG")}
        return numbers == {number} and not ListingLevel.objects.filter(lease_token__isnull=False).exists()


@pytest.fixture
def market() -> Iterator[Market]:
    with ExitStack() as stack:
        woo = stack.enter_context(WooCommerceSandbox(profile=INSTANT, limits="generous"))
        amazon = stack.enter_context(AmazonSellerSandbox(profile=INSTANT, limits="generous"))
        shop = open_shop({"MUG": 40})
        Channel.objects.update(is_active=False)
        market = Market(shop, woo, amazon)
        market.mark_all()
        yield market
        check_requests(amazon)
        connection.close()


def test_sales_go_both_ways_and_accepted_numbers_are_confirmed(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("channels.queues.WAIT", 1.0)
    with pushing():
        wait_for(lambda: market.shows(40))
        market.amazon.place_order([("MUG", 3)])
        wait_for(lambda: market.shows(37))
        market.woo.place_order([("MUG", 2)])
        wait_for(lambda: market.shows(35))
        wait_for(lambda: not ChannelOrder.objects.filter(propagated_at__isnull=True).exists())
    pushes = Push.objects.filter(channel=market.channels["amazon_seller"])
    assert set(pushes.values_list("outcome", flat=True)) == {PushOutcome.CONFIRMED}
    assert all(proof.is_ok for proof in prove())


@pytest.mark.slow
def test_an_account_that_fails_in_every_way_agrees_again_once_it_recovers(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("channels.queues.WAIT", 1.0)
    with pushing():
        wait_for(lambda: market.shows(40))
        market.amazon.set_faults(
            error_rate=0.15,
            html_rate=0.1,
            error_in_200_rate=0.1,
            drop_rate=0.1,
            throttle_rate=0.05,
            webhook_loss_rate=0.2,
            webhook_duplicate_rate=0.3,
            webhook_delay_rate=0.3,
            webhook_delay_seconds=0.5,
        )
        for number in range(10):
            (market.amazon, market.woo)[number % 2].place_order([("MUG", 1)])
        market.amazon.clear_faults()
        PollFeed.objects.filter(name="orders").update(next_poll_at=timezone.now())
        wait_for(lambda: market.shows(30))
    assert not ListingLevel.objects.filter(dead_at__isnull=False).exists()
    assert all(proof.is_ok for proof in prove())
