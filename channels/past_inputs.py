"""What a listing level's number depended on at an instant, so that "Why 7?" can be asked of any moment.

It is computed anew from what is recorded over time: movements, reservations, safety stock, our locations behind the place,
what kits were made of, rule versions and the tags, categories and groups that they go by, the channel's own settings, pins,
the mapping of the listing. It does not depend on a push having happened.
What is not recorded over time is taken as it is now, and `PastInputs.as_now` names it where it matters.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from django.db import connection

from channels.exposure import (
    ComponentStock,
    Exposure,
    FencedPart,
    Inputs,
    LocationStock,
    Pinned,
    compute,
    load_inputs,
)
from channels.past_rules import book_at, channels_at
from channels.rules.book import ChannelFacts, RuleBook
from channels.rules.resolved import ResolvedRules
from inventory.history import PastLevel, PastReservation, levels_as_of, reservations_as_of
from inventory.kit_history import PastPart, kits_as_of

_ORDER_LINE: Final = "order-line:"


@dataclass(frozen=True, slots=True)
class PastInputs:
    """The inputs of one listing level at an instant, with the evidence for them."""

    inputs: Inputs
    variant_id: int | None
    #: Our levels behind the place, in the order in which they are drawn on.
    levels: Sequence[PastLevel]
    #: Who held units of them.
    reservations: Sequence[PastReservation]
    #: What is not recorded over time and taken as it is now, in words.
    as_now: Sequence[str]

    @property
    def exposure(self) -> Exposure:
        """The number that these inputs come to, with its steps."""
        return compute(self.inputs)


_LEVELS: Final = """
SELECT level.id, level.channel_id, channel.merchant_id, level.channel_location_id, listing.external_id,
       CASE WHEN past.id IS NULL THEN listing.variant_id ELSE past.variant_id END
FROM channels_listinglevel level
JOIN channels_listing listing ON listing.id = level.listing_id
JOIN channels_channel channel ON channel.id = level.channel_id
LEFT JOIN LATERAL (
    SELECT id, variant_id FROM channels_historicallisting past
    WHERE past.id = listing.id AND past.history_date <= %(at)s
    ORDER BY past.history_date DESC, past.history_id DESC LIMIT 1
) past ON true
WHERE level.id = ANY(%(ids)s::bigint[])
ORDER BY level.id
"""

_SOURCES: Final = """
SELECT span.channel_location_id, span.location_id, location.code
FROM channels_sourcespan span
JOIN inventory_location location ON location.id = span.location_id
LEFT JOIN LATERAL (
    SELECT is_active FROM inventory_historicallocation past
    WHERE past.id = location.id AND past.history_date <= %(at)s
    ORDER BY past.history_date DESC, past.history_id DESC LIMIT 1
) past ON true
WHERE span.channel_location_id = ANY(%(places)s::bigint[]) AND coalesce(span.began_at <= %(at)s, true)
  AND coalesce(span.ended_at > %(at)s, true) AND coalesce(past.is_active, location.is_active)
ORDER BY span.channel_location_id, span.priority, span.source_id
"""

_LINES: Final = """
SELECT line.id, placed.channel_id, line.variant_id, line.listing_external_id
FROM channels_channelorderline line JOIN channels_channelorder placed ON placed.id = line.order_id
WHERE line.id = ANY(%(lines)s::bigint[])
"""

_LEADS: Final = """
SELECT id, per_bundle FROM inventory_reservation
WHERE id = ANY(%(reservations)s::bigint[]) AND bundle_id IS NOT NULL AND lead_id = id
"""

_PINS: Final = """
SELECT listing_level_id, quantity, reason, owner, expires_at FROM channels_pin
WHERE listing_level_id = ANY(%(ids)s::bigint[]) AND created_at <= %(at)s AND expires_at > %(at)s
  AND coalesce(ended_at > %(at)s, true)
