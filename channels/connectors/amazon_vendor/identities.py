"""How an order of a vendor's account is named here: by the programme it belongs to, and Amazon's number."""

from typing import Final

#: Amazon buys for its own warehouses.
RETAIL: Final = "retail"
#: Amazon's customer buys, and the vendor ships to them.
DIRECT: Final = "direct"

#: The place that purchase orders of Amazon's own are served from; nothing is told there.
RETAIL_PLACE: Final = "retail"


def order_id(programme: str, number: str) -> str:
    """Returns the id of an order; the same number may stand for one of each programme."""
    return f"{programme}:{number}"


def split(external_id: str) -> tuple[str, str]:
    """Returns programme and number of an order's id; an empty programme for what is no such id."""
    programme, sign, number = external_id.partition(":")
    return (programme, number) if sign and programme in (RETAIL, DIRECT) and number else ("", "")
