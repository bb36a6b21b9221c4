"""A small cast: one merchant, one channel, some variants with stock, and orders that name them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count

from channels.events import OrderLineState, OrderState
from channels.mapping import add_levels
from channels.models import (
    Channel,
    ChannelLocation,
    ChannelLocationSource,
    ChannelOrder,
    ChannelOrderLine,
    Listing,
    ListingLevel,
)
from inventory.ledger import Context
from inventory.models import Conflict, Location, Merchant, Product, Reservation, StockLevel, Variant
from inventory.stock import StockLine, receive
from tests.shortcuts import insert

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
_serial = count(1)


@dataclass
class Shop:
    """A merchant with one channel; more channels and places are added by name."""

    merchant: Merchant
    channel: Channel
    product: Product
    variants: dict[str, Variant] = field(default_factory=dict)
    locations: dict[str, Location] = field(default_factory=dict)
    places: dict[str, ChannelLocation] = field(default_factory=dict)

    def add_location(
        self, code: str, *, place: str | None = None, channel: Channel | None = None
    ) -> Location:
        """Adds a location of ours, behind the channel's place of this name where one is given."""
        location = insert(Location(merchant=self.merchant, code=code, name=code.title()))
        self.locations[code] = location
        if place is not None:
            self.add_source(location, place)
        return location

    def add_source(
        self, location: Location, place: str, *, channel: Channel | None = None
    ) -> ChannelLocation:
        """Puts a location of ours behind a place of the channel."""
        channel = channel or self.channel
        found = ChannelLocation.objects.filter(channel=channel, external_id=place).first()
        priority = found.sources.count() if found else 0
        if found is None:
            found = insert(ChannelLocation(channel=channel, external_id=place))
        insert(ChannelLocationSource(channel_location=found, location=location, priority=priority))
        if channel == self.channel:
            self.places[place] = found
        return found

    def add_variant(self, sku: str, stock: Mapping[str, int] | None = None) -> Variant:
        """Adds a variant and receives its opening stock, given per location code."""
        variant = insert(Variant(merchant=self.merchant, product=self.product, sku=sku))
        self.variants[sku] = variant
        lines = [
            StockLine(variant.pk, self.locations[code].pk, units)
            for code, units in (stock or {}).items()
            if units
        ]
        if lines:
            receive(Context(self.merchant.pk, f"opening:{sku}"), lines)
        return variant

    def add_channel(
        self, name: str, *, kind: str = "woocommerce", place: str = "", code: str = "main"
    ) -> Channel:
        """Adds another channel that sells from one of our locations."""
        channel = insert(Channel(merchant=self.merchant, name=name, kind=kind))
        self.add_source(self.locations["main"], place, channel=channel)
        return channel

    def list_variant(self, sku: str, *, channel: Channel | None = None, external_id: str = "") -> Listing:
        """Lists a variant on a channel, with a listing level at each of its places."""
        channel = channel or self.channel
        listing = insert(
            Listing(
                channel=channel,
                variant=self.variants[sku],
                sku=sku,
                external_id=external_id or f"listing-{sku}",
            )
        )
        add_levels([listing.pk])
        return listing

    def level(self, sku: str, code: str = "main") -> tuple[int, int]:
        """Returns (on hand, reserved) of a variant at a location."""
        level = StockLevel.objects.filter(variant=self.variants[sku], location=self.locations[code]).first()
        return (level.on_hand, level.reserved) if level else (0, 0)

    def owed(self, sku: str) -> int:
        """Returns the units of a variant that are owed or left beyond record."""
        conflicts = Conflict.objects.filter(variant=self.variants[sku])
        return sum(conflicts.values_list("open_quantity", flat=True))

    def shelf(self, listing: Listing) -> ListingLevel:
        """Returns the one listing level of a listing."""
        return listing.levels.get()


