"""What people and systems change on a channel that runs: what it is offered, and whether it is told."""

from typing import Final

from django.db import transaction

from channels.models import Channel, ListingLevel
from channels.models.listings import Lane
from channels.pushes import WAKE_UP, mark_listing_levels
from config.notify import notify_after_commit

#: What changes every number of a channel.
EXPOSURE: Final = ("buffer_units", "buffer_percent", "minimum_exposure", "maximum_exposure", "may_split")


@transaction.atomic
def tune(channel: Channel, wanted: dict[str, object]) -> None:
    """Saves settings of a channel, and has its numbers computed anew where they may change."""
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


def tell_anew(channel: Channel) -> None:
    """Has all numbers of a channel computed again after a setting was edited."""
    levels = ListingLevel.objects.filter(channel=channel, listing__variant__isnull=False)
    mark_listing_levels(list(levels.order_by("id").values_list("id", flat=True)), lane=Lane.DECREASE)
