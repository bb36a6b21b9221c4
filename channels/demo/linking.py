"""Connects simulated shops to a merchant, the way a person connects real ones."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

from django.db import transaction
from django.db.models import Count, F
from django.utils import timezone

from channels.accounts import open_connector
from channels.baseline import read_shelves
from channels.connectors.base import Connector, PlatformLocation
from channels.demo.platforms import PLATFORMS
from channels.demo.shops import Shop
from channels.feeds import KEEPING
from channels.importing import import_channel
from channels.models import (
    Authority,
    Channel,
    ChannelLocation,
    ChannelLocationSource,
    ChannelOrderLine,
    ListingLevel,
    PollFeed,
    WarehouseArrival,
    WarehouseOrder,
)
from channels.pushes import WAKE_UP
from channels.sandbox import CatalogueItem
from channels.subscriptions import register
from channels.warehouses.authorities import give_say
from channels.warehouses.marks import read_all
from config.notify import notify_after_commit
from inventory.bundles import kits_available
from inventory.demands import DemandChange, settle
from inventory.ledger import Context
from inventory.models import Location, Merchant, StockLevel, Variant

#: Items put on sale by one call.
LOAD_AT_ONCE: Final = 5_000
#: Lines shipped in one operation.
SHIP_AT_ONCE: Final = 500


def load_shop(shop: Shop, merchant: Merchant, prices: dict[str, Decimal]) -> None:
    """Fills the shop with the merchant's catalogue, at the numbers that are available now."""
    put_on_sale(shop, merchant, _available(merchant), prices)


def put_on_sale(
    shop: Shop, merchant: Merchant, stock: Mapping[str, Mapping[str, int]], prices: Mapping[str, Decimal]
) -> None:
    """Fills the shop with the merchant's catalogue, at these units by SKU and location code."""
    places = _locations(merchant, shop.kind)
    for location in places:
        shop.client.add_location(location.code, location.name)
    forms = Variant.objects.filter(merchant=merchant).values("product").annotate(count=Count("id"))
    counts = dict(forms.values_list("product", "count"))
    items = [
        CatalogueItem(
            sku=variant.sku,
            title=variant.title or variant.product.title,
            gtin=variant.gtin,
            price=prices.get(variant.sku, Decimal("9.95")),
            quantities={each.code: stock.get(variant.sku, {}).get(each.code, 0) for each in places},
            parent=variant.product.title if counts[variant.product_id] > 1 else None,
        )
        for variant in Variant.objects.filter(merchant=merchant).select_related("product").order_by("id")
    ]
    for start in range(0, len(items), LOAD_AT_ONCE):
        shop.client.load_catalogue(items[start : start + LOAD_AT_ONCE])


def _available(merchant: Merchant) -> dict[str, dict[str, int]]:
    """Returns what may be promised, and how many kits can be made, by SKU and location code."""
    stock: dict[str, dict[str, int]] = {}
    levels = (
        StockLevel.objects.filter(merchant=merchant)
        .annotate(free=F("on_hand") - F("reserved") - F("unavailable"))
        .values_list("variant__sku", "location__code", "free")
    )
    for sku, code, free in levels:
        stock.setdefault(sku, {})[code] = free
    codes = dict(Location.objects.filter(merchant=merchant).values_list("id", "code"))
    skus = dict(Variant.objects.filter(merchant=merchant).values_list("id", "sku"))
    for variant_id, kits in kits_available(merchant.pk, skus).items():
        stock[skus[variant_id]] = {codes[location]: count for location, count in kits.items()}
    return stock


def _locations(merchant: Merchant, kind: str) -> list[Location]:
    """Returns the merchant's locations that a shop of the platform has."""
    rows = Location.objects.filter(merchant=merchant).order_by("id")
    codes = PLATFORMS[kind].places
    return list(rows if codes is None else rows.filter(code__in=codes))


