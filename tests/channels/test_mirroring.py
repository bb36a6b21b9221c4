"""What lies in a platform's own warehouse is counted at a location of its own, and nowhere else."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from channels.accounts import open_connector
from channels.connectors.base import WarehouseCount
from channels.deliveries import process_due
from channels.feeds import WAREHOUSE, ensure_feeds, lease_due_feed
from channels.importing import import_channel
from channels.mirroring import OVERLAP, last_mirror, mirror
from channels.models import ChannelLocation, ListingLevel, PollFeed
from channels.orders import apply_state
from channels.polling import poll_feed
from channels.queues import read_queue
from channels.sandbox.amazon_seller import AmazonSellerSandbox
from channels.tasks import apply_mapped
from inventory.models import Location, StockLevel, StockMovement
from inventory.models.catalogue import LocationKind
from tests.channels.connectors.amazon import opened, until
from tests.channels.shop import Shop, line, open_shop, order
from tests.channels.test_queues import connected
from tests.inventory.cast import assert_ledger_holds

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop() -> Shop:
    shop = open_shop({"JUG": 3}, kind="amazon_seller")
    ChannelLocation.objects.create(
        channel=shop.channel, external_id="FBA", name="Amazon's warehouse (FBA)", is_active=False
    )
    return shop


class Warehouse:
    """A connector that says what its warehouse holds."""

    def __init__(self, **units: int) -> None:
        self.units = units
        self.asked: list[datetime | None] = []

    def fetch_warehouse(self, since: datetime | None) -> Iterator[WarehouseCount]:
        self.asked.append(since)
        for sku, quantity in self.units.items():
            yield WarehouseCount(sku, sku, "FBA", quantity)


def count(shop: Shop, **units: int) -> int:
    connector: Any = Warehouse(**units)
    return mirror(shop.channel, connector)


def at_amazons(sku: str = "JUG") -> tuple[int, int]:
    level = StockLevel.objects.get(variant__sku=sku, location__kind=LocationKind.CHANNEL_OWNED)
    return level.on_hand, level.reserved


def test_the_first_count_makes_the_location_behind_the_place(shop: Shop) -> None:
    assert count(shop, JUG=8) == 1
    location = Location.objects.get(kind=LocationKind.CHANNEL_OWNED)
    place = ChannelLocation.objects.get(external_id="FBA")
    assert [source.location for source in place.sources.all()] == [location]
    assert not place.is_active
    assert at_amazons() == (8, 0)
    assert shop.level("JUG") == (3, 0)
    assert not ListingLevel.objects.filter(channel_location=place).exists()


def test_counting_the_same_again_moves_nothing(shop: Shop) -> None:
    count(shop, JUG=8)
    before = StockMovement.objects.count()
    count(shop, JUG=8)
    assert StockMovement.objects.count() == before
    count(shop, JUG=5)
    assert at_amazons() == (5, 0)
    assert_ledger_holds()


def test_orders_that_amazon_ships_draw_on_it_and_own_stock_stays(shop: Shop) -> None:
    count(shop, JUG=8)
    apply_state(shop.channel, order(line("JUG", 2, place="FBA")), arrived_at=datetime.now(UTC))
    assert (at_amazons(), shop.level("JUG"), shop.owed("JUG")) == ((8, 2), (3, 0), 0)


def test_units_held_for_orders_are_not_counted_away(shop: Shop) -> None:
    """Amazon ships a moment before we hear of it: that is no unit that somebody is owed."""
    count(shop, JUG=2)
    apply_state(shop.channel, order(line("JUG", 2, place="FBA")), arrived_at=datetime.now(UTC))
    count(shop, JUG=0)
    assert (at_amazons(), shop.owed("JUG")) == ((2, 2), 0)
    later = order(line("JUG", 2, fulfilled=2, place="FBA"), at=60)
    apply_state(shop.channel, later, arrived_at=datetime.now(UTC))
    assert at_amazons() == (0, 0)
    assert shop.level("JUG") == (3, 0)


def test_an_order_from_before_the_first_count_waits_and_then_applies_itself(shop: Shop) -> None:
    apply_state(shop.channel, order(line("JUG", 2, place="FBA")), arrived_at=datetime.now(UTC))
    assert shop.level("JUG") == (3, 0)
    count(shop, JUG=8)
    apply_mapped(shop.merchant.pk)
    assert (at_amazons(), shop.level("JUG")) == ((8, 2), (3, 0))


def test_goods_that_nobody_knows_are_left_out(shop: Shop) -> None:
    assert count(shop, UNKNOWN=4) == 0
    assert not StockLevel.objects.filter(location__kind=LocationKind.CHANNEL_OWNED).exists()


def test_two_listings_of_one_variant_are_added_up(shop: Shop) -> None:
    shop.list_variant("JUG", external_id="FBA-JUG-1")
    shop.list_variant("JUG", external_id="FBA-JUG-2")
    count(shop, **{"FBA-JUG-1": 4, "FBA-JUG-2": 5})
    assert at_amazons() == (9, 0)


def test_after_a_full_reading_only_changes_are_read_until_the_next_day(shop: Shop) -> None:
    ensure_feeds()
    now = datetime.now(UTC)
    feed = PollFeed.objects.get(name=WAREHOUSE)
    assert last_mirror(feed) is None
    feed.cursor, feed.polls, feed.covered_until = now.isoformat(), 1, now
    assert last_mirror(feed) == now - OVERLAP
    feed.covered_until = now - timedelta(days=1)
    assert last_mirror(feed) is None


# -- with a simulated account


@pytest.fixture
def sandbox() -> Iterator[AmazonSellerSandbox]:
    with opened() as sandbox:
        yield sandbox


def poll(shop: Shop) -> None:
    feed = lease_due_feed(shop.channel.pk, WAREHOUSE)
    assert feed is not None
    poll_feed(feed, open_connector(shop.channel))


def test_a_notification_has_the_warehouse_read_at_once(sandbox: AmazonSellerSandbox) -> None:
    shop = connected(sandbox)
    shop.add_variant("FBA-JUG")
    import_channel(shop.channel, open_connector(shop.channel))
    poll(shop)
    assert at_amazons("FBA-JUG") == (30, 0)
    assert lease_due_feed(shop.channel.pk, WAREHOUSE) is None
    sandbox.edit_stock("FBA-JUG", 12)
    until(lambda: read_queue(shop.channel, open_connector(shop.channel)))
    process_due()
    poll(shop)
    assert at_amazons("FBA-JUG") == (12, 0)
    (first, second) = _asked(sandbox)
    assert "startDateTime" not in first
    assert "startDateTime" in second


def _asked(sandbox: AmazonSellerSandbox) -> Sequence[str]:
    return [target for _, target, _, _ in sandbox.requests_log if "/fba/inventory" in target]
