"""A shop that is only watched: its shelves are a dict, and whatever is sent to it is remembered."""

from dataclasses import dataclass

import pytest

from channels.accounts import open_connector
from channels.models import Channel, Listing, ListingLevel, ShadowRun, ShadowSpan
from channels.shadow import following, reading, runs
from tests.channels.shop import Shop, open_shop
from tests.channels.telling import Shelves, use_platform


@dataclass
class Watch:
    """A shop in shadow, with its shelves."""

    shop: Shop
    shelves: Shelves
    listings: dict[str, Listing]
    run: ShadowRun

    @property
    def channel(self) -> Channel:
        return self.shop.channel

    def look(self) -> None:
        """Computes what is due, and reads the shelves."""
        following.follow_all()
        reading.read_some(self.channel, open_connector(self.channel))

    def show(self, sku: str, number: int) -> None:
        """Has the shop show a number, whoever wrote it."""
        self.shelves.numbers[self.listings[sku].external_id, ""] = number

    def span(self, sku: str) -> ShadowSpan:
        """Returns how a shelf stands."""
        return ShadowSpan.objects.get(run=self.run, listing_level=self.level(sku), ended_at__isnull=True)

    def level(self, sku: str) -> ListingLevel:
        return self.listings[sku].levels.get()

    def numbers(self, sku: str) -> list[tuple[int | None, int | None]]:
        """Returns (shown, would) of each span of a shelf, in their sequence."""
        spans = ShadowSpan.objects.filter(run=self.run, listing_level=self.level(sku))
        return list(spans.order_by("began_at", "id").values_list("shown", "would"))


def watch(
    monkeypatch: pytest.MonkeyPatch, stock: dict[str, int], shown: dict[str, int] | None = None
) -> Watch:
    """Opens a shop with this stock whose shelves show these numbers, and puts it into shadow."""
    shelves = use_platform(monkeypatch)
    shop = open_shop(stock, kind="telling")
    listings = {sku: shop.list_variant(sku) for sku in stock}
    run = runs.begin(shop.channel, by="test")
    watched = Watch(shop, shelves, listings, run)
    for sku, number in (shown or {}).items():
        watched.show(sku, number)
    return watched
