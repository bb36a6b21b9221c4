"""How Shopify's counts of a line become ours: what was cancelled, and what came back."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Units:
    """Units of one order line, cumulative."""

    cancelled: int
    fulfilled: int
    returned: int


def units_of(quantity: int, *, current: int, fulfilled: int, returned: int, is_cancelled: bool) -> Units:
    """Splits the units that a line has lost since the order into cancelled and returned ones.

    `current` is what edits and refunds have left of `quantity`; `returned` are refunds booked as returns. Units
    that were never fulfilled are cancelled; what was lost beyond those must have been fulfilled before, whatever
    the refund calls itself. Of a cancelled order nothing more is shipped, whether or not it was refunded.
    """
    fulfilled = min(max(fulfilled, 0), quantity)
    lost = quantity - min(max(current, 0), fulfilled if is_cancelled else quantity)
    beyond_open = lost - (quantity - fulfilled)
    back = min(max(returned, beyond_open, 0), lost, fulfilled)
    return Units(cancelled=lost - back, fulfilled=fulfilled, returned=back)
