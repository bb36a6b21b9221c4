"""What a demo or replay came to: one JSON object, from the shops' books on one side and the engine's rows on the other.

Latency is one sample an order: from the instant the shop committed the sale to the instant every other channel's listing
that it touches had confirmed a number computed after the order was applied. Platforms that only take a number in at first, and
confirm it when they have got round to it, are left out of that; the time until they have confirmed as well is a figure of its
own. Unfinished orders are counted apart, wherever they wait, and stand for infinity in the percentiles.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from django.db import connection
from django.db.models import F, Sum

from channels.connectors import connector_class
from channels.demo.oversell import StockEvent, count_oversold
from channels.demo.shops import Shop
from channels.exposure import targets
from channels.models import Authority, Channel, ListingLevel, PollFeed, Push, WebhookDelivery
from channels.models.outbound import PushOutcome
from inventory.models import BundlePart, Conflict, Location, StockLevel
from inventory.proof import prove

#: For each order: whether it was applied, whether anything was demanded of the ledger, and for each channel whose listings
#: had to be told, when the last of those was met by a push that had been leased with its mark (Unix seconds; null: not yet).
_ORDERS: Final = """
SELECT o.channel_id, o.external_id, o.arrived_at,
       o.applied_at IS NOT NULL,
       (o.state_digest <> '' OR o.is_deleted) AND NOT EXISTS (
           SELECT FROM channels_channelorderline l
           WHERE l.order_id = o.id AND greatest(l.quantity - l.cancelled, l.fulfilled) > 0
       ),
       met.by_channel
FROM channels_channelorder o
CROSS JOIN LATERAL (
    SELECT coalesce(jsonb_object_agg(told.channel_id, told.at), '{}') AS by_channel
    FROM (
        SELECT level.channel_id,
               CASE WHEN bool_and(first.at IS NOT NULL) THEN extract(epoch FROM max(first.at)) END AS at
        FROM jsonb_each_text(o.marks) AS mark(level_id, wanted)
        JOIN channels_listinglevel level ON level.id = mark.level_id::bigint
        LEFT JOIN LATERAL (
            SELECT p.finished_at AS at FROM channels_push p
            WHERE p.listing_level_id = level.id AND p.wanted >= mark.wanted::bigint
              AND p.outcome IN ('confirmed', 'unchanged')
            ORDER BY p.id LIMIT 1
        ) first ON true
        GROUP BY level.channel_id
    ) told
) met
WHERE o.channel_id = ANY(%s::bigint[]) AND o.arrived_at >= %s
"""


#: Says of a channel's id whether it counts.
Chosen = Callable[[int], bool]


@dataclass(frozen=True, slots=True)
class Arrival:
    """What the engine made of one order."""

    arrived_at: datetime
    is_applied: bool
    #: Cancelled before we heard of it: nothing had to be told.
    is_void: bool
    #: When every shelf of a channel had it (Unix seconds), by channel id; None while one has not.
    told_at: Mapping[int, float | None]


@dataclass(frozen=True, slots=True)
class Sale:
    """An order in a shop's book, and what became of it here."""

    #: Key of the shop.
    shop: str
    #: Unix seconds.
    committed_at: float
    #: None: it never came.
    arrival: Arrival | None

    @property
    def is_sample(self) -> bool:
        """Whether it counts: an order that nobody else lists, or that was void from the start, does not."""
        if self.arrival is None or not self.arrival.is_applied:
            return self.arrival is None or not self.arrival.is_void
        return bool(self.arrival.told_at)

    def tells(self, channel: Channel) -> bool:
        """Whether this channel had to be told."""
        return self.arrival is not None and channel.pk in self.arrival.told_at

    def concerns(self, counts: Chosen) -> bool:
        """Whether any of these channels had to be told; as long as that is not known it counts as if."""
        told = self.arrival.told_at if self.arrival is not None and self.arrival.is_applied else None
        return told is None or any(map(counts, told))

    def seconds_to(self, counts: Chosen, *, from_arrival: bool = False) -> float:
        """Seconds until the last of these channels that had to be told was; infinite while one has not been."""
        if self.arrival is None or not self.arrival.is_applied:
            return math.inf
        since = self.arrival.arrived_at.timestamp() if from_arrival else self.committed_at
        ends = [at for channel, at in self.arrival.told_at.items() if counts(channel)]
        return max((math.inf if at is None else at for at in ends), default=math.inf) - since

    @property
    def seconds(self) -> float:
        """Seconds from the sale until the last of all channels that had to be told was."""
        return self.seconds_to(_everybody)


