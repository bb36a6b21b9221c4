"""Our word on orders that wait for it: what we deliver of each line, said once its units are settled in the ledger.

    the order's state waits for it → due → leased → what is held is counted → said → followed → in force

Due means `wanted > done`, as everywhere. An order of which everything is held is answered at once. One that is short waits
for goods or people as long as its connector says, and is then answered by what there is. Before anything is said, the
connector looks whether the platform still waits; so a word whose outcome is unknown is simply said again.
"""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.db import connection
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from channels import breaker, error_log
from channels.connectors.base import (
    Acknowledged,
    AcknowledgementEnd,
    AcknowledgementStep,
    Connector,
    PromisedLine,
)
from channels.errors import BadMessage, ConnectorError, OutcomeUnknown, Rejected, TransientError
from channels.models import Channel, OrderAcknowledgement
from channels.models.error_log import ErrorJob
from channels.orders import hint
from channels.promises import promised_lines
from channels.retries import CALL_SECONDS, REFUSALS, jittered, within_reason
from config.logs import redact_text
from config.notify import notify_after_commit

#: Seconds; more than twice what the calls for all orders of one lease may take together.
LEASE_SECONDS: Final = 60.0
#: Seconds of all these calls together.
_BUDGET: Final = 25.0
#: Orders leased together.
BATCH: Final = 20
#: Between two looks at an order that waits for goods, and at a word that is on its way.
LOOK_AGAIN: Final = timedelta(minutes=1)
FOLLOW_AGAIN: Final = timedelta(seconds=2)
#: A word that the platform still works on by then counts as one of unknown outcome: it is looked at, and said again.
LONGEST_WAIT: Final = timedelta(minutes=30)
_FIRST_PAUSE: Final = 5.0
_LONGEST_PAUSE: Final = 600.0

_LEASE: Final = """
WITH chosen AS (
    SELECT word.id
    FROM channels_orderacknowledgement word
    WHERE word.channel_id = %s AND word.wanted > word.done AND word.dead_at IS NULL
      AND word.due_at <= clock_timestamp() AND coalesce(word.leased_until < clock_timestamp(), true)
      AND EXISTS (SELECT FROM channels_channel WHERE id = word.channel_id AND is_active AND NOT is_paused)
    ORDER BY word.due_at, word.id
    LIMIT %s
    FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE channels_orderacknowledgement word
SET lease_token = %s, leased_until = clock_timestamp() + make_interval(secs => %s)
FROM chosen
WHERE word.id = chosen.id
RETURNING word.id
"""


@dataclass(frozen=True, slots=True)
class _Shortage:
    """Why an order is not answered yet."""

    reason: str
    until: datetime | None


def say_due(channel: Channel, connector: Connector, *, limit: int = BATCH) -> int:
    """Says our word on orders of a channel that are due, and asks after those on their way; returns how many it looked at.

    Stops when the channel itself fails; what is left is due as it was.
    """
    token = uuid.uuid4()
    leased = _lease(channel, token, limit)
    on_their_way = [word for word, tracking_id in leased if tracking_id]
    is_called, failing = bool(on_their_way), 0
    try:
        with connector.client.budget(_BUDGET):
            for word, tracking_id in leased:
                if not tracking_id:
                    failing = word.pk
                    is_called |= _say(channel, connector, word)
            failing = 0
            _follow(channel, connector, on_their_way)
    except ConnectorError as error:
        breaker.note_failure(channel.pk, error, job=ErrorJob.ACKNOWLEDGE)
        now, pause = timezone.now(), _pause_of(error)
        # Those behind it are not to wait for it the next time.
        _held(token).filter(pk=failing).update(due_at=now + 2 * pause, **_FREE)
        _held(token).update(due_at=now + pause, **_FREE)
    else:
        if is_called:
            breaker.note_success(channel.pk)
    return len(leased)


def _lease(channel: Channel, token: uuid.UUID, limit: int) -> list[tuple[OrderAcknowledgement, str]]:
    with connection.cursor() as cursor:
        cursor.execute(_LEASE, [channel.pk, limit, token, LEASE_SECONDS])
        ids = [identity for (identity,) in cursor.fetchall()]
    rows = OrderAcknowledgement.objects.filter(pk__in=ids, lease_token=token).select_related("order")
    found = []
    for word in rows.order_by("due_at", "id"):
        word.order.channel = channel
        found.append((word, word.tracking_id))
    return found


def _pause_of(error: ConnectorError) -> timedelta:
    if isinstance(error, OutcomeUnknown):
        # It may arrive until then.
        return timedelta(seconds=CALL_SECONDS)
    if isinstance(error, TransientError):
        return timedelta(seconds=jittered(within_reason(error)))
    return timedelta(seconds=_LONGEST_PAUSE)


# -- saying


def _say(channel: Channel, connector: Connector, word: OrderAcknowledgement) -> bool:
    """Says our word on one order, or has it wait; tells whether the platform was called.

    Raises `ConnectorError` where the channel itself fails.
    """
    lines = promised_lines(word.order)
    shortage = _shortage(connector, word, lines)
    if shortage is not None:
        until = timezone.now() + LOOK_AGAIN
        if shortage.until is not None:
            until = min(until, shortage.until)
        _write(word, waits_for=shortage.reason, due_at=until)
        return False
    try:
        said = connector.acknowledge_order(word.order.external_id, lines)
    except (Rejected, BadMessage) as error:
        _refused(channel, word, str(error))
    else:
        _note_said(channel, word, said)
    return True


