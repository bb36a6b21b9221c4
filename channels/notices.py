"""What platforms tell us beside orders and numbers: listings that changed, access that ended."""

from collections.abc import Collection, Iterable
from datetime import timedelta
from typing import Final

from django.db.models import F, Q, QuerySet
from django.db.models.functions import Greatest, Least, Now

from channels import breaker
from channels.errors import Unauthorised
from channels.events import Disconnected, ListingChanged
from channels.feeds import LISTINGS
from channels.importing import retire
from channels.models import Channel, Listing, PollFeed
from channels.models.error_log import ErrorJob

#: Platforms announce a product with every order; all listings are read again at most this often for it.
_LISTINGS_PAUSE: Final = timedelta(hours=1)


def note_listing_changes(changes: Iterable[tuple[Channel, ListingChanged]]) -> None:
    """Stops pushing listings that are gone; has listings read soon where one changed that is not known as sold."""
    by_channel: dict[Channel, dict[str, bool]] = {}
    for channel, event in changes:
        gone = by_channel.setdefault(channel, {})
        gone[event.external_id] = event.is_deleted  # the last word of each counts
    for channel, gone in sorted(by_channel.items(), key=lambda entry: entry[0].pk):
        deleted = [external_id for external_id, is_deleted in gone.items() if is_deleted]
        if deleted:
            retire(channel.merchant_id, list(_named(channel, deleted).values_list("id", flat=True)))
        changed = gone.keys() - set(deleted)
        if changed - _known(channel, changed):
            _read_listings_soon(channel)


def _named(channel: Channel, external_ids: Collection[str]) -> QuerySet[Listing]:
    """Returns the listings of these ids, and those below a parent product of these ids."""
    is_named = Q(external_id__in=external_ids) | Q(parent_external_id__in=external_ids)
    return Listing.objects.filter(is_named, channel=channel)


def _known(channel: Channel, external_ids: Collection[str]) -> set[str]:
    if not external_ids:
        return set()
    pairs = (
        _named(channel, external_ids).filter(is_active=True).values_list("external_id", "parent_external_id")
    )
    return {external_id for pair in pairs for external_id in pair}


def _read_listings_soon(channel: Channel) -> None:
    feed = PollFeed.objects.filter(channel=channel, name=LISTINGS, last_polled_at__isnull=False)
    feed.update(next_poll_at=Least("next_poll_at", Greatest(F("last_polled_at") + _LISTINGS_PAUSE, Now())))


def note_disconnected(channel: Channel, event: Disconnected) -> None:
    """Opens the channel's breaker at once: its credentials are dead already."""
    error = Unauthorised(f"The platform ended our access: {event.reason}")
    breaker.note_failure(channel.pk, error, job=ErrorJob.DELIVERY)
