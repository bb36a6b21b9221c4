"""Which messages are sent next, and what became of them: leases by `SKIP LOCKED`, results only under the lease's token.

A lease ends by itself. What a process that died had taken is sent again under the same id, whether it had arrived or not.
"""

import json
import random
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import connection, transaction
from django.db.models import F, Q, TextField
from django.db.models.functions import Cast, Coalesce
from django.utils import timezone

from channels.credentials import decrypt
from channels.errors import Misconfigured
from reconciliation.models import WebhookSubscription
from reconciliation.outgoing import subscriptions
from reconciliation.signed_posts import CALL_SECONDS, Letter, live_secrets

#: A message whose sender died is due again after this; a call takes far less.
LEASE: Final = timedelta(seconds=6 * CALL_SECONDS)
#: What has not arrived by then is given up.
GIVEN_UP_AFTER: Final = timedelta(hours=24)
#: A subscription that took nothing for so long is switched off with the first message that is given up; its first attempt may
#: have come a while after the message was wanted.
_HOPELESS_AFTER: Final = timedelta(hours=23)
#: Pauses between attempts at one message; the last one repeats.
PAUSES: Final = tuple(timedelta(seconds=seconds) for seconds in (5, 30, 120, 300, 900, 1800, 3600))
#: Pauses of a whole subscription that takes nothing: doubled with each failure in a row.
_FIRST_REST: Final = 1.0
_LONGEST_REST: Final = 300.0
#: Attempts that a message's log holds.
_KEPT: Final = 20


@dataclass(frozen=True, slots=True)
class Leased:
    """A message that is ours to send until its lease ends."""

    id: int
    subscription_id: int
    token: uuid.UUID
    #: Attempts with this one.
    attempts: int
    wanted_at: datetime
    letter: Letter
    #: Why it cannot even be signed; usually empty.
    problem: str = ""


@dataclass(frozen=True, slots=True)
class _Door:
    """Where a subscription is told, and with what its messages are signed."""

    url: str
    secrets: list[str]
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one attempt."""

    message: Leased
    #: What the receiver answered; 0 where it did not.
    status: int
    error: str
    began_at: datetime
    milliseconds: int
    #: The receiver wants no more messages at all.
    is_gone: bool = False

    @property
    def has_arrived(self) -> bool:
        """Whether the receiver took it."""
        return not self.error


def receivers() -> dict[int, bool]:
    """Returns the subscriptions that may be told something now, and of each whether it took nothing when last asked."""
    is_rested = Q(paused_until__isnull=True) | Q(paused_until__lte=timezone.now())
    rows = WebhookSubscription.objects.filter(is_rested, is_active=True).values_list("pk", "failures")
    return {pk: failures > 0 for pk, failures in rows}


# The oldest of each subscription: a long queue of one holds up no other.
_LEASE_SQL: Final = """
WITH room AS (
    SELECT * FROM unnest(%(subscriptions)s::bigint[], %(slots)s::int[]) AS room (subscription_id, slots)
), due AS MATERIALIZED (
    SELECT picked.id FROM room CROSS JOIN LATERAL (
        SELECT message.id FROM reconciliation_webhookmessage message
        WHERE message.subscription_id = room.subscription_id AND message.next_attempt_at <= clock_timestamp()
        ORDER BY message.next_attempt_at, message.id
        LIMIT room.slots
        FOR NO KEY UPDATE OF message SKIP LOCKED
    ) AS picked
)
UPDATE reconciliation_webhookmessage message
SET lease_token = %(token)s::uuid, attempts = message.attempts + 1,
    next_attempt_at = clock_timestamp() + %(lease)s::interval
FROM due, reconciliation_webhookevent event
WHERE message.id = due.id AND event.id = message.event_id
RETURNING message.id, message.subscription_id, message.attempts, message.wanted_at, event.event_id, event.type,
          event.subject, event.version, event.occurred_at, event.data
