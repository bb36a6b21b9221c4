"""The back office of the inventory, by topic."""

from inventory.admin import catalogue, demands, ledger, tags

__all__ = ["catalogue", "demands", "ledger", "tags"]
