"""Writes down what became of pushes: the levels under their lease's token, the push log, and who is now fully told."""

import random
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db import connection, transaction
from django.utils import timezone

from channels.models import Push
from channels.models.outbound import PushOutcome
from channels.pushes import CALL_DEADLINE, Lease, Leased

#: Failures of one listing in a row after which a person has to look.
LARGEST_ATTEMPTS: Final = 8
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 300.0


@dataclass(frozen=True, slots=True)
class Told:
    """The outcome of one listing level's push."""

    level: Leased
    target: int
    quantity: int
    compared_with: int | None
    #: What the shop should have shown when the target was computed.
    expected: int | None
    outcome: PushOutcome
    error: str
    tracking_id: str
    waterfall: list[dict[str, Any]]

    @property
    def is_done(self) -> bool:
        """Whether the shop shows the target now."""
        return self.outcome in (PushOutcome.CONFIRMED, PushOutcome.UNCHANGED)

    @property
    def counts_as_failure(self) -> bool:
        """Whether it brings the listing nearer to the dead letters."""
        return self.outcome in (PushOutcome.REJECTED, PushOutcome.FAILED)


#: Own orders that were applied since the number was computed have lowered `expected` already; moving it by the difference
#: between target and what was expected then keeps them. Locked by id, as everywhere.
_SETTLE: Final = """
WITH told AS (
    SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::boolean[], %s::boolean[], %s::boolean[], %s::bigint[], %s::bigint[],
                         %s::bigint[], %s::float8[], %s::text[])
      AS t(id, wanted, is_done, is_sent, is_unknown, quantity, target, expected_then, pause, error)
), held AS (
    SELECT level.id FROM channels_listinglevel level JOIN told ON told.id = level.id
    WHERE level.lease_token = %s ORDER BY level.id FOR UPDATE OF level
)
UPDATE channels_listinglevel level
SET lease_token = NULL, leased_until = NULL,
    done = CASE WHEN told.is_done THEN greatest(level.done, told.wanted) ELSE level.done END,
    due_since = CASE WHEN NOT told.is_done THEN level.due_since
                     WHEN level.wanted > told.wanted THEN clock_timestamp() END,
    sent_quantity = CASE WHEN told.is_sent THEN told.quantity ELSE level.sent_quantity END,
    sent_at = CASE WHEN told.is_sent THEN clock_timestamp() ELSE level.sent_at END,
    published_quantity = CASE WHEN told.is_done AND told.is_sent THEN told.quantity ELSE level.published_quantity END,
    confirmed_at = CASE WHEN told.is_done THEN clock_timestamp() ELSE level.confirmed_at END,
    expected = CASE WHEN NOT (told.is_done AND told.is_sent) THEN level.expected
                    WHEN told.expected_then IS NULL OR level.expected IS NULL THEN told.target
                    ELSE level.expected + told.target - told.expected_then END,
    is_outcome_unknown = CASE WHEN told.is_done THEN false ELSE level.is_outcome_unknown OR told.is_unknown END,
    attempts = CASE WHEN told.is_done THEN 0 WHEN told.error = '' OR told.is_unknown THEN level.attempts
                    ELSE level.attempts + 1 END,
    next_attempt_at = CASE WHEN told.pause > 0 THEN clock_timestamp() + told.pause * interval '1 second' END,
    last_error = told.error,
    dead_at = CASE WHEN NOT told.is_done AND NOT told.is_unknown AND told.error <> '' AND level.attempts + 1 >= %s
                   THEN clock_timestamp() ELSE level.dead_at END
FROM told, held
WHERE level.id = told.id AND held.id = level.id
RETURNING level.id
"""

_LAST_PUSH: Final = """
UPDATE channels_channelhealth SET last_push_at = clock_timestamp()
WHERE channel_id = %s AND (last_push_at IS NULL OR last_push_at < clock_timestamp() - interval '1 second')
"""