ORDER BY id
"""

#: One of our locations behind a place: its id and code.
Source = tuple[int, str]


def inputs_as_of(listing_level_ids: Collection[int], at: datetime) -> dict[int, PastInputs]:
    """Returns what these listing levels' numbers depended on at an instant, by id.

    All must be of one merchant. The number of statements does not depend on theirs.
    """
    rows = _rows(_LEVELS, ids=sorted(listing_level_ids), at=at)
    if not rows:
        return {}
    merchant_id = rows[0][2]
    now = load_inputs(listing_level_ids)
    listed = {row[5] for row in rows if row[5] is not None}
    kits = kits_as_of(merchant_id, listed, at)
    parts = {kit: [part.variant_id for part in each] for kit, each in kits.items()}
    variants = {*listed, *(part for each in parts.values() for part in each)}
    book, channels = book_at(merchant_id, variants, at, parts), channels_at({row[1] for row in rows}, at)
    reservations = reservations_as_of(merchant_id, variants, at)
    build = _Build(
        {(level.variant_id, level.location_id): level for level in levels_as_of(merchant_id, variants, at)},
        reservations,
        _lines_of(reservations),
        sources_at({row[3] for row in rows}, at),
        _pins_at(listing_level_ids, at),
        channels,
        book,
        kits,
        _leads_of(reservations) if kits else {},
    )
    return {row[0]: build.past(row, now[row[0]]) for row in rows}


def sources_at(place_ids: Collection[int], at: datetime) -> Mapping[int, Sequence[Source]]:
    """Returns our active locations behind places at an instant, in the order in which they were drawn on."""
    found: defaultdict[int, list[Source]] = defaultdict(list)
    for place_id, location_id, code in _rows(_SOURCES, places=sorted(place_ids), at=at):
        found[place_id].append((location_id, code))
    return found


@dataclass(slots=True)
class _Build:
    """Puts together what was read."""

    levels: Mapping[tuple[int, int], PastLevel]
    reservations: Sequence[PastReservation]
    #: Order line → channel, variant, the platform's id of what was sold.
    lines: Mapping[int, tuple[int, int, str]]
    sources: Mapping[int, Sequence[Source]]
    pins: Mapping[int, Pinned]
    channels: Mapping[int, ChannelFacts]
    book: RuleBook
    kits: Mapping[int, Sequence[PastPart]]
    #: Of kits that were held the reservation that leads the others, with the units of it in one kit.
    leads: Mapping[int, int]

    def past(self, row: tuple[Any, ...], now: Inputs) -> PastInputs:
        """Returns the inputs of one listing level."""
        level_id, channel_id, _, place_id, external_id, variant_id = row
        channel = self.channels[channel_id]
        rules = self.book.rules_for(channel, variant_id)
        places = self.sources.get(place_id, ()) if variant_id is not None else ()
        parts = self.kits.get(variant_id, ())
        inputs = replace(
            now,
            locations=tuple(
                self._stock(variant_id, parts, location_id, code) for location_id, code in places
            ),
            rules=rules,
            own_open_units=self._own_open(channel_id, variant_id, external_id, is_kit=bool(parts)),
            pin=self.pins.get(level_id),
            may_split=channel.may_split,
            fenced=_fenced(rules, parts, now),
        )
        goods = [variant_id, *(part.variant_id for part in parts)]
        pairs = {(each, location_id): None for location_id, _ in places for each in goods}
        return PastInputs(
            inputs,
            variant_id,
            [self.levels[pair] for pair in pairs if pair in self.levels],
            [each for each in self.reservations if (each.variant_id, each.location_id) in pairs],
            as_now(inputs),
        )

    def _own_open(self, channel_id: int, variant_id: int, external_id: str, *, is_kit: bool) -> int:
        """Returns the units, or kits, held for the channel's own open orders of the listing."""
        held = [
            each
            for each in self.reservations
            if (line := self.lines.get(line_of(each.reference) or 0)) is not None
            and line[:2] == (channel_id, variant_id)
            and line[2] in ("", external_id)
        ]
        if not is_kit:
            return sum(each.quantity for each in held)
        leads = self.leads
        return sum(
            each.quantity // leads[each.reservation_id] for each in held if each.reservation_id in leads
        )

    def _stock(
        self, variant_id: int, parts: Sequence[PastPart], location_id: int, code: str
    ) -> LocationStock:
        level = self.levels.get((variant_id, location_id))
        own = (
            (level.on_hand, level.reserved, level.unavailable, level.safety_stock) if level else (0, 0, 0, 0)
        )
        return LocationStock(code, *own, tuple(self._component(part, location_id) for part in parts))

    def _component(self, part: PastPart, location_id: int) -> ComponentStock:
        level = self.levels.get((part.variant_id, location_id))
        units = (level.available, level.safety_stock) if level else (0, 0)
        return ComponentStock(part.sku, part.quantity, *units)


def _fenced(rules: ResolvedRules, parts: Sequence[PastPart], now: Inputs) -> tuple[FencedPart, ...]:
    """Returns the parts that had pools, with what is used of the pools now."""
    pools = dict(rules.part_pools)
    uses = {part.variant_id: part.uses for part in now.fenced}
    return tuple(
        FencedPart(
            part.variant_id, part.sku, part.quantity, pools[part.variant_id], uses.get(part.variant_id, {})
        )
        for part in parts
        if part.variant_id in pools
    )


def _lines_of(reservations: Sequence[PastReservation]) -> dict[int, tuple[int, int, str]]:
    """Reads the order lines that held units."""
    ids = [line_id for each in reservations if (line_id := line_of(each.reference)) is not None]
    return {pk: (channel, variant, sold) for pk, channel, variant, sold in _rows(_LINES, lines=ids)}


def _leads_of(reservations: Sequence[PastReservation]) -> dict[int, int]:
    """Reads by which reservations kits are counted, with the units of a part that one kit takes."""
    return dict(_rows(_LEADS, reservations=[each.reservation_id for each in reservations]))


def line_of(reference: str) -> int | None:
    """Returns the id of the order line that a reference names; None where it names something else."""
    number = reference.removeprefix(_ORDER_LINE)
    return int(number) if number != reference and number.isdecimal() else None


def as_now(inputs: Inputs) -> list[str]:
    """Names what these inputs take as it is now because it is not recorded over time."""
    rules = inputs.rules
    pools = (*rules.pools, *(pool for part in inputs.fenced for pool in part.pools))
    concerned = {
        "ranks": rules.scarce_below > 0 or rules.channel_cap is not None,
        "what sells within the channel's lag": rules.velocity_quantile > 0,
        "what pools have left": any(pool.units is not None for pool in pools),
        "confirmed inbound": rules.preorder_limit > 0,
        "how often the number was raised that day": rules.daily_increases is not None,
    }
    return [words for words, is_concerned in concerned.items() if is_concerned]


def _pins_at(listing_level_ids: Collection[int], at: datetime) -> dict[int, Pinned]:
    return {
        level_id: Pinned(quantity, f"{reason} ({owner}, until {expires_at:%Y-%m-%d %H:%M} UTC)")
        for level_id, quantity, reason, owner, expires_at in _rows(
            _PINS, ids=sorted(listing_level_ids), at=at
        )
    }


def _rows(sql: str, **parameters: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows
