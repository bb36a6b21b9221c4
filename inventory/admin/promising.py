"""What may be promised of a variant: the panels of its page."""

from collections.abc import Iterable
from datetime import date

from config.admin_panels import Panel, list_of
from inventory.eta import LeadTime
from inventory.models import Conflict, Location, Variant
from inventory.promising import (
    ALWAYS,
    arrivals,
    eta_texts,
    kits_by_day,
    kits_by_location,
    kits_to_come,
    promisable,
    promisable_by_location,
)


def promise_panels(variant: Variant) -> list[Panel]:
    """Shows what is available to promise, day by day and by location."""
    days = kits_by_day(variant.merchant_id, [variant.pk])
    if variant.pk in days:
        return [_kits_by_day(variant, days[variant.pk]), _kits_by_location(variant)]
    return [_by_day(variant), _by_location(variant)]


def _kits_by_day(variant: Variant, days: list[tuple[date | None, int]]) -> Panel:
    text = eta_texts(variant.merchant_id, [variant.pk], LeadTime())[variant.pk]
    return Panel(
        "Available to promise",
        ("By", "Kits available to promise"),
        [("now" if day is None else str(day), units) for day, units in days],
        note=f"Arrives in stock: {text}. As many as the parts that are there, confirmed or in transit make whole at one place.",
    )


def _kits_by_location(variant: Variant) -> Panel:
    found = kits_by_location(variant.merchant_id, [variant.pk], ALWAYS)
    codes = _codes(found)
    return Panel(
        "Available to promise by location",
        ("Location", "Kits now", "Kits available to promise"),
        [(codes[place], each.available, each.units) for (_, place), each in found.items()],
        empty="No place has, or will have, all parts of one.",
    )


def _codes(found: Iterable[tuple[int, int]]) -> dict[int, str]:
    return dict(Location.objects.filter(pk__in=[place for _, place in found]).values_list("pk", "code"))


def days_of(conflict: Conflict) -> str:
    """Names the days on which units are confirmed that are promised to nobody; of kits, by which that makes whole ones."""
    variant, places = conflict.variant, conflict.location_ids
    kits = kits_to_come(variant.merchant_id, variant.pk, location_ids=places, besides=conflict.open_quantity)
    coming = arrivals(variant.merchant_id, [variant.pk])
    named = [f"{units} kits by {day}" for day, units in kits] or [
        f"{each.confirmed - each.promised} on {each.on}" for each in coming if each.confirmed > each.promised
    ]
    return ", ".join(named) or "nothing that is not promised already"


def _by_day(variant: Variant) -> Panel:
    total = promisable(variant.merchant_id, [variant.pk], ALWAYS)[variant.pk]
    rows = [("now", 0, 0, 0, total.available)]
    spare = -total.owed
    for each in arrivals(variant.merchant_id, [variant.pk]):
        spare += each.free
        units = total.available + max(spare, 0)
        rows.append((str(each.on), each.confirmed, each.promised, each.in_transit, units))
    text = eta_texts(variant.merchant_id, [variant.pk], LeadTime())[variant.pk]
    note = f"Arrives in stock: {text}. Overdue and unconfirmed goods do not count"
    if total.owed:
        note = f"{note}; the first {total.owed} units that come go to open shortages"
    return Panel(
        "Available to promise",
        ("By", "Confirmed", "Promised", "In transit", "Available to promise"),
        rows,
        note=f"{note}.",
        links=[
            (
                list_of("inventory.purchaseorderline", f"state=open&variant__id__exact={variant.pk}"),
                "Inbound",
            ),
            (list_of("inventory.backorder", f"state=open&variant__id__exact={variant.pk}"), "Backorders"),
        ],
    )


def _by_location(variant: Variant) -> Panel:
    found = promisable_by_location(variant.merchant_id, [variant.pk], ALWAYS)
    codes = _codes(found)
    rows = [
        (codes[place], each.available, each.confirmed, each.promised, each.in_transit, each.owed, each.units)
        for (_, place), each in found.items()
    ]
    return Panel(
        "Available to promise by location",
        ("Location", "Available", "Confirmed", "Promised", "In transit", "Owed", "Available to promise"),
        rows,
        empty="Nothing is there or confirmed.",
        note="What may be served from several places is owed at each of them here.",
    )
