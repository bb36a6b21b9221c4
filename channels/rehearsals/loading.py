"""Reads what a rehearsal needs to know of shelves, order lines and stock before it meets them; a few statements a window."""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from django.db import connection

from channels.connectors import CONNECTORS
from channels.connectors.base import Convention
from channels.exposure import Inputs, Pinned
from channels.history import shelves_as_of
from channels.past_inputs import sources_at
from channels.rehearsals.events import Period
from channels.rehearsals.shelves import PinSpan, Shelf, Source
from channels.rehearsals.world import Pair
from inventory.kit_history import KitSpan, kits_within

#: Gives what the numbers of listing levels depend on; the stock in it is replaced by the recorded one. Rules know of pools
#: of these parts of kits, by kit.
InputsOf = Callable[[Collection[int], Mapping[int, Collection[int]]], Mapping[int, Inputs]]


class Line(NamedTuple):
    """What an order line sold: of which listing, from which place."""

    channel_id: int
    listing_id: int | None
    place_id: int | None
    variant_id: int | None
    quantity: int


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules that are rehearsed, and those that were in force when the period began."""

    rehearsed: InputsOf
    before: InputsOf


_SHELVES: Final = """
SELECT level.id, level.channel_id, level.listing_id, level.channel_location_id, listing.variant_id, channel.kind
FROM channels_listinglevel level
JOIN channels_listing listing ON listing.id = level.listing_id AND listing.variant_id IS NOT NULL
JOIN channels_channel channel ON channel.id = level.channel_id
WHERE level.id = ANY(%(levels)s::bigint[]) OR level.listing_id = ANY(%(listings)s::bigint[])
ORDER BY level.id
"""

_LINES: Final = """
SELECT line.id, placed.channel_id, coalesce(by_id.id, by_variant.id), line.channel_location_id, line.variant_id,
       line.quantity
FROM channels_channelorderline line
JOIN channels_channelorder placed ON placed.id = line.order_id
LEFT JOIN channels_listing by_id
    ON by_id.channel_id = placed.channel_id AND by_id.external_id = line.listing_external_id
LEFT JOIN LATERAL (
    SELECT min(listing.id) AS id FROM channels_listing listing
    WHERE listing.channel_id = placed.channel_id AND listing.variant_id = line.variant_id
      AND line.listing_external_id = ''
    HAVING count(*) = 1
) by_variant ON true
WHERE line.id = ANY(%(lines)s::bigint[])
"""


#: A pin that was taken back ended then.
_PINS: Final = """
SELECT listing_level_id, created_at, least(expires_at, ended_at), quantity, reason, owner FROM channels_pin
WHERE listing_level_id = ANY(%(ids)s::bigint[]) AND least(expires_at, ended_at) > %(since)s ORDER BY id
"""


_SAFETY_CHANGES: Final = """
SELECT level.variant_id, level.location_id, change.changed_at, change.after
FROM inventory_stocklevel level
JOIN inventory_safetystockchange change
    ON change.level_id = level.id AND change.changed_at > %(since)s AND change.changed_at <= %(until)s