def _shortage(
    connector: Connector, word: OrderAcknowledgement, lines: Sequence[PromisedLine]
) -> _Shortage | None:
    """Says why the order waits; None where it is answered now."""
    short = [line for line in lines if line.is_short]
    if not short or word.is_hurried:
        return None
    patience = connector.shortage_patience(connector.account.settings)
    until = None if patience is None else word.asked_at + patience
    if until is not None and until <= timezone.now():
        return None
    unknown = sum(not line.is_known for line in short)
    units = sum(line.wanted - line.held for line in short)
    reason = f"{units} units on {len(short)} lines are not held"
    if unknown:
        reason += f", of which {unknown} lines name a SKU that nobody knows"
    end = "until a person decides" if until is None else f"until {until:%Y-%m-%d %H:%M} UTC"
    return _Shortage(f"{reason}; it waits for goods {end}.", until)


def _note_said(channel: Channel, word: OrderAcknowledgement, said: Acknowledged) -> None:
    now = timezone.now()
    match said.step:
        case AcknowledgementStep.SENT:
            lines = {line.external_id: _plain(asdict(line)) for line in said.lines}
            _write(
                word, tracking_id=said.tracking_id[:200], lines=lines, sent=word.wanted, sent_at=now, waits_for="",
                due_at=now + FOLLOW_AGAIN, in_force_at=None, last_error="",
            )  # fmt: skip
        case AcknowledgementStep.NOT_AWAITED:
            in_force_at = now if word.sent == word.wanted else word.in_force_at
            _write(
                word, done=word.wanted, waits_for="", attempts=0, last_error="", is_hurried=False,
                in_force_at=in_force_at,
            )  # fmt: skip
            hint(channel, word.order.external_id)
        case AcknowledgementStep.CHANGED:
            hint(channel, word.order.external_id)
            _write(word, due_at=now + timedelta(seconds=jittered(_FIRST_PAUSE)))


def _plain(line: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in line.items() if name != "external_id" and value}


# -- following


def _follow(channel: Channel, connector: Connector, words: Sequence[OrderAcknowledgement]) -> None:
    """Asks what became of words on their way, and writes it down. Raises `ConnectorError`."""
    if not words:
        return
    ends = connector.follow_acknowledgements([word.tracking_id for word in words])
    for word in words:
        end = ends.get(word.tracking_id)
        if end is None:
            _note_open(word)
        else:
            _note_end(channel, word, end)


def _note_open(word: OrderAcknowledgement) -> None:
    now = timezone.now()
    since = word.sent_at or now
    if now - since < LONGEST_WAIT:
        # The longer it takes, the more seldom it is asked after.
        _write(word, due_at=now + max(FOLLOW_AGAIN, min((now - since) / 4, LOOK_AGAIN)))
        return
    minutes = int(LONGEST_WAIT.total_seconds() // 60)
    reason = f"The platform still works on it after {minutes} minutes; it is looked at, and said again."
    _write(word, tracking_id="", last_error=reason, due_at=now)


def _note_end(channel: Channel, word: OrderAcknowledgement, end: AcknowledgementEnd) -> None:
    if not end.is_in_force:
        _refused(channel, word, end.reason or "The platform refused our word on the order.")
        return
    _write(
        word, tracking_id="", done=word.sent, attempts=0, last_error="", is_hurried=False, due_at=timezone.now(),
        in_force_at=timezone.now(),
    )  # fmt: skip
    # What was rejected is cancelled by that: the order says so.
    hint(channel, word.order.external_id)


def _refused(channel: Channel, word: OrderAcknowledgement, reason: str) -> None:
    """Counts a refusal of this one word; enough of them are left to people. The order may have changed: it is read anew."""
    attempts = word.attempts + 1
    pause = jittered(min(_FIRST_PAUSE * 2.0 ** min(attempts - 1, 20), _LONGEST_PAUSE))
    now = timezone.now()
    given_up = now if attempts >= min(REFUSALS, settings.PUSH_ATTEMPTS) else None
    _write(
        word, tracking_id="", attempts=attempts, last_error=redact_text(reason)[:2000], dead_at=given_up,
        due_at=now + timedelta(seconds=pause),
    )  # fmt: skip
    error_log.note(channel.pk, Rejected(reason), job=ErrorJob.ACKNOWLEDGE, about=word.order)
    hint(channel, word.order.external_id)


_FREE: Final[dict[str, Any]] = {"lease_token": None, "leased_until": None}


def _held(token: uuid.UUID | None) -> QuerySet[OrderAcknowledgement]:
    return OrderAcknowledgement.objects.filter(lease_token=token)


def _write(word: OrderAcknowledgement, **values: Any) -> None:
    """Writes down what became of a word, under its lease; one that was lost meanwhile is somebody else's."""
    _held(word.lease_token).filter(pk=word.pk).update(**values, **_FREE)


# -- by people


def hurry(ids: Collection[int]) -> int:
    """Has our word on orders said now, by what is held at this moment; returns how many had not been said."""
    waiting = OrderAcknowledgement.objects.filter(
        Q(wanted__gt=F("done")), pk__in=list(ids), tracking_id="", dead_at__isnull=True
    )
    return _woken(waiting.update(is_hurried=True, due_at=timezone.now(), waits_for=""))


def replay(ids: Collection[int]) -> int:
    """Has words said again that were given up; returns how many."""
    dead = OrderAcknowledgement.objects.filter(pk__in=list(ids), dead_at__isnull=False)
    return _woken(dead.update(dead_at=None, attempts=0, last_error="", due_at=timezone.now()))


def _woken(count: int) -> int:
    if count:
        notify_after_commit("onecount_push")
    return count
