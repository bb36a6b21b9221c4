"""The tables of the reconciliation app, by topic."""

from reconciliation.models.alerts import Alert, AlertDelivery, AlertRecipient, Severity
from reconciliation.models.conflicts import (
    CauseClass,
    ConflictCase,
    ConflictPolicy,
    RemedyKind,
    Resolution,
    ResolutionState,
)
from reconciliation.models.discrepancies import (
    Discrepancy,
    ReconciliationPolicy,
    ReconciliationRun,
    ReconciliationSchedule,
    StockAuthority,
)
from reconciliation.models.gaps import WatchGap
from reconciliation.models.outgoing import (
    WebhookCursor,
    WebhookEvent,
    WebhookMessage,
    WebhookSubscription,
)
from reconciliation.models.proofs import ProofRun, ProofScope, ProofState, ProvenCheckpoint

__all__ = [
    "Alert",
    "AlertDelivery",
    "AlertRecipient",
    "CauseClass",
    "ConflictCase",
    "ConflictPolicy",
    "Discrepancy",
    "ProofRun",
    "ProofScope",
    "ProofState",
    "ProvenCheckpoint",
    "ReconciliationPolicy",
    "ReconciliationRun",
    "ReconciliationSchedule",
    "RemedyKind",
    "Resolution",
    "ResolutionState",
    "Severity",
    "StockAuthority",
    "WatchGap",
    "WebhookCursor",
    "WebhookEvent",
    "WebhookMessage",
    "WebhookSubscription",
]
