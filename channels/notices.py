"""What platforms tell us beside orders and numbers: listings that changed, access that ended."""

from datetime import timedelta
from typing import Final

from django.db.models import Q
from django.db.models.functions import Least, Now
from django.utils import timezone

from channels import breaker
from channels.errors import Unauthorised
from channels.events import Disconnected, ListingChanged
from channels.models import Channel, Listing, PollFeed

#: Platforms announce a product with every order; all listings are read again at most this often for it.
_LISTINGS_PAUSE: Final = timedelta(hours=1)


def note_listing_change(channel: Channel, event: ListingChanged) -> None:
    """Stops pushing a listing that is gone; has all listings read soon where an unknown one changed."""
    listings = Listing.objects.filter(
        Q(external_id=event.external_id) | Q(parent_external_id=event.external_id), channel=channel
    )
    if event.is_deleted:
        listings.update(is_active=False)
    elif not listings.exists():
        long_ago = timezone.now() - _LISTINGS_PAUSE
        feed = PollFeed.objects.filter(channel=channel, name="listings", last_polled_at__lte=long_ago)
        feed.update(next_poll_at=Least("next_poll_at", Now()))


def note_disconnected(channel: Channel, event: Disconnected) -> None:
    """Opens the channel's breaker at once: its credentials are dead already."""
    breaker.note_failure(channel.pk, Unauthorised(f"The platform ended our access: {event.reason}"))
