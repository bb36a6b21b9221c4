"""What may end a conflict: every remedy with what it costs, and why one is not to be had.

Costs are points by which remedies are ranked, the cheapest first; what they stand for is said in words beside them.

| remedy | points |
| --- | --- |
| another location | 10, and 5 where it needs units of the location's safety stock |
| backorder | 20, and 2 for each day of waiting |
| a hold with an end gives way | 25 |
| a demand that comes later gives way | 60, and 20 where its location is at it already |
| cancellation | 100, and 10 where a person has to do it at the platform |

Read in a constant number of statements; whether a remedy can still be had is decided under the ledger's locks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from django.db import connection
from django.db.models import Q
from django.utils import timezone

from channels.connectors import CONNECTORS
from channels.connectors.base import CancelEffects
from channels.line_remedies import line_of
from channels.models import Channel, ChannelOrderLine
from channels.sourcing import serving_ids
from inventory.holds import OWED_CAUSES
from inventory.kits import current_kits, whole_kits
from inventory.models import Conflict
from inventory.promising import ALWAYS, kits_to_come, promisable
from reconciliation.models import RemedyKind, Resolution, ResolutionState
from reconciliation.models.conflicts import OPEN_STATES

NO_EFFECTS: Final = CancelEffects()
#: Reservations of others that are looked at, the latest first.
_MOST: Final = 200
#: Of these, how many are offered.
_OFFERED: Final = 10


@dataclass(frozen=True, slots=True)
class Remedy:
    """One way to end a conflict."""

    kind: RemedyKind
    #: The location, reservation or day, as `Resolution.target` keeps it.
    target: str
    title: str
    #: Units that it would end, at most.
    units: int
    #: Points; the cheapest is the best.
    cost: int
    #: What it costs, in words.
    price: str
    #: Why it cannot be had; empty where it can.
    obstacle: str = ""
    #: Of a cancellation that a person has to make at the platform: why.
    by_hand: str = ""
    effects: CancelEffects = NO_EFFECTS

    @property
    def is_feasible(self) -> bool:
        """Whether it can be had, as far as is known without a lock."""
        return not self.obstacle and self.units > 0


@dataclass(frozen=True, slots=True)
class _Case:
    """A conflict with what every remedy has to know of it."""

    conflict: Conflict
    line: ChannelOrderLine | None
    units: int

    @property
    def channel(self) -> Channel | None:
        return self.line.order.channel if self.line is not None else None


def undecided_units(conflict: Conflict) -> int:
    """Returns the units that are owed, not on their way to being cancelled, and not counted since they left."""
    is_counted = Q(remedy=RemedyKind.RECOUNT, state=ResolutionState.DONE)
    decided = Resolution.objects.filter(Q(state__in=OPEN_STATES) | is_counted, conflict=conflict)
    return max(conflict.open_quantity - sum(decided.values_list("quantity", flat=True)), 0)


def remedies_of(conflict: Conflict) -> list[Remedy]:
    """Returns what may end an open conflict, the best first; what cannot be had comes last, with its reason."""
    units = undecided_units(conflict)
    if not units:
        return []
    case = _Case(conflict, line_of(conflict), units)
    if conflict.cause not in OWED_CAUSES:
        return [_recount(case)]
    found = [*_elsewhere(case), *_promised(case), *_held_by_others(case), _cancelled(case)]
    return sorted(found, key=lambda each: (not each.is_feasible, each.cost, -each.units, each.target))


def find(conflict: Conflict, kind: str, target: str) -> Remedy | None:
    """Returns the remedy of this kind and target, where it may be had."""
    for remedy in remedies_of(conflict):
        if (remedy.kind, remedy.target) == (kind, target) and remedy.is_feasible:
            return remedy
    return None


def _recount(case: _Case) -> Remedy:
    price = "Somebody counts the variant at that location; what was found is entered under Count."
    return Remedy(RemedyKind.RECOUNT, "", "It has been counted", case.units, 0, price)


# -- another location

_STOCK: Final = """
SELECT location.id, location.code, level.variant_id, level.on_hand - level.reserved - level.unavailable, level.safety_stock
FROM inventory_stocklevel level JOIN inventory_location location ON location.id = level.location_id
WHERE level.merchant_id = %s AND level.variant_id = ANY(%s::bigint[]) AND location.is_active
  AND location.kind <> 'channel_owned' AND level.on_hand - level.reserved - level.unavailable > 0
