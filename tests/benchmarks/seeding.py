"""Merchants of any size, written by set-based SQL past the ledger: what is measured comes later."""

from typing import Final

from django.db import connection

from channels.models import Channel, ChannelLocation, ChannelLocationSource
from inventory.models import Location, Merchant, Product
from tests.benchmarks.tidying import tidy

#: Units of everything everywhere.
STOCK: Final = 1_000

# One operation receives all of it.
_GOODS: Final = (
    """
    INSERT INTO inventory_variant (merchant_id, product_id, sku, gtin, title, is_active, created_at)
    SELECT %(merchant)s, %(product)s, 'SKU-' || lpad(n::text, 6, '0'), '', '', true, now()
    FROM generate_series(0, %(variants)s - 1) n
    """,
    """
    INSERT INTO inventory_stockoperation
        (merchant_id, key, digest, verb, outcome, actor, source, document, occurred_at, recorded_at)
    VALUES (%(merchant)s, 'opening', '', 'receive', '{"held": [], "short": []}', '', '', '', now(), now())
    """,
    """
    INSERT INTO inventory_stocklevel
        (merchant_id, variant_id, location_id, on_hand, reserved, unavailable, version, safety_stock, recorded_at)
    SELECT v.merchant_id, v.id, l.id, %(stock)s, 0, 0, 1, 0, now()
    FROM inventory_variant v JOIN inventory_location l USING (merchant_id) WHERE v.merchant_id = %(merchant)s
    """,
    """
    INSERT INTO inventory_stockmovement
        (merchant_id, operation_id, level_id, version, kind, reason, on_hand_delta, reserved_delta, unavailable_delta,
         on_hand_after, reserved_after, unavailable_after, occurred_at, recorded_at)
    SELECT s.merchant_id, o.id, s.id, 1, 'receipt', 'opening', %(stock)s, 0, 0, %(stock)s, 0, 0, s.recorded_at, s.recorded_at
    FROM inventory_stocklevel s JOIN inventory_stockoperation o USING (merchant_id) WHERE s.merchant_id = %(merchant)s
    """,
)

_LISTINGS: Final = (
    """
    INSERT INTO channels_listing
        (channel_id, variant_id, external_id, parent_external_id, sku, gtin, title, data, is_active, created_at)
    SELECT %(channel)s, id, sku, '', sku, '', '', '{}', true, now()
    FROM inventory_variant WHERE merchant_id = %(merchant)s ORDER BY id
    """,
    """
    INSERT INTO channels_listinglevel
        (channel_id, listing_id, channel_location_id, wanted, done, lane, sent_quantity, sent_at, published_quantity,
         confirmed_at, expected, is_outcome_unknown, attempts, last_error)
    SELECT %(channel)s, id, %(place)s, 1, 1, 2, %(stock)s, now(), %(stock)s, now(), %(stock)s, false, 0, ''
    FROM channels_listing WHERE channel_id = %(channel)s ORDER BY id
    """,
)


def lay_out(variants: int, *, locations: int = 1) -> Merchant:
    """Creates a merchant with so many variants, and a thousand units of each at each location."""
    merchant = Merchant.objects.create(name="Benchmark", slug="benchmark")
    product = Product.objects.create(merchant=merchant, title="Benchmark")
    for number in range(locations):
        Location.objects.create(merchant=merchant, code=f"W{number}", name=f"Warehouse {number}")
    named = {"merchant": merchant.pk, "product": product.pk, "variants": variants, "stock": STOCK}
    with connection.cursor() as cursor:
        for statement in _GOODS:
            cursor.execute(statement, named)
    tidy()
    return merchant


def list_on(merchant: Merchant, name: str, *, kind: str = "woocommerce") -> Channel:
    """Creates a channel without places that sells everything from all locations, and has been told all of it."""
    channel = Channel.objects.create(merchant=merchant, name=name, kind=kind)
    place = ChannelLocation.objects.create(channel=channel, external_id="")
    locations = Location.objects.filter(merchant=merchant).order_by("id")
    for priority, location in enumerate(locations):
        ChannelLocationSource.objects.create(channel_location=place, location=location, priority=priority)
    units = STOCK * len(locations)
    named = {"merchant": merchant.pk, "channel": channel.pk, "place": place.pk, "stock": units}
    with connection.cursor() as cursor:
        for statement in _LISTINGS:
            cursor.execute(statement, named)
    return channel