def open_shop(stock: Mapping[str, int] | None = None, *, kind: str = "woocommerce") -> Shop:
    """Creates a merchant with the location `main`, a channel that sells from it, and stock there."""
    number = next(_serial)
    merchant = insert(Merchant(name=f"Merchant {number}", slug=f"merchant-{number}"))
    channel = insert(Channel(merchant=merchant, name="Web shop", kind=kind))
    shop = Shop(merchant, channel, insert(Product(merchant=merchant, title="Mugs")))
    shop.add_location("main", place="")
    for sku, units in (stock or {}).items():
        shop.add_variant(sku, {"main": units})
    return shop


def line(
    sku: str,
    quantity: int = 1,
    *,
    id: str = "",
    cancelled: int = 0,
    fulfilled: int = 0,
    returned: int = 0,
    restocked: int = 0,
    place: str = "",
) -> OrderLineState:
    """States one order line of the listing `listing-<sku>`."""
    return OrderLineState(
        external_id=id or f"line-{sku}",
        listing_external_id=f"listing-{sku}",
        sku=sku,
        quantity=quantity,
        cancelled=cancelled,
        fulfilled=fulfilled,
        returned=returned,
        restocked=restocked,
        location_external_id=place,
    )


def order(
    *lines: OrderLineState, at: int = 0, id: str = "1001", is_test: bool = False, number: str = ""
) -> OrderState:
    """States an order as it was `at` seconds after noon."""
    return OrderState(
        external_id=id,
        updated_at=NOON + timedelta(seconds=at),
        ordered_at=NOON,
        lines=lines,
        number=number or f"#{id}",
        country="NL",
        currency="EUR",
        is_test=is_test,
    )


def ledger_of(merchant: Merchant) -> dict[str, object]:
    """Returns what ledger and order lines hold, by name instead of row id, and nothing that is zero."""
    lines = ChannelOrderLine.objects.filter(order__channel__merchant=merchant).select_related("variant")
    names = {each.reference: each.external_id for each in lines}
    return {
        "levels": _levels(merchant),
        "reservations": _reservations(merchant, names),
        "conflicts": _conflicts(merchant, names),
        "lines": _lines(lines),
        "orders": _orders(merchant),
    }


def _levels(merchant: Merchant) -> dict[tuple[str, str], tuple[int, int, int]]:
    levels = StockLevel.objects.filter(merchant=merchant).select_related("variant", "location")
    return {
        (each.variant.sku, each.location.code): (each.on_hand, each.reserved, each.unavailable)
        for each in levels
        if each.on_hand or each.reserved or each.unavailable
    }


def _reservations(merchant: Merchant, names: Mapping[str, str]) -> dict[tuple[str, str], int]:
    held: dict[tuple[str, str], int] = {}
    for each in Reservation.objects.filter(merchant=merchant, open_quantity__gt=0).select_related(
        "level__location"
    ):
        key = (names[each.reference], each.level.location.code)
        held[key] = held.get(key, 0) + each.open_quantity
    return held


def _conflicts(merchant: Merchant, names: Mapping[str, str]) -> dict[tuple[str, str], int]:
    owed: dict[tuple[str, str], int] = {}
    for each in Conflict.objects.filter(merchant=merchant, open_quantity__gt=0):
        key = (names[each.reference], each.cause)
        owed[key] = owed.get(key, 0) + each.open_quantity
    return owed


def _lines(lines: Iterable[ChannelOrderLine]) -> dict[str, tuple[object, ...]]:
    """A line that the kept state does not name holds nothing, and may or may not have been seen."""
    return {
        each.external_id: (
            each.sku,
            each.quantity,
            each.cancelled,
            each.fulfilled,
            each.returned,
            each.variant_id,
        )
        for each in lines
        if each.applied_demand or each.applied_fulfilled
    }


def _orders(merchant: Merchant) -> dict[str, tuple[object, ...]]:
    orders = ChannelOrder.objects.filter(channel__merchant=merchant)
    return {each.external_id: (each.state_key, each.is_deleted, each.is_test) for each in orders}
