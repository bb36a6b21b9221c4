"""One batch from lease to outcome: compute, compare, send, write down.

The numbers are computed here, after the lease was committed, and nothing is decided before. All calls of a
batch share one total deadline, shorter than half the lease.
"""

import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from django.db import connection

from channels import breaker, error_log
from channels.accounts import channel_of, open_connector
from channels.comparing import Decision, adopt, decide, look
from channels.connectors.base import Connector, Convention, ItemOutcome, PushItem, PushResult
from channels.desks import Done
from channels.errors import ConnectorError, OutcomeUnknown, PermanentError, Throttled
from channels.exposure import Exposure, exposures
from channels.feeds import ask_for_poll
from channels.leases import (
    Lease,
    Leased,
    Turns,
    are_many_increases_due,
    give_back,
    lease,
    note_sent,
)
from channels.models.error_log import ErrorJob
from channels.models.listings import Lane
from channels.models.outbound import PushOutcome
from channels.outcomes import OUTCOMES, Told, write_outcomes
from channels.pushes import mark_listing_levels
from channels.retries import CALL_SECONDS, after_call, after_item, jittered, within_reason
from config.logs import redact_text

#: Seconds of all calls of a batch together.
BATCH_SECONDS: Final = 15.0
#: Seconds of all calls of a bulk together: each of its listings is looked at before.
BULK_SECONDS: Final = 240.0
#: How many times the number from which on a bulk is worth it go together at most.
BULK_SHARE: Final = 2
#: Seconds until increases that went out in bulk are told one by one after all.
BULK_PAUSE: Final = 3600.0
#: Times a stale number is read again and sent anew before it waits for its next turn.
STALE_ROUNDS: Final = 4
#: Seconds until a number is looked at again whose history is in doubt; its orders are polled meanwhile.
SECOND_LOOK: Final = 3.0


@dataclass(frozen=True, slots=True)
class Draft:
    """One listing level with its number, as computed at one instant."""

    level: Leased
    exposure: Exposure
    computed_at: datetime
    decision: Decision

    def told(self, outcome: PushOutcome, **details: Any) -> Told:
        """Returns the outcome of this attempt."""
        return Told(
            level=self.level,
            target=self.exposure.quantity,
            outcome=outcome,
            computed_at=self.computed_at,
            expected=self.exposure.expected,
            quantity=self.decision.quantity,
            compared_with=self.decision.compare_with,
            waterfall=[step.row() for step in self.exposure.steps],
            **details,
        )


@dataclass(slots=True)
class _Batch:
    """A lease being sent: what is open, and what became of the rest."""

    lease: Lease
    connector: Connector
    open: dict[int, Draft] = field(default_factory=dict)
    told: list[Told] = field(default_factory=list)
    #: Attempts that another one of this batch followed.
    log: list[Told] = field(default_factory=list)
    #: They go together, in one call that may take long.
    is_bulk: bool = False
    #: The key of the call that is on its way; None while nothing has been sent.
    call_id: uuid.UUID | None = None

    #: Listing levels whose outcome is written down already.
    written: set[int] = field(default_factory=set)
    #: Some were not sent: a call failed or the limit was used up, so that the channel does not work well.
    is_cut: bool = False
    #: What the platform answered for but did not take.
    refused: list[Told] = field(default_factory=list)
    #: Listing levels to be looked at again although they were told.
    doubtful: set[int] = field(default_factory=set)
    #: Listing levels that were read for the first time. What the shop sold before that is imported later and lowers what
    #: is expected once more, so that those that were then told something have to be looked at again too.
    first: set[int] = field(default_factory=set)

    def write(self) -> None:
        """Writes down what became of the listing levels so far."""
        if self.told or self.log:
            write_outcomes(self.lease, self.told, log=self.log)
        self.written |= {each.level.id for each in self.told}
        self.told, self.log = [], []

    def close(self, draft: Draft, told: Told) -> None:
        """Ends one listing level's part in the batch."""
        del self.open[draft.level.id]
        is_doubtful = told.level.id in self.doubtful or (
            told.level.id in self.first and told.quantity is not None
        )
        if told.is_done and is_doubtful:
            told = replace(told, is_doubtful=True, pause=SECOND_LOOK)
        self.told.append(told)


