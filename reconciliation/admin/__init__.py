"""The back office of the reconciliation, by topic."""

from reconciliation.admin import conflicts, policies, resolutions

__all__ = ["conflicts", "policies", "resolutions"]
