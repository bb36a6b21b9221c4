"""What dealers order in a portal reaches the ledger once, however it is told, and the portal hears of every change."""

from collections.abc import Iterator

import pytest
from pytest_django import Settings

from channels.accounts import forget_channels, open_connector
from channels.models import Channel
from channels.sandbox import INSTANT, CatalogueItem, WholesaleSandbox
from channels.subscriptions import register
from tests.channels.connectors.shops import Inbox
from tests.channels.shop import open_shop
from tests.channels.test_tills import SKUS, Till, connect, forward, sell, told
from tests.inventory.cast import assert_ledger_holds

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def simulated(settings: Settings) -> None:
    settings.ALLOW_LOOPBACK_PLATFORMS = True
    forget_channels()


@pytest.fixture
def portal() -> Iterator[Till]:
    with WholesaleSandbox(profile=INSTANT, limits="generous", seed=7) as sandbox:
        sandbox.load_catalogue([CatalogueItem(sku, sku, quantities={"": 1}) for sku in SKUS])
        opened = connect(sandbox, open_shop(dict.fromkeys(SKUS, 60)))
        register(opened.channel, open_connector(opened.channel))
        yield opened


def test_a_new_portal_is_told_its_numbers_with_a_secret_of_our_making(portal: Till) -> None:
    assert Channel.objects.get(pk=portal.channel.pk).credentials["webhook_secret"].startswith("whsec_")
    portal.push()
    assert portal.diverged() == []
    assert portal.sandbox.number(SKUS[0]) == 60


@pytest.mark.parametrize("way", ["in order", "reversed and doubled", "half lost"])
def test_orders_that_are_told_in_any_way_leave_the_same_ledger(portal: Till, way: str) -> None:
    portal.push()
    with Inbox.open() as inbox:
        open_connector(portal.channel).register_webhooks(inbox.url)
        sold = sell(portal.sandbox, 12)
        placed = portal.sandbox.place_order([(SKUS[0], 4)])
        portal.sandbox.cancel(placed.id, SKUS[0], 1)
        portal.sandbox.fulfil(placed.id, SKUS[0], 2)
        messages = told(inbox)
    assert len(messages) == 15
    if way == "reversed and doubled":
        messages = [*reversed(messages), *messages]
    forward(portal, messages[::2] if way == "half lost" else messages)
    if way == "half lost":
        portal.poll()
    portal.push()
    sold[SKUS[0]] += 3
    assert {sku: portal.shop.level(sku) for sku in SKUS} == {
        sku: (60, sold[sku]) if sku != SKUS[0] else (58, sold[sku] - 2) for sku in SKUS
    }
    assert portal.diverged() == []
    assert_ledger_holds()
