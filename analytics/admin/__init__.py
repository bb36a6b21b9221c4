"""The back office of analytics, by topic."""

from analytics.admin import facts, kpis, reports, tickets

__all__ = ["facts", "kpis", "reports", "tickets"]
