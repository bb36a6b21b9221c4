"""The back office of the reconciliation app, by topic."""

from reconciliation.admin import (
    alerts,
    conflicts,
    discrepancies,
    gaps,
    policies,
    proofs,
    recipients,
    resolutions,
    schedules,
    webhooks,
)

__all__ = [
    "alerts",
    "conflicts",
    "discrepancies",
    "gaps",
    "policies",
    "proofs",
    "recipients",
    "resolutions",
    "schedules",
    "webhooks",
]
