"""The tables of the reconciliation app, by topic."""

from reconciliation.models.alerts import Alert, AlertDelivery, AlertRecipient, Severity
from reconciliation.models.proofs import ProofRun, ProofScope, ProofState, ProvenCheckpoint

__all__ = [
    "Alert",
    "AlertDelivery",
    "AlertRecipient",
    "ProofRun",
    "ProofScope",
    "ProofState",
    "ProvenCheckpoint",
    "Severity",
]
