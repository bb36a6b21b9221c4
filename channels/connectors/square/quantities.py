"""Square's amounts: decimal texts of up to five digits behind the point, and money in its smallest unit."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import ROUND_FLOOR, Decimal
from typing import Any, Final

from channels.connectors.messages import LARGEST_QUANTITY, read_part, read_text
from channels.errors import BadMessage

_QUANTITY: Final = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,5})?", re.ASCII)
#: Currencies that Square takes whose smallest unit is the unit itself.
_WITHOUT_CENTS: Final = frozenset({"JPY"})


def read_amount(payload: Mapping[str, Any], name: str) -> Decimal:
    """Returns a quantity as it is written; fractions where goods are sold by measure. Raises `BadMessage`."""
    text = read_text(payload, name)
    if not _QUANTITY.fullmatch(text):
        raise BadMessage(f"{name} is not a quantity: {text[:40]!r}.")
    amount = Decimal(text)
    if abs(amount) > LARGEST_QUANTITY:
        raise BadMessage(f"{name} is beyond ±{LARGEST_QUANTITY}.")
    return amount


def whole(amount: Decimal) -> int | None:
    """Returns a quantity as a number of pieces; None for a fraction of one."""
    return int(amount) if amount == amount.to_integral_value() else None


def floor(amount: Decimal) -> int:
    """Returns the whole pieces in a quantity: only those can be sold."""
    return int(amount.to_integral_value(ROUND_FLOOR))


def read_money(payload: Mapping[str, Any], name: str) -> Decimal | None:
    """Returns an amount of money in its unit; None where there is none."""
    money = read_part(payload, name)
    amount = money.get("amount")
    if not isinstance(amount, int) or isinstance(amount, bool) or abs(amount) > 10**17:
        return None
    return Decimal(amount) / (1 if money.get("currency") in _WITHOUT_CENTS else 100)


def rfc3339(instant: datetime) -> str:
    """Writes an instant as Square reads it."""
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