#: Diverged listings that the summary names.
EVIDENCE: Final = 10


@dataclass(frozen=True, slots=True)
class Stage:
    """What the figures are about: the shops, their channels, and when it began."""

    shops: Sequence[Shop]
    #: By key of the shop.
    channels: Mapping[str, Channel]
    #: Units for sale at the start, by SKU.
    opening: Mapping[str, int]
    began_at: datetime
    #: Of goods that are sold by their parts: the units of each part that one of them takes, by SKU.
    parts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    @property
    def channel_ids(self) -> list[int]:
        """Ids of the channels."""
        return [channel.pk for channel in self.channels.values()]


def summary(
    stage: Stage, books: Mapping[str, dict[str, Any]], adjusted: Sequence[StockEvent]
) -> dict[str, Any]:
    """Returns the figures; `books` are the shops' own, by key, and `adjusted` what else changed the stock."""
    oversell = count_oversold(stage.opening, [*_events_of(books, stage.parts), *adjusted])
    differing = diverged(stage, books)
    sold = [order for book in books.values() for order in book["orders"]]
    return {
        "orders": len(sold),
        "lines": sum(len(order["lines"]) for order in sold),
        "units": sum(line["quantity"] for order in sold for line in order["lines"]),
        "conflicts": _conflicts(stage),
        "oversold_units": oversell.oversold_units,
        "physics_units": oversell.physics_units,
        **_inbound(stage),
        **_outbound(stage),
        "diverged_listings": len(differing),
        "diverged": differing[:EVIDENCE],
        "ledger_ok": _ledger_ok(),
        **_latency(stage, books),
    }


def _events_of(
    books: Mapping[str, dict[str, Any]], parts: Mapping[str, Mapping[str, int]]
) -> list[StockEvent]:
    return [
        StockEvent(at, part, delta * units)
        for book in books.values()
        for at, sku, delta in book["movements"]
        for part, units in parts.get(sku, {sku: 1}).items()
    ]


def _conflicts(stage: Stage) -> int:
    merchant_ids = {channel.merchant_id for channel in stage.channels.values()}
    return Conflict.objects.filter(merchant_id__in=merchant_ids, opened_at__gte=stage.began_at).count()


def _inbound(stage: Stage) -> dict[str, int]:
    deliveries = WebhookDelivery.objects.filter(
        channel_id__in=stage.channel_ids, received_at__gte=stage.began_at
    )
    repeats = deliveries.aggregate(total=Sum("repeats"))["total"] or 0
    polls = (
        PollFeed.objects.filter(channel_id__in=stage.channel_ids).aggregate(total=Sum("polls"))["total"] or 0
    )
    return {"webhooks_received": deliveries.count() + repeats, "duplicates_ignored": repeats, "polls": polls}


def _outbound(stage: Stage) -> dict[str, int]:
    pushes = Push.objects.filter(channel_id__in=stage.channel_ids, computed_at__gte=stage.began_at)
    sent = pushes.exclude(outcome=PushOutcome.UNCHANGED)
    return {"pushes": sent.count(), "push_calls": sent.values("call_id").distinct().count()}