def push_batch(
    channel_id: int, turns: Turns, *, on_lease: Callable[[Lease], None] = lambda lease: None
) -> Done:
    """Leases what is most urgent at a channel and tells it; `on_lease` hears what that is, before it goes."""
    channel = channel_of(channel_id)
    if channel is None:
        return Done()
    oldest_first = turns.is_oldest_first()
    try:
        connector = open_connector(channel, deadline=CALL_SECONDS, priority=oldest_first)
    except ConnectorError as error:
        breaker.note_failure(channel_id, error, job=ErrorJob.PUSH)
        return Done(has_failed=True)
    able = connector.capabilities
    if able.bulk_increases and not oldest_first:
        bulk = lease_bulk(channel_id, able.bulk_increases)
        if bulk is not None:
            on_lease(bulk)
            return send_bulk(bulk, connector)
    leased = lease(
        channel_id, size=able.push_batch_size, parents=able.parents_in_push, oldest_first=oldest_first
    )
    if leased is None:
        return Done()
    turns.count(len(leased.levels), oldest_first=oldest_first)
    on_lease(leased)
    return send(leased, connector)


def send(lease: Lease, connector: Connector) -> Done:
    """Tells the channel what the leased listing levels should show, and writes down what became of it."""
    batch = _Batch(lease, connector)
    rest, has_failed = 0.0, False
    try:
        with connector.client.budget(BATCH_SECONDS):
            _tell(batch)
    except Throttled as error:
        rest = within_reason(error)
        error_log.note(lease.channel_id, error, job=ErrorJob.PUSH)
    except ConnectorError as error:
        has_failed = True
        _give_up(batch, error)
    else:
        if not batch.is_cut:
            breaker.note_success(lease.channel_id, is_push=True)
    batch.write()
    error_log.note_items(lease.channel_id, batch.refused)
    unsent = {level.id for level in lease.levels} - batch.written
    if unsent:
        give_back(lease, unsent)
    return Done(len(lease.levels), rest, has_failed)


def _tell(batch: _Batch) -> None:
    _compute(batch, batch.lease.levels)
    able = batch.connector.capabilities
    if not able.compare_and_set:
        # A shop that lowers its number by itself may have done so just before our last call went over it: nothing is
        # inferred, what may be there already is sent all the same. One that leaves it alone shows what it was told last.
        leaves_it_alone = able.convention is Convention.INCLUDES_OPEN_ORDERS
        is_sure = {d.level.id for d in _open(batch) if leaves_it_alone and not d.level.is_outcome_unknown}
        _redecide(
            batch,
            {
                draft.level.id: Decision(draft.exposure.quantity, None)
                for draft in _open(batch)
                if draft.decision.quantity is not None or draft.level.id not in is_sure
            },
        )
        _settle_unchanged(batch)
        _push(batch)
        return
    unsure = _unsure(batch)
    _converge(batch)
    if unsure:
        # After all that can be told at once: reading may have to wait for the limit.
        batch.write()
        _resolve(batch, unsure)
        _converge(batch)


def _converge(batch: _Batch) -> None:
    """Tells what is open, and reads and tells again what turns out to be stale."""
    for _ in range(STALE_ROUNDS):
        _settle_unchanged(batch)
        stale = _push(batch)
        if not stale:
            return
        # What the shop has taken does not wait for what it has not.
        batch.write()
        _read_again(batch, stale)
    for draft in _open(batch):
        error = "The shop's number kept changing while it was told."
        batch.close(draft, draft.told(PushOutcome.STALE, error=error, pause=jittered(0.3)))


def _open(batch: _Batch) -> list[Draft]:
    return list(batch.open.values())


def _compute(batch: _Batch, levels: Iterable[Leased]) -> None:
    """Computes the numbers from what is committed now."""
    leased = {level.id: level for level in levels}
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        (computed_at,) = cursor.fetchone()
    for identity, exposure in exposures(leased).items():
        decision = decide(exposure.quantity, expected=exposure.expected, shown=None)
        batch.open[identity] = Draft(leased[identity], exposure, computed_at, decision)


def _redecide(batch: _Batch, decisions: dict[int, Decision]) -> None:
    for identity, decision in decisions.items():
        draft = batch.open[identity]
        batch.open[identity] = Draft(draft.level, draft.exposure, draft.computed_at, decision)


