"""Follows what a platform has accepted until it is live: accepted is not told.

While an accepted push is open its listing level stays leased, so that nothing overtakes it. If its end is not
known in time the lease expires, and the number counts as one of unknown outcome. What went out in bulk holds no
lease: a change is told at once and overtakes it, and when the bulk has ended at last, what was told meanwhile is told
again; also what is still waited for, because the bulk went over it.
"""

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.db import connection, transaction
from django.utils import timezone

from channels import breaker, error_log
from channels.connectors import CONNECTORS
from channels.connectors.base import AcceptedPush, Address, Connector, ItemOutcome, PushResult
from channels.errors import ConnectorError
from channels.leases import LEASE_SECONDS, Lease, Leased
from channels.models import Push, ShelfObservation
from channels.models.error_log import ErrorJob
from channels.models.listings import Lane
from channels.models.outbound import PushOutcome
from channels.outcomes import OUTCOMES, Told, settle
from channels.pushes import mark_listing_levels
from channels.retries import after_item

#: Accepted pushes asked after at once.
BATCH: Final = 200

# An accepted push holds its level while it is the level's latest and the lease that it was sent under goes on. Units
# sold since are those of orders that have come; each of them has its listing told again.
_OPEN: Final = """
WITH accepted AS MATERIALIZED (
    SELECT push.id, push.tracking_id, push.quantity, push.computed_at, push.listing_level_id,
        listing.external_id, listing.parent_external_id, place.external_id AS place, listing.data,
        level.lease_token IS NOT NULL AND level.leased_until > clock_timestamp() AND NOT EXISTS (
            SELECT FROM channels_push later
            WHERE later.listing_level_id = push.listing_level_id AND later.id > push.id
        ) AS is_held
    FROM channels_push push
    JOIN channels_listinglevel level ON level.id = push.listing_level_id
    JOIN channels_listing listing ON listing.id = level.listing_id
    JOIN channels_channellocation place ON place.id = level.channel_location_id
    WHERE push.channel_id = %(channel)s AND push.outcome = 'accepted'
      AND push.finished_at > clock_timestamp() - interval '1 day'
    ORDER BY is_held DESC, push.id
    LIMIT %(limit)s
), sold AS (
    SELECT accepted.id, sum(line.quantity)::bigint AS units
    FROM accepted
    JOIN channels_channelorder placed
        ON placed.channel_id = %(channel)s AND placed.arrived_at >= accepted.computed_at
    JOIN channels_channelorderline line
        ON line.order_id = placed.id AND line.listing_external_id = accepted.external_id
    GROUP BY accepted.id
)
SELECT accepted.*, coalesce(sold.units, 0) FROM accepted LEFT JOIN sold ON sold.id = accepted.id
ORDER BY accepted.id
"""

# Of a level that nobody tells now and that wants nothing newer: its end may be written down as if it had been held.
_TAKE: Final = """
UPDATE channels_listinglevel level
SET lease_token = %(token)s, leased_until = clock_timestamp() + make_interval(secs => %(seconds)s)
WHERE level.id = %(level)s AND level.wanted = %(wanted)s AND level.done < level.wanted
  AND coalesce(level.leased_until < clock_timestamp(), true)
  AND NOT EXISTS (
      SELECT FROM channels_push later WHERE later.listing_level_id = level.id AND later.id > %(push)s
  )
"""

# The lease of a push that is waited for goes on for minutes; that of a call which is on its way ends sooner.
_LET_GO: Final = """
WITH let_go AS (
    UPDATE channels_listinglevel level
    SET lease_token = NULL, leased_until = NULL, is_outcome_unknown = true
    WHERE level.id = %(level)s AND level.lease_token IS NOT NULL
      AND level.leased_until > clock_timestamp() + make_interval(secs => %(seconds)s)
      AND EXISTS (
          SELECT FROM channels_push later
          WHERE later.listing_level_id = level.id AND later.id > %(push)s AND later.outcome = 'accepted'
      )
    RETURNING level.id
)
UPDATE channels_push later
SET outcome = 'unknown', error = %(reason)s, finished_at = clock_timestamp()
FROM let_go
WHERE later.listing_level_id = let_go.id AND later.id > %(push)s AND later.outcome = 'accepted'
"""

_SEEN: Final = """
SELECT DISTINCT push.id
FROM unnest(%s::bigint[], %s::bigint[], %s::timestamptz[]) AS seen (level_id, quantity, at)
JOIN channels_push push ON push.listing_level_id = seen.level_id AND push.outcome = 'accepted'
JOIN channels_listinglevel level ON level.id = push.listing_level_id
WHERE push.quantity = seen.quantity AND seen.at >= push.computed_at AND level.lease_token IS NOT NULL
  AND NOT EXISTS (
      SELECT FROM channels_push later
      WHERE later.listing_level_id = push.listing_level_id AND later.id > push.id
  )
ORDER BY push.id
"""


