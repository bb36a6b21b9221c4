"""Django's `migrate`, quicker on an empty database."""

from typing import Any

from django.core.management.commands import migrate

from config.migration_states import new_models_rendered_alone


class Command(migrate.Command):
    """Applies the migrations as Django does; only how often it renders their models differs."""

    def handle(self, *args: Any, **options: Any) -> None:
        """Runs Django's command."""
        with new_models_rendered_alone():
            super().handle(*args, **options)
