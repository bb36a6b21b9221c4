"""The back office of reconciliation, by topic."""

from reconciliation.admin import discrepancies, schedules

__all__ = ["discrepancies", "schedules"]
