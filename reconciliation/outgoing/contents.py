"""What is told of things whose rows were noted when they changed: orders, conflicts, discrepancies, channels.

A note holds the row as it was then; names of other rows are added when its messages are made.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from django.db.models import Count
from django.utils import timezone

from channels.api.orders import OrderSerializer
from channels.models import Channel, ChannelOrder, ChannelOrderLine
from inventory.api.nesting import with_lines
from inventory.models import Location, Variant
from reconciliation.models import Alert, Discrepancy, Severity, WebhookEvent
from reconciliation.models.alerts import IS_OPEN

#: What is told of each event; one of which nobody is to hear is left out.
Contents = dict[int, dict[str, Any]]


def contents_of(events: Iterable[WebhookEvent]) -> Contents:
    """Returns what is told of each of these events; a few statements a family, however many events there are."""
    by_family: dict[str, list[WebhookEvent]] = defaultdict(list)
    for event in events:
        by_family[event.type.partition(".")[0]].append(event)
    told: Contents = {}
    for family, several in by_family.items():
        told |= _FAMILIES[family](several)
    return told


def _orders(events: Sequence[WebhookEvent]) -> Contents:
    """Tells orders as the API shows them, as they are by now."""
    ids = {event.facts["id"] for event in events}
    orders = with_lines(ChannelOrder.objects.filter(pk__in=ids), ChannelOrderLine.objects.all())
    shown = {order.pk: dict(OrderSerializer(order).data) for order in orders}
    return {event.pk: shown[event.facts["id"]] for event in events if event.facts["id"] in shown}


_OF_CONFLICT: Final = (
    "id", "cause", "reference", "variant_id", "quantity", "open_quantity", "opened_at", "resolved_at",
)  # fmt: skip


def _conflicts(events: Sequence[WebhookEvent]) -> Contents:
    skus = _skus(event.facts["variant_id"] for event in events)
    places = {place for event in events for place in event.facts["location_ids"]}
    codes = dict(Location.objects.filter(pk__in=places).values_list("pk", "code"))
    return {
        event.pk: {
            **{name: event.facts[name] for name in _OF_CONFLICT},
            "sku": skus.get(event.facts["variant_id"]),
            "locations": [codes[place] for place in event.facts["location_ids"] if place in codes],
        }
        for event in events
    }


_OF_DISCREPANCY: Final = (
    "id", "state", "cause", "channel_id", "listing_level_id", "stock_level_id", "shown", "expected", "first_seen_at",
    "last_seen_at", "closed_at", "closed_by", "because",
)  # fmt: skip


def _discrepancies(events: Sequence[WebhookEvent]) -> Contents:
    """Says which SKU it is about: the variant's, or where the listing is not mapped what the platform calls it."""
    ids = {event.facts["id"] for event in events}
    named = Discrepancy.objects.filter(pk__in=ids).values_list(
        "pk",
        "listing_level__listing__variant__sku",
        "listing_level__listing__sku",
        "stock_level__variant__sku",
    )
    skus = {pk: next((sku for sku in several if sku), None) for pk, *several in named}
    return {
        event.pk: {
            **{name: event.facts[name] for name in _OF_DISCREPANCY},
            "difference": event.facts["shown"] - event.facts["expected"],
            "sku": skus.get(event.facts["id"]),
        }
        for event in events
    }


def _channels(events: Sequence[WebhookEvent]) -> Contents:
    """Tells what is wrong with channels; nobody hears of what is muted."""
    ids = {event.facts["channel_id"] for event in events}
    # By name alone: a channel's row brings its credentials along, which may not open.
    names = dict(Channel.objects.filter(pk__in=ids).values_list("pk", "name"))
    wrong = dict(
        Alert.objects.filter(IS_OPEN, channel__in=ids)
        .order_by()
        .values_list("channel_id")
        .annotate(alerts=Count("pk"))
    )
    mutes = dict(
        Alert.objects.filter(pk__in={event.facts["id"] for event in events}).values_list("pk", "muted_until")
    )
    now = timezone.now()
    told: Contents = {}
    for event in events:
        facts = event.facts
        muted_until = mutes.get(facts["id"])
        if muted_until is None or muted_until <= now:
            told[event.pk] = {
                "channel": {"id": facts["channel_id"], "name": names.get(facts["channel_id"])},
                "alert_id": facts["id"],
                "kind": facts["kind"],
                "severity": Severity(facts["severity"]).label.lower(),
                "title": facts["title"],
                "detail": facts["detail"],
                "remedy": facts["remedy"],
                "opened_at": facts["opened_at"],
                "resolved_at": facts["resolved_at"],
                "open_alerts": wrong.get(facts["channel_id"], 0),
            }
    return told


def _skus(ids: Iterable[int]) -> dict[int, str]:
    return dict(Variant.objects.filter(pk__in=set(ids)).values_list("pk", "sku"))


_FAMILIES: Final[dict[str, Callable[[Sequence[WebhookEvent]], Contents]]] = {
    "order": _orders,
    "conflict": _conflicts,
    "discrepancy": _discrepancies,
    "channel": _channels,
}
