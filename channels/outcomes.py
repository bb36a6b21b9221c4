"""Writes down what became of pushes: the levels under their lease's token, and the push log."""

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db import connection
from django.utils import timezone

from channels.connectors.base import ItemOutcome
from channels.leases import Lease, Leased
from channels.models.outbound import PushOutcome
from config.database import NEED_NOT_LAST

#: An accepted push that was not confirmed by then counts as unknown.
FOLLOW_SECONDS: Final = 600.0

#: What a platform's word for one item means in the log.
OUTCOMES: Final = {
    ItemOutcome.CONFIRMED: PushOutcome.CONFIRMED,
    ItemOutcome.ACCEPTED: PushOutcome.ACCEPTED,
    ItemOutcome.STALE: PushOutcome.STALE,
    ItemOutcome.REJECTED: PushOutcome.REJECTED,
    ItemOutcome.RETRY: PushOutcome.FAILED,
    ItemOutcome.UNKNOWN: PushOutcome.UNKNOWN,
}
_DONE: Final = frozenset({PushOutcome.CONFIRMED, PushOutcome.UNCHANGED})


@dataclass(frozen=True, slots=True)
class Told:
    """The outcome of one attempt to tell one listing level its number."""

    level: Leased
    target: int
    outcome: PushOutcome
    computed_at: datetime
    #: What the shop should have shown when the target was computed.
    expected: int | None = None
    #: What was sent; None when nothing was.
    quantity: int | None = None
    compared_with: int | None = None
    #: What the shop is known to show now.
    published: int | None = None
    call_id: uuid.UUID | None = None
    tracking_id: str = ""
    error: str = ""
    waterfall: Sequence[dict[str, Any]] = ()
    #: Seconds until the next attempt.
    pause: float = 0.0
    #: Whether it has to be looked at again, although it was told.
    is_doubtful: bool = False
    #: Whether it counts as a failure of this listing.
    is_failure: bool = False
    #: The number of failures in a row that leads to the dead letters; None: this one never does.
    limit: int | None = None

    @property
    def moved(self) -> int | None:
        """By how much this attempt moved the shop's number; None where nothing is known of what it was."""
        if self.quantity is None or self.expected is None:
            return None if self.expected is None else 0
        return self.quantity - (self.expected if self.compared_with is None else self.compared_with)

    @property
    def is_done(self) -> bool:
        """Whether the shop shows the target now."""
        return self.outcome in _DONE


# What is expected moves by what our call moved. So own orders applied since the number was computed stay taken off,
# and so does what the shop showed differently for a reason that is not imported yet. Locked by id, as everywhere.
_HELD: Final = """
WITH told AS (
    SELECT * FROM jsonb_to_recordset(%s::jsonb) AS t (
        id bigint, wanted bigint, outcome text, target bigint, moved bigint, published bigint,
        computed_at timestamptz, pause float8, is_doubtful boolean, is_failure boolean, attempt_limit integer,
        error text
    )
), held AS (
    SELECT level.id, told.outcome IN ('confirmed', 'unchanged') AS is_done,
        told.outcome = 'confirmed' AND coalesce(told.moved > 0, false) AS is_raised,
        (clock_timestamp() AT TIME ZONE 'UTC')::date AS today
    FROM channels_listinglevel level
    JOIN told ON told.id = level.id
    WHERE level.lease_token = %s
    ORDER BY level.id
    FOR NO KEY UPDATE OF level
)
"""

_SETTLE: Final = """
UPDATE channels_listinglevel level
SET lease_token = CASE WHEN told.outcome = 'accepted' THEN level.lease_token END,
    leased_until = CASE WHEN told.outcome = 'accepted'
        THEN clock_timestamp() + make_interval(secs => %s) END,
    wanted = level.wanted + told.is_doubtful::int,
    done = CASE WHEN held.is_done THEN greatest(level.done, told.wanted) ELSE level.done END,
    due_since = CASE
        WHEN NOT held.is_done THEN level.due_since
        WHEN level.wanted > told.wanted OR told.is_doubtful THEN told.computed_at
    END,
    published_quantity = coalesce(told.published, level.published_quantity),
    confirmed_at = CASE WHEN told.published IS NULL THEN level.confirmed_at ELSE clock_timestamp() END,
    expected = CASE WHEN held.is_done
        THEN coalesce(level.expected + told.moved, told.target) ELSE level.expected END,
    seen_quantity = level.seen_quantity + CASE WHEN held.is_done THEN coalesce(told.moved, 0) ELSE 0 END,
    seen_expected = level.seen_expected + CASE WHEN held.is_done THEN coalesce(told.moved, 0) ELSE 0 END,
    raises = CASE WHEN NOT held.is_raised THEN level.raises
        WHEN level.raised_on = held.today THEN level.raises + 1 ELSE 1 END,
    raised_on = CASE WHEN held.is_raised THEN held.today ELSE level.raised_on END,
    is_outcome_unknown = told.is_doubtful
        OR NOT held.is_done AND (level.is_outcome_unknown OR told.outcome = 'unknown'),
    attempts = CASE WHEN held.is_done THEN 0 ELSE level.attempts + told.is_failure::int END,
    next_attempt_at = CASE WHEN told.pause > 0 THEN clock_timestamp() + make_interval(secs => told.pause) END,
    last_error = CASE WHEN held.is_done THEN '' ELSE told.error END,
    dead_at = CASE WHEN told.is_failure AND level.attempts + 1 >= told.attempt_limit
        THEN clock_timestamp() ELSE level.dead_at END
FROM told
JOIN held ON held.id = told.id
WHERE level.id = told.id
"""

