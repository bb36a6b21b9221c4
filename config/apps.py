"""The application that holds the ground the others stand on."""

from django.apps import AppConfig


class ConfigConfig(AppConfig):
    """Settings, database bring-up, jobs, supervision and health."""

    name = "config"
    verbose_name = "Configuration"
