"""While a channel is in shadow nothing is written at its platform, whatever code asks; every registered platform shows it."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from channels import subscriptions, writing
from channels.accounts import open_connector
from channels.connecting import put_behind
from channels.connectors import CONNECTORS, connector_class
from channels.connectors.base import Address, Connector, PushItem
from channels.errors import ChannelError, InShadow
from channels.importing import import_channel
from channels.models import Channel, ChannelHealth, ListingLevel, ShadowRun
from channels.models.shadow import ShadowOutcome
from channels.sandbox import INSTANT, SANDBOXES, CatalogueItem, SandboxShop
from channels.shadow import runs
from channels.subscriptions import audit
from tests.channels.shop import Shop, open_shop

pytestmark = pytest.mark.django_db(transaction=True)


#: Platforms that are told numbers.
TOLD = sorted(kind for kind in SANDBOXES if CONNECTORS[kind].capabilities.push_batch_size)


@pytest.fixture(params=TOLD)
def sandbox(request: pytest.FixtureRequest) -> Iterator[SandboxShop]:
    with SANDBOXES[request.param](profile=INSTANT, limits="generous") as shop:
        shop.add_location("main", "Main")
        shop.load_catalogue([CatalogueItem("MUG", "Mug", quantities={"main": 9})])
        yield shop


@pytest.fixture
def shop(sandbox: SandboxShop) -> Shop:
    """A channel of that platform, its catalogue imported, in shadow; it has sold a mug."""
    shop = open_shop({"MUG": 5}, kind=sandbox.kind)
    shop.channel.locations.all().delete()
    shop.channel.settings = sandbox.settings()
    shop.channel.credentials = {
        **sandbox.credentials(),
        # Or some would not even try.
        "webhook_secret": connector_class(sandbox.kind).new_webhook_secret(),
    }
    shop.channel.is_paused = True
    shop.channel.save()
    import_channel(shop.channel, open_connector(shop.channel))
    for place in shop.channel.locations.filter(is_active=True):
        put_behind(shop.channel, place.external_id, ["main"])
    runs.begin(shop.channel, by="test")
    return shop


def item(level: ListingLevel) -> PushItem:
    listing = level.listing
    place = level.channel_location.external_id
    return PushItem(
        Address(level.pk, listing.external_id, listing.parent_external_id, place, listing.data), 3
    )


def writes(shop: Shop, order_id: str, connector: Connector) -> Iterator[Callable[[], Any]]:
    """Everything by which a connector changes something."""
    level = ListingLevel.objects.filter(channel=shop.channel).select_related("listing", "channel_location")[0]
    yield lambda: connector.push([item(level)], call_id="1")
    yield lambda: connector.push_increases([item(level)], call_id="2")
    yield lambda: connector.cancel_line(order_id, "1", 1, call_id="3")
    yield lambda: connector.register_webhooks("https://stock.example.com/webhooks/x/")


def test_no_push_cancellation_or_subscription_reaches_the_platform(sandbox: SandboxShop, shop: Shop) -> None:
    placed = sandbox.place_order([("MUG", 1)])
    # Opened before, and by code that does not ask whether it may.
    connector = open_connector(shop.channel)
    before, health = sandbox.book(), list(ChannelHealth.objects.filter(channel=shop.channel).values())
    for write in writes(shop, placed.id, connector):
        with suppress(ChannelError):
            for result in write() or ():
                assert getattr(result, "outcome", None) is None or result.outcome.value not in (
                    "confirmed",
                    "accepted",
                )
    after = sandbox.book()
    for name in ("numbers", "stored", "movements", "orders"):
        assert after[name] == before[name], name
    sent = [entry for entry in sandbox.requests_log if entry[0] in ("PUT", "PATCH", "DELETE")]
    assert not sent
    assert health == list(ChannelHealth.objects.filter(channel=shop.channel).values())


def test_the_same_calls_are_made_once_the_channel_is_not_in_shadow(sandbox: SandboxShop, shop: Shop) -> None:
    """The control: it is the shadow alone that holds them back."""
    runs.end(shop.channel, ShadowOutcome.STOPPED, by="test")
    with suppress(ChannelError):  # a queue that nobody set up
        subscriptions.register(shop.channel, open_connector(shop.channel))
    connector = open_connector(shop.channel)
    level = ListingLevel.objects.filter(channel=shop.channel).select_related("listing", "channel_location")[0]
    results = connector.push([item(level)], call_id="1")
    assert results[0].outcome.value in ("confirmed", "accepted")


def test_reading_goes_on(sandbox: SandboxShop, shop: Shop) -> None:
    connector = open_connector(shop.channel)
    assert connector.check()
    assert [each.sku for each in connector.fetch_listings()] == ["MUG"]
    # Amazon tells vendors nothing of what it shows.
    is_told = sandbox.kind != "amazon_vendor"
    assert any(each.quantity is not None for each in connector.fetch_levels()) is is_told
    connector.fetch_orders("")


def test_subscribing_takes_consent_and_nothing_else_is_let_through_with_it(
    sandbox: SandboxShop, shop: Shop
) -> None:
    connector = open_connector(shop.channel)
    with pytest.raises(InShadow, match="nobody allowed"):
        subscriptions.register(shop.channel, connector)
    assert audit(shop.channel) == []
    ShadowRun.objects.update(may_subscribe=True)
    with suppress(ChannelError):  # a queue that nobody set up
        subscriptions.register(shop.channel, connector)
    level = ListingLevel.objects.filter(channel=shop.channel).select_related("listing", "channel_location")[0]
    before = sandbox.book()["stored"]
    with suppress(ChannelError):
        connector.push([item(level)], call_id="1")
    assert sandbox.book()["stored"] == before


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "POST"])
def test_what_puts_patches_or_deletes_is_a_write_whatever_it_says(method: str) -> None:
    with pytest.raises(InShadow):
        writing.refuse(method, is_write=method == "POST")
    writing.refuse("POST", is_write=False)
    writing.refuse("GET", is_write=False)


def test_a_channel_that_went_into_shadow_meanwhile_is_not_written_to(
    sandbox: SandboxShop, shop: Shop
) -> None:
    runs.end(shop.channel, ShadowOutcome.STOPPED, by="test")
    connector = open_connector(shop.channel)
    connector.check()
    Channel.objects.filter(pk=shop.channel.pk).update(in_shadow=True)
    level = ListingLevel.objects.filter(channel=shop.channel).select_related("listing", "channel_location")[0]
    before = sandbox.book()["stored"]
    with suppress(ChannelError):
        connector.push([item(level)], call_id="1")
    assert sandbox.book()["stored"] == before
