"""The tables of the reconciliation app, by topic."""

from reconciliation.models.conflicts import (
    CauseClass,
    ConflictCase,
    ConflictPolicy,
    RemedyKind,
    Resolution,
    ResolutionState,
)

__all__ = [
    "CauseClass",
    "ConflictCase",
    "ConflictPolicy",
    "RemedyKind",
    "Resolution",
    "ResolutionState",
]