WHERE level.merchant_id = %(merchant)s AND level.variant_id = ANY(%(variants)s::bigint[])
ORDER BY change.changed_at, change.id
"""


def safety_changes_of(period: Period, variant_ids: Collection[int]) -> list[tuple[Pair, datetime, int]]:
    """Returns what levels of these variants were set to keep back during a period, in order of time."""
    parameters = {
        "merchant": period.merchant_id,
        "since": period.since,
        "until": period.until,
        "variants": sorted(variant_ids),
    }
    return [((row[0], row[1]), row[2], row[3]) for row in _rows(_SAFETY_CHANGES, parameters)]


def lines_of(line_ids: Collection[int]) -> dict[int, Line]:
    """Returns what these order lines sold, by id."""
    return {row[0]: Line(*row[1:]) for row in _rows(_LINES, {"lines": sorted(line_ids)})}


#: Who held units of kits when an instant was: the reservations that count for them, with the units in one kit.
_LEADS: Final = """
SELECT id, per_bundle FROM inventory_reservation
WHERE id = ANY(%(reservations)s::bigint[]) AND bundle_id IS NOT NULL AND lead_id = id
"""


def per_kit_of(reservation_ids: Collection[int]) -> dict[int, int]:
    """Returns how many units one kit takes, by those of the reservations by which kits are counted."""
    return dict(_rows(_LEADS, {"reservations": sorted(reservation_ids)}))


_PARTS_EVER: Final = """
SELECT bundle.variant_id, part.variant_id
FROM inventory_bundle bundle JOIN inventory_bundlepart part ON part.bundle_id = bundle.id
WHERE bundle.merchant_id = %(merchant)s AND bundle.kind = 'kit' AND bundle.variant_id = ANY(%(variants)s::bigint[])
"""


def parts_ever(merchant_id: int, variant_ids: Collection[int]) -> set[int]:
    """Returns what those of these variants that were kits have ever been made of: what is held stays what it was."""
    rows = _rows(_PARTS_EVER, {"merchant": merchant_id, "variants": sorted(variant_ids)})
    return {part for _, part in rows}


def shelves_of(
    listing_level_ids: Collection[int], listing_ids: Collection[int], period: Period, rules: Rules
) -> list[Shelf]:
    """Returns these listing levels, and those of these listings, as shelves at the beginning of a rehearsal."""
    at = period.since
    rows = _rows(_SHELVES, {"levels": sorted(listing_level_ids), "listings": sorted(listing_ids)})
    ids = [row[0] for row in rows]
    sources, pins = _sources({row[3] for row in rows}, at), _pins(ids, at)
    kits = kits_within(period.merchant_id, {row[4] for row in rows}, at, period.until) if rows else {}
    parts = {kit: {part.variant_id for span in spans for part in span.parts} for kit, spans in kits.items()}
    rehearsed, before = rules.rehearsed(ids, parts), rules.before(ids, parts)
    shelves = [
        _shelf(
            row,
            sources[row[3]],
            rehearsed[row[0]],
            before[row[0]],
            pins.get(row[0], ()),
            kits.get(row[4], ()),
        )
        for row in rows
        if row[0] in rehearsed
    ]
    _show(shelves, at)
    return shelves


def _shelf(
    row: tuple[Any, ...],
    sources: tuple[Source, ...],
    rehearsed: Inputs,
    before: Inputs,
    pins: Collection[PinSpan],
    kits: Collection[KitSpan],
) -> Shelf:
    level_id, channel_id, listing_id, place_id, variant_id, kind = row
    able = CONNECTORS[kind].capabilities if kind in CONNECTORS else None
    return Shelf(
        level_id,
        channel_id,
        listing_id,
        place_id,
        variant_id,
        sources,
        rehearsed,
        before,
        tuple(pins),
        tuple(kits),
        is_compared=able is not None and able.compare_and_set,
        subtracts_open_orders=able is not None and able.convention is Convention.INCLUDES_OPEN_ORDERS,
    )


def _show(shelves: Collection[Shelf], at: datetime) -> None:
    """Gives shelves the number that they showed when the period began, the same in both worlds."""
    by_id = {shelf.listing_level_id: shelf for shelf in shelves}
    for past in shelves_as_of(by_id, at):
        if past.shown is not None:
            by_id[past.listing_level_id].told(at, past.shown, past.shown, told_other=past.shown)


def _pins(listing_level_ids: Collection[int], since: datetime) -> dict[int, list[PinSpan]]:
    found: defaultdict[int, list[PinSpan]] = defaultdict(list)
    for level_id, began, ends, quantity, reason, owner in _rows(
        _PINS, {"ids": list(listing_level_ids), "since": since}
    ):
        found[level_id].append(PinSpan(began, ends, Pinned(quantity, f"{reason} ({owner})")))
    return found


def _sources(place_ids: Collection[int], at: datetime) -> dict[int, tuple[Source, ...]]:
    found = sources_at(place_ids, at)
    return {
        place_id: tuple(Source(location_id, code) for location_id, code in found.get(place_id, ()))
        for place_id in place_ids
    }


def _rows(sql: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows
