"""Follows what a platform has accepted until it is live: accepted is not told.

While an accepted push is open its listing level stays leased, so that nothing overtakes it. If its end is not
known in time the lease expires, and the number counts as one of unknown outcome.
"""

from typing import Final

from django.db import connection, transaction
from django.utils import timezone

from channels import breaker, error_log
from channels.connectors.base import Address, Connector, ItemOutcome, PushResult
from channels.errors import ConnectorError
from channels.leases import Lease, Leased
from channels.models import Push
from channels.models.error_log import ErrorJob
from channels.models.outbound import PushOutcome
from channels.outcomes import OUTCOMES, Told, settle
from channels.retries import after_item

#: Accepted pushes asked after at once.
BATCH: Final = 200

_OPEN: Final = """
SELECT push.id
FROM channels_listinglevel level
CROSS JOIN LATERAL (
    SELECT * FROM channels_push latest
    WHERE latest.listing_level_id = level.id
    ORDER BY latest.id DESC LIMIT 1
) push
WHERE level.channel_id = %s AND level.wanted > level.done AND level.dead_at IS NULL
  AND level.lease_token IS NOT NULL AND level.leased_until > clock_timestamp()
  AND push.outcome = 'accepted'
ORDER BY push.id
LIMIT %s
"""


def follow(channel_id: int, connector: Connector) -> int:
    """Asks what became of the channel's accepted pushes and writes it down; returns how many have ended."""
    pushes = _open_pushes(channel_id)
    if not pushes:
        return 0
    try:
        answers = connector.follow_push([push.tracking_id for push in pushes])
    except ConnectorError as error:
        breaker.note_failure(channel_id, error, job=ErrorJob.FOLLOW)
        return 0
    breaker.note_success(channel_id)
    ended = 0
    for push in pushes:
        result = answers.get(push.tracking_id)
        if result is not None and result.outcome is not ItemOutcome.ACCEPTED:
            _end(push, result, connector)
            ended += 1
    return ended


def _open_pushes(channel_id: int) -> list[Push]:
    with connection.cursor() as cursor:
        cursor.execute(_OPEN, [channel_id, BATCH])
        ids = [identity for (identity,) in cursor.fetchall()]
    return list(Push.objects.filter(pk__in=ids).select_related("listing_level").order_by("id"))


def _end(push: Push, result: PushResult, connector: Connector) -> None:
    """Writes down the end of one accepted push, unless its lease was lost meanwhile."""
    level = push.listing_level
    if level.lease_token is None:
        return
    leased = Leased(Address(level.pk, ""), push.wanted, level.attempts, level.is_outcome_unknown)
    outcome = PushOutcome(OUTCOMES[result.outcome])
    is_confirmed = outcome is PushOutcome.CONFIRMED
    details = {} if is_confirmed else after_item(leased, outcome, connector.capabilities)
    told = Told(
        level=leased,
        target=push.target,
        outcome=outcome,
        computed_at=push.computed_at,
        published=push.quantity if is_confirmed else None,
        error=result.reason,
        **details,
    )
    with transaction.atomic():
        settle(Lease(push.channel_id, level.lease_token), [told])
        error_log.note_items(push.channel_id, [told] if told.is_failure else [])
        push.outcome = outcome
        push.error = result.reason[:2000]
        push.finished_at = timezone.now()
        push.save(update_fields=["outcome", "error", "finished_at"])
