"""A simulated vendor's account with its connector, whose every request the vendor's own schemas must allow."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

from channels.accounts import open_connector
from channels.connectors.amazon_vendor import AmazonVendorConnector
from channels.connectors.base import OrderGlimpse, OrderPage, PromisedLine
from channels.events import OrderState
from channels.sandbox.amazon_vendor import AmazonVendorSandbox
from channels.sandbox.book import CatalogueItem
from channels.sandbox.profiles import INSTANT
from tests.channels.connectors.amazon import check_requests
from tests.channels.connectors.shops import make_channel

CATALOGUE = [
    CatalogueItem("MUG", "Mug", quantities={"AMS": 10, "RTM": 4}),
    CatalogueItem("4006381333931", "Cup", quantities={"AMS": 20}),
]


@contextmanager
def opened(**options: Any) -> Iterator[AmazonVendorSandbox]:
    """Opens an account that answers at once; at the end its requests are compared with the vendor's schemas."""
    with AmazonVendorSandbox(**{"profile": INSTANT, "limits": "generous", **options}) as shop:
        shop.add_location("AMS", "Amsterdam warehouse")
        shop.add_location("RTM", "Rotterdam store")
        shop.load_catalogue(CATALOGUE)
        yield shop
        check_requests(shop)


def connector_to(sandbox: AmazonVendorSandbox, **settings: Any) -> AmazonVendorConnector:
    """Opens a connector to the account, with some settings of its channel changed."""
    channel = make_channel(sandbox)
    channel.settings = {**channel.settings, **settings}
    return cast(AmazonVendorConnector, open_connector(channel))


def read_on(connector: AmazonVendorConnector, cursor: str = "") -> OrderPage:
    """Reads the feed to its end, as one page."""
    states: list[OrderState] = []
    hints: list[str] = []
    glimpses: list[OrderGlimpse] = []
    while True:
        page = connector.fetch_orders(cursor)
        states += page.orders
        hints += page.hints
        glimpses += page.glimpses
        cursor = page.cursor
        if not page.has_more:
            return OrderPage(tuple(states), tuple(hints), cursor, glimpses=tuple(glimpses))


def held(*counts: tuple[int, int], **details: Any) -> Sequence[PromisedLine]:
    """Makes the lines of a retail order: units wanted, and held of these."""
    return [
        PromisedLine(str(number), "", "", wanted, units, **details)
        for number, (wanted, units) in enumerate(counts, 1)
    ]