"""


def lease(room: Mapping[int, int], *, limit: int) -> list[Leased]:
    """Takes up to `limit` messages that are due, in turn over the subscriptions; two statements."""
    fair = _share_out(room, limit)
    if not fair:
        return []
    token = uuid.uuid4()
    named: dict[str, Any] = {
        "subscriptions": list(fair), "slots": list(fair.values()), "token": token, "lease": LEASE,
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(_LEASE_SQL, named)
        rows = cursor.fetchall()
    doors = _doors({row[1] for row in rows})
    return [_leased(row, doors[row[1]], token) for row in rows if row[1] in doors]


def _share_out(room: Mapping[int, int], limit: int) -> dict[int, int]:
    """Gives each subscription an equal part of the limit, at least one message; who is left out comes next time."""
    if limit <= 0:
        return {}
    chosen = random.sample(sorted(room), min(limit, len(room)))
    share = max(1, limit // max(len(chosen), 1))
    return {pk: min(room[pk], share) for pk in chosen}


def _doors(ids: Iterable[int]) -> dict[int, _Door]:
    """Opens the secrets of subscriptions, each by itself: one that no key opens holds up no other."""
    now = timezone.now()
    closed = Cast("secrets", TextField())
    rows = WebhookSubscription.objects.filter(pk__in=ids).values_list("pk", "url", closed)
    return {pk: _door(url, sealed, now) for pk, url, sealed in rows}


def _door(url: str, sealed: str, now: datetime) -> _Door:
    try:
        return _Door(url, live_secrets(decrypt(sealed), now))
    except Misconfigured as error:
        return _Door(url, [], str(error))


def _leased(row: Sequence[Any], door: _Door, token: uuid.UUID) -> Leased:
    identity, subscription_id, attempts, wanted_at, *event = row
    letter = Letter(door.url, message_id_of(event[0]), body_of(*event), door.secrets)
    return Leased(identity, subscription_id, token, attempts, wanted_at, letter, door.problem)


def message_id_of(event_id: uuid.UUID) -> str:
    """Returns the id that all messages of an event carry."""
    return f"evt_{event_id.hex}"


def body_of(
    event_id: uuid.UUID, event_type: str, subject: str, version: int, occurred_at: datetime, data: object
) -> bytes:
    """Returns what is posted, the same in every attempt."""
    told = {
        "id": message_id_of(event_id),
        "type": event_type,
        "timestamp": occurred_at.isoformat(),
        "subject": subject,
        "version": version,
        "data": json.loads(data) if isinstance(data, str) else data,
    }
    return json.dumps(told, separators=(",", ":")).encode()


# Who no longer holds the lease has nothing to report: somebody else sends it, or it was replayed.
_RECORD_SQL: Final = """
UPDATE reconciliation_webhookmessage message
SET arrived_at = CASE WHEN told.became = 'arrived' THEN clock.now END,
    given_up_at = CASE WHEN told.became = 'given_up' THEN clock.now END,
    next_attempt_at = CASE WHEN told.became = 'waiting' THEN clock.now + told.pause * interval '1 second' END,
    lease_token = NULL, status = told.status, error = told.error,
    log = CASE WHEN jsonb_array_length(message.log) >= %(kept)s THEN message.log - 0 ELSE message.log END || told.entry
FROM (SELECT clock_timestamp() AS now) AS clock,
    unnest(%(ids)s::bigint[], %(tokens)s::uuid[], %(became)s::text[], %(pauses)s::float8[], %(statuses)s::int[],
           %(errors)s::text[], %(entries)s::jsonb[])
        AS told (id, token, became, pause, status, error, entry)
WHERE message.id = told.id AND message.lease_token = told.token
"""


@transaction.atomic
def record(outcomes: Sequence[Outcome]) -> None:
    """Writes what became of attempts, and how their subscriptions do."""
    if not outcomes:
        return
    now = timezone.now()
    became = [_became(each, now) for each in outcomes]
    entries = [
        {
            "at": each.began_at.isoformat(),
            "milliseconds": each.milliseconds,
            "status": each.status,
            "error": each.error[:500],
        }
        for each in outcomes
    ]
    named: dict[str, Any] = {
        "kept": _KEPT,
        "ids": [each.message.id for each in outcomes],
        "tokens": [each.message.token for each in outcomes],
        "became": became,
        "pauses": [_pause(each.message.attempts) for each in outcomes],
        "statuses": [each.status for each in outcomes],
        "errors": [each.error[:2000] for each in outcomes],
        "entries": [json.dumps(entry) for entry in entries],
    }
    with connection.cursor() as cursor:
        cursor.execute(_RECORD_SQL, named)
    _note_health(outcomes, became)


def _became(outcome: Outcome, now: datetime) -> str:
    if outcome.has_arrived:
        return "arrived"
    is_over = outcome.is_gone or now - outcome.message.wanted_at >= GIVEN_UP_AFTER
    return "given_up" if is_over else "waiting"


def _pause(attempts: int) -> float:
    """Returns the seconds until the next attempt, a little more or less so that those who wait do not come together."""
    pause = PAUSES[min(attempts, len(PAUSES)) - 1].total_seconds()
    return pause * random.uniform(0.85, 1.15)  # noqa: S311


def _note_health(outcomes: Sequence[Outcome], became: Sequence[str]) -> None:
    """Notes which subscriptions took something, lets those rest that took nothing, and gives some up."""
    took = {each.message.subscription_id for each in outcomes if each.has_arrived}
    refused = {each.message.subscription_id for each in outcomes} - took
    if took:
        failing = WebhookSubscription.objects.filter(pk__in=took, failures__gt=0)
        failing.update(failures=0, failing_since=None, paused_until=None)
    for pk in sorted(refused):
        _let_rest(pk)
    gone = {each.message.subscription_id for each in outcomes if each.is_gone}
    subscriptions.give_up(gone, because="Its receiver answered 410: it wants no more.")
    hopeless = {
        each.message.subscription_id
        for each, state in zip(outcomes, became, strict=True)
        if state == "given_up" and each.message.subscription_id in refused - gone
    }
    _give_up_hopeless(hopeless)


def _let_rest(subscription_id: int) -> None:
    now = timezone.now()
    row = WebhookSubscription.objects.filter(pk=subscription_id)
    failures = row.values_list("failures", flat=True).first() or 0
    rest = min(_FIRST_REST * 2 ** min(failures, 20), _LONGEST_REST) * random.uniform(0.85, 1.15)  # noqa: S311
    row.update(
        failures=F("failures") + 1,
        failing_since=Coalesce("failing_since", now),
        paused_until=now + timedelta(seconds=rest),
    )


def _give_up_hopeless(ids: set[int]) -> None:
    """Switches subscriptions off that took nothing for a day."""
    since = timezone.now() - _HOPELESS_AFTER
    rows = WebhookSubscription.objects.filter(pk__in=ids, failing_since__lte=since)
    subscriptions.give_up(rows.values_list("pk", flat=True), because="Its receiver took nothing for a day.")
