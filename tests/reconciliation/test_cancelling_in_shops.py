"""A line that cannot be served is cancelled in each simulated shop, through the real connector and over real HTTP."""

from collections.abc import Iterator

import pytest
from django.utils import timezone
from pytest_django import Settings

from channels import fetching
from channels.accounts import open_connector
from channels.connectors import CONNECTORS
from channels.importing import import_channel
from channels.models import Channel, ChannelLocation, ChannelLocationSource
from channels.orders import hint
from channels.sandbox import INSTANT, SANDBOXES, CatalogueItem, SandboxShop
from inventory.models import Conflict
from reconciliation import cancelling
from reconciliation.models import RemedyKind, Resolution
from tests.channels.shop import Shop, open_shop
from tests.inventory.cast import assert_ledger_holds
from tests.reconciliation.desk import apply

pytestmark = pytest.mark.django_db


@pytest.fixture(params=sorted(kind for kind in SANDBOXES if CONNECTORS[kind].capabilities.cancels_lines))
def sandbox(request: pytest.FixtureRequest) -> Iterator[SandboxShop]:
    with SANDBOXES[request.param](profile=INSTANT, limits="generous") as shop:
        shop.add_location("main", "Main")
        shop.load_catalogue([CatalogueItem(sku="MUG", title="Mug", quantities={"main": 5})])
        yield shop


def connect(sandbox: SandboxShop) -> tuple[Shop, Channel]:
    """Connects a merchant who has one mug to a shop that shows five."""
    shop = open_shop({"MUG": 1})
    channel = Channel.objects.create(
        merchant=shop.merchant,
        name=sandbox.kind,
        kind=sandbox.kind,
        settings=sandbox.settings(),
        credentials=sandbox.credentials(),  # type: ignore[misc]
    )
    connector = open_connector(channel)
    for found in connector.fetch_locations():
        place = ChannelLocation.objects.create(channel=channel, external_id=found.external_id)
        ChannelLocationSource.objects.create(channel_location=place, location=shop.locations["main"])
    import_channel(channel, connector)
    return shop, channel


def fetch(channel: Channel, order_id: str) -> None:
    hint(channel, order_id)
    fetching.fetch_due(channel, open_connector(channel))
    Resolution.objects.update(next_attempt_at=timezone.now())
    cancelling.follow_orders()


def test_the_shop_cancels_and_its_order_ends_the_conflict(sandbox: SandboxShop, settings: Settings) -> None:
    settings.ALLOW_LOOPBACK_PLATFORMS = True
    shop, channel = connect(sandbox)
    units = 1 if sandbox.kind == "bol" else 3
    if sandbox.kind == "bol":
        # bol cancels whole lines only: another order takes the one mug there is.
        fetch(channel, sandbox.place_order([("MUG", 1)]).id)
    placed = sandbox.place_order([("MUG", units)])
    fetch(channel, placed.id)
    conflict = Conflict.objects.get(open_quantity__gt=0)
    resolution = apply(conflict, RemedyKind.CANCEL)
    assert resolution.state == "wanted"
    assert cancelling.tell_next()
    fetch(channel, placed.id)
    resolution.refresh_from_db()
    conflict.refresh_from_db()
    assert (resolution.state, resolution.error, conflict.open_quantity) == ("done", "", 0)
    assert resolution.refunds is (sandbox.kind == "bol")
    assert shop.level("MUG") == (1, 1)
    assert_ledger_holds()
