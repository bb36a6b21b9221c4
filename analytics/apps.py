"""The analytics application."""

from django.apps import AppConfig


class AnalyticsConfig(AppConfig):
    """Registers the application."""

    name = "analytics"
