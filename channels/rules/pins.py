"""Pins: a person fixes the number of a shelf for a while, and answers for it."""

from datetime import datetime
from typing import Final

from django.db import connection, transaction
from django.utils import timezone

from channels.errors import RuleRefused
from channels.models import ListingLevel, Pin
from channels.models.listings import Lane
from channels.models.rules import LARGEST_COUNT
from channels.pushes import mark_listing_levels

# The shelf is locked before its pin, as by everybody who pins.
_EXPIRE: Final = """
WITH over AS (
    SELECT pin.id
    FROM channels_pin pin
    JOIN channels_listinglevel level ON level.id = pin.listing_level_id
    WHERE pin.ended_at IS NULL AND pin.expires_at <= clock_timestamp()
    ORDER BY level.id
    FOR NO KEY UPDATE OF level
)
UPDATE channels_pin pin
SET ended_at = clock_timestamp(), ended_by = 'its expiry'
FROM over
WHERE pin.id = over.id AND pin.ended_at IS NULL
RETURNING pin.listing_level_id
"""


@transaction.atomic
def pin(level: ListingLevel, quantity: int, *, reason: str, owner: str, expires_at: datetime) -> Pin:
    """Fixes the number of a shelf, in place of an earlier pin, and has it told. Raises `RuleRefused`."""
    now = timezone.now()
    if quantity < 0:
        raise RuleRefused("quantity", "A shelf cannot show less than nothing. Enter 0 or more.")
    if quantity > LARGEST_COUNT:
        raise RuleRefused("quantity", f"No shelf shows more than {LARGEST_COUNT:,}. Enter less.")
    if not reason.strip():
        raise RuleRefused("reason", "Say why the number is fixed.")
    if not owner.strip():
        raise RuleRefused("owner", "Name who answers for it.")
    if expires_at <= now:
        raise RuleRefused("expires_at", "A pin ends in the future. Choose a later instant.")
    # Two people who pin the same shelf come one after the other.
    _lock_shelf(level.pk)
    for earlier in Pin.objects.filter(listing_level=level, ended_at__isnull=True):
        _end(earlier, by=owner)
    new = Pin.objects.create(
        listing_level=level,
        quantity=quantity,
        reason=reason,
        owner=owner[:200],
        created_at=now,
        expires_at=expires_at,
    )
    mark_listing_levels([level.pk], lane=Lane.DECREASE)
    return new


@transaction.atomic
def unpin(pin_id: int, *, by: str) -> bool:
    """Ends a pin before its time, and has the number told that the rules lead to; False where it had ended."""
    _lock_shelf(Pin.objects.values_list("listing_level_id", flat=True).get(pk=pin_id))
    found = Pin.objects.filter(pk=pin_id, ended_at__isnull=True).first()
    if found is None:
        return False
    _end(found, by=by)
    mark_listing_levels([found.listing_level_id], lane=Lane.DECREASE)
    return True


def _lock_shelf(level_id: int) -> None:
    ListingLevel.objects.select_for_update(no_key=True).get(pk=level_id)


def _end(earlier: Pin, *, by: str) -> None:
    earlier.ended_at, earlier.ended_by = timezone.now(), by[:200]
    earlier.save()


@transaction.atomic
def expire_pins() -> int:
    """Ends pins whose time is over and has their shelves told; returns how many. Called every minute.

    A pin counts no more from the instant it expires; this tells the shops so.
    """
    with connection.cursor() as cursor:
        cursor.execute(_EXPIRE)
        levels = [level_id for (level_id,) in cursor.fetchall()]
    mark_listing_levels(levels, lane=Lane.DECREASE)
    return len(levels)
