"""The back office of the inventory, by topic."""

from inventory.admin import catalogue, demands, ledger

__all__ = ["catalogue", "demands", "ledger"]
