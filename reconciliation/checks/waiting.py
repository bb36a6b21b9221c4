"""What waits for a person: nobody has to look at the lists of things to do to hear that something is on them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.db.models import Count, Exists, F, Min, OuterRef, QuerySet
from django.utils import timezone

from channels.models import Mutation, Retry
from channels.models.mutations import MutationState
from channels.models.retry_queue import RetryState
from config.admin_panels import duration, list_of
from inventory.holds import OWED_CAUSES
from inventory.models import Conflict, Merchant
from reconciliation.checks.results import Result
from reconciliation.models import AlertDelivery, Discrepancy, Resolution, ResolutionState
from reconciliation.models.conflicts import OPEN_STATES
from reconciliation.models.discrepancies import DiscrepancyState

#: Stock comes back and shelves are corrected by themselves; what is still there then is a person's.
PATIENCE: Final = timedelta(minutes=15)
#: Messages of alerts that are older are nobody's concern any more.
_REMEMBERED: Final = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class _Kind:
    """One kind of things to do."""

    kind: str
    what: str
    remedy: str
    link: str
    rows: QuerySet[Any]
    #: The column that says since when it waits.
    since: str
    patience: timedelta = PATIENCE


def _kinds() -> tuple[_Kind, ...]:
    pending = Resolution.objects.filter(conflict=OuterRef("pk"), state__in=OPEN_STATES)
    return (
        _Kind(
            "conflicts_waiting",
            "conflicts to decide",
            "Open To do, Conflicts to decide, and choose a remedy of each; a conflict policy does so without asking.",
            list_of("inventory.conflict", "state=undecided"),
            Conflict.objects.filter(~Exists(pending), open_quantity__gt=0, cause__in=OWED_CAUSES),
            "opened_at",
        ),
        _Kind(
            "cancellations_by_hand",
            "cancellations to be made at platforms",
            "Open To do, To do at platforms: do the steps of each there, then press Done at the platform.",
            list_of("reconciliation.resolution", "state=person"),
            Resolution.objects.filter(state=ResolutionState.CHECKLIST),
            "requested_at",
        ),
        _Kind(
            "discrepancies_waiting",
            "shelves that differ",
            "Open To do, Discrepancies: each names its likely cause and what mends it.",
            list_of("reconciliation.discrepancy", "state=open"),
            Discrepancy.objects.filter(state=DiscrepancyState.OPEN, closed_at__isnull=True),
            "first_seen_at",
        ),
        _Kind(
            "mass_changes_held",
            "mass changes that the fuse holds",
            "Open To do, Held mass changes: look at what would change, then press Confirm and apply, or Roll back.",
            list_of("channels.mutation", "state=waiting"),
            Mutation.objects.filter(state=MutationState.WAITING),
            "at",
            timedelta(),
        ),
        _Kind(
            "retries_exhausted",
            "pieces of work that others were in the way of for too long",
            "Open To do, Retries given up: see what held the stock so long, then press Try again now.",
            list_of("channels.retry", "state__exact=exhausted"),
            Retry.objects.filter(state=RetryState.EXHAUSTED),
            "last_at",
            timedelta(),
        ),
        _Kind(
            "alerts_undelivered",
            "alert messages that did not arrive",
            "Open Engine room, Alert messages, Given up: put right what its error names, then press Send again.",
            list_of("reconciliation.alertdelivery", "state=dead"),
            AlertDelivery.objects.filter(
                dead_at__isnull=False, created_at__gt=timezone.now() - _REMEMBERED
            ).annotate(merchant_id=F("recipient__merchant_id")),
            "dead_at",
            timedelta(),
        ),
    )


def waiting() -> Iterator[Result]:
    """Says for each merchant what waits for a person; a statement for each kind of things."""
    names = dict(Merchant.objects.values_list("pk", "name"))
    for kind in _kinds():
        yield from _of_kind(kind, names)


def _of_kind(kind: _Kind, names: dict[int, str]) -> Iterator[Result]:
    now = timezone.now()
    rows = kind.rows.filter(**{f"{kind.since}__lte": now - kind.patience}).order_by()
    counted = rows.values("merchant_id").annotate(count=Count("pk"), since=Min(kind.since))
    found: list[tuple[int | None, int, datetime]] = list(
        counted.order_by("merchant_id").values_list("merchant_id", "count", "since")
    )
    if not found:
        yield Result(kind.kind, "To do", f"no {kind.what}")
    for merchant_id, count, since in found:
        whose = f"{names[merchant_id]}: " if merchant_id in names else ""
        yield Result(
            kind.kind,
            f"{whose}to do",
            f"{count} {kind.what}, the oldest since {duration(now - since)}",
            is_ok=False,
            remedy=kind.remedy,
            merchant_id=merchant_id,
            link=kind.link,
            evidence={"count": count, "oldest_since": since.isoformat()},
        )