def write_outcomes(lease: Lease, told: Sequence[Told], *, call_id: uuid.UUID, computed_at: datetime) -> int:
    """Writes outcomes of leased listing levels and the push log; returns how many were still under the lease.

    Where a lease has been lost meanwhile, only the log is written: somebody else decides on the level now.
    """
    with transaction.atomic():
        written = _settle(lease, told)
        Push.objects.bulk_create(_log_rows(lease, told, call_id, computed_at))
        if any(each.is_done for each in told):
            with connection.cursor() as cursor:
                cursor.execute(_LAST_PUSH, [lease.channel_id])
    return written


def _settle(lease: Lease, told: Sequence[Told]) -> int:
    columns: list[Any] = [
        [each.level.id for each in told],
        [each.level.wanted for each in told],
        [each.is_done for each in told],
        [each.outcome is not PushOutcome.UNCHANGED for each in told],
        [each.outcome is PushOutcome.UNKNOWN for each in told],
        [each.quantity for each in told],
        [each.target for each in told],
        [each.expected for each in told],
        [_pause(each) for each in told],
        [_error(each) for each in told],
    ]
    with connection.cursor() as cursor:
        cursor.execute(_SETTLE, [*columns, lease.token, LARGEST_ATTEMPTS])
        return int(cursor.rowcount)


def _error(told: Told) -> str:
    if told.is_done:
        return ""
    return (told.error or told.outcome.label)[:2000]


def _pause(told: Told) -> float:
    """Seconds until the next try: after an unknown outcome, until the call must be over; after failures, doubling."""
    if told.is_done:
        return 0.0
    if told.outcome is PushOutcome.UNKNOWN:
        return CALL_DEADLINE
    doubled = min(_FIRST_PAUSE * 2.0**told.level.attempts, _LONGEST_PAUSE)
    return doubled * random.uniform(0.75, 1.25)  # noqa: S311 - spreads retries, hides nothing


def _log_rows(lease: Lease, told: Sequence[Told], call_id: uuid.UUID, computed_at: datetime) -> list[Push]:
    finished_at = timezone.now()
    return [
        Push(
            channel_id=lease.channel_id,
            listing_level_id=each.level.id,
            call_id=None if each.outcome is PushOutcome.UNCHANGED else call_id,
            wanted=each.level.wanted,
            target=each.target,
            quantity=each.quantity,
            compared_with=each.compared_with,
            outcome=each.outcome,
            waterfall=each.waterfall,
            tracking_id=each.tracking_id[:200],
            error=_error(each),
            computed_at=computed_at,
            finished_at=finished_at,
        )
        for each in told
    ]


#: A mark is met by a push that had been leased with it and confirmed, or that found nothing to change.
_PROPAGATED: Final = """
UPDATE channels_channelorder o
SET propagated_at = met.at
FROM (
    SELECT waiting.id, max(first.at) AS at
    FROM (
        SELECT id, marks FROM channels_channelorder
        WHERE applied_at IS NOT NULL AND propagated_at IS NULL AND applied_at > clock_timestamp() - interval '1 day'
        ORDER BY id DESC LIMIT %s
    ) waiting
    CROSS JOIN LATERAL jsonb_each_text(waiting.marks) AS mark(level_id, wanted)
    LEFT JOIN LATERAL (
        SELECT p.finished_at AS at FROM channels_push p
        WHERE p.listing_level_id = mark.level_id::bigint AND p.wanted >= mark.wanted::bigint
          AND p.outcome IN ('confirmed', 'unchanged')
        ORDER BY p.id LIMIT 1
    ) first ON true
    GROUP BY waiting.id
    HAVING bool_and(first.at IS NOT NULL)
) met
WHERE o.id = met.id
"""


def note_propagated(*, limit: int = 2000) -> int:
    """Notes for the newest orders on their way when every other shelf had been told; returns how many are complete now."""
    with connection.cursor() as cursor:
        cursor.execute(_PROPAGATED, [limit])
        return int(cursor.rowcount)
