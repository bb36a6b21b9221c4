"""Units that wholesale buyers have held for them until they order: offered, held, then ordered, released or expired."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from channels.buyers import KIND, NotOffered, skus_of, take_turns, variant_ids
from channels.connectors.messages import read_count, read_id, read_instant, read_objects
from channels.errors import BadMessage
from channels.models import Channel
from channels.offers import offered_units
from channels.rules.pools import note_hold
from channels.sourcing import serving_ids
from inventory import reservations
from inventory.ledger import Context
from inventory.models import Reservation
from inventory.reservations import Demand, ReservedUnits

#: Nobody holds goods for longer without ordering them.
LONGEST_HOLD: Final = timedelta(days=7)
MOST_LINES: Final = 200
_LONGEST_REFERENCE: Final = 60


def hold(channel: Channel, asked: Mapping[str, Any]) -> dict[str, int]:
    """Holds what is asked for (`reference`, `expires_at`, `lines`), all of it or nothing; returns units by SKU.

    Asked again, the first answer stands. Raises `BadMessage`, `NotOffered`, and what `inventory.reservations.reserve` raises.
    """
    reference, expires_at, wanted = _read(asked)
    name, places = _name(channel, reference), serving_ids(channel)
    with transaction.atomic():
        take_turns(channel.merchant_id)
        if not _rows(channel, reference).exists():
            _check_offer(channel, wanted)
        ids = variant_ids(channel, wanted)
        demands = [Demand(name, ids[sku], units, places) for sku, units in sorted(wanted.items())]
        reservations.reserve(_context(channel, reference, "hold"), demands, expires_at=expires_at)
        note_hold(channel, name)
    return held(channel, reference)


def release(channel: Channel, reference: str) -> None:
    """Gives back what is held under a reference; nothing where nothing is."""
    if units := _held_units(channel, reference):
        reservations.release(_context(channel, reference, "release"), units)


@contextmanager
def handed_over(channel: Channel, reference: str) -> Iterator[None]:
    """Leaves what is held under a reference to the order that is placed inside, before anybody who is owed units.

    What the order leaves of it goes to them. In one transaction with the order; nothing where nothing is held.
    """
    take_turns(channel.merchant_id)
    units = _held_units(channel, reference) if reference else []
    if units:
        reservations.give_up(_context(channel, reference, "release"), units)
    yield
    if units:
        reservations.offer(_context(channel, reference, "offer"), [each.reservation_id for each in units])


def _held_units(channel: Channel, reference: str) -> list[ReservedUnits]:
    rows = _rows(channel, reference).filter(open_quantity__gt=0).order_by("id")
    return [ReservedUnits(pk) for pk in rows.values_list("pk", flat=True)]


def held(channel: Channel, reference: str) -> dict[str, int]:
    """Returns the units that are still held under a reference, by SKU."""
    rows = _rows(channel, reference).filter(open_quantity__gt=0, expires_at__gt=timezone.now())
    # Of a kit every part is held; the first of them stands for the kits.
    first = rows.filter(Q(lead__isnull=True) | Q(lead=F("id")))
    units = Counter[int]()
    for variant_id, kit_id, quantity, per_kit in first.values_list(
        "variant_id", "bundle__variant_id", "open_quantity", "per_bundle"
    ):
        units[kit_id or variant_id] += quantity // (per_kit or 1)
    names = skus_of(channel, units)
    return {names[variant_id]: each for variant_id, each in units.items()}


def _read(asked: Mapping[str, Any]) -> tuple[str, datetime, dict[str, int]]:
    reference = read_id(asked, "reference")
    if len(reference) > _LONGEST_REFERENCE or "/" in reference:
        raise BadMessage(f"reference is longer than {_LONGEST_REFERENCE} characters, or holds a slash.")
    expires_at, now = read_instant(asked, "expires_at"), timezone.now()
    if not now < expires_at <= now + LONGEST_HOLD:
        raise BadMessage(f"expires_at has to lie within the next {LONGEST_HOLD.days} days.")
    wanted: Counter[str] = Counter()
    for line in read_objects(asked, "lines"):
        wanted[read_id(line, "sku")] += read_count(line, "quantity")
    if not 1 <= len(wanted) <= MOST_LINES or not all(wanted.values()):
        raise BadMessage(f"lines names 1 to {MOST_LINES} SKUs, and at least one unit of each.")
    return reference, expires_at, dict(wanted)


def _check_offer(channel: Channel, wanted: Mapping[str, int]) -> None:
    ids = variant_ids(channel, wanted)
    offered = offered_units(channel.pk, ids.values())
    short = {
        sku: offered.get(ids.get(sku, 0), 0)
        for sku, units in wanted.items()
        if units > offered.get(ids.get(sku, 0), 0)
    }
    if short:
        raise NotOffered(short)


def _name(channel: Channel, reference: str) -> str:
    """Returns what the demands of a hold are called."""
    return f"{KIND}:{channel.pk}:{reference}"


def _rows(channel: Channel, reference: str) -> QuerySet[Reservation]:
    return Reservation.objects.filter(merchant=channel.merchant_id, reference=_name(channel, reference))


def _context(channel: Channel, reference: str, what: str) -> Context:
    key = f"{KIND}:{channel.pk}:{what}:{reference}"
    return Context(channel.merchant_id, key, actor=channel.name, source=KIND, document=reference)