#: Outcomes and log are one statement. A crash of the server that takes both back leaves a lease that expires, and
#: with it an unknown outcome, which is looked at again.
_LOG: Final = """
INSERT INTO channels_push (
    channel_id, finished_at, listing_level_id, call_id, wanted, target, quantity, compared_with, outcome,
    waterfall, tracking_id, error, computed_at
)
SELECT %s, %s, attempt.*
FROM jsonb_to_recordset(%s::jsonb) AS attempt (
    id bigint, call_id uuid, wanted bigint, target bigint, quantity bigint, compared_with bigint, outcome text,
    waterfall jsonb, tracking_id text, error text, computed_at timestamptz
)
"""

_SETTLE_SQL: Final = _HELD + _SETTLE
_WRITE: Final = """
{held}, settled AS (
    {settle}
    RETURNING level.id
), logged AS (
    {log}
)
SELECT count(*) FROM settled WHERE {need_not_last}
"""
_WRITE_SQL: Final = _WRITE.format(held=_HELD, settle=_SETTLE, log=_LOG, need_not_last=NEED_NOT_LAST)


def write_outcomes(lease: Lease, told: Sequence[Told], *, log: Sequence[Told] = ()) -> int:
    """Writes the outcomes of leased listing levels; returns how many were still under the lease.

    `log` are earlier attempts of the same batch, which only the push log shows. Where a lease has been lost
    meanwhile, only the log is written: somebody else decides on the level now.
    """
    rows = [*log, *told]
    with connection.cursor() as cursor:
        cursor.execute(_WRITE_SQL, [_as_json(told), lease.token, FOLLOW_SECONDS, *_log(lease, rows)])
        (written,) = cursor.fetchone()
    return int(written)


def settle(lease: Lease, told: Sequence[Told]) -> int:
    """Writes outcomes to the listing levels alone; returns how many were still under the lease."""
    with connection.cursor() as cursor:
        cursor.execute(_SETTLE_SQL, [_as_json(told), lease.token, FOLLOW_SECONDS])
        return int(cursor.rowcount)


def _as_json(told: Sequence[Told]) -> str:
    """Returns the rows of `_HELD`: one text costs far less to hand over than an array for each column."""
    return json.dumps(
        [
            {
                "id": each.level.id,
                "wanted": each.level.wanted,
                "outcome": each.outcome.value,
                "target": each.target,
                "moved": each.moved,
                "published": each.published,
                "computed_at": each.computed_at.isoformat(),
                "pause": each.pause,
                "is_doubtful": each.is_doubtful,
                "is_failure": each.is_failure,
                "attempt_limit": each.limit,
                "error": _error(each),
            }
            for each in told
        ]
    )


def _log(lease: Lease, rows: Sequence[Told]) -> list[Any]:
    attempts = [
        {
            "id": each.level.id,
            "call_id": str(each.call_id) if each.call_id else None,
            "wanted": each.level.wanted,
            "target": each.target,
            "quantity": each.quantity,
            "compared_with": each.compared_with,
            "outcome": each.outcome.value,
            "waterfall": list(each.waterfall),
            "tracking_id": _stored(each.tracking_id)[:200],
            "error": _error(each),
            "computed_at": each.computed_at.isoformat(),
        }
        for each in rows
    ]
    return [lease.channel_id, timezone.now(), json.dumps(attempts)]


def _error(told: Told) -> str:
    return "" if told.is_done else _stored(told.error or told.outcome.label)[:2000]


def _stored(text: str) -> str:
    """Returns a platform's text without what PostgreSQL stores in no text."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode()
