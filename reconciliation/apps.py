"""The reconciliation application."""

from django.apps import AppConfig


class ReconciliationConfig(AppConfig):
    """Adds its schedules, and says what there is to measure."""

    name = "reconciliation"

    def ready(self) -> None:
        """Fills the registries of the apps below."""
        # The apps must be loaded before modules with models are.
        from config.health import add_signs
        from config.metrics import add_measure
        from reconciliation.checks.installation import signs_of_life
        from reconciliation.job_schedules import add_schedules
        from reconciliation.measures import measures

        add_schedules()
        add_measure(measures)
        add_signs(signs_of_life)
