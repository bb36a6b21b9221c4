"""Brings an account of a platform in, step by step: tested, its places and listings read, told nothing until it goes live."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from channels import feeds
from channels.accounts import checked_settings, open_connector
from channels.baseline import read_shelves
from channels.connectors import connector_class
from channels.connectors.base import Connector
from channels.errors import ChannelError, InShadow, Misconfigured
from channels.importing import ImportReport, import_channel
from channels.matching import find_matches
from channels.models import (
    Channel,
    ChannelLocation,
    ChannelLocationSource,
    Listing,
    ListingMatch,
    Onboarding,
)
from channels.subscriptions import register
from channels.tuning import tell_place_anew
from channels.warehouses.authorities import give_say
from config.notify import notify_after_commit
from inventory.models import Location, Merchant
from inventory.models.catalogue import LocationKind


@dataclass(slots=True)
class Findings:
    """What a platform says of itself, and how far its listings are known."""

    shop: str
    #: Their place → our locations behind it, in the order in which they are drawn on.
    places: dict[str, list[str]] = field(default_factory=dict)
    #: Bucket → calls (or points) at once, and a second, as assumed until its answers say better.
    limits: dict[str, tuple[float, float]] = field(default_factory=dict)
    report: ImportReport = field(default_factory=ImportReport)
    mapped: int = 0
    suggested: int = 0
    unmapped: int = 0


@sensitive_variables()
def draft(
    merchant: Merchant, kind: str, name: str, settings: Mapping[str, Any], credentials: Mapping[str, str]
) -> Channel:
    """Creates a paused channel, and keeps it only if the platform answers; one of that name is taken up where it was left.

    Raises `ChannelError`, naming what is missing.
    """
    connector = connector_class(kind)
    known = Channel.objects.filter(merchant=merchant, name=name).first()
    if known is not None:
        if known.kind != kind:
            raise Misconfigured(f"{name} is a channel of {known.kind} already: choose another name.")
        if settings or credentials:
            raise Misconfigured(f"{name} exists: change its settings and credentials on its page.")
        return known
    unknown = sorted(set(credentials) - {each.name for each in connector.credential_fields})
    if unknown:
        raise Misconfigured(f"{connector.label} has no credential named {', '.join(unknown)}.")
    checked_settings(connector, settings)
    channel = Channel.objects.create(
        merchant=merchant,
        name=name,
        kind=kind,
        is_paused=True,
        settings=dict(settings),
        credentials=dict(credentials),  # type: ignore[misc]
    )
    try:
        open_connector(channel).check()
    except ChannelError:
        channel.delete()
        raise
    feeds.ensure_feeds()
    return channel


def look(channel: Channel) -> Findings:
    """Reads what the platform has and maps what is known by its SKU. Raises `ChannelError`."""
    connector = open_connector(channel)
    findings = Findings(connector.check())
    findings.report = import_channel(channel, connector, match=find_matches)
    findings.limits = {
        name: (limit.capacity, limit.refill_per_second) for name, limit in connector.rate_limits.items()
    }
    _note_test(channel, findings)
    findings.places = _places(channel)
    listings = Listing.objects.filter(channel=channel, is_active=True)
    findings.mapped = listings.filter(variant__isnull=False).count()
    findings.unmapped = listings.filter(variant__isnull=True).count()
    findings.suggested = ListingMatch.objects.filter(
        listing__channel=channel, listing__variant__isnull=True
    ).count()
    return findings


def _note_test(channel: Channel, findings: Findings) -> None:
    """Has the channel's onboarding page know that its credentials work."""
    said = {"shop": findings.shop[:300], "limits": findings.limits, "problem": ""}
    tested = {"tested_at": timezone.now(), "tested_by": "command line"}
    Onboarding.objects.update_or_create(channel=channel, defaults={**said, **tested})


