"""What a demo or replay came to: one JSON object, from the shops' books on one side and the engine's rows on the other.

Latency is one sample an order: from the instant the shop committed the sale to the instant every other channel's listing
that it touches had confirmed a number computed after the order was applied. Unfinished orders are counted apart and stand
for infinity in the percentiles.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from django.db import connection
from django.db.models import Sum

from channels.demo.oversell import StockEvent, count_oversold
from channels.demo.shops import Shop
from channels.exposure import targets
from channels.models import Channel, ListingLevel, PollFeed, Push, WebhookDelivery
from channels.models.outbound import PushOutcome
from inventory.models import Conflict, Location
from inventory.proof import prove

#: For each order: whether it was applied, whether anything was demanded of the ledger, whether other listings had to be told,
#: and when the last of those was met by a push that had been leased with its mark.
_ORDERS: Final = """
SELECT o.channel_id, o.external_id, o.arrived_at,
       o.applied_at IS NOT NULL,
       (o.state_digest <> '' OR o.is_deleted) AND NOT EXISTS (
           SELECT FROM channels_channelorderline l
           WHERE l.order_id = o.id AND greatest(l.quantity - l.cancelled, l.fulfilled) > 0
       ),
       o.marks <> '{}'::jsonb,
       CASE WHEN met.is_complete THEN met.at END
FROM channels_channelorder o
LEFT JOIN LATERAL (
    SELECT bool_and(first.at IS NOT NULL) AS is_complete, max(first.at) AS at
    FROM jsonb_each_text(o.marks) AS mark(level_id, wanted)
    LEFT JOIN LATERAL (
        SELECT p.finished_at AS at FROM channels_push p
        WHERE p.listing_level_id = mark.level_id::bigint AND p.wanted >= mark.wanted::bigint
          AND p.outcome IN ('confirmed', 'unchanged')
        ORDER BY p.id LIMIT 1
    ) first ON true
) met ON true
WHERE o.channel_id = ANY(%s::bigint[]) AND o.arrived_at >= %s
"""


@dataclass(frozen=True, slots=True)
class Arrival:
    """What the engine made of one order."""

    arrived_at: datetime
    is_applied: bool
    #: Cancelled before we heard of it: nothing had to be told.
    is_void: bool
    touches_others: bool
    #: When every other shelf had it; None while one has not.
    done_at: datetime | None


@dataclass(frozen=True, slots=True)
class Sample:
    """One order of which other shelves had to be told."""

    #: Key of the shop that sold it, and when (Unix seconds).
    shop: str
    sold_at: float
    #: None while we have not heard of it.
    arrival: Arrival | None

    @property
    def seconds(self) -> float:
        """From the sale to the last of the shelves; infinite while one is missing."""
        return _seconds(self.arrival, self.sold_at)

    @property
    def seconds_from_arrival(self) -> float:
        """The same from the moment on at which we heard of it."""
        return _seconds(self.arrival, self.arrival.arrived_at.timestamp()) if self.arrival else math.inf


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
    return found


def _ledger_ok() -> bool:
    return all(proof.is_ok for proof in prove())


def _latency(stage: Stage, books: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    found = samples(stage, books)
    from_sale = {shop: [sample.seconds for sample in found if sample.shop == shop] for shop in stage.channels}
    from_arrival = [sample.seconds_from_arrival for sample in found if sample.arrival]
    every = [seconds for of_shop in from_sale.values() for seconds in of_shop]
    return {
        "latency_ms": percentiles(every),
        "latency_from_arrival_ms": percentiles(from_arrival),
        "latency_by_channel": {shop: percentiles(of_shop) for shop, of_shop in from_sale.items()},
        "latency_unfinished": sum(math.isinf(seconds) for seconds in every),
    }


def samples(stage: Stage, books: Mapping[str, dict[str, Any]]) -> list[Sample]:
    """Returns every order in the shops' books of which others had to be told; one that is not known yet is a sample, too."""
    arrivals = _arrivals(stage)
    sold = [
        Sample(key, order["committed_at"], arrivals.get((channel.pk, str(order["id"]))))
        for key, channel in stage.channels.items()
        for order in books[key]["orders"]
    ]
    return [each for each in sold if each.arrival is None or _had_to_be_told(each.arrival)]


def _arrivals(stage: Stage) -> dict[tuple[int, str], Arrival]:
    with connection.cursor() as cursor:
        cursor.execute(_ORDERS, [stage.channel_ids, stage.began_at])
        return {
            (channel_id, external_id): Arrival(*rest) for channel_id, external_id, *rest in cursor.fetchall()
        }


def _had_to_be_told(arrival: Arrival) -> bool:
    """Whether the order is a sample: one that nobody else lists, or that was void from the start, is none."""
    return arrival.touches_others if arrival.is_applied else not arrival.is_void


def _seconds(arrival: Arrival | None, since: float) -> float:
    if arrival is None or arrival.done_at is None:
        return math.inf
    return arrival.done_at.timestamp() - since


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
