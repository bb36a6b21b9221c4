"""The back office of the inventory, by topic."""

from inventory.admin import (
    backorders,
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
