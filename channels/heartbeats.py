"""Shows in the database that the resident processes do their work, whichever machine they run on."""

import time
from typing import Final

from django.db import connection

PUSHER: Final = "pusher"
JOBS: Final = "jobs"
RECONCILER: Final = "reconciler"
WEBHOOKS: Final = "webhooks"
#: Seconds between two beats of a process; more often nothing is written.
INTERVAL: Final = 10.0

_BEAT: Final = """
INSERT INTO channels_heartbeat AS kept (name, beat_at) VALUES (%s, clock_timestamp())
ON CONFLICT (name) DO UPDATE SET beat_at = greatest(kept.beat_at, excluded.beat_at)
"""

_beat_at: dict[str, float] = {}


def beat(name: str) -> None:
    """Notes that the process of this name works, every ten seconds at most."""
    now = time.monotonic()
    if now - _beat_at.get(name, -INTERVAL) < INTERVAL:
        return
    with connection.cursor() as cursor:
        cursor.execute(_BEAT, [name])
    _beat_at[name] = now


def forget_beats() -> None:
    """Has the next beat of every process written down."""
    _beat_at.clear()
