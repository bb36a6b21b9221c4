"""The back office of the inventory, by topic."""

from inventory.admin import bundles, catalogue, demands, ledger

__all__ = ["bundles", "catalogue", "demands", "ledger"]
