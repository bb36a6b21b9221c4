"""The back office of the inventory, by topic."""

from inventory.admin import catalogue, counts, demands, imports, ledger, returns, transfers

__all__ = ["catalogue", "counts", "demands", "imports", "ledger", "returns", "transfers"]
