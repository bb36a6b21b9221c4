"""What the dashboard shows of alerts and proofs; two statements, both from small indexes."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db.models import F, Q

from reconciliation.models import Alert, ProofRun, ProofState, Severity
from reconciliation.models.alerts import IS_OPEN

#: Alerts named one by one; of more only that there are more.
NAMED: Final = 10


@dataclass(frozen=True, slots=True)
class Glance:
    """The worst open alerts, and the last verdict on the ledger."""

    #: The worst first; at most one more than are shown.
    worst: Sequence[Alert]
    #: The last proof that ended, or failed; None where there was none.
    proof: ProofRun | None

    @property
    def alerts(self) -> Sequence[Alert]:
        """Those that are shown."""
        return self.worst[:NAMED]

    @property
    def has_more(self) -> bool:
        """Whether there are more than are shown."""
        return len(self.worst) > NAMED

    @property
    def is_urgent(self) -> bool:
        """Whether one of them is worse than a warning."""
        return any(alert.severity >= Severity.CRITICAL for alert in self.worst)

    @property
    def ledger_holds(self) -> bool:
        """Whether the last proof found nothing."""
        return self.proof is not None and self.proof.state == ProofState.HELD


def opened_since(channel_ids: Collection[int], since: datetime) -> list[dict[str, Any]]:
    """Returns the alerts of these channels, and of the installation, that opened since an instant; oldest first."""
    concerned = Q(channel__in=channel_ids) | Q(channel__isnull=True, merchant__isnull=True)
    found = Alert.objects.filter(concerned, opened_at__gte=since).order_by("opened_at", "pk")
    return [
        {
            "id": each.pk,
            "kind": each.kind,
            "severity": each.get_severity_display().lower(),
            "channel": each.channel_kind or "",
            "title": each.title,
            "opened_at": each.opened_at.isoformat(),
            "resolved_at": each.resolved_at.isoformat() if each.resolved_at else None,
        }
        for each in found.annotate(channel_kind=F("channel__kind"))
    ]


def glance() -> Glance:
    """Returns the worst open alerts and the last proof."""
    worst = Alert.objects.filter(IS_OPEN).order_by("-severity", "opened_at")[: NAMED + 1]
    ended = ProofRun.objects.filter(Q(state=ProofState.HELD) | Q(state=ProofState.FAILED))
    proof = ended.defer("steps", "divergences").order_by("-pk").first()
    return Glance(list(worst), proof)