def _places(channel: Channel) -> dict[str, list[str]]:
    if connector_class(channel.kind).capabilities.keeps_stock:
        rows = ChannelLocation.objects.filter(channel=channel).order_by("id")
        says = rows.values_list("external_id", "authority__location__code")
        return {place: [code] if code else [] for place, code in says}
    places = ChannelLocation.objects.filter(channel=channel, is_active=True).order_by("id")
    sources = ChannelLocationSource.objects.filter(channel_location__in=places, is_active=True)
    found: dict[str, list[str]] = {place.external_id: [] for place in places}
    pairs = sources.order_by("priority", "id").values_list("channel_location__external_id", "location__code")
    for place, code in pairs:
        found[place].append(code)
    return found


def put_behind(channel: Channel, place: str, codes: Sequence[str]) -> None:
    """Puts our locations behind a place of the platform, in the order in which they are to be drawn on.

    A place of a warehouse gets the say over one location. Raises `Misconfigured`, naming what there is instead.
    """
    found = ChannelLocation.objects.filter(channel=channel, external_id=place).first()
    if found is None:
        known = ChannelLocation.objects.filter(channel=channel).values_list("external_id", flat=True)
        raise Misconfigured(
            f"{channel.name} has no place {place!r}. It has: {', '.join(map(repr, known)) or 'none'}."
        )
    locations = {each.code: each for each in Location.objects.filter(merchant=channel.merchant_id)}
    unknown = [code for code in codes if code not in locations]
    if unknown:
        raise Misconfigured(
            f"There is no location {', '.join(unknown)}. There are: {', '.join(sorted(locations)) or 'none'}."
        )
    if connector_class(channel.kind).capabilities.keeps_stock:
        if len(codes) != 1:
            raise Misconfigured(
                f"{channel.name} has the say over one location for each of its places: name one."
            )
        give_say(locations[codes[0]], found)
        return
    taken = ChannelLocationSource.objects.filter(
        location__in=[locations[code] for code in codes], location__kind=LocationKind.CHANNEL_OWNED
    ).exclude(channel_location__channel=channel)
    for source in taken.select_related("location", "channel_location"):
        raise Misconfigured(f"{source.location} is another channel's own warehouse.")
    with transaction.atomic():
        for priority, code in enumerate(codes):
            ChannelLocationSource.objects.update_or_create(
                channel_location=found,
                location=locations[code],
                defaults={"priority": priority, "is_active": True},
            )
        tell_place_anew(found)


def go_live(channel: Channel) -> int:
    """Reads what its shelves show, subscribes to its webhooks where we can, and begins to tell it numbers.

    Returns how many shelves were right already. Raises `InShadow` for a channel in shadow, which goes live by
    `channels.shadow.going_live`, `Misconfigured` where no place of it has a location of ours, else `ChannelError`.
    """
    if channel.in_shadow:
        raise InShadow(
            f"{channel.name} is in shadow mode: `shadow go-live`, or its onboarding page, takes it live."
        )
    connector = open_connector(channel)
    keeps_stock = connector.capabilities.keeps_stock
    if not any(_places(channel).values()):
        lacks = "the say over a location of yours" if keeps_stock else "a location of yours behind it"
        raise Misconfigured(f"No place of {channel.name} has {lacks}: map one first.")
    right = 0 if keeps_stock else read_shelves(channel, connector)
    if connector.capabilities.manages_subscriptions:
        register(channel, connector)
    Channel.objects.filter(pk=channel.pk).update(is_paused=False, is_active=True)
    notify_after_commit("onecount_push")
    return right


def label_of(kind: type[Connector]) -> str:
    """Returns the connector's name with what it asks for, for a person; what need not be given is in brackets."""
    settings = [name if default is ... else f"[{name}]" for name, default in kind.settings_schema.items()]
    secrets = [each.name if each.is_required else f"[{each.name}]" for each in kind.credential_fields]
    return f"{kind.kind} ({kind.label}): settings {', '.join(settings) or 'none'}; credentials {', '.join(secrets)}"
