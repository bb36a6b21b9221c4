"""Returns that platforms tell of: shipped goods that a customer sends back, announced to the warehouse.

An announcement moves nothing. There is one return for each order, known by the order's reference, which says what is sent
back in total: told again it changes nothing, told anew it replaces what was announced before. Kits come back as their
parts. Goods are expected where the platform says that they go, else where they left from. What a platform's own warehouse takes
back is the platform's to count.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from channels.models import Channel, ChannelOrder
from channels.order_lines import LineChange, is_known, locations_of, variant_id_of
from channels.places import Places
from inventory.kits import current_kits
from inventory.ledger import Context
from inventory.models import Location, Reservation, ReturnLine
from inventory.models.catalogue import LocationKind
from inventory.returns import ReturnUnits, announce_return


@dataclass(frozen=True, slots=True)
class _Origin:
    """Where the goods of an order line left from, and what one unit of it is: (variant, units)."""

    location_id: int
    parts: tuple[tuple[int, int], ...]


def announce_returns(
    channel: Channel, order: ChannelOrder, changes: Sequence[LineChange], places: Places
) -> None:
    """Announces what is sent back of an order, where that has changed; a constant number of statements.

    Comes before any level is locked, as every document does.
    """
    known = [change for change in changes if is_known(change, places)]
    if order.is_test or not any(_is_news(change) for change in known):
        return
    returned = [change for change in known if change.line.returned or change.was_returned]
    lines = _lines(channel, order, _origins(channel, returned, places), returned)
    if lines:
        announce_return(_context(channel, order, lines), order.reference, lines)


def _is_news(change: LineChange) -> bool:
    """Tells whether the line's returns were not announced as they are."""
    if change.is_applied:
        return change.line.returned != change.was_returned
    return change.line.returned > 0


def _lines(
    channel: Channel, order: ChannelOrder, origins: Mapping[str, _Origin], returned: Sequence[LineChange]
) -> list[ReturnUnits]:
    """Returns what is expected in total; goods stay expected where they were first announced."""
    announced = ReturnLine.objects.filter(
        customer_return__merchant=channel.merchant_id, customer_return__reference=order.reference
    )
    place_of = dict(announced.order_by("-id").values_list("variant", "location"))
    platforms = _of_platforms({origin.location_id for origin in origins.values()})
    totals: Counter[tuple[int, int]] = Counter()
    for change in returned:
        origin = origins[change.line.reference]
        for variant_id, units in origin.parts if origin.location_id not in platforms else ():
            place = place_of.setdefault(variant_id, origin.location_id)
            totals[variant_id, place] += units * change.line.returned
    return [ReturnUnits(*goods, units) for goods, units in sorted(totals.items())]


def _of_platforms(location_ids: Iterable[int]) -> set[int]:
    rows = Location.objects.filter(pk__in=set(location_ids), kind=LocationKind.CHANNEL_OWNED)
    return set(rows.values_list("pk", flat=True))


def _origins(channel: Channel, returned: Sequence[LineChange], places: Places) -> dict[str, _Origin]:
    """Returns by the line's reference what left for it; where nothing was held, what would have been taken."""
    shipped = _shipped(channel.merchant_id, [change.line.reference for change in returned])
    kits = current_kits(channel.merchant_id, {variant_id_of(change.line) for change in returned})
    origins = {}
    for change in returned:
        variant_id, reference = variant_id_of(change.line), change.line.reference
        parts = kits[variant_id].parts if variant_id in kits else ((variant_id, 1),)
        likely = _Origin(locations_of(change, places)[0], parts)
        origins[reference] = _sent_to(change, shipped.get(reference, likely), places)
    return origins


def _sent_to(change: LineChange, origin: _Origin, places: Places) -> _Origin:
    """Returns the goods at where the platform says that they go, if that is not where they left from."""
    taking_back = places.taking_back(change.line.returned_to_external_id)
    if not taking_back or origin.location_id in taking_back:
        return origin
    return _Origin(taking_back[0], origin.parts)


def _shipped(merchant_id: int, references: Collection[str]) -> dict[str, _Origin]:
    """Returns what these references shipped first, kits as they were made up then."""
    rows = Reservation.objects.filter(
        merchant_id=merchant_id, reference__in=references, fulfilled_quantity__gt=0
    ).values_list("reference", "level__location_id", "variant_id", "per_bundle", "lead_id")
    found: dict[str, _Origin] = {}
    leads: dict[str, int | None] = {}
    for reference, location_id, variant_id, per_bundle, lead_id in rows.order_by("id"):
        part = variant_id, per_bundle or 1
        if reference not in found:
            found[reference], leads[reference] = _Origin(location_id, (part,)), lead_id
        elif lead_id is not None and lead_id == leads[reference]:
            found[reference] = _Origin(location_id, (*found[reference].parts, part))
    return found


def _context(channel: Channel, order: ChannelOrder, lines: Sequence[ReturnUnits]) -> Context:
    goods = [[line.variant_id, line.location_id, line.quantity] for line in lines]
    about = json.dumps([order.state_key, goods], separators=(",", ":"))
    return Context(
        channel.merchant_id,
        f"returned:{order.pk}:{hashlib.sha256(about.encode()).hexdigest()[:40]}",
        actor=channel.name,
        source=channel.kind,
        document=order.number or order.external_id,
        occurred_at=order.updated_at,
    )
