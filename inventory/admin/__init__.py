"""The back office of the inventory, by topic."""

from inventory.admin import backorders, catalogue, demands, inbound, ledger, purchasing

__all__ = ["backorders", "catalogue", "demands", "inbound", "ledger", "purchasing"]
