"""The analytics application."""

from django.apps import AppConfig


class AnalyticsConfig(AppConfig):
    """Adds its schedules."""

    name = "analytics"

    def ready(self) -> None:
        """Fills the registry of the app below."""
        # The apps must be loaded before modules with models are.
        from analytics.schedules import add_schedules

        add_schedules()
