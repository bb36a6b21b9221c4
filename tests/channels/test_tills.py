"""Sales over a counter reach the ledger at the place where they were made, however late and however often they are told."""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from queue import Empty
from uuid import uuid4

import pytest
from django.utils import timezone
from pytest_django import Settings

from channels import deliveries
from channels.accounts import forget_channels, open_connector
from channels.connectors.base import InboundRequest
from channels.demo.figures import Stage, diverged
from channels.fetching import fetch_due
from channels.importing import import_channel
from channels.leases import Turns
from channels.mapping import apply_waiting_lines
from channels.models import (
    Channel,
    ChannelLocation,
    ChannelLocationSource,
    ChannelOrder,
    ListingLevel,
    PollFeed,
)
from channels.models.listings import Lane
from channels.orders import apply_state
from channels.polling import poll_feed
from channels.pushes import mark_listing_levels
from channels.sandbox import INSTANT, CatalogueItem, SandboxShop, ShopifySandbox, SquareSandbox
from channels.sending import push_batch
from inventory.models import CustomerReturn
from tests.channels.connectors.shops import Inbox
from tests.channels.shop import Shop, line, open_shop, order
from tests.inventory.cast import assert_ledger_holds

pytestmark = pytest.mark.django_db

SKUS = [f"SKU-{position}" for position in range(5)]


@pytest.fixture(autouse=True)
def simulated(settings: Settings) -> None:
    settings.ALLOW_LOOPBACK_PLATFORMS = True
    forget_channels()


@dataclass
class Till:
    """A merchant with tills at one platform."""

    shop: Shop
    sandbox: SandboxShop
    channel: Channel

    def poll(self) -> None:
        """Reads the orders that have changed, as the poller does."""
        now = timezone.now()
        feed, _ = PollFeed.objects.get_or_create(
            channel=self.channel, name="orders", defaults={"next_poll_at": now}
        )
        feed.lease_token, feed.leased_until = uuid4(), now + timedelta(minutes=1)
        feed.save()
        connector = open_connector(self.channel)
        poll_feed(feed, connector)
        fetch_due(self.channel, connector)
        assert PollFeed.objects.get(pk=feed.pk).last_error == ""

    def push(self, *, polls: bool = False) -> None:
        """Tells the tills their numbers, until nothing is due; a shop that is compared is looked at again after a poll."""
        turns = Turns()
        for _ in range(50):
            ListingLevel.objects.update(next_attempt_at=None)
            if not push_batch(self.channel.pk, turns).count:
                return
            if polls:
                self.poll()
        raise AssertionError("It is never quiet.")

    def import_listings(self) -> None:
        """Reads what is sold there, and applies what waited for it."""
        import_channel(self.channel, open_connector(self.channel))
        apply_waiting_lines(self.shop.merchant.pk)

    def diverged(self) -> list[dict[str, object]]:
        """Listings that show something else than they should."""
        stage = Stage([], {self.channel.kind: self.channel}, {}, timezone.now())
        return diverged(stage, {self.channel.kind: self.sandbox.book()})

    def on_hand(self) -> dict[str, int]:
        return {sku: self.shop.level(sku)[0] for sku in self.shop.variants}


def connect(sandbox: SandboxShop, shop: Shop, places: Sequence[str] = ("main",)) -> Till:
    """Connects a merchant to a simulated platform; places of the same code are put together."""
    for code in places:
        sandbox.add_location(code, code.title())
    channel = Channel.objects.create(
        merchant=shop.merchant,
        name=sandbox.name,
        kind=sandbox.kind,
        settings=sandbox.settings(),
        credentials=dict(sandbox.credentials()),  # type: ignore[misc]
    )
    connector = open_connector(channel)
    for found in connector.fetch_locations():
        place = ChannelLocation.objects.create(
            channel=channel, external_id=found.external_id, name=found.name
        )
        ChannelLocationSource.objects.create(
            channel_location=place, location=shop.locations[found.name.lower() or "main"]
        )
    import_channel(channel, connector)
    levels = ListingLevel.objects.filter(channel=channel).values_list("id", flat=True)
    mark_listing_levels(list(levels), lane=Lane.INCREASE)
    return Till(shop, sandbox, channel)


@pytest.fixture
def sandbox() -> Iterator[SquareSandbox]:
    with SquareSandbox(profile=INSTANT, limits="generous", seed=7) as opened:
        opened.load_catalogue([CatalogueItem(sku, sku, quantities={"main": 1}) for sku in SKUS])
        opened.records.places["main"].name = "Main"
        yield opened


@pytest.fixture
def till(sandbox: SquareSandbox) -> Till:
    opened = connect(sandbox, open_shop(dict.fromkeys(SKUS, 60) | {SKUS[4]: 5}))
    opened.push()
    return opened


def sell(sandbox: SandboxShop, count: int, seed: int = 1) -> Counter[str]:
    """Has customers buy one thing each; returns how many of each went."""
    source = random.Random(seed)
    sold: Counter[str] = Counter()
    for _ in range(count):
        sku = source.choice(SKUS)
        sandbox.place_order([(sku, 1)], force=True)
        sold[sku] += 1
    return sold


