"""The tables of the reconciliation app, by topic."""

from reconciliation.models.discrepancies import (
    Discrepancy,
    ReconciliationPolicy,
    ReconciliationRun,
    ReconciliationSchedule,
    StockAuthority,
)

__all__ = [
    "Discrepancy",
    "ReconciliationPolicy",
    "ReconciliationRun",
    "ReconciliationSchedule",
    "StockAuthority",
]