def _unsure(batch: _Batch) -> list[Leased]:
    """Takes out of the batch the shelves of which we do not know what they should show."""
    unsure = [
        draft for draft in _open(batch) if draft.exposure.expected is None or draft.level.is_outcome_unknown
    ]
    for draft in unsure:
        del batch.open[draft.level.id]
        if draft.exposure.expected is None:
            batch.first.add(draft.level.id)
    return [draft.level for draft in unsure]


def _resolve(batch: _Batch, unsure: Sequence[Leased]) -> None:
    """Reads shelves before anything is sent to them, and takes them into the batch."""
    shown = _read(batch, unsure)
    batch.doubtful |= adopt(batch.lease, shown) | look(batch.lease, shown)
    _compute(batch, unsure)
    _compare(batch, unsure, shown)


def _read_again(batch: _Batch, stale: Sequence[Draft]) -> None:
    """Reads shelves that showed another number than expected, and decides anew."""
    levels = [draft.level for draft in stale]
    shown = _read(batch, levels)
    batch.doubtful |= look(batch.lease, shown)
    _compute(batch, levels)
    _compare(batch, levels, shown)


def _compare(batch: _Batch, levels: Sequence[Leased], shown: dict[int, int]) -> None:
    decisions = {}
    for level in levels:
        exposure = batch.open[level.id].exposure
        number = shown.get(level.id)
        if number is None:
            # The platform shows nothing there; what it says to the push decides.
            decisions[level.id] = Decision(exposure.quantity, None)
        else:
            decisions[level.id] = decide(exposure.quantity, expected=exposure.expected, shown=number)
    _redecide(batch, decisions)
    if batch.doubtful or any(decisions[each].quantity is not None for each in batch.first & decisions.keys()):
        ask_for_poll(batch.lease.channel_id)


def _read(batch: _Batch, levels: Sequence[Leased]) -> dict[int, int]:
    """Returns what the shop shows, by listing level id, where it says so."""
    batch.call_id = None
    ids = {
        (level.address.listing_external_id, level.address.location_external_id): level.id for level in levels
    }
    return {
        ids[key]: shelf.quantity
        for shelf in batch.connector.read_levels([level.address for level in levels])
        if (key := (shelf.listing_external_id, shelf.location_external_id)) in ids
        and shelf.quantity is not None
    }


def _settle_unchanged(batch: _Batch) -> None:
    """Closes what shows the right number already, by all we know."""
    for draft in _open(batch):
        if draft.decision.quantity is None:
            batch.close(draft, draft.told(PushOutcome.UNCHANGED, published=draft.decision.shown))


def _push(batch: _Batch) -> list[Draft]:
    """Sends what is open and closes it; returns what was stale."""
    items = [
        PushItem(draft.level.address, draft.decision.quantity, draft.decision.compare_with, draft.computed_at)
        for draft in _open(batch)
        if draft.decision.quantity is not None
    ]
    if not items:
        return []
    note_sent(batch.lease, {item.address.listing_level_id: item.quantity for item in items})
    # Other numbers or other comparisons are another intent, which needs a key of its own.
    batch.call_id = uuid.uuid4()
    tell = batch.connector.push_increases if batch.is_bulk else batch.connector.push
    results = tell(items, call_id=str(batch.call_id))
    by_id = {result.listing_level_id: result for result in results}
    return [draft for draft in _open(batch) if not _note(batch, draft, by_id.get(draft.level.id))]


def _note(batch: _Batch, draft: Draft, result: PushResult | None) -> bool:
    """Closes one item with its outcome; False when it was stale and has to be read again."""
    if result is None:
        reason = "The platform did not answer for this item."
        result = PushResult(draft.level.id, ItemOutcome.UNKNOWN, reason)
    if result.outcome is ItemOutcome.NOT_SENT:
        batch.is_cut = True
        del batch.open[draft.level.id]
        return True
    if result.outcome is ItemOutcome.STALE:
        batch.log.append(
            draft.told(PushOutcome.STALE, call_id=batch.call_id, error=redact_text(result.reason))
        )
        return False
    told = _told_of(draft, result, batch.call_id, batch.connector)
    if told.is_failure:
        batch.refused.append(told)
    batch.close(draft, told)
    return True


