"""A channel to spend limits from, and a simulated Shopify shop with its connector."""

from collections.abc import Iterator

import pytest

from channels.accounts import open_connector
from channels.connectors.shopify import ShopifyConnector
from channels.models import Channel
from channels.sandbox.book import CatalogueItem
from channels.sandbox.profiles import INSTANT
from channels.sandbox.shopify.shop import ShopifySandbox
from inventory.models import Merchant
from tests.channels.contract.schemas.shopify import check


@pytest.fixture
def channel(db: None) -> Channel:
    merchant = Merchant.objects.create(name="Merchant")
    return Channel.objects.create(merchant=merchant, name="Channel", kind="shopify")


@pytest.fixture
def shop() -> Iterator[ShopifySandbox]:
    """A Shopify shop with two places: 12 A here and 3 there, 5 B here only, C untracked and D overselling."""
    with ShopifySandbox(profile=INSTANT, limits="generous", name="Corner Shop") as shop:
        shop.add_location("here", "Here")
        shop.add_location("there", "There")
        shop.load_catalogue(
            [
                CatalogueItem("A", "Ant", gtin="4006381333931", quantities={"here": 12, "there": 3}),
                CatalogueItem("B", "Bee", quantities={"here": 5}),
                CatalogueItem("C", "Cat", quantities={"here": 1}, is_tracked=False),
                CatalogueItem("D", "Dog", quantities={"here": 0}, sells_beyond_stock=True),
            ]
        )
        yield shop
        check(shop)


@pytest.fixture
def shop_channel(channel: Channel, shop: ShopifySandbox) -> Channel:
    channel.settings = shop.settings()
    channel.credentials = shop.credentials()
    channel.save()
    return channel


@pytest.fixture
def shopify(shop_channel: Channel) -> ShopifyConnector:
    connector = open_connector(shop_channel)
    assert isinstance(connector, ShopifyConnector)
    return connector
