"""One batch from lease to outcome: compute, compare, send, write down.

The numbers are computed here, after the lease was committed. With compare-and-set a number replaces only the one that the
shop should show; where it shows another, the unexplained drop is taken for sales not yet imported and left out of what is
sent. Results are written under the lease's token alone.
"""

import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Final

from django.db import connection

from channels import breaker
from channels.connectors.base import Connector, ItemOutcome, PushItem, PushResult
from channels.errors import (
    ConnectorError,
    OutcomeUnknown,
    PermanentError,
    Rejected,
    Throttled,
    TransientError,
)
from channels.exposure import Exposure, exposures
from channels.feeds import ask_for_poll
from channels.models.outbound import PushOutcome
from channels.outcomes import Told, write_outcomes
from channels.pushes import Lease, Leased, give_back

#: Times a stale number is read again and sent anew before it waits for its next turn.
STALE_ROUNDS: Final = 4
#: Seconds that an accepted push is followed before it counts as unknown.
FOLLOW_SECONDS: Final = 5.0
_FOLLOW_PAUSE: Final = 0.5


@dataclass(slots=True)
class Draft:
    """One listing level on its way: what it should show, and what is sent for it."""

    level: Leased
    exposure: Exposure
    #: The number the shop should show, by which the sent one is netted; None before the first confirmation.
    base: int | None
    compare_with: int | None
    quantity: int
    outcome: PushOutcome | None = None
    error: str = ""
    tracking_id: str = ""

    @property
    def target(self) -> int:
        """What the exposure came to."""
        return self.exposure.quantity

    def read(self, shown: int) -> None:
        """Takes in what the shop shows: a drop that nothing explains is left out, a rise is never passed on."""
        drop = 0 if self.base is None else max(self.base - shown, 0)
        self.compare_with = shown
        self.quantity = max(self.target - drop, 0)


@dataclass(slots=True)
class Batch:
    """A lease being sent."""

    lease: Lease
    connector: Connector
    computed_at: datetime
    call_id: uuid.UUID = field(default_factory=uuid.uuid4)
    drafts: dict[int, Draft] = field(default_factory=dict)

    def open(self) -> list[Draft]:
        """Drafts without an outcome."""
        return [draft for draft in self.drafts.values() if draft.outcome is None]


def send(lease: Lease, connector: Connector) -> float:
    """Tells the channel what the leased listing levels should show.

    Returns the seconds for which the channel wants to be left alone; 0 when it works.
    """
    batch = _prepare(lease, connector)
    pause = 0.0
    try:
        _tell(batch)
    except Throttled as error:
        # No tokens, or the platform asked for fewer calls: says nothing against the channel.
        pause = max(error.retry_after or 1.0, 0.05)
    except ConnectorError as error:
        pause = _give_up(batch, error)
    else:
        breaker.note_success(lease.channel_id)
    _finish(batch)
    return pause


def _prepare(lease: Lease, connector: Connector) -> Batch:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        (computed_at,) = cursor.fetchone()
    batch = Batch(lease, connector, computed_at)
    numbers = exposures([level.id for level in lease.levels])
    for level in lease.levels:
        exposure = numbers[level.id]
        batch.drafts[level.id] = Draft(
            level, exposure, exposure.expected, exposure.expected, exposure.quantity
        )
    return batch


def _tell(batch: Batch) -> None:
    if not batch.connector.capabilities.compare_and_set:
        for draft in batch.open():
            draft.compare_with = None
        _push(batch, batch.open())
        return
    _settle_unchanged(batch)
    _read(batch, [d for d in batch.open() if d.base is None or d.level.is_outcome_unknown])
    for round_number in range(STALE_ROUNDS):
        stale = _push(batch, batch.open())
        if not stale:
            return
        if round_number == 0:
            ask_for_poll(batch.lease.channel_id)
        _read(batch, stale)


def _settle_unchanged(batch: Batch) -> None:
    """What the shop shows already, by all we know, is not sent."""
    for draft in batch.drafts.values():
        if draft.base == draft.target and not draft.level.is_outcome_unknown:
            draft.outcome = PushOutcome.UNCHANGED
            draft.quantity = draft.target


def _read(batch: Batch, drafts: Sequence[Draft]) -> None:
    """Reads what the shop shows and sets the drafts by it."""
    if not drafts:
        return
    by_address = {
        (d.level.address.listing_external_id, d.level.address.location_external_id): d for d in drafts
    }
    for shelf in batch.connector.read_levels([draft.level.address for draft in drafts]):
        draft = by_address.pop((shelf.listing_external_id, shelf.location_external_id), None)
        if draft is not None and shelf.quantity is not None:
            _take_in(draft, shelf.quantity)
    for draft in by_address.values():
        # The platform shows nothing there; what it says to the push decides.
        draft.compare_with = None


