"""One shop of each kind without waiting, a caller for it, and somebody who receives webhooks."""

from collections.abc import Iterator

import pytest

from channels.sandbox import INSTANT, BolSandbox, ShopifySandbox, WooCommerceSandbox
from tests.channels.sandbox.callers import CATALOGUE, BolCaller, Receiver, ShopifyCaller, WooCaller


@pytest.fixture
def shopify() -> Iterator[ShopifySandbox]:
    with ShopifySandbox(profile=INSTANT) as shop:
        shop.add_location("AMS", "Amsterdam")
        shop.add_location("RTM", "Rotterdam")
        shop.load_catalogue(CATALOGUE)
        yield shop


@pytest.fixture
def shopify_caller(shopify: ShopifySandbox) -> Iterator[ShopifyCaller]:
    caller = ShopifyCaller(shopify)
    yield caller
    caller.session.close()


@pytest.fixture
def woo() -> Iterator[WooCommerceSandbox]:
    with WooCommerceSandbox(profile=INSTANT) as shop:
        shop.load_catalogue(CATALOGUE)
        yield shop


@pytest.fixture
def woo_caller(woo: WooCommerceSandbox) -> Iterator[WooCaller]:
    caller = WooCaller(woo)
    yield caller
    caller.session.close()


@pytest.fixture
def bol() -> Iterator[BolSandbox]:
    with BolSandbox(profile=INSTANT, limits="generous") as shop:
        shop.load_catalogue(CATALOGUE)
        yield shop


@pytest.fixture
def bol_caller(bol: BolSandbox) -> Iterator[BolCaller]:
    caller = BolCaller(bol)
    yield caller
    caller.session.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    yield found
    found.close()
