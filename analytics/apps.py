"""The analytics application."""

from django.apps import AppConfig


class AnalyticsConfig(AppConfig):
    """Adds its schedules, and says where figures of the apps below come from."""

    name = "analytics"

    def ready(self) -> None:
        """Fills the registries."""
        # The apps must be loaded before modules with models are.
        from analytics.kpis import sources
        from analytics.schedules import add_schedules
        from reconciliation.conflict_figures import conflicts_handled_on

        add_schedules()
        sources.count_handled_with(conflicts_handled_on)
