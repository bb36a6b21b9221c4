"""What may be promised by a day: what is available, and what is to come, less what is promised and owed already.

To come are confirmed lines of purchase orders and transfers under way that have a day. Only the former are promised to
backorders; the latter are the merchant's own goods, in nobody's hands for a while. Of kits it is the largest number whose
parts can be promised (`kit_promises`); what `inventory.kit_backorders` would promise of them is `kits_to_come`.

All numbers are in base units, and read for many variants in one statement, two more where kits are among them. Places that
a platform draws on alone, and places that are switched off, do not count unless they are asked for.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from django.db import connection
from django.utils import timezone

from inventory.eta import LeadTime, eta_text
from inventory.holds import OWED_CAUSES
from inventory.kit_promises import PartAtPlace, Parts, by_day, kits_at
from inventory.models import Variant
from inventory.models.catalogue import LocationKind
from inventory.promise_statements import ARRIVALS, BY_DAY, BY_LOCATION, KIT_PARTS, PROMISABLE


@dataclass(frozen=True, slots=True)
class Promisable:
    """What may be promised of one variant by a day, and what it is made of."""

    variant_id: int
    #: Units that may be reserved now.
    available: int = 0
    #: Units confirmed to arrive by the day; those that are overdue do not count.
    confirmed: int = 0
    #: Units of these that are promised to backorders.
    promised: int = 0
    #: Units of open shortages, those of kits that take them included: they get the first goods that come.
    owed: int = 0
    #: Units of transfers under way that are expected by the day.
    in_transit: int = 0

    @property
    def inbound(self) -> int:
        """Units confirmed by suppliers that may be promised to a backorder; never negative."""
        return max(self.confirmed - self.promised - self.owed, 0)

    @property
    def coming(self) -> int:
        """Units to come that nobody is promised or owed; never negative, for what is owed takes nothing from stock."""
        return max(self.confirmed - self.promised + self.in_transit - self.owed, 0)

    @property
    def units(self) -> int:
        """Units available to promise."""
        return self.available + self.coming


@dataclass(frozen=True, slots=True)
class Arrival:
    """A day on which goods of a variant are confirmed, or expected from another place."""

    variant_id: int
    on: date
    confirmed: int
    promised: int
    in_transit: int = 0

    @property
    def free(self) -> int:
        """Units that nobody is promised."""
        return self.confirmed - self.promised + self.in_transit


#: Later than any goods are confirmed for.
ALWAYS: Final = date.max


def available_to_promise(variant: Variant, by: date, *, location_id: int | None = None) -> int:
    """Returns the units of a variant that may be promised for a day, at one location or at all."""
    places = None if location_id is None else [location_id]
    return promisable(variant.merchant_id, [variant.pk], by, location_ids=places)[variant.pk].units


def promisable(
    merchant_id: int,
    variant_ids: Collection[int],
    by: date,
    *,
    location_ids: Collection[int] | None = None,
) -> dict[int, Promisable]:
    """Returns what may be promised of each of these variants for a day, together at these locations."""
    rows = _read(PROMISABLE, merchant_id, variant_ids, by, location_ids)
    found = {row[0]: Promisable(*row[:-1]) for row in rows}
    if kits := [row[0] for row in rows if row[-1]]:
        for (variant_id, _), each in _kits_by_place(merchant_id, kits, by, location_ids).items():
            found[variant_id] = _sum(found[variant_id], each)
    return found


def promisable_by_location(
    merchant_id: int, variant_ids: Collection[int], by: date
) -> dict[tuple[int, int], Promisable]:
    """Returns what may be promised for a day by (variant, location), where there is anything; kits are left out.

    What is owed and may be served from several places is taken off at each: the numbers must not be added up.
    """
    rows = _read(BY_LOCATION, merchant_id, variant_ids, by, None)
    return {
        (variant_id, location_id): Promisable(variant_id, *units) for variant_id, location_id, *units in rows
    }


def kits_by_location(
    merchant_id: int, variant_ids: Collection[int], by: date
) -> dict[tuple[int, int], Promisable]:
    """Returns how many of these kits may be promised for a day by (kit, location), where there are any; two statements."""
    return _kits_by_place(merchant_id, variant_ids, by, None)


def _sum(one: Promisable, other: Promisable) -> Promisable:
    return Promisable(
        one.variant_id,
        one.available + other.available,
        one.confirmed + other.confirmed,
        in_transit=one.in_transit + other.in_transit,
    )


def _kits_by_place(
    merchant_id: int, kit_ids: Collection[int], by: date, location_ids: Collection[int] | None
) -> dict[tuple[int, int], Promisable]:
    """Returns how many kits may be promised by place; what is confirmed and in transit are the kits that it adds."""
    parts = _parts_of(merchant_id, kit_ids)
    shelf = _shelf(merchant_id, parts, by, location_ids)
    found = {}
    for kit, made_of in parts.items():
        for place in sorted({place for _, place in shelf}):
            now = kits_at(made_of, shelf, place, None)
            ordered = kits_at(made_of, shelf, place, by, with_transit=False)
            units = kits_at(made_of, shelf, place, by)
            if units:
                found[kit, place] = Promisable(kit, now, ordered - now, in_transit=units - ordered)
    return found


def _parts_of(merchant_id: int, kit_ids: Collection[int]) -> dict[int, list[tuple[int, int]]]:
    parts: dict[int, list[tuple[int, int]]] = {}
    for kit, part, per_kit in _read(KIT_PARTS, merchant_id, kit_ids, ALWAYS, None):
        parts.setdefault(kit, []).append((part, per_kit))
    return parts


def _shelf(
    merchant_id: int, parts: Mapping[int, Parts], by: date, location_ids: Collection[int] | None
) -> dict[tuple[int, int], PartAtPlace]:
    """Reads what of these kits' parts is at each place, and when more comes."""
    wanted = {part for made_of in parts.values() for part, _ in made_of}
    shelf: defaultdict[tuple[int, int], PartAtPlace] = defaultdict(PartAtPlace)
    rows = _read(BY_DAY, merchant_id, wanted, by, location_ids) if wanted else []
    for variant_id, place, day, available, confirmed, promised, owed, in_transit in rows:
        each = shelf[variant_id, place]
        each.available += available
        each.owed += owed
        if day is not None:
            each.confirmed[day] += confirmed - promised
            each.in_transit[day] += in_transit
    return shelf


