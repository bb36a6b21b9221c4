"""The back office of the inventory, by topic."""

from inventory.admin import (
    backorders,
    bundles,
    catalogue,
    checkpoints,
    counts,
    demands,
    imports,
    inbound,
    ledger,
    purchasing,
    returns,
    tags,
    transfers,
)

__all__ = [
    "backorders",
    "bundles",
    "catalogue",
    "checkpoints",
    "counts",
    "demands",
    "imports",
    "inbound",
    "ledger",
    "purchasing",
    "returns",
    "tags",
    "transfers",
]
