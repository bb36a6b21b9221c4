"""Notes when a channel was last heard of, without a row that every message has to lock."""

import time
from datetime import timedelta
from typing import Final

from django.db import DatabaseError, transaction
from django.db.models import Q
from django.utils import timezone

from channels.models import ChannelHealth

#: `last_webhook_at` is at most this much behind.
RESOLUTION: Final = timedelta(seconds=1)

_noted_at: dict[int, float] = {}


def note_webhook(channel_id: int) -> None:
    """Notes that a webhook came, once a second at most. Never fails: the message is stored already."""
    now = time.monotonic()
    if now - _noted_at.get(channel_id, -1e9) < RESOLUTION.total_seconds():
        return
    _noted_at[channel_id] = now
    try:
        with transaction.atomic():
            _write(channel_id)
    except DatabaseError:
        _noted_at.pop(channel_id, None)


def _write(channel_id: int) -> None:
    now = timezone.now()
    is_old = Q(last_webhook_at__isnull=True) | Q(last_webhook_at__lt=now - RESOLUTION)
    health = ChannelHealth.objects.filter(channel_id=channel_id)
    if not health.filter(is_old).update(last_webhook_at=now):
        new = ChannelHealth(channel_id=channel_id, last_webhook_at=now)
        ChannelHealth.objects.bulk_create([new], ignore_conflicts=True)