def open_inbound(
    merchant_id: int,
    variant_ids: Collection[int],
    until: date,
    *,
    location_ids: Collection[int] | None = None,
) -> dict[int, int]:
    """Returns, for each variant that has any, the units confirmed by suppliers until a day that nobody is promised or owed."""
    found = promisable(merchant_id, variant_ids, until, location_ids=location_ids)
    return {variant_id: each.inbound for variant_id, each in found.items() if each.inbound}


def arrivals(
    merchant_id: int,
    variant_ids: Collection[int],
    by: date = ALWAYS,
    *,
    location_ids: Collection[int] | None = None,
) -> list[Arrival]:
    """Returns the days on which goods of these variants come, in order of variant and day; one statement. Not of kits."""
    return [Arrival(*row) for row in _read(ARRIVALS, merchant_id, variant_ids, by, location_ids)]


def first_arrivals(
    merchant_id: int, variant_ids: Collection[int], *, location_ids: Collection[int] | None = None
) -> dict[int, date]:
    """Returns, for each variant that has any, the first day for which a unit, or a kit, to come may be promised."""
    found = promisable(merchant_id, variant_ids, ALWAYS, location_ids=location_ids)
    owed = {variant_id: each.owed for variant_id, each in found.items()}
    first: dict[int, date] = {}
    for arrival in arrivals(merchant_id, variant_ids, location_ids=location_ids):
        owed[arrival.variant_id] -= arrival.free
        if owed[arrival.variant_id] < 0:
            first.setdefault(arrival.variant_id, arrival.on)
    for kit, days in kits_by_day(merchant_id, variant_ids, location_ids=location_ids).items():
        if len(days) > 1 and (day := days[1][0]) is not None:
            first[kit] = day
    return first


