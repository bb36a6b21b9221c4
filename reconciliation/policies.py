"""What channels let us do about their conflicts without asking: off until somebody switches it on.

A policy names the remedies that may be used, and takes the best of them that is to be had; what is left waits for a person.
"""

from datetime import date, timedelta
from typing import Final

import structlog
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from inventory.errors import StockBusy, StockError
from inventory.holds import OWED_CAUSES
from inventory.models import Conflict
from reconciliation.models import ConflictCase, ConflictPolicy, RemedyKind, Resolution, ResolutionState
from reconciliation.remedies import Remedy, remedies_of
from reconciliation.resolving import Decision, resolve

log = structlog.get_logger(__name__)

#: Steps in a row for one conflict, each of which ends units of it.
_STEPS: Final = 5


def apply_policies(*, limit: int = 200) -> int:
    """Resolves what policies allow, the oldest conflicts first; returns how many resolutions were begun."""
    count = 0
    policies = ConflictPolicy.objects.filter(
        is_active=True, channel__is_active=True, channel__is_paused=False
    )
    for policy in policies.select_related("channel").defer("channel__credentials").order_by("pk"):
        for conflict in _waiting(policy)[: limit - count]:
            count += _apply(policy, conflict)
        if count >= limit:
            break
    return count


def _waiting(policy: ConflictPolicy) -> QuerySet[Conflict]:
    """Returns the channel's conflicts that have waited long enough and that nobody is resolving."""
    pending = Resolution.objects.filter(conflict=OuterRef("pk")).exclude(state=ResolutionState.DONE)
    cases = ConflictCase.objects.filter(channel=policy.channel_id)
    conflicts = Conflict.objects.filter(
        ~Exists(pending),
        pk__in=cases.values("conflict_id"),
        merchant=policy.channel.merchant_id,
        open_quantity__gt=0,
        cause__in=OWED_CAUSES,
        opened_at__lte=timezone.now() - timedelta(minutes=policy.after_minutes),
    )
    if policy.largest_units is not None:
        conflicts = conflicts.filter(open_quantity__lte=policy.largest_units)
    return conflicts.order_by("opened_at", "id")


def _apply(policy: ConflictPolicy, conflict: Conflict) -> int:
    """Applies the best remedy that is allowed, and again to what is left of the conflict."""
    for step in range(_STEPS):
        remedy = next((each for each in remedies_of(conflict) if allows(policy, each)), None)
        if remedy is None:
            return step
        try:
            resolve(conflict, _decision(policy, conflict, remedy))
        except StockBusy:
            raise
        except StockError as error:
            log.info("policy_found_no_way", conflict=conflict.pk, remedy=remedy.kind.value, reason=str(error))
            return step
        conflict.refresh_from_db()
    return _STEPS


def allows(policy: ConflictPolicy, remedy: Remedy) -> bool:
    """Returns whether a policy may use a remedy without asking."""
    if not remedy.is_feasible or remedy.by_hand:
        return False
    match remedy.kind:
        case RemedyKind.SERVE:
            return policy.may_serve
        case RemedyKind.BACKORDER:
            last = timezone.localdate() + timedelta(days=policy.backorder_days)
            return policy.may_backorder and date.fromisoformat(remedy.target) <= last
        case RemedyKind.CANCEL:
            return policy.may_cancel
        case _:
            return False


def _decision(policy: ConflictPolicy, conflict: Conflict, remedy: Remedy) -> Decision:
    """Returns the decision; its key names the state it was made in, so that it is made once."""
    made = Resolution.objects.filter(conflict=conflict).count()
    return Decision(
        key=f"policy:{made}:{conflict.open_quantity}",
        kind=remedy.kind,
        target=remedy.target,
        quantity=remedy.units,
        actor=f"policy of {policy.channel.name}"[:200],
        is_automatic=True,
    )
