"""The application that holds the ground the others stand on."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class ConfigConfig(AppConfig):
    """Settings, database bring-up, jobs, supervision and health."""

    name = "config"
    verbose_name = "Configuration"

    def ready(self) -> None:
        """Registers the system checks, hooks the job workers into the supervision, and keeps the roles up to date."""
        # All need the models of other applications, which are loaded only by now.
        from config import checks, job_workers, roles  # noqa: F401

        post_migrate.connect(roles.keep_roles, dispatch_uid="config.roles")
