"""The application that holds the ground the others stand on."""

from django.apps import AppConfig


class ConfigConfig(AppConfig):
    """Settings, database bring-up, jobs, supervision and health."""

    name = "config"
    verbose_name = "Configuration"

    def ready(self) -> None:
        """Registers the system checks, and hooks the job workers into the supervision."""
        # Both need the models of other applications, which are loaded only by now.
        from config import checks, job_workers  # noqa: F401