def kits_by_day(
    merchant_id: int, variant_ids: Collection[int], *, location_ids: Collection[int] | None = None
) -> dict[int, list[tuple[date | None, int]]]:
    """Returns, of those that are kits, how many may be promised now (None) and by each day by which it is more."""
    parts = _parts_of(merchant_id, variant_ids)
    shelf = _shelf(merchant_id, parts, ALWAYS, location_ids)
    return {kit: by_day(made_of, shelf) for kit, made_of in parts.items()}


def kits_to_come(
    merchant_id: int, kit_id: int, *, location_ids: Collection[int] | None = None, besides: int = 0
) -> list[tuple[date, int]]:
    """Returns how many further kits may be promised to a backorder, by each day by which it is more; without transfers.

    `besides` of the kits that are owed do not count: they are owed to whoever asks.
    """
    made_of = _parts_of(merchant_id, [kit_id]).get(kit_id)
    if not made_of:
        return []
    shelf = _shelf(merchant_id, {kit_id: made_of}, ALWAYS, location_ids)
    per_kit = dict(made_of)
    for (part, _), each in shelf.items():
        each.in_transit.clear()
        each.owed = max(each.owed - besides * per_kit[part], 0)
    (_, now), *later = by_day(made_of, shelf)
    return [(day, kits - now) for day, kits in later if day is not None]


def kits_offered(
    merchant_id: int, variant_ids: Collection[int], by: date, places: Collection[tuple[int, ...]]
) -> dict[tuple[int, tuple[int, ...]], int]:
    """Returns the kits to come by a day that may be promised, by variant and set of places; one statement, two with kits."""
    parts = _parts_of(merchant_id, variant_ids)
    if not parts:
        return {}
    shelf = _shelf(merchant_id, parts, by, {place for each in places for place in each})
    return {
        (kit, each): sum(_further(made_of, shelf, place, by) for place in each)
        for kit, made_of in parts.items()
        for each in places
    }


def _further(made_of: Parts, shelf: Mapping[tuple[int, int], PartAtPlace], place: int, by: date) -> int:
    """Returns the kits that may be promised at a place beyond those that can be held there now."""
    return kits_at(made_of, shelf, place, by, with_transit=False) - kits_at(made_of, shelf, place, None)


def eta_texts(
    merchant_id: int,
    variant_ids: Collection[int],
    lead_time: LeadTime,
    *,
    location_ids: Collection[int] | None = None,
) -> dict[int, str]:
    """Returns what a listing of each of these variants says of when it arrives, e.g. "within 2 to 4 days"."""
    today = timezone.localdate()
    first = first_arrivals(merchant_id, variant_ids, location_ids=location_ids)
    return {
        variant_id: eta_text(each.available, first.get(variant_id), lead_time=lead_time, today=today)
        for variant_id, each in promisable(merchant_id, variant_ids, today, location_ids=location_ids).items()
    }


def _read(
    sql: str, merchant_id: int, variant_ids: Collection[int], by: date, location_ids: Collection[int] | None
) -> list[Any]:
    parameters: dict[str, Any] = {
        "merchant": merchant_id,
        "variants": sorted(set(variant_ids)),
        "places": None if location_ids is None else sorted(location_ids),
        "channel_owned": LocationKind.CHANNEL_OWNED.value,
        "today": timezone.localdate(),
        "by": by,
        "causes": list(OWED_CAUSES),
    }
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        rows: list[Any] = cursor.fetchall()
    return rows
