"""The channels application."""

from django.apps import AppConfig


class ChannelsConfig(AppConfig):
    """Registers the application."""

    name = "channels"
