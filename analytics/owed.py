"""What was sold beyond the stock, or lost to whom it was promised, and is still owed."""

from dataclasses import dataclass
from typing import Final

from config.statements import rows


@dataclass(frozen=True, slots=True)
class Owed:
    """Open conflicts."""

    units: int
    conflicts: int


OWED: Final = """
SELECT coalesce(sum(open_quantity), 0)::bigint, count(*) FROM inventory_conflict
WHERE open_quantity > 0 AND (%(merchant)s::bigint IS NULL OR merchant_id = %(merchant)s)
"""


def owed(merchant_id: int | None = None) -> Owed:
    """Returns what a merchant owes, or all of them together."""
    return Owed(*rows(OWED, {"merchant": merchant_id})[0])