def _take_in(draft: Draft, shown: int) -> None:
    if draft.level.is_outcome_unknown and shown == draft.level.sent_quantity:
        # The call of which nothing was heard has arrived: that is no sale.
        draft.base = shown
    draft.read(shown)


def _push(batch: Batch, drafts: Sequence[Draft]) -> list[Draft]:
    """Sends drafts and notes their outcomes; returns those that were stale."""
    if not drafts:
        return []
    # Other numbers or other comparisons are another intent, which needs a key of its own.
    batch.call_id = uuid.uuid4()
    items = [PushItem(d.level.address, d.quantity, d.compare_with) for d in drafts]
    results = {r.listing_level_id: r for r in batch.connector.push(items, call_id=str(batch.call_id))}
    return [draft for draft in drafts if not _note(batch, draft, results.get(draft.level.id))]


_OUTCOMES: Final[Mapping[ItemOutcome, PushOutcome]] = {
    ItemOutcome.CONFIRMED: PushOutcome.CONFIRMED,
    ItemOutcome.REJECTED: PushOutcome.REJECTED,
    ItemOutcome.RETRY: PushOutcome.FAILED,
    ItemOutcome.UNKNOWN: PushOutcome.UNKNOWN,
    ItemOutcome.ACCEPTED: PushOutcome.ACCEPTED,
}


def _note(batch: Batch, draft: Draft, result: PushResult | None) -> bool:
    """Notes the outcome of one item; False when it was stale and has to be read again."""
    if result is None:
        draft.outcome, draft.error = PushOutcome.UNKNOWN, "The platform did not answer for this item."
        return True
    if result.outcome is ItemOutcome.STALE:
        draft.error = result.reason or "The shop shows another number."
        return False
    draft.outcome, draft.error, draft.tracking_id = (
        _OUTCOMES[result.outcome],
        result.reason,
        result.tracking_id,
    )
    if draft.outcome is PushOutcome.ACCEPTED:
        _follow(batch, draft)
    return True


def _follow(batch: Batch, draft: Draft) -> None:
    """Waits for the end of an accepted push, within the call's own time; what stays open is unknown."""
    until = time.monotonic() + FOLLOW_SECONDS
    while time.monotonic() < until:
        result = batch.connector.follow_push([draft.tracking_id]).get(draft.tracking_id)
        if result is not None:
            draft.outcome, draft.error = _OUTCOMES[result.outcome], result.reason
            return
        time.sleep(_FOLLOW_PAUSE)
    draft.outcome, draft.error = PushOutcome.UNKNOWN, "Accepted, but not confirmed in time."


def _give_up(batch: Batch, error: ConnectorError) -> float:
    """Notes a failure of the whole call; returns the seconds for which the channel is left alone."""
    reason = str(error)
    if isinstance(error, OutcomeUnknown):
        _close(batch.open(), PushOutcome.UNKNOWN, reason)
    elif isinstance(error, Rejected) and len(batch.open()) == 1:
        _close(batch.open(), PushOutcome.REJECTED, reason)
        return 0.0
    elif isinstance(error, PermanentError | TransientError):
        for draft in batch.open():
            draft.error = reason
    until = breaker.note_failure(batch.lease.channel_id, error)
    return 0.5 if until is None else max((until - batch.computed_at).total_seconds(), 0.5)


def _close(drafts: Iterable[Draft], outcome: PushOutcome, reason: str) -> None:
    for draft in drafts:
        draft.outcome, draft.error = outcome, reason


def _finish(batch: Batch) -> None:
    """Writes the outcomes down; what has none was not sent and goes back as it was."""
    told = [_told(d, d.outcome) for d in batch.drafts.values() if d.outcome is not None]
    if told:
        write_outcomes(batch.lease, told, call_id=batch.call_id, computed_at=batch.computed_at)
    unsent = [draft.level.id for draft in batch.open()]
    if unsent:
        give_back(batch.lease, unsent)


def _told(draft: Draft, outcome: PushOutcome) -> Told:
    return Told(
        level=draft.level,
        target=draft.target,
        quantity=draft.quantity,
        compared_with=draft.compare_with,
        expected=draft.exposure.expected,
        outcome=outcome,
        error=draft.error,
        tracking_id=draft.tracking_id,
        waterfall=[asdict(step) for step in draft.exposure.steps],
    )