def diverged(stage: Stage, books: Mapping[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns the listings whose shop shows another number than our target in that shop's convention."""
    found: list[dict[str, Any]] = []
    for kind, channel in stage.channels.items():
        rows = ListingLevel.objects.filter(
            channel=channel, listing__is_active=True, listing__variant__isnull=False
        )
        levels = list(rows.select_related("listing", "channel_location").order_by("id"))
        wanted = targets([level.pk for level in levels])
        codes = dict(Location.objects.filter(merchant=channel.merchant_id).values_list("name", "code"))
        for level in levels:
            place = codes[level.channel_location.name] if level.channel_location.external_id else ""
            number = books[kind]["stored"].get(level.listing.sku, {}).get(place)
            if number != wanted[level.pk]:
                found.append(
                    {
                        "channel": kind,
                        "sku": level.listing.sku,
                        "place": place,
                        "shop": number,
                        "target": wanted[level.pk],
                    }
                )
        found += _differing_stock(kind, channel, books[kind])
    return found


def _differing_stock(key: str, channel: Channel, book: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns the goods of a warehouse of which another number is free there than our ledger has available."""
    kept = Authority.objects.filter(place__channel=channel).values_list("location", "location__code")
    kits = BundlePart.objects.filter(is_drawn_on=True).values("bundle_variant")
    found = []
    for location_id, code in kept:
        levels = StockLevel.objects.filter(location=location_id).exclude(variant__in=kits)
        free = levels.annotate(free=F("on_hand") - F("reserved") - F("unavailable"))
        for sku, units in free.values_list("variant__sku", "free"):
            shown = book["numbers"].get(sku, {}).get(code)
            if shown is not None and max(shown, 0) != units:
                found.append({"channel": key, "sku": sku, "place": code, "shop": shown, "target": units})
    return found


def _ledger_ok() -> bool:
    return all(proof.is_ok for proof in prove())


def _latency(stage: Stage, books: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    found = sales(stage, books)
    by_shop = {shop: [sale for sale in found if sale.shop == shop] for shop in stage.channels}
    slow = {channel.pk for channel in stage.channels.values() if not confirms_at_once(channel.kind)}
    prompt: Chosen = lambda channel: channel not in slow  # noqa: E731
    return {
        "latency_ms": percentiles(_spans(found, prompt)),
        "latency_until_all_confirmed_ms": percentiles(_spans(found, _everybody)),
        "latency_from_arrival_ms": percentiles(_spans(found, prompt, from_arrival=True)),
        "latency_by_channel": {
            shop: {
                **percentiles(_spans(by_shop[shop], prompt)),
                "confirms_at_once": confirms_at_once(channel.kind),
                "told": percentiles(
                    [sale.seconds_to(channel.pk.__eq__) for sale in found if sale.tells(channel)]
                ),
            }
            for shop, channel in stage.channels.items()
        },
        "latency_unfinished": sum(math.isinf(seconds) for seconds in _spans(found, _everybody)),
    }


def _everybody(channel_id: int) -> bool:
    return True


def confirms_at_once(kind: str) -> bool:
    """Whether the platform's answer to a push says that the number stands; others only take it in at first."""
    return not connector_class(kind).capabilities.asynchronous_push


def _spans(sales: Sequence[Sale], counts: Chosen, *, from_arrival: bool = False) -> list[float]:
    """Returns the seconds until these channels had been told, of the sales of which they had to be."""
    return [
        sale.seconds_to(counts, from_arrival=from_arrival)
        for sale in sales
        if sale.concerns(counts) and not (from_arrival and sale.arrival is None)
    ]


def sales(stage: Stage, books: Mapping[str, dict[str, Any]]) -> list[Sale]:
    """Returns every order in the shops' books that counts; one that is not known yet does."""
    arrivals = _arrivals(stage)
    sold = [
        Sale(key, order["committed_at"], arrivals.get((channel.pk, str(order["id"]))))
        for key, channel in stage.channels.items()
        for order in books[key]["orders"]
    ]
    return [each for each in sold if each.is_sample]


def _arrivals(stage: Stage) -> dict[tuple[int, str], Arrival]:
    with connection.cursor() as cursor:
        cursor.execute(_ORDERS, [stage.channel_ids, stage.began_at])
        return {
            (channel_id, external_id): Arrival(
                arrived_at, is_applied, is_void, {int(each): at for each, at in json.loads(told).items()}
            )
            for channel_id, external_id, arrived_at, is_applied, is_void, told in cursor.fetchall()
        }


def percentiles(seconds: Sequence[float]) -> dict[str, float | None]:
    """Returns p50, p95, p99 and max in milliseconds by nearest rank; None for no sample, and for infinity."""
    ordered = sorted(seconds)
    ranks = {"p50": 0.50, "p95": 0.95, "p99": 0.99, "max": 1.0}
    return {name: _milliseconds(ordered, share) for name, share in ranks.items()} | {"samples": len(ordered)}


def _milliseconds(ordered: Sequence[float], share: float) -> float | None:
    if not ordered:
        return None
    value = ordered[max(math.ceil(share * len(ordered)) - 1, 0)]
    return None if math.isinf(value) else round(value * 1000, 1)
