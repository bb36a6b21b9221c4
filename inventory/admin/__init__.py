"""The back office of the inventory, by topic."""

from inventory.admin import (
    access,
    backorders,
    bundles,
    catalogue,
    changes,
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
    "access",
    "backorders",
    "bundles",
    "catalogue",
    "changes",
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
