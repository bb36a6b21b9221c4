"""The back office of the reconciliation app, by topic."""

from reconciliation.admin import (
    alerts,
    conflicts,
    discrepancies,
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
    "policies",
    "proofs",
    "recipients",
    "resolutions",
    "schedules",
    "webhooks",
]
