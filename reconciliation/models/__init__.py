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
from reconciliation.models.proofs import ProofRun, ProofScope, ProofState, ProvenCheckpoint

__all__ = [
    "Alert",
    "AlertDelivery",
    "AlertRecipient",
    "CauseClass",
    "ConflictCase",
    "ConflictPolicy",
    "ProofRun",
    "ProofScope",
    "ProofState",
    "ProvenCheckpoint",
    "RemedyKind",
    "Resolution",
    "ResolutionState",
    "Severity",
]
