"""The back office of the reconciliation app, by topic."""

from reconciliation.admin import alerts, proofs, recipients

__all__ = ["alerts", "proofs", "recipients"]
