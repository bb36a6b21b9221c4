"""The back office of the inventory, by topic."""

from inventory.admin import catalogue, checkpoints, demands, ledger, tags

__all__ = ["catalogue", "checkpoints", "demands", "ledger", "tags"]
