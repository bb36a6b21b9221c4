"""Quantities as people write them: 0.25 kg is 250 g. Whole numbers of the base unit inside, always."""

from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Final

from inventory.errors import InvalidStockRequest
from inventory.models import UnitOfMeasure
from inventory.validation import LARGEST_QUANTITY

#: Smaller numbers than with so many zeros behind the point are no quantity.
_DIGITS: Final = 30
#: Digits behind the point that are written at most; what needs more is written in the base unit.
_DECIMALS: Final = 6


def base_quantity(entered: Decimal | int | str, unit: UnitOfMeasure | None, *, field: str) -> int:
    """Returns what was entered in a unit as a whole number of base units; without a unit, of pieces.

    The code of the unit may stand behind the number, or that of the base unit, which counts then. Raises
    `InvalidStockRequest` with the field for what is no number, too large, or finer than the base unit.
    """
    text, unit = _without_code(str(entered).strip(), unit)
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise InvalidStockRequest(field, "enter a number.") from None
    if not number.is_finite():
        raise InvalidStockRequest(field, "enter a number.")
    if abs(number) > LARGEST_QUANTITY:
        raise InvalidStockRequest(field, f"must be less than or equal to {LARGEST_QUANTITY:,}.")
    # A fraction is exact, whatever the number of digits; so many digits are too fine for any unit.
    exact = Fraction(number) * (unit.base_units if unit else 1) if number.adjusted() > -_DIGITS else None
    if number and (exact is None or exact.denominator != 1):
        raise InvalidStockRequest(field, _too_fine(number, unit))
    return int(exact or 0)


def _without_code(text: str, unit: UnitOfMeasure | None) -> tuple[str, UnitOfMeasure | None]:
    """Returns the number before a unit's code, and the unit that it counts; None: the base unit."""
    if unit is None:
        return text, None
    # "kg" ends with "g": the longer code is looked for first.
    for code in sorted({unit.code, unit.base_code}, key=len, reverse=True):
        if text.endswith(code):
            return text.removesuffix(code).strip(), unit if code == unit.code else None
    return text, unit


def _too_fine(number: Decimal, unit: UnitOfMeasure | None) -> str:
    if unit is None:
        return f"{number} is finer than 1 piece; enter a whole number."
    return f"{number} {unit.code} is finer than 1 {unit.base_code}, the smallest amount that is counted."


def shown(quantity: int, unit: UnitOfMeasure | None) -> str:
    """Returns base units as people read them: `0.25 kg`; in the base unit where the number would be long."""
    if unit is None:
        return f"{quantity:,}"
    number = Decimal(quantity) / unit.base_units
    if number == round(number, _DECIMALS):
        return f"{number.normalize():,f} {unit.code}"
    return f"{quantity:,} {unit.base_code}"


def enterable(quantity: int, unit: UnitOfMeasure | None) -> str:
    """Returns base units as text that `base_quantity` reads as the same number, without a blank."""
    return shown(quantity, unit).replace(",", "").replace(" ", "")
