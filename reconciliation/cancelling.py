"""Cancels units at platforms: what was written down is told, and followed until the platform's own order says so.

    lease (commit) → read the order, call, outside of any transaction → write the outcome under the lease → wait for the order

The order is read first, because customers and staff cancel there too: what nobody is owed any more must not be cancelled, or
they lose units besides. A process that dies after the lease leaves it to end; the call is then repeated under the same id,
and platforms cancel once for an id. Nothing here moves the ledger: the order that is fetched does.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import structlog
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from channels import breaker
from channels.accounts import channel_of, open_connector
from channels.connectors.base import CancelOutcome, Connector
from channels.errors import (
    BadMessage,
    ChannelError,
    Misconfigured,
    PermanentError,
    Rejected,
    TransientError,
    Unauthorised,
    Unsupported,
)
from channels.fetching import fetch_now
from channels.line_remedies import line_of
from channels.models import Channel, ChannelOrderLine
from channels.orders import hint
from channels.retries import jittered, within_reason
from inventory.errors import StockBusy, StockError
from reconciliation.models import Resolution, ResolutionState
from reconciliation.resolving import await_order, end

log = structlog.get_logger(__name__)

#: Longer than all calls of a cancellation may take together.
LEASE: Final = timedelta(seconds=60)
#: Calls without a clear answer, after which a person looks.
ATTEMPTS: Final = 10
#: Looks at an order that does not show the cancellation, after which a person looks.
LOOKS: Final = 12
_FIRST_PAUSE: Final = 2.0
_LONGEST_PAUSE: Final = 600.0

_TO_TELL: Final = (ResolutionState.WANTED, ResolutionState.CALLING)


@dataclass(slots=True)
class _Call:
    """One attempt under its lease."""

    resolution: Resolution
    channel: Channel
    line: ChannelOrderLine
    #: Whether the platform may have been asked to cancel by this attempt.
    was_asked: bool = False


def tell_next() -> bool:
    """Tells a platform the next cancellation that is due, or asks what became of one; False where none is."""
    leased = _lease()
    if leased is None:
        return False
    line = line_of(leased.conflict)
    channel = None if line is None else channel_of(line.order.channel_id)
    if line is None or channel is None:
        _finish(leased, ResolutionState.FAILED, "The channel or the order line is gone; cancel it by hand.")
        return True
    _try(_Call(leased, channel, line))
    return True


def _lease() -> Resolution | None:
    """Takes the next one that may be told now: not while its channel is paused, off, or its breaker open."""
    now = timezone.now()
    due = Resolution.objects.filter(
        Q(state__in=_TO_TELL) | Q(state=ResolutionState.ACCEPTED), next_attempt_at__lte=now
    )
    due = due.filter(channel__is_active=True, channel__is_paused=False)
    due = due.exclude(channel__health__breaker_open_until__gt=now)
    with transaction.atomic():
        rows = due.select_related("conflict").select_for_update(skip_locked=True, of=("self",))
        resolution = rows.order_by("next_attempt_at", "id").first()
        if resolution is None:
            return None
        resolution.attempts += 1
        resolution.next_attempt_at = now + LEASE
        if resolution.state != ResolutionState.ACCEPTED:
            resolution.state = ResolutionState.CALLING
        resolution.save(update_fields=["attempts", "next_attempt_at", "state"])
    return resolution


def _try(call: _Call) -> None:
    try:
        connector = open_connector(call.channel)
        outcome = _asked(call, connector) if _is_still_owed(call, connector) else None
    except TransientError as error:
        breaker.note_failure(call.channel.pk, error)
        _postpone(call, error, within_reason(error))
    except StockBusy as error:
        _postpone(call, error, _FIRST_PAUSE)
    except (Unauthorised, Misconfigured) as error:
        breaker.note_failure(call.channel.pk, error)
        _postpone(call, error, _LONGEST_PAUSE)
    except (PermanentError, ChannelError) as error:
        # The order may be otherwise than we know it.
        hint(call.channel, call.line.order.external_id)
        _finish(call.resolution, ResolutionState.FAILED, str(error))
    else:
        breaker.note_success(call.channel.pk)
        if outcome is not None:
            _record(call.resolution, outcome)


def _is_still_owed(call: _Call, connector: Connector) -> bool:
    """Reads the order and tells whether the units are still to be cancelled; ends the resolution where they are not."""
    resolution = call.resolution
    if resolution.tracking_id:
        return True
    try:
        fetch_now(call.channel, connector, call.line.order.external_id)
    except (Rejected, BadMessage, Unsupported, StockError) as error:
        if isinstance(error, StockBusy):
            raise
        log.info("order_not_read_before_cancelling", resolution=resolution.pk, reason=str(error))
    resolution.conflict.refresh_from_db()
    call.line.refresh_from_db(fields=["cancelled"])
    if resolution.conflict.open_quantity >= resolution.quantity:
        return True
    if resolution.attempts == 1:
        _finish(resolution, ResolutionState.DROPPED, "Fewer units are owed by now; nothing was cancelled.")
        return False
    if call.line.cancelled >= (resolution.cancelled_when_done or 0):
        _confirm(resolution)
        return False
    return True  # an earlier call had no answer: under the same id the platform says what became of it


def _confirm(resolution: Resolution) -> None:
    """Notes that an earlier call, whose answer was lost, did what it should: the order shows it."""
    with transaction.atomic():
        found = _still_leased(resolution)
        if found is not None:
            await_order(found)
            found.save()


def _asked(call: _Call, connector: Connector) -> CancelOutcome:
    resolution, line = call.resolution, call.line
    call.was_asked = True
    if resolution.tracking_id:
        is_open = connector.is_process_open(resolution.tracking_id)
        cancelled = 0 if is_open else resolution.quantity
        return CancelOutcome(
            cancelled, bool(resolution.refunds), bool(resolution.restocks), resolution.tracking_id
        )
    return connector.cancel_line(
        line.order.external_id, line.external_id, resolution.quantity, call_id=str(resolution.call_id)
    )


def _record(resolution: Resolution, outcome: CancelOutcome) -> None:
    """Writes down what the platform answered, unless somebody else has the lease by now."""
    with transaction.atomic():
        found = _still_leased(resolution)
        if found is None:
            return
        found.refunds, found.restocks = outcome.refunds, outcome.restocks
        if outcome.cancelled >= found.quantity:
            found.tracking_id = ""
            await_order(found)
        else:
            found.state, found.tracking_id = ResolutionState.ACCEPTED, outcome.tracking_id
            found.next_attempt_at = timezone.now() + _pause(found.attempts)
            if found.attempts >= ATTEMPTS:
                end(found, ResolutionState.FAILED, "The platform has not decided; look there.")
        found.save()


def _finish(resolution: Resolution, state: ResolutionState, error: str) -> None:
    with transaction.atomic():
        found = _still_leased(resolution)
        if found is not None:
            end(found, state, error)
            found.save()


def _postpone(call: _Call, error: Exception, asked: float) -> None:
    """Tries again later, under the same id; a person looks where that has been in vain for long.

    An attempt that did not come to asking is none: the channel is down, which is told elsewhere, and nothing was cancelled.
    """
    with transaction.atomic():
        found = _still_leased(call.resolution)
        if found is None:
            return
        pause = max(timedelta(seconds=asked), _pause(found.attempts))
        if not call.was_asked:
            found.attempts -= 1
        if found.attempts >= ATTEMPTS:
            end(
                found,
                ResolutionState.FAILED,
                f"{error} It may have been cancelled all the same: look at the order there, then try again.",
            )
        else:
            found.error = str(error)[:2000]
            found.next_attempt_at = timezone.now() + pause
        found.save()


def _still_leased(resolution: Resolution) -> Resolution | None:
    rows = Resolution.objects.select_for_update(of=("self",)).select_related("conflict")
    return rows.filter(pk=resolution.pk, attempts=resolution.attempts, state=resolution.state).first()


def _pause(attempts: int) -> timedelta:
    return timedelta(seconds=jittered(min(_FIRST_PAUSE * 2.0 ** min(attempts, 12), _LONGEST_PAUSE)))


def follow_orders(*, limit: int = 500) -> int:
    """Ends cancellations that the platforms' orders show, and has the other orders fetched again; returns how many ended."""
    waiting = Resolution.objects.filter(
        state=ResolutionState.CONFIRMED, next_attempt_at__lte=timezone.now()
    ).order_by("next_attempt_at")
    return sum(_follow(pk) for pk in list(waiting.values_list("pk", flat=True)[:limit]))


@transaction.atomic
def _follow(resolution_id: int) -> bool:
    rows = Resolution.objects.select_for_update(of=("self",), skip_locked=True).select_related("conflict")
    resolution = rows.filter(pk=resolution_id, state=ResolutionState.CONFIRMED).first()
    if resolution is None:
        return False
    line = line_of(resolution.conflict)
    is_shown = (
        line is None or line.order.is_deleted or line.cancelled >= (resolution.cancelled_when_done or 0)
    )
    if is_shown:
        end(resolution, ResolutionState.DONE)
    else:
        _look_again(resolution)
    resolution.save()
    return is_shown


def _look_again(resolution: Resolution) -> None:
    resolution.attempts += 1
    line = line_of(resolution.conflict)
    if resolution.attempts >= LOOKS or line is None:
        end(
            resolution,
            ResolutionState.FAILED,
            "The order does not show the cancellation. Look at it there; the units are still owed.",
        )
        return
    hint(line.order.channel, line.order.external_id)
    resolution.next_attempt_at = timezone.now() + _pause(resolution.attempts)