ORDER BY location.code, location.id, level.variant_id
"""


def _elsewhere(case: _Case) -> list[Remedy]:
    conflict = case.conflict
    kit = current_kits(conflict.merchant_id, [conflict.variant_id]).get(conflict.variant_id)
    parts = kit.parts if kit is not None else ((conflict.variant_id, 1),)
    stock: dict[tuple[int, str], dict[int, tuple[int, int]]] = {}
    for place, code, variant_id, free, safety in _rows(
        _STOCK, conflict.merchant_id, [part for part, _ in parts]
    ):
        stock.setdefault((place, code), {})[variant_id] = (free, safety)
    serving = None if case.channel is None else serving_ids(case.channel)
    remedies = []
    for (place, code), levels in stock.items():
        free = whole_kits((levels.get(part, (0, 0))[0], per_kit) for part, per_kit in parts)
        spare = whole_kits(
            (levels[part][0] - levels[part][1] if part in levels else 0, per_kit) for part, per_kit in parts
        )
        if free > 0:
            remedies.append(_serve(case, place, code, free, spare, serving))
    return remedies


def _serve(
    case: _Case, place: int, code: str, free: int, spare: int, serving: Sequence[int] | None
) -> Remedy:
    units = min(free, case.units)
    eats = units > max(spare, 0)
    price = "A parcel from there." + (" It takes units of the safety stock." if eats else "")
    obstacle = ""
    if serving is not None and place not in serving:
        obstacle = f"It does not serve {case.channel}: put it behind one of its places, or send the goods by a transfer."
    return Remedy(
        RemedyKind.SERVE, str(place), f"Serve from {code}", units, 15 if eats else 10, price, obstacle
    )


# -- confirmed inbound

_COMING: Final = """
SELECT confirmed_on, sum(confirmed_quantity - promised_quantity)::bigint
FROM inventory_purchaseorderline
WHERE merchant_id = %s AND variant_id = %s AND location_id = ANY(%s::bigint[])
  AND confirmed_quantity > promised_quantity AND confirmed_on >= %s
GROUP BY confirmed_on ORDER BY confirmed_on
"""


def _promised(case: _Case) -> list[Remedy]:
    """Offers the day by which all units can be promised, else the last day on which any can."""
    conflict, today = case.conflict, timezone.localdate()
    places = conflict.location_ids
    kits = kits_to_come(
        conflict.merchant_id, conflict.variant_id, location_ids=places, besides=conflict.open_quantity
    )
    if kits:
        # The first day by which there are enough, else the last one.
        on, count = next((each for each in kits if each[1] >= case.units), kits[-1])
        return [_backorder(on, min(count, case.units), today)]
    coming = _rows(_COMING, conflict.merchant_id, conflict.variant_id, places, today)
    if not coming:
        return []
    found = promisable(conflict.merchant_id, [conflict.variant_id], ALWAYS, location_ids=places)
    spare = conflict.open_quantity - found[conflict.variant_id].owed
    day, units = None, 0
    for on, free in coming:
        spare += free
        if min(spare, case.units) > units:
            day, units = on, min(spare, case.units)
    if day is None:
        obstacle = "All that is confirmed goes to others who are owed goods."
        return [Remedy(RemedyKind.BACKORDER, "", "Backorder", case.units, 20, "", obstacle)]
    return [_backorder(day, units, today)]


def _backorder(day: date, units: int, today: date) -> Remedy:
    wait = (day - today).days
    price = f"The customer waits {wait} day{'' if wait == 1 else 's'}."
    return Remedy(RemedyKind.BACKORDER, day.isoformat(), f"Backorder for {day}", units, 20 + 2 * wait, price)


# -- units that somebody else holds

_HELD: Final = """
SELECT r.id, r.reference, r.open_quantity, r.expires_at, location.code,
       coalesce(nullif(placed.number, ''), placed.external_id) || ' on ' || channel.name,
       coalesce(placed.ordered_at, r.created_at), rank.rank,
       EXISTS (SELECT FROM channels_fulfilmentrequest request
               WHERE request.order_id = placed.id AND request.location_id = level.location_id
                 AND request.state IN ('sent', 'accepted', 'picked'))
FROM inventory_reservation r
JOIN inventory_stocklevel level ON level.id = r.level_id
JOIN inventory_location location ON location.id = level.location_id
LEFT JOIN channels_channelorderline line
    ON line.id = CASE WHEN r.reference ~ '^order-line:[0-9]{1,18}$' THEN substr(r.reference, 12)::bigint END
LEFT JOIN (channels_channelorder placed JOIN channels_channel channel ON channel.id = placed.channel_id)
    ON placed.id = line.order_id AND channel.merchant_id = level.merchant_id
LEFT JOIN LATERAL (
    SELECT min(rank.rank) AS rank FROM channels_listing listing
    JOIN channels_listingrank rank ON rank.listing_id = listing.id
    WHERE listing.channel_id = channel.id AND listing.variant_id = r.variant_id
) rank ON true
WHERE level.merchant_id = %s AND level.variant_id = %s AND level.location_id = ANY(%s::bigint[])
  AND r.open_quantity > 0 AND r.bundle_id IS NULL AND r.reference <> %s AND r.reference NOT LIKE 'kit-backorder:%%'
  AND coalesce(r.expires_at > clock_timestamp(), true)