@dataclass(frozen=True, slots=True)
class _Open:
    """An accepted push, and whether its level still waits for it."""

    id: int
    accepted: AcceptedPush
    is_held: bool


def follow(channel_id: int, connector: Connector) -> int:
    """Asks what became of the channel's accepted pushes and writes it down; returns how many have ended."""
    pushes = _open_pushes(channel_id)
    if not pushes:
        return 0
    try:
        answers = connector.follow_push([push.accepted for push in pushes])
    except ConnectorError as error:
        breaker.note_failure(channel_id, error, job=ErrorJob.FOLLOW)
        return 0
    breaker.note_success(channel_id)
    ends = {
        push.id: result
        for push in pushes
        if (result := answers.get(push.accepted.tracking_id)) is not None
        and result.outcome is not ItemOutcome.ACCEPTED
    }
    held = {push.id for push in pushes if push.is_held}
    for push in _read(ends):
        _end(push, ends[push.pk], connector, is_held=push.pk in held)
    return len(ends)


def confirm_seen(seen: Sequence[ShelfObservation]) -> int:
    """Confirms accepted pushes whose number the platform says it shows since; returns how many."""
    kinds = {kind for kind, connector in CONNECTORS.items() if connector.capabilities.asynchronous_push}
    told = [each for each in seen if each.channel.kind in kinds]
    if not told:
        return 0
    columns: list[Any] = [
        [each.listing_level_id for each in told],
        [each.quantity for each in told],
        [each.observed_at for each in told],
    ]
    with connection.cursor() as cursor:
        cursor.execute(_SEEN, columns)
        ids = [identity for (identity,) in cursor.fetchall()]
    for push in _read(ids):
        result = PushResult(push.listing_level_id, ItemOutcome.CONFIRMED)
        _end(push, result, CONNECTORS[push.channel.kind], is_held=True)
    return len(ids)


def _open_pushes(channel_id: int) -> list[_Open]:
    with connection.cursor() as cursor:
        cursor.execute(_OPEN, {"channel": channel_id, "limit": BATCH})
        return [
            _Open(
                identity,
                AcceptedPush(
                    tracking_id,
                    Address(
                        level_id,
                        external_id,
                        parent,
                        place,
                        # A cursor of its own hands JSON over as text.
                        json.loads(data) if isinstance(data, str) else data,
                    ),
                    quantity,
                    sent_at,
                    sold,
                ),
                is_held,
            )
            for (
                identity,
                tracking_id,
                quantity,
                sent_at,
                level_id,
                external_id,
                parent,
                place,
                data,
                is_held,
                sold,
            ) in cursor.fetchall()
        ]


def _read(ids: Sequence[int] | dict[int, PushResult]) -> list[Push]:
    rows = Push.objects.filter(pk__in=list(ids)).select_related("listing_level", "channel")
    # By level, because those that are written down in one transaction are locked in this sequence.
    return list(rows.defer("channel__credentials").order_by("listing_level_id", "id"))


def _end(push: Push, result: PushResult, connector: Connector | type[Connector], *, is_held: bool) -> None:
    """Writes down the end of one accepted push; where something newer was told meanwhile, that is told again."""
    outcome = PushOutcome(OUTCOMES[result.outcome])
    with transaction.atomic():
        token = push.listing_level.lease_token if is_held else _take(push)
        if token is None:
            if outcome is PushOutcome.CONFIRMED:
                _let_go(push)
            mark_listing_levels([push.listing_level_id], lane=Lane.DECREASE)
        else:
            _settle(push, outcome, result, connector, token)
        push.outcome = outcome
        push.error = result.reason[:2000]
        push.finished_at = timezone.now()
        push.save(update_fields=["outcome", "error", "finished_at"])


def _take(push: Push) -> uuid.UUID | None:
    """Leases the level of a push that holds it no more; None where somebody else tells it or should."""
    token = uuid.uuid4()
    parameters: dict[str, Any] = {
        "token": token,
        "seconds": LEASE_SECONDS,
        "level": push.listing_level_id,
        "wanted": push.wanted,
        "push": push.pk,
    }
    with connection.cursor() as cursor:
        cursor.execute(_TAKE, parameters)
        return token if cursor.rowcount else None


def _let_go(push: Push) -> None:
    """Waits no more for what was told after this push, whose number the shelf shows: it did not stay there."""
    parameters: dict[str, Any] = {
        "level": push.listing_level_id,
        "push": push.pk,
        "seconds": LEASE_SECONDS,
        "reason": f"An older number, {push.quantity}, was live after it.",
    }
    with connection.cursor() as cursor:
        cursor.execute(_LET_GO, parameters)


def _settle(
    push: Push,
    outcome: PushOutcome,
    result: PushResult,
    connector: Connector | type[Connector],
    token: uuid.UUID,
) -> None:
    level = push.listing_level
    leased = Leased(Address(level.pk, ""), push.wanted, level.attempts, level.is_outcome_unknown)
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
    settle(Lease(push.channel_id, token), [told])
    error_log.note_items(push.channel_id, [told] if told.is_failure else [])
