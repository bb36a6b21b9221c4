"""A merchant who sells in a web shop from one location, over which a simulated Picqer has the say."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from django.db.models import F

from channels.accounts import open_connector
from channels.connectors.base import Connector
from channels.importing import import_channel
from channels.models import Channel, ChannelLocation, FulfilmentRequest, StatedLevel, WarehouseOrder
from channels.orders import apply_state
from channels.sandbox import CatalogueItem
from channels.sandbox.picqer import PicqerSandbox
from channels.sandbox.profiles import INSTANT
from channels.warehouses.authorities import Kept, give_say, kept_by
from channels.warehouses.rounds import attend
from inventory.models import StockLevel
from tests.channels.shop import NOON, Shop, line, open_shop, order

_MINUTE = timedelta(minutes=1)


@dataclass
class Yard:
    """The shop, and the warehouse with its channel."""

    shop: Shop
    channel: Channel
    sandbox: PicqerSandbox
    cursor: str = ""

    @property
    def connector(self) -> Connector:
        return open_connector(self.channel, deadline=10)

    @property
    def kept(self) -> Kept:
        return kept_by(self.channel)[0]

    def round(self, *, lists: bool = True, connector: Connector | None = None) -> None:
        """Does what the pusher does for the warehouse."""
        done = attend(self.channel, connector or self.connector, self.cursor, reads_lists=lists)
        self.cursor = done.cursor

    def settle(self) -> None:
        """Lets the time pass for which numbers may not know what was told, and orders are not looked at again."""
        WarehouseOrder.objects.update(placed_at=F("placed_at") - _MINUTE, looked_at=None)
        WarehouseOrder.objects.filter(ended_at__isnull=False).update(ended_at=F("ended_at") - _MINUTE)
        StatedLevel.objects.update(next_read_at=None)

    def sell(self, sku: str, units: int, *, id: str = "1001", cancelled: int = 0, at: int = 0) -> None:
        state = order(line(sku, units, cancelled=cancelled), id=id, at=at)
        apply_state(self.shop.channel, state, arrived_at=NOON)

    def request(self) -> FulfilmentRequest:
        """The newest request to the location."""
        return FulfilmentRequest.objects.filter(location=self.shop.locations["main"]).latest("id")

    def level(self, sku: str) -> tuple[int, int]:
        return self.shop.level(sku)

    def available(self, sku: str) -> int:
        found = StockLevel.objects.get(variant__sku=sku, location=self.shop.locations["main"])
        return found.on_hand - found.reserved - found.unavailable

    def orders(self) -> list[tuple[str, dict[str, int]]]:
        """Orders in the warehouse's own book: (status, open or shipped units by SKU)."""
        return [
            (each.status, {line.sku: line.quantity - line.cancelled for line in each.lines})
            for each in self.sandbox.records.orders.values()
        ]

    def number(self) -> str:
        """The warehouse's id of its newest order."""
        return str(max(self.sandbox.records.orders))


@contextmanager
def open_yard(stock: Mapping[str, int], *, ledger: Mapping[str, int] | None = None) -> Iterator[Yard]:
    """Opens the warehouse with this free stock, and the shop with what its ledger held before; nothing is read yet."""
    shop = open_shop(ledger if ledger is not None else dict.fromkeys(stock, 0))
    with PicqerSandbox(profile=INSTANT, limits="generous") as sandbox:
        sandbox.add_location("main", "Main hall")
        sandbox.load_catalogue(
            [CatalogueItem(sku, sku.title(), quantities={"main": units}) for sku, units in stock.items()]
        )
        channel = Channel.objects.create(
            merchant=shop.merchant,
            name="Picqer",
            kind="picqer",
            settings=sandbox.settings(),
            credentials={**sandbox.credentials(), "webhook_secret": "the secret"},  # type: ignore[misc]
        )
        yard = Yard(shop, channel, sandbox)
        import_channel(channel, yard.connector)
        give_say(shop.locations["main"], ChannelLocation.objects.get(channel=channel))
        yield yard
