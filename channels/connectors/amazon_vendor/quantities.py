"""Quantities of Amazon's purchase orders: cases and eaches; the ledger knows eaches alone."""

from collections.abc import Mapping
from typing import Any, Final

from channels.connectors.messages import LARGEST_QUANTITY, read_count, read_text
from channels.errors import BadMessage

#: In small letters; direct fulfilment spells it in any case.
_EACHES: Final = frozenset({"each", "eaches"})
_CASES: Final = "cases"


def eaches(quantity: Mapping[str, Any], *, usual_size: int = 0) -> int:
    """Returns a quantity in eaches. Raises `BadMessage` for a unit that cannot be converted.

    `usual_size` are the eaches of a case where the quantity itself does not say.
    """
    return _checked(read_count(quantity, "amount", 0) * unit_size(quantity, usual_size=usual_size))


def unit_size(quantity: Mapping[str, Any], *, usual_size: int = 0) -> int:
    """Returns the eaches of one unit of a quantity: of a case as many as Amazon says. Raises `BadMessage`."""
    unit = read_text(quantity, "unitOfMeasure")
    if unit.lower() in _EACHES:
        return 1
    if unit.lower() != _CASES:
        raise BadMessage(f"A quantity is in {unit or 'no unit'}, not in cases or eaches (unitOfMeasure).")
    size = read_count(quantity, "unitSize", usual_size)
    if size < 1:
        raise BadMessage("A quantity is in cases and does not say how many eaches a case holds (unitSize).")
    return size


def in_units_of(ordered: Mapping[str, Any], amount: int) -> dict[str, Any]:
    """Returns so many units in the unit that was ordered."""
    found: dict[str, Any] = {"amount": amount, "unitOfMeasure": read_text(ordered, "unitOfMeasure")}
    if ordered.get("unitSize") is not None:
        found["unitSize"] = read_count(ordered, "unitSize")
    return found


def _checked(count: int) -> int:
    if count > LARGEST_QUANTITY:
        raise BadMessage(f"A quantity comes to more than {LARGEST_QUANTITY} eaches.")
    return count
