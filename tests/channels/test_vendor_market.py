"""Amazon as a buyer and as a shop window beside a shop of one's own: sales, orders and our word on them, over real HTTP."""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from channels import accounts
from channels.accounts import open_connector
from channels.baseline import read_shelves
from channels.feeds import ensure_feeds
from channels.importing import import_channel
from channels.models import (
    Channel,
    ChannelLocation,
    ChannelLocationSource,
    ChannelOrder,
    ListingLevel,
    OrderAcknowledgement,
    PollFeed,
    Push,
)
from channels.models.listings import Lane
from channels.models.outbound import PushOutcome
from channels.pushes import mark_listing_levels
from channels.sandbox import INSTANT, AmazonVendorSandbox, CatalogueItem, WooCommerceSandbox
from channels.tasks import process_deliveries
from inventory.models import StockLevel
from inventory.proof import prove
from tests.channels.connectors.amazon import check_requests
from tests.channels.shop import Shop, open_shop
from tests.channels.test_three_shops import pushing, wait_for

pytestmark = pytest.mark.django_db(transaction=True)


class Market:
    """One merchant who sells mugs in a shop of one's own, has Amazon sell them, and sells them to Amazon."""

    def __init__(self, shop: Shop, woo: WooCommerceSandbox, amazon: AmazonVendorSandbox) -> None:
        self.shop, self.woo, self.amazon = shop, woo, amazon
        amazon.add_location("AMS", "Main")
        catalogue = [CatalogueItem("MUG", "Mug", quantities={"AMS": 3})]
        self.channels = {}
        for sandbox in (woo, amazon):
            sandbox.load_catalogue(catalogue)
            channel = self.channels[sandbox.kind] = Channel.objects.create(
                merchant=shop.merchant,
                name=sandbox.kind,
                kind=sandbox.kind,
                settings={**sandbox.settings(), **({"shortage_hours": 0} if sandbox is amazon else {})},
                credentials=sandbox.credentials(),  # type: ignore[misc]
                poll_interval=timedelta(seconds=1),
            )
            for place in ("AMS", "retail") if sandbox is amazon else ("",):
                row = ChannelLocation.objects.create(
                    channel=channel, external_id=place, is_active=place != "retail"
                )
                ChannelLocationSource.objects.create(channel_location=row, location=shop.locations["main"])
            import_channel(channel, open_connector(channel))
            read_shelves(channel, open_connector(channel))
        accounts.forget_channels()
        ensure_feeds()
        PollFeed.objects.exclude(name="orders").update(next_poll_at=timezone.now() + timedelta(hours=1))
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
def market(monkeypatch: pytest.MonkeyPatch) -> Iterator[Market]:
    monkeypatch.setattr("channels.connectors.amazon_vendor.feed.RECENT_EVERY", timedelta(0))
    with ExitStack() as stack:
        woo = stack.enter_context(WooCommerceSandbox(profile=INSTANT, limits="generous"))
        amazon = stack.enter_context(AmazonVendorSandbox(profile=INSTANT, limits="generous"))
        shop = open_shop({"MUG": 40})
        Channel.objects.update(is_active=False)
        yield Market(shop, woo, amazon)
        check_requests(amazon)
        connection.close()


def said_of(market: Market, number: str) -> bool:
    return any(each == number for each, _ in market.amazon.acknowledged)


def test_amazon_buys_and_sells_and_hears_our_word(market: Market) -> None:
    amazon = market.amazon
    with pushing():
        wait_for(lambda: market.shows(40))
        sold = amazon.place_order([("MUG", 3)])
        wait_for(lambda: market.shows(37) and amazon.find_order(sold.id).status == "ACCEPTED")
        bought = amazon.retail.place([("MUG", 2)], in_cases=True, case_size=10)
        wait_for(lambda: market.shows(17) and amazon.retail.orders[bought].state == "Acknowledged")
        market.woo.place_order([("MUG", 2)])
        wait_for(lambda: market.shows(15))
        # More than there is: one case is accepted, the five that are left over are free again.
        greedy = amazon.retail.place([("MUG", 2)], in_cases=True, case_size=10)
        wait_for(lambda: amazon.retail.orders[greedy].state == "Acknowledged" and market.shows(5))
        amazon.cancel(sold.id, "MUG", 3)
        wait_for(lambda: market.shows(8))
        wait_for(lambda: not OrderAcknowledgement.objects.filter(in_force_at__isnull=True).exists())
    (item,) = amazon.retail.orders[greedy].items
    assert (item.accepted, item.rejected, item.reason) == (1, 1, "TemporarilyUnavailable")
    assert amazon.inventory.full_updates == 0
    assert len(amazon.acknowledged) == 3
    pushes = Push.objects.filter(channel=market.channels["amazon_vendor"])
    assert set(pushes.values_list("outcome", flat=True)) == {PushOutcome.CONFIRMED}
    assert all(proof.is_ok for proof in prove())


@pytest.mark.slow
def test_an_account_that_fails_in_every_way_agrees_again_once_it_recovers(market: Market) -> None:
    amazon = market.amazon
    with pushing():
        wait_for(lambda: market.shows(40))
        amazon.set_faults(
            error_rate=0.15,
            html_rate=0.1,
            error_in_200_rate=0.1,
            drop_rate=0.1,
            throttle_rate=0.05,
            accepted_fails_rate=0.2,
            processing_delay_seconds=0.2,
        )
        for number in range(10):
            if number % 2:
                market.woo.place_order([("MUG", 1)])
            else:
                amazon.place_order([("MUG", 1)])
        amazon.retail.place([("MUG", 2)], in_cases=True, case_size=3)
        amazon.clear_faults()
        PollFeed.objects.filter(name="orders").update(next_poll_at=timezone.now())
        OrderAcknowledgement.objects.update(due_at=timezone.now())
        wait_for(lambda: market.shows(24))
        wait_for(lambda: ChannelOrder.objects.filter(acknowledgement__in_force_at__isnull=False).count() == 6)
    assert not ListingLevel.objects.filter(dead_at__isnull=False).exists()
    assert all(proof.is_ok for proof in prove())