def _told_of(draft: Draft, result: PushResult, call_id: uuid.UUID | None, connector: Connector) -> Told:
    """Returns what a platform's answer for one item means for its listing level."""
    outcome = OUTCOMES[result.outcome]
    details: dict[str, Any] = {
        "call_id": call_id,
        "error": redact_text(result.reason),
        "tracking_id": result.tracking_id,
    }
    if outcome is PushOutcome.CONFIRMED:
        details["published"] = draft.decision.quantity
    elif outcome is not PushOutcome.ACCEPTED:
        details |= after_item(draft.level, outcome, connector.capabilities)
    return draft.told(outcome, **details)


def lease_bulk(channel_id: int, many: int) -> Lease | None:
    """Leases many increases at once; None while there are fewer, which go one by one."""
    if not are_many_increases_due(channel_id, many):
        return None
    found = lease(channel_id, size=BULK_SHARE * many, lane=Lane.INCREASE, seconds=2 * BULK_SECONDS + 10)
    # There may be more: decreases do not wait for this to be known.
    return None if found is None else replace(found, is_full=True)


def send_bulk(lease: Lease, connector: Connector) -> Done:
    """Tells many increases in one slow call. It holds none of them: a change is told at once, and overtakes it."""
    batch = _Batch(lease, connector, is_bulk=True)
    has_failed = False
    try:
        with connector.client.budget(BULK_SECONDS):
            _compute(batch, lease.levels)
            _redecide(batch, {each.level.id: Decision(each.exposure.quantity, None) for each in _open(batch)})
            _push(batch)
    except Throttled as error:
        error_log.note(lease.channel_id, error, job=ErrorJob.PUSH)
    except ConnectorError as error:
        has_failed = True
        _give_up(batch, error)
    accepted = [each.level.id for each in batch.told if each.outcome is PushOutcome.ACCEPTED]
    batch.write()
    error_log.note_items(lease.channel_id, batch.refused)
    if accepted:
        give_back(lease, accepted, pause=BULK_PAUSE)
    unsent = {level.id for level in lease.levels} - batch.written
    if unsent:
        give_back(lease, unsent)
        # One by one, then: the next bulk would be no better.
        mark_listing_levels(sorted(unsent), lane=Lane.DECREASE)
    return Done(len(lease.levels), 0.0, has_failed)


_OTHERS_WORK: Final = """
SELECT coalesce(health.last_push_at > (
    SELECT min(failed.finished_at) FROM channels_push failed
    WHERE failed.listing_level_id = level.id AND failed.finished_at > coalesce((
        SELECT max(finished_at) FROM channels_push
        WHERE listing_level_id = level.id AND outcome IN ('confirmed', 'unchanged', 'accepted')
    ), '-infinity')
), false)
FROM channels_listinglevel level
JOIN channels_channelhealth health ON health.channel_id = level.channel_id
WHERE level.id = %s
"""


def _others_work(lease: Lease) -> bool:
    """Tells whether the channel took other pushes since the only listing of this lease began to fail."""
    with connection.cursor() as cursor:
        cursor.execute(_OTHERS_WORK, [lease.levels[0].id])
        row = cursor.fetchone()
    return bool(row and row[0])


def _give_up(batch: _Batch, error: ConnectorError) -> None:
    """Notes a failure of the whole call.

    It is the channel's, which parks nothing. But when a listing fails alone while the channel works, the
    listing is to blame, and until it is alone each failure halves its company twice (`channels.leases`).
    """
    in_a_row = breaker.note_failure(batch.lease.channel_id, error, job=ErrorJob.PUSH)
    needs_person = breaker.concerns_channel(error) and isinstance(error, PermanentError)
    if needs_person:
        return
    is_unknown = isinstance(error, OutcomeUnknown) and batch.call_id is not None
    outcome = PushOutcome.FAILED
    if is_unknown:
        outcome = PushOutcome.UNKNOWN
    elif isinstance(error, PermanentError):
        outcome = PushOutcome.REJECTED
    may_park = len(batch.lease.levels) == 1 and in_a_row <= 1 and _others_work(batch.lease)
    for draft in _open(batch):
        details = after_call(draft.level, outcome, error, batch.connector.capabilities, may_park=may_park)
        batch.close(draft, draft.told(outcome, call_id=batch.call_id, error=str(error), **details))
