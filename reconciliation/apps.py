"""The reconciliation application."""

from django.apps import AppConfig


class ReconciliationConfig(AppConfig):
    """Registers the application."""

    name = "reconciliation"
