"""The inventory application."""

from django.apps import AppConfig


class InventoryConfig(AppConfig):
    """Registers the application."""

    name = "inventory"
