"""Resolves conflicts: one recorded operation a decision, once for its key.

    lock the case → the first outcome again, or a new one → move the ledger, or write down what the platform has to be told

What moves stock commits together with the ledger. What a platform has to do is written down here and done by
`reconciliation.cancelling`, outside of any transaction; the ledger moves when the platform's order says so. Units that are
on their way to being cancelled can be given to no other remedy, so that none is served twice.

Locks are taken in this order: the case, then what `channels.orders` and the ledger lock.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final
from uuid import uuid4

from django.db import transaction
from django.db.models import F, QuerySet, Sum
from django.utils import timezone

from channels.line_remedies import line_of, serve_line, take_over_for
from channels.models import ChannelOrderLine
from channels.orders import hint
from config.jobs import wake
from inventory.backorders import backorder_conflict
from inventory.demands import DemandChange, settle
from inventory.errors import IdempotencyConflict, InvalidStockRequest
from inventory.inbound_rows import PromiseTerms
from inventory.ledger import Context, Outcome, domain_errors
from inventory.models import Conflict, Reservation
from reconciliation.causes import examine
from reconciliation.models import ConflictCase, RemedyKind, Resolution, ResolutionState
from reconciliation.models.conflicts import OPEN_STATES
from reconciliation.remedies import Remedy, find, undecided_units

#: The job that tells platforms.
CALLS: Final = "reconciliation.tasks.tell_platforms"
#: No person is credited with a longer time for one decision.
_LONGEST_HANDLING: Final = timedelta(hours=8)


@dataclass(frozen=True, slots=True)
class Decision:
    """What somebody, or a policy, has decided about one conflict."""

    #: Unlike that of every other decision about the conflict; at most 60 characters.
    key: str
    kind: RemedyKind
    #: As the remedy names it.
    target: str = ""
    #: None: as many as the remedy can end.
    quantity: int | None = None
    actor: str = ""
    note: str = ""
    is_automatic: bool = False
    #: Through what it was made, as the ledger names it.
    source: str = "back office"
    #: How long a person had looked at it; None where none did.
    handling: timedelta | None = None


def resolve(conflict: Conflict, decision: Decision) -> Resolution:
    """Applies a remedy to units of a conflict; the same key gives the first resolution again, and moves nothing.

    Raises `InvalidStockRequest` where the remedy is not to be had any more, `InsufficientStock`, `InsufficientInbound`,
    `IdempotencyConflict` for a key of another decision, `StockBusy`; nothing has changed then.
    """
    examine(conflict)
    with domain_errors(), transaction.atomic():
        lock_case(conflict)
        repeat = _first(conflict, decision)
        if repeat is not None:
            return repeat
        conflict.refresh_from_db()
        resolution = _new(conflict, decision, _chosen(conflict, decision))
        _APPLY[decision.kind](conflict, decision, resolution)
        resolution.save()
    return resolution


def lock_case(conflict: Conflict) -> None:
    """Has those who decide about the conflicts of one demand take turns, by id; before all other locks.

    A line that is short and whose goods were lost has two conflicts, and what is cancelled of it is counted over both.
    """
    same = Conflict.objects.filter(merchant=conflict.merchant_id, reference=conflict.reference)
    cases = ConflictCase.objects.filter(conflict__in=same).order_by("conflict_id")
    list(cases.select_for_update(of=("self",)))


def _key(conflict: Conflict, decision: Decision) -> str:
    return f"{conflict.pk}:{decision.key}"


def _first(conflict: Conflict, decision: Decision) -> Resolution | None:
    key = _key(conflict, decision)
    kept = Resolution.objects.filter(merchant_id=conflict.merchant_id, key=key).first()
    if kept is None:
        return None
    is_other = decision.quantity is not None and decision.quantity != kept.quantity
    if is_other or (kept.remedy, kept.target) != (decision.kind, decision.target):
        raise IdempotencyConflict(key)
    return kept


def _chosen(conflict: Conflict, decision: Decision) -> Remedy:
    """Returns the remedy as it is now. Raises `InvalidStockRequest` where it is not to be had, or for too many units."""
    remedy = find(conflict, decision.kind, decision.target)
    if remedy is None:
        raise InvalidStockRequest(
            "remedy",
            "it is not to be had any more: stock, orders or the conflict have changed. Look at the conflict again.",
        )
    if decision.quantity is not None and not 0 < decision.quantity <= remedy.units:
        raise InvalidStockRequest("quantity", f"this remedy can end 1 to {remedy.units} units.")
    return remedy


def _new(conflict: Conflict, decision: Decision, remedy: Remedy) -> Resolution:
    handling = decision.handling
    return Resolution(
        merchant_id=conflict.merchant_id,
        key=_key(conflict, decision),
        conflict=conflict,
        remedy=decision.kind,
        target=decision.target,
        summary=remedy.title[:300],
        quantity=remedy.units if decision.quantity is None else decision.quantity,
        state=ResolutionState.DONE,
        is_automatic=decision.is_automatic,
        actor=decision.actor[:200],
        note=decision.note,
        handling_seconds=None if handling is None else _seconds(handling),
        requested_at=timezone.now(),
        checklist=remedy.by_hand,
    )


def _seconds(handling: timedelta) -> int:
    return int(max(min(handling, _LONGEST_HANDLING), timedelta()).total_seconds())


def _context(decision: Decision, resolution: Resolution) -> Context:
    return Context(
        resolution.merchant_id,
        f"conflict:{resolution.key}",
        actor=resolution.actor,
        source="conflict policy" if resolution.is_automatic else decision.source,
        document=f"Conflict {resolution.conflict_id}",
    )


def _moved(resolution: Resolution, outcome: Outcome) -> None:
    resolution.operation_id = outcome.operation_id
    resolution.finished_at = timezone.now()
    line = line_of(resolution.conflict)
    resolution.channel_id = None if line is None else line.order.channel_id


def _serve(conflict: Conflict, decision: Decision, resolution: Resolution) -> None:
    place, context = int(decision.target), _context(decision, resolution)
    _moved(resolution, serve_line(context, conflict, place, quantity=resolution.quantity))


def _backorder(conflict: Conflict, decision: Decision, resolution: Resolution) -> None:
    why = f"{decision.actor[:40]}: {decision.note or 'conflict ' + str(conflict.pk)}"
    terms = PromiseTerms(date.fromisoformat(decision.target), why[:200])
    context = _context(decision, resolution)
    _moved(resolution, backorder_conflict(context, conflict.pk, terms, quantity=resolution.quantity))


def _take_over(conflict: Conflict, decision: Decision, resolution: Resolution) -> None:
    giver = Reservation.objects.get(merchant_id=conflict.merchant_id, pk=int(decision.target))
    context = _context(decision, resolution)
    _moved(resolution, take_over_for(context, conflict, giver, quantity=resolution.quantity))


def _cancel(conflict: Conflict, decision: Decision, resolution: Resolution) -> None:
    line = line_of(conflict)
    if line is None:
        change = DemandChange(
            conflict.reference,
            conflict.variant_id,
            tuple(conflict.location_ids),
            cancelled=resolution.quantity,
        )
        _moved(resolution, settle(_context(decision, resolution), [change]))
        return
    why_by_hand = resolution.checklist
    resolution.channel_id = line.order.channel_id
    resolution.cancelled_when_done = line.cancelled + _on_their_way(line) + resolution.quantity
    resolution.checklist = _checklist(line, resolution, why_by_hand) if why_by_hand else ""
    resolution.state = ResolutionState.CHECKLIST if why_by_hand else ResolutionState.WANTED
    if not why_by_hand:
        resolution.call_id = uuid4()
        resolution.next_attempt_at = timezone.now()
        wake(CALLS)


def _on_their_way(line: ChannelOrderLine) -> int:
    """Returns the units of a line that are being cancelled already, for whichever of its conflicts."""
    pending = _pending(line.order.channel.merchant_id, str(line.pk))
    return pending.aggregate(units=Sum("quantity"))["units"] or 0


def _pending(merchant_id: int, target: str) -> QuerySet[Resolution]:
    """Returns the cancellations of an order line that are on their way."""
    return Resolution.objects.filter(
        merchant_id=merchant_id, remedy=RemedyKind.CANCEL, target=target, state__in=OPEN_STATES
    )


def _checklist(line: ChannelOrderLine, resolution: Resolution, why: str) -> str:
    order = line.order
    steps = (
        f"{why} So please:",
        f"Open order {order} in {order.channel.name}.",
        f"Cancel {resolution.quantity} of {line.sku or line.external_id}, without putting the units back into stock.",
        "Refund the customer for them, if the platform does not do so by itself.",
        "Come back and choose Done at the platform.",
    )
    return "\n".join(steps)


def _recount(conflict: Conflict, decision: Decision, resolution: Resolution) -> None:
    """Notes that somebody has counted. The conflict itself stays, as a note of what happened."""
    resolution.finished_at = timezone.now()


_APPLY: Final[dict[RemedyKind, Callable[[Conflict, Decision, Resolution], None]]] = {
    RemedyKind.SERVE: _serve,
    RemedyKind.BACKORDER: _backorder,
    RemedyKind.TAKE_OVER: _take_over,
    RemedyKind.CANCEL: _cancel,
    RemedyKind.RECOUNT: _recount,
}


# -- what people do about resolutions that wait


def done_by_hand(resolution: Resolution) -> bool:
    """Notes that a person has cancelled at the platform, and has the order fetched; False for one that waits for nobody."""
    with transaction.atomic():
        found = _locked(resolution, ResolutionState.CHECKLIST)
        if found is None:
            return False
        await_order(found)
        found.save()
    return True


def drop(resolution: Resolution) -> bool:
    """Gives a cancellation up that no platform was told yet; False for one that was, or is over."""
    with transaction.atomic():
        found = _locked(resolution, ResolutionState.WANTED, ResolutionState.CHECKLIST)
        if found is None or (found.state == ResolutionState.WANTED and found.attempts):
            return False
        end(found, ResolutionState.DROPPED)
        found.save()
    return True


def try_again(resolution: Resolution) -> bool:
    """Has a failed cancellation told again under the same id; False where it has not failed or its units are owed no more."""
    with transaction.atomic():
        lock_case(resolution.conflict)
        found = _locked(resolution, ResolutionState.FAILED)
        if found is None or found.call_id is None or undecided_units(found.conflict) < found.quantity:
            return False
        line = line_of(found.conflict)
        if line is not None:
            found.cancelled_when_done = line.cancelled + _on_their_way(line) + found.quantity
        found.state, found.attempts, found.error = ResolutionState.WANTED, 0, ""
        found.next_attempt_at, found.finished_at = timezone.now(), None
        found.save()
        wake(CALLS)
    return True


def await_order(resolution: Resolution) -> None:
    """Notes that the platform has cancelled; its order is fetched, and the ledger follows that."""
    resolution.state = ResolutionState.CONFIRMED
    resolution.attempts, resolution.error = 0, ""
    resolution.next_attempt_at = timezone.now()
    line = line_of(resolution.conflict)
    if line is not None:
        hint(line.order.channel, line.order.external_id)


def end(resolution: Resolution, state: ResolutionState, error: str = "") -> None:
    """Notes how a resolution ended. What was to be cancelled of the same line after it is counted without its units."""
    resolution.state, resolution.error = state, error[:2000]
    resolution.next_attempt_at, resolution.finished_at = None, timezone.now()
    if state != ResolutionState.DONE and resolution.cancelled_when_done is not None:
        _pending(resolution.merchant_id, resolution.target).filter(
            cancelled_when_done__gt=resolution.cancelled_when_done
        ).update(cancelled_when_done=F("cancelled_when_done") - resolution.quantity)


def _locked(resolution: Resolution, *states: ResolutionState) -> Resolution | None:
    rows = Resolution.objects.select_for_update(of=("self",)).select_related("conflict")
    return rows.filter(pk=resolution.pk, state__in=states).first()
