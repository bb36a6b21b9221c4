"""Which of our locations an order line may be taken from."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from django.db import connection

from channels.models import Channel, ChannelLocation
from inventory.routing import Site


@dataclass(frozen=True, slots=True)
class Source:
    """One of our locations behind a place, and how early it is drawn on; lower is earlier."""

    site: Site
    priority: int


@dataclass(frozen=True, slots=True)
class Place:
    """A channel location with our locations behind it, in the order in which they are drawn on."""

    id: int
    external_id: str
    is_active: bool
    sources: tuple[Source, ...]

    @property
    def location_ids(self) -> tuple[int, ...]:
        """Our locations that serve it, in order of preference."""
        return tuple(source.site.location_id for source in self.sources)


@dataclass(frozen=True, slots=True)
class Places:
    """All places of one channel."""

    places: Sequence[Place]
    _by_id: dict[int, Place] = field(init=False, default_factory=dict)
    _by_external_id: dict[str, Place] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._by_id.update((place.id, place) for place in self.places)
        self._by_external_id.update((place.external_id, place) for place in self.places)

    def id_of(self, external_id: str) -> int | None:
        """Returns our id of the place that the platform names; None where it names none."""
        return self._by_external_id[external_id].id if external_id else None

    def location_ids(self, place_id: int | None) -> tuple[int, ...]:
        """Returns our locations for a line, in order of preference; empty where nothing is mapped yet.

        A line of a named place is served from that place alone: stock behind another one is not what was
        sold.
        """
        if place_id is not None:
            return self._by_id[place_id].location_ids
        sources = [source for place in self.places if place.is_active for source in place.sources]
        ordered = sorted(sources, key=lambda source: source.priority)
        return tuple(dict.fromkeys(source.site.location_id for source in ordered))

    def taking_back(self, external_id: str) -> tuple[int, ...]:
        """Returns our locations behind the place that the platform says takes units back; empty for none that we know."""
        place = self._by_external_id.get(external_id)
        return () if place is None else place.location_ids

    @property
    def sites(self) -> tuple[Site, ...]:
        """What routing has to know of our locations behind all places."""
        return tuple(dict.fromkeys(source.site for place in self.places for source in place.sources))

    def only_active_id(self) -> int | None:
        """Returns the channel's one active place; None where it has several or none."""
        active = [place.id for place in self.places if place.is_active]
        return active[0] if len(active) == 1 else None

    def unknown(self, external_ids: Iterable[str]) -> list[str]:
        """Returns the platform's ids of places that we have not seen yet."""
        return sorted({each for each in external_ids if each and each not in self._by_external_id})


def places_of(channel: Channel, external_ids: Iterable[str] = ()) -> Places:
    """Reads the channel's places, after adding those of `external_ids` that are new, for a person to map."""
    places = _read_places(channel)
    missing = places.unknown(external_ids)
    if not missing:
        return places
    new = [ChannelLocation(channel=channel, external_id=each, name=each) for each in missing]
    ChannelLocation.objects.bulk_create(new, ignore_conflicts=True)
    return _read_places(channel)


_PLACES: Final = """
SELECT place.id, place.external_id, place.is_active, serving.priority,
       serving.location_id, serving.country, serving.daily_orders, serving.daily_units
FROM channels_channellocation place
LEFT JOIN (
    SELECT source.id, source.channel_location_id, source.priority, source.location_id,
           location.country, location.daily_orders, location.daily_units
    FROM channels_channellocationsource source
    JOIN inventory_location location ON location.id = source.location_id
    WHERE source.is_active AND location.is_active
) serving ON serving.channel_location_id = place.id
WHERE place.channel_id = %s
ORDER BY place.id, serving.priority, serving.id
"""


def _read_places(channel: Channel) -> Places:
    with connection.cursor() as cursor:
        cursor.execute(_PLACES, [channel.pk])
        rows = cursor.fetchall()
    found: dict[tuple[int, str, bool], list[Source]] = {}
    for place_id, external_id, is_active, priority, *site in rows:
        sources = found.setdefault((place_id, external_id, is_active), [])
        if priority is not None:
            sources.append(Source(Site(*site), priority))
    return Places([Place(*head, tuple(sources)) for head, sources in found.items()])