def link(shop: Shop, merchant: Merchant) -> Channel:
    """Creates or revives the shop's channel, imports its places and listings, and subscribes to its webhooks."""
    channel, _ = Channel.objects.get_or_create(
        merchant=merchant, name=shop.name, defaults={"kind": shop.kind}
    )
    channel.settings = shop.client.settings()
    channel.credentials = {**channel.credentials, **shop.client.credentials()}
    # Told nothing before we know what it shows, and both sides know the secret that they sign with.
    channel.is_active, channel.is_paused = True, True
    channel.save()
    connector = open_connector(channel, deadline=120.0)
    if connector.capabilities.keeps_stock:
        return _link_warehouse(channel, connector)
    _map_locations(channel, connector.fetch_locations())
    # The shop of an earlier run is gone, and with it what we knew of its shelves.
    levels = ListingLevel.objects.filter(channel=channel)
    levels.update(
        wanted=F("wanted") + 1, due_since=timezone.now(), expected=None, published_quantity=None,
        confirmed_at=None, lease_token=None, leased_until=None, is_outcome_unknown=False, seen_at=None,
        seen_quantity=None, seen_expected=None, dead_at=None, attempts=0, next_attempt_at=None,
    )  # fmt: skip
    report = import_channel(channel, connector)
    read_shelves(channel, connector, shown=report.shown)
    if connector.capabilities.manages_subscriptions:
        register(channel, connector)
    return _resume(channel)


def _resume(channel: Channel) -> Channel:
    Channel.objects.filter(pk=channel.pk).update(is_paused=False)
    channel.is_paused = False
    notify_after_commit(WAKE_UP)
    return channel


def _link_warehouse(channel: Channel, connector: Connector) -> Channel:
    """Gives a warehouse the say over the location of the same name, and reads what it has."""
    import_channel(channel, connector)
    # The warehouse of an earlier run is gone, with its orders and what it said.
    WarehouseOrder.objects.filter(channel=channel).delete()
    WarehouseArrival.objects.filter(channel=channel).delete()
    PollFeed.objects.filter(channel=channel, name=KEEPING).update(cursor="", last_polled_at=None)
    names = {location.name: location for location in _locations(channel.merchant, channel.kind)}
    for place in ChannelLocation.objects.filter(channel=channel, name__in=names):
        give_say(names[place.name], place)
    register(channel, connector)
    read_all(channel.pk)
    return _resume(channel)


def _map_locations(channel: Channel, places: Sequence[PlatformLocation]) -> None:
    """Puts our location behind the place of the same name; all of ours behind a platform without places.

    So it does behind a place that is told nothing but may be drawn on, such as what Amazon buys from.
    """
    locations = _locations(channel.merchant, channel.kind)
    for place in places:
        row, _ = ChannelLocation.objects.get_or_create(
            channel=channel,
            external_id=place.external_id,
            defaults={"name": place.name, "is_active": place.is_sellable and not place.is_foreign},
        )
        has_name = bool(place.external_id) and (place.is_sellable or place.is_foreign)
        behind = [each for each in locations if each.name == place.name] if has_name else locations
        for priority, location in enumerate(behind):
            ChannelLocationSource.objects.get_or_create(
                channel_location=row, location=location, defaults={"priority": priority}
            )


def ship_open_orders(merchant: Merchant) -> int:
    """Ships what is still open of an earlier run, whose shops are gone; returns the number of lines."""
    open_lines = ChannelOrderLine.objects.filter(
        order__channel__merchant=merchant, variant__isnull=False, applied_demand__gt=F("applied_fulfilled")
    ).order_by("id")
    places = tuple(Location.objects.filter(merchant=merchant).order_by("id").values_list("id", flat=True))
    count = 0
    while batch := list(open_lines[:SHIP_AT_ONCE]):
        with transaction.atomic():
            settle(
                Context(merchant.pk, f"demo:ship:{batch[0].pk}-{batch[-1].pk}", actor="demo", source="demo"),
                [
                    DemandChange(
                        line.reference,
                        line.variant_id or 0,
                        places,
                        fulfilled=line.applied_demand - line.applied_fulfilled,
                    )
                    for line in batch
                ],
            )
            ChannelOrderLine.objects.filter(pk__in=[line.pk for line in batch]).update(
                fulfilled=F("applied_demand"), applied_fulfilled=F("applied_demand")
            )
        count += len(batch)
    return count


def retire_other_shops(keep: Sequence[Channel]) -> int:
    """Deactivates channels of earlier demos and replays, whose shops do not run any more; returns how many."""
    simulated = Channel.objects.filter(is_active=True, settings__base_url__startswith="http://127.0.0.1:")
    others = simulated.exclude(pk__in=[channel.pk for channel in keep])
    Authority.objects.filter(place__channel__in=others).delete()
    return others.update(is_active=False)
