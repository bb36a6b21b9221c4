"""What the demo's merchant does beside holding stock: gift sets, goods on order, and rules for the channels.

Everything is there once, however often the demo starts.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from django.db import transaction
from django.utils import timezone

from channels.buyers import KIND as WHOLESALE
from channels.demo.catalogue import CatalogueVariant, GiftSet
from channels.models import Channel, ChannelGroup, Rule, RuleSet
from channels.rules.lifecycle import activate, approve, draw_up
from channels.rules.pools import set_channels
from channels.rules.starter import MARKETPLACES, add_starter_set
from channels.warehouses.authorities import keeps_stock
from inventory.bundles import Component, define
from inventory.ledger import Context
from inventory.models import (
    BundleKind,
    Location,
    Merchant,
    PurchaseOrder,
    PurchaseOrderLine,
    Supplier,
    Variant,
)
from inventory.purchasing import LineConfirmation, confirm_lines, place

_ACTOR: Final = "demo"
#: Code, name and lead time in days of the suppliers.
_SUPPLIERS: Final = (("KILN", "Kiln & Loom", 10), ("FELL", "Fellside Outdoor", 21))
#: Days until the orders of a supplier are expected, and lines of each.
_ORDERS: Final = ((3, 8), (9, 12), (24, 12))
_ORDERED_UNITS: Final = 60
_POOLS: Final = "Pools"
_DEALERS_POOL: Final = "Dealers' pool"


def bundle(merchant: Merchant, sets: Sequence[GiftSet]) -> None:
    """Says what the gift sets are made of; their variants must exist."""
    names = {sku for each in sets for sku in (each.sku, *each.parts)}
    ids = dict(Variant.objects.filter(merchant=merchant, sku__in=names).values_list("sku", "id"))
    for each in sets:
        context = Context(merchant.pk, f"gift-set:{each.sku}", actor=_ACTOR, source="demo")
        components = [Component(ids[sku], quantity) for sku, quantity in each.parts.items()]
        define(context, ids[each.sku], BundleKind.KIT, components)


def parts_of(sets: Sequence[GiftSet]) -> dict[str, dict[str, int]]:
    """Returns the variants that one of each gift set takes from the shelf, whatever sets it contains."""
    direct = {each.sku: each.parts for each in sets}
    return {sku: _unpacked(sku, direct) for sku in direct}


def _unpacked(sku: str, direct: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    if sku not in direct:
        return {sku: 1}
    units: dict[str, int] = {}
    for part, quantity in direct[sku].items():
        for inner, times in _unpacked(part, direct).items():
            units[inner] = units.get(inner, 0) + times * quantity
    return units


def buy(merchant: Merchant, variants: Sequence[CatalogueVariant]) -> None:
    """Orders goods that run low at two suppliers; the last order is not confirmed yet."""
    low = sorted(variants, key=lambda variant: (sum(variant.quantities.values()), variant.sku))
    start = 0
    for number, (days, lines) in enumerate(_ORDERS):
        chosen = low[start : start + lines]
        start += lines
        _order(merchant, number, [variant.sku for variant in chosen], days)


@transaction.atomic
def _order(merchant: Merchant, number: int, skus: Sequence[str], days: int) -> None:
    code, name, lead_time = _SUPPLIERS[number % len(_SUPPLIERS)]
    supplier, _ = Supplier.objects.get_or_create(
        merchant=merchant, code=code, defaults={"name": name, "lead_time_days": lead_time}
    )
    order, is_new = PurchaseOrder.objects.get_or_create(
        merchant=merchant,
        number=f"PO-{1001 + number}",
        defaults={
            "supplier": supplier,
            "location": Location.objects.filter(merchant=merchant).earliest("id"),
        },
    )
    if not is_new:
        return
    expected = timezone.localdate() + timedelta(days=days)
    goods = Variant.objects.filter(merchant=merchant, sku__in=skus).order_by("sku")
    lines = PurchaseOrderLine.objects.bulk_create(
        PurchaseOrderLine(
            merchant=merchant, order=order, variant=variant, quantity=_ORDERED_UNITS, expected_on=expected
        )
        for variant in goods
    )
    place(merchant.pk, order.pk)
    if number < len(_ORDERS) - 1:
        context = Context(merchant.pk, f"confirm:{order.number}", actor=_ACTOR, source="demo")
        confirm_lines(context, [LineConfirmation(line.pk, _ORDERED_UNITS, expected) for line in lines])


def set_rules(merchant: Merchant, channels: Sequence[Channel]) -> None:
    """Puts ring-fenced pools in force, and draws up the starter set as a draft that can be rehearsed."""
    add_starter_set(merchant, actor=_ACTOR)
    dealers = [channel for channel in channels if channel.kind == WHOLESALE]
    others = [channel for channel in channels if channel.kind in MARKETPLACES]
    kept = [channel for channel in channels if keeps_stock(channel.kind)]
    own = [channel for channel in channels if channel not in (*dealers, *others, *kept)]
    shops = _group(merchant, "Own shops", own)
    marketplaces = _group(merchant, "Marketplaces", others)
    _fence(
        merchant,
        _POOLS,
        "Outdoor goods for the own shops, paper goods for the marketplaces.",
        [
            {"category": "Outdoor", "pool": shops, "pool_percent": 25},
            {"category": "Paper", "pool": marketplaces, "pool_percent": 20},
        ],
    )
    if dealers:
        pool = {"category": "Kitchen", "pool": _group(merchant, "Dealers", dealers), "pool_percent": 20}
        _fence(merchant, _DEALERS_POOL, "Kitchen goods that dealers can count on.", [pool])


def _group(merchant: Merchant, name: str, channels: Sequence[Channel]) -> ChannelGroup:
    group, _ = ChannelGroup.objects.get_or_create(merchant=merchant, name=name)
    set_channels(group, channels, actor=_ACTOR)
    return group


def _fence(merchant: Merchant, name: str, description: str, rules: Sequence[Mapping[str, Any]]) -> None:
    """Puts a set of rules in force, once."""
    rule_set, is_new = RuleSet.objects.get_or_create(
        merchant=merchant, name=name, defaults={"description": description}
    )
    if not is_new:
        return
    version = draw_up(
        rule_set, actor=_ACTOR, why="A part of what is scarce stays with those who sell it best."
    )
    for position, rule in enumerate(rules, 1):
        Rule.objects.create(version=version, position=position, **rule)
    approve(version.pk, actor=_ACTOR, because="The demo shows pools at work.")
    # The shops are told their first numbers anyway, so there is nothing for the fuse to hold.
    activate(version.pk, actor=_ACTOR, because="The demo shows pools at work.", is_confirmed=True)