# -- a till without a line


def test_a_till_that_comes_back_with_two_hundred_sales_converges(till: Till) -> None:
    sandbox = till.sandbox
    assert isinstance(sandbox, SquareSandbox)
    assert till.diverged() == []
    sandbox.go_offline(3600.0)
    sold = sell(sandbox, 200)
    # Meanwhile the web shop sells, too, and the till is told so: counts that are younger than its sales.
    for position in range(5):
        apply_state(
            till.shop.channel, order(line(SKUS[0], 2), id=f"web-{position}"), arrived_at=timezone.now()
        )
    till.push()
    till.poll()
    assert not ChannelOrder.objects.filter(channel=till.channel).exists()

    assert sandbox.come_back() == 200
    till.poll()
    till.push()

    assert ChannelOrder.objects.filter(channel=till.channel, applied_at__isnull=False).count() == 200
    assert till.on_hand() == {sku: max((5 if sku == SKUS[4] else 60) - sold[sku], 0) for sku in SKUS}
    assert till.shop.owed(SKUS[4]) == sold[SKUS[4]] - 5 > 0
    assert till.diverged() == []
    assert sandbox.number(SKUS[0]) == 60 - sold[SKUS[0]] - 10
    assert_ledger_holds()


def forward(till: Till, messages: Sequence[InboundRequest]) -> None:
    """Takes messages in, and does what they ask for."""
    for message in messages:
        deliveries.accept(till.channel, message)
    while deliveries.process_due():
        pass
    fetch_due(till.channel, open_connector(till.channel))


def told(inbox: Inbox) -> list[InboundRequest]:
    """Returns what has come, as sent to where it was registered."""
    found = []
    while True:
        try:
            found.append(replace(inbox.next(seconds=0.3), url=inbox.url))
        except Empty:
            return found


@pytest.mark.parametrize("way", ["in order", "reversed and doubled", "half lost", "polled twice"])
def test_sales_that_are_told_in_any_way_leave_the_same_ledger(till: Till, way: str) -> None:
    with Inbox.open() as inbox:
        till.channel.credentials |= open_connector(till.channel).register_webhooks(inbox.url)
        till.channel.save()
        sold = sell(till.sandbox, 15)
        messages = told(inbox)
    assert len(messages) == 30
    if way == "in order":
        forward(till, messages)
    elif way == "reversed and doubled":
        forward(till, [*reversed(messages), *messages])
    elif way == "half lost":
        forward(till, messages[::4])
        till.poll()
    else:
        till.poll()
        till.poll()
    till.push()
    assert till.on_hand() == {sku: max((5 if sku == SKUS[4] else 60) - sold[sku], 0) for sku in SKUS}
    assert till.diverged() == []
    assert_ledger_holds()


# -- what nobody knows yet, and what comes back


def test_what_is_brought_back_to_the_till_is_announced_there_and_counts_when_it_is_received(
    till: Till,
) -> None:
    placed = till.sandbox.place_order([(SKUS[0], 3)])
    till.sandbox.refund(placed.id, SKUS[0], 2, restock=False)
    till.poll()
    till.poll()
    (announced,) = CustomerReturn.objects.all()
    (back,) = announced.lines.all()
    assert (back.announced_quantity, back.location) == (2, till.shop.locations["main"])
    assert till.on_hand()[SKUS[0]] == 57
    assert_ledger_holds()


# -- Shopify POS


@pytest.fixture
def shopify() -> Iterator[Till]:
    shop = open_shop()
    shop.add_location("store")
    shop.add_variant("MUG", {"main": 9, "store": 4})
    with ShopifySandbox(profile=INSTANT, limits="generous") as sandbox:
        sandbox.add_location("main", "Main")
        sandbox.add_location("store", "Store")
        sandbox.load_catalogue([CatalogueItem("MUG", "Mug", quantities={"main": 0, "store": 4})])
        yield connect(sandbox, shop)


def test_a_sale_at_a_shopify_till_is_taken_from_its_location(shopify: Till) -> None:
    shop = shopify.shop
    placed = shopify.sandbox.place_order([("MUG", 3)])
    shopify.poll()
    assert (shop.level("MUG", "main"), shop.level("MUG", "store")) == ((9, 0), (4, 3))

    shopify.sandbox.ship(placed.id)
    shopify.poll()
    assert (shop.level("MUG", "main"), shop.level("MUG", "store")) == ((9, 0), (1, 0))

    shopify.push(polls=True)
    assert shopify.diverged() == []
    assert shopify.sandbox.numbers(shopify.sandbox.item("MUG")) == {"main": 9, "store": 1}
    assert_ledger_holds()


def test_goods_that_are_brought_back_to_a_shopify_till_are_expected_there(shopify: Till) -> None:
    placed = shopify.sandbox.place_order([("MUG", 3)])
    shopify.sandbox.ship(placed.id)
    shopify.sandbox.refund(placed.id, "MUG", 1, restock=True)
    shopify.poll()
    (announced,) = CustomerReturn.objects.all()
    (back,) = announced.lines.all()
    assert (back.announced_quantity, back.location) == (1, shopify.shop.locations["store"])
