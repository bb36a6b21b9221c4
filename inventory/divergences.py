"""What a proof found: a place where the ledger's story does not add up."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Divergence:
    """The first place where one level's story does not add up."""

    #: 0 where it is about goods that are still to come.
    level_id: int
    sku: str
    location: str
    #: None where the level itself, not a movement, is what differs.
    movement_id: int | None
    version: int | None
    problem: str
    expected: dict[str, Any]
    found: dict[str, Any]
