"""Forgets what is old: deliveries, observations, the push log and the error log, a small piece at a time.

The newest push of a listing level stays for ever, so that it can always be said what a channel was told last.
"""

from datetime import datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.db import connection
from django.utils import timezone

#: Rows looked at in one statement, each of which commits by itself.
PIECE: Final = 5000

# Ids grow with time, so that the oldest rows come first and none but them is read.
_OLDEST: Final = """
WITH piece AS (
    SELECT id FROM {table} WHERE id > %s ORDER BY id LIMIT %s
), gone AS (
    DELETE FROM {table} old
    USING piece
    WHERE old.id = piece.id AND old.{stamp} < %s AND {may_go}
    RETURNING old.id
), youngest AS (
    SELECT max(id) AS id FROM piece
)
SELECT (SELECT count(*) FROM gone), youngest.id,
       (SELECT {stamp} FROM {table} WHERE {table}.id = youngest.id)
FROM youngest
"""

_IS_DONE: Final = "old.state IN ('processed', 'unknown')"
_IS_OVER: Final = "old.state IN ('done', 'returned')"
_IS_JUDGED: Final = "old.verdict <> 'open'"
_IS_OF_A_RUN_THAT_IS_OVER: Final = """EXISTS (
    SELECT FROM channels_shadowrun run WHERE run.id = old.run_id AND run.ended_at IS NOT NULL
)"""
_IS_HELD_NO_MORE: Final = """NOT EXISTS (
    SELECT FROM inventory_reservation held WHERE held.id = old.reservation_id AND held.open_quantity > 0
)"""
_IS_NOT_THE_LAST: Final = """EXISTS (
    SELECT FROM channels_push newer WHERE newer.listing_level_id = old.listing_level_id AND newer.id > old.id
)"""


def forget_old() -> dict[str, int]:
    """Deletes what is older than the settings say; returns how many rows, by kind."""
    now = timezone.now()
    soon = now - timedelta(days=settings.KEEP_DELIVERIES_DAYS)
    late = now - timedelta(days=settings.KEEP_PUSHES_DAYS)
    failed = now - timedelta(days=settings.KEEP_ERRORS_DAYS)
    return {
        "deliveries": _forget("channels_webhookdelivery", "received_at", soon, _IS_DONE),
        "observations": _forget("channels_shelfobservation", "received_at", soon, _IS_JUDGED),
        "retries": _forget("channels_retry", "last_at", soon, _IS_OVER),
        "pushes": _forget("channels_push", "finished_at", late, _IS_NOT_THE_LAST),
        "shadows": _forget("channels_shadowspan", "began_at", late, _IS_OF_A_RUN_THAT_IS_OVER),
        "pool_holds": _forget("channels_poolhold", "held_at", now, _IS_HELD_NO_MORE),
        "errors": _forget("channels_errorentry", "at", failed, "true"),
    }


def _forget(table: str, stamp: str, before: datetime, may_go: str) -> int:
    sql = _OLDEST.format(table=table, stamp=stamp, may_go=may_go)
    count = last_id = 0
    while True:
        parameters: list[Any] = [last_id, PIECE, before]
        with connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            gone, youngest_id, youngest_at = cursor.fetchone()
        count += int(gone)
        if youngest_id is None or youngest_at >= before:
            return count
        last_id = youngest_id
