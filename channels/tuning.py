"""What people and systems change on a channel that runs: what it is offered, and whether it is told."""

from collections.abc import Collection
from typing import Final

from django.db import transaction

from channels import feeds
from channels.errors import InShadow
from channels.mapping import add_levels
from channels.models import Channel, ChannelLocation, Listing, ListingLevel
from channels.models.listings import Lane
from channels.pushes import WAKE_UP, mark_listing_levels
from config.jobs import wake
from config.notify import notify_after_commit

#: What changes every number of a channel.
EXPOSURE: Final = ("buffer_units", "buffer_percent", "minimum_exposure", "maximum_exposure", "may_split")


@transaction.atomic
def tune(channel: Channel, wanted: dict[str, object]) -> None:
    """Saves settings of a channel, and has its numbers computed anew where they may change.

    Raises `InShadow` where it is to be resumed: a channel in shadow goes live, with its questions answered.
    """
    if channel.in_shadow and wanted.get("is_paused") is False:
        raise InShadow
    changed = [name for name, value in wanted.items() if getattr(channel, name) != value]
    for name in changed:
        setattr(channel, name, wanted[name])
    if not changed:
        return
    channel.full_clean(exclude=["credentials", "settings", "public_id", "merchant"])
    channel.save(update_fields=changed)
    if set(changed) & set(EXPOSURE):
        tell_anew(channel)
    if not channel.is_paused and "is_paused" in changed:
        notify_after_commit(WAKE_UP)


def push_now(channel_ids: Collection[int]) -> int:
    """Has every mapped listing of channels told its number, whether or not it changed; returns how many.

    Call it outside transactions: each piece is then one of its own, so that no sale waits for all of them.
    """
    levels = ListingLevel.objects.filter(
        channel__in=channel_ids,
        channel__is_active=True,
        channel__is_paused=False,
        dead_at__isnull=True,
        listing__variant__isnull=False,
        listing__is_active=True,
    )
    ids = list(levels.order_by("id").values_list("id", flat=True))
    mark_listing_levels(ids, lane=Lane.INCREASE, read_first=True)
    return len(ids)


def poll_now(channel_ids: Collection[int]) -> None:
    """Has the orders of channels read at once."""
    feeds.ensure_feeds()
    for channel_id in channel_ids:
        feeds.ask_for_poll(channel_id)


def tell_anew(channel: Channel) -> None:
    """Has all numbers of a channel computed again after a setting was edited."""
    levels = ListingLevel.objects.filter(channel=channel, listing__variant__isnull=False)
    mark_listing_levels(list(levels.order_by("id").values_list("id", flat=True)), lane=Lane.DECREASE)


def tell_place_anew(place: ChannelLocation) -> None:
    """Has the numbers of a place told, and the orders applied that waited for it, after what is behind it was edited.

    Demands a transaction, the one that edits.
    """
    mapped = Listing.objects.filter(channel=place.channel_id, variant__isnull=False)
    add_levels(list(mapped.values_list("id", flat=True)))
    levels = ListingLevel.objects.filter(channel_location=place, listing__variant__isnull=False)
    mark_listing_levels(list(levels.order_by("id").values_list("id", flat=True)), lane=Lane.DECREASE)
    wake("channels.tasks.apply_mapped", place.channel.merchant_id)
