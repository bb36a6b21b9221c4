"""Who has the say over what lies at a location: given, taken away, looked up.

While a channel has it, its free stock drives the ledger there, and requests to that location go to it. What people count,
adjust or move there is recorded as everywhere, and stands until the warehouse is read again: then its number counts. Once the
say is taken away the ledger keeps what it holds, and people answer the requests.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from django.db import transaction

from channels.connectors import CONNECTORS
from channels.errors import Misconfigured
from channels.feeds import KEEPING, ask_for_poll
from channels.models import Authority, Channel, ChannelLocation
from inventory.models import Location
from inventory.models.catalogue import LocationKind

#: Where a platform counts its own, and where nobody counts.
_NEVER_KEPT = (LocationKind.CHANNEL_OWNED, LocationKind.IN_TRANSIT)


@dataclass(frozen=True, slots=True)
class Kept:
    """One location and the place at the warehouse whose numbers count there."""

    authority_id: int
    location_id: int
    place_external_id: str


def keeps_stock(kind: str) -> bool:
    """Tells whether channels of a kind can have the say over a location."""
    return kind in CONNECTORS and CONNECTORS[kind].capabilities.keeps_stock


def keeping_kinds() -> list[str]:
    """Returns the kinds of channels that can have the say over a location."""
    return [kind for kind in CONNECTORS if keeps_stock(kind)]


def shipping_kinds() -> list[str]:
    """Returns the kinds of channels that ship what they are asked to."""
    return [kind for kind, connector in CONNECTORS.items() if connector.capabilities.takes_requests]


def refusal(location: Location, place: ChannelLocation) -> tuple[str, str] | None:
    """Returns the field and the sentence that speak against giving a place the say over a location; None: nothing does."""
    channel = place.channel
    if not keeps_stock(channel.kind):
        return "place", f"{channel} is no warehouse or ERP: choose a place of one that is."
    if location.merchant_id != channel.merchant_id:
        return "location", f"{location} belongs to another merchant than {channel}."
    if location.kind in _NEVER_KEPT:
        return "location", f"{location} is no place of yours: choose a warehouse, store or 3PL."
    others = Authority.objects.exclude(location=location, place=place)
    if others.filter(location=location).exists():
        return "location", f"Somebody has the say over {location} already; take it away first."
    if others.filter(place=place).exists():
        return "place", f"The numbers of {place} count at another location already."
    return None


@transaction.atomic
def give_say(location: Location, place: ChannelLocation) -> Authority:
    """Gives a warehouse's place the say over a location; its goods are read at once. Raises `Misconfigured`."""
    if (found := refusal(location, place)) is not None:
        raise Misconfigured(found[1])
    authority, _ = Authority.objects.get_or_create(location=location, defaults={"place": place})
    ask_for_poll(place.channel_id, KEEPING)
    return authority


def kept_by(channel: Channel) -> list[Kept]:
    """Returns the locations that a channel has the say over."""
    rows = Authority.objects.filter(place__channel=channel, location__is_active=True).order_by("id")
    return [Kept(*row) for row in rows.values_list("id", "location_id", "place__external_id")]


def answered_by_warehouse(location_ids: Collection[int]) -> set[int]:
    """Returns those of these locations whose warehouse answers requests itself."""
    rows = Authority.objects.filter(
        location__in=location_ids, place__channel__kind__in=shipping_kinds(), place__channel__is_active=True
    )
    return set(rows.values_list("location_id", flat=True))


def place_named(channel: Channel, external_id: str) -> ChannelLocation:
    """Returns a place of a channel. Raises `Misconfigured`, naming what there is instead."""
    places: Sequence[ChannelLocation] = list(ChannelLocation.objects.filter(channel=channel))
    for place in places:
        if place.external_id == external_id:
            return place
    known = ", ".join(repr(place.external_id) for place in places) or "none"
    raise Misconfigured(f"{channel.name} has no place {external_id!r}. It has: {known}.")