ORDER BY r.id DESC LIMIT %s
"""

_OWN_RANK: Final = """
SELECT min(rank.rank) FROM channels_listing listing JOIN channels_listingrank rank ON rank.listing_id = listing.id
WHERE listing.channel_id = %s AND listing.variant_id = %s
"""

#: Holds with an end come last, then unranked channels, then higher numbers, then later sales.
_Priority = tuple[bool, int, datetime]
_UNRANKED: Final = 2**31


def _held_by_others(case: _Case) -> list[Remedy]:
    """Offers units of demands that come after the one that is owed, the last first."""
    conflict = case.conflict
    rows = _rows(
        _HELD,
        conflict.merchant_id,
        conflict.variant_id,
        conflict.location_ids,
        conflict.reference,
        _MOST,
    )
    if not rows:
        return []
    own = _own_priority(case)
    lower = [(rank, row) for row in rows if (rank := _priority(row)) > own]
    lower.sort(key=lambda each: each[0], reverse=True)
    return [_take_over(case, row) for _, row in lower[:_OFFERED]]


def _priority(row: tuple[Any, ...]) -> _Priority:
    return (row[3] is not None, _UNRANKED if row[7] is None else row[7], row[6])


def _own_priority(case: _Case) -> _Priority:
    if case.line is None:
        return (False, _UNRANKED, case.conflict.opened_at)
    order = case.line.order
    ((rank,),) = _rows(_OWN_RANK, order.channel_id, case.conflict.variant_id)
    return (False, _UNRANKED if rank is None else rank, order.ordered_at or case.conflict.opened_at)


def _take_over(case: _Case, row: tuple[Any, ...]) -> Remedy:
    identity, reference, held, expires_at, code, order, _, _, is_asked = row
    units, giver = min(held, case.units), order or reference
    if expires_at is not None:
        cost, price = 25, f"Whoever holds them until {expires_at:%Y-%m-%d %H:%M} loses them."
    else:
        cost, price = 60, f"{giver} is owed {units} instead, unless another location has them."
    if is_asked:
        cost, price = cost + 20, f"{price} {code} has been asked to ship them already."
    title = f"Take from {giver}, held at {code}"
    return Remedy(RemedyKind.TAKE_OVER, str(identity), title, units, cost, price)


# -- cancelling


def _cancelled(case: _Case) -> Remedy:
    line = case.line
    if line is None:
        price = "Whoever asked for them does not get them; tell them."
        return Remedy(RemedyKind.CANCEL, "", f"Cancel for {case.conflict.reference}", case.units, 100, price)
    channel = line.order.channel
    connector = CONNECTORS.get(channel.kind)
    effects = connector.cancel_effects(channel.settings) if connector else NO_EFFECTS
    by_hand = _why_by_hand(case, line, channel, effects)
    where = channel.name if connector is None else connector.label
    return Remedy(
        RemedyKind.CANCEL,
        str(line.pk),
        f"Cancel at {where}" + (" by hand" if by_hand else ""),
        case.units,
        110 if by_hand else 100,
        _price_of_cancelling(case, line, effects, by_hand=bool(by_hand)),
        by_hand=by_hand,
        effects=effects,
    )


def _why_by_hand(case: _Case, line: ChannelOrderLine, channel: Channel, effects: CancelEffects) -> str:
    """Says why the connector cannot cancel; empty where it can."""
    connector = CONNECTORS.get(channel.kind)
    open_units = line.quantity - line.cancelled - line.fulfilled
    if connector is None or not connector.capabilities.cancels_lines:
        return "OneCount cannot cancel there."
    if not channel.is_active:
        return "The channel is switched off."
    if channel.in_shadow:
        return "The channel is in shadow mode, and nothing is written there."
    if channel.is_paused:
        return "The channel is paused, and told nothing."
    if effects.whole_lines and case.units != open_units:
        return f"{connector.label} cancels whole lines only, and {open_units} units of this one are open."
    return ""


def _price_of_cancelling(
    case: _Case, line: ChannelOrderLine, effects: CancelEffects, *, by_hand: bool
) -> str:
    lost = "The sale is lost"
    if line.unit_price is not None:
        lost = f"A sale of {case.units * line.unit_price:.2f} {line.order.currency} is lost"
    if by_hand:
        return f"{lost}; you refund it where you cancel it."
    refund = "the platform refunds it" if effects.refunds else "you refund it at the platform"
    shelf = "puts the units back on its own number" if effects.restocks else "does not put the units back"
    return f"{lost}; {refund}, and it {shelf}."


def _rows(sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return list(cursor.fetchall())
