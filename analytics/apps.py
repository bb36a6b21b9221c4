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
        from reconciliation.drift_figures import drift_on, handled_on

        add_schedules()
        sources.measure_drift_with(drift_on)
        sources.count_handled_with(handled_on)
        sources.count_handled_with(conflicts_handled_on)
