"""The back office of the reconciliation app, by topic."""

from reconciliation.admin import alerts, conflicts, policies, proofs, recipients, resolutions

__all__ = ["alerts", "conflicts", "policies", "proofs", "recipients", "resolutions"]
