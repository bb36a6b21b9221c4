"""Inputs for quantities: in the unit of measure of the variant that they are about, counted in base units inside."""

from typing import Any, Final

from django import forms
from unfold.widgets import UnfoldAdminTextInputWidget

from inventory.errors import InvalidStockRequest
from inventory.models import UnitOfMeasure
from inventory.units import base_quantity, enterable
from inventory.validation import LARGEST_QUANTITY

#: Characters of a quantity with its unit: more than any number that is accepted has.
LONGEST_QUANTITY: Final = 40


def counted(text: str, unit: UnitOfMeasure | None, *, smallest: int) -> int:
    """Returns what was entered in base units. Raises `ValidationError` with the remedy."""
    try:
        units = base_quantity(text, unit, field="quantity")
    except InvalidStockRequest as refusal:
        raise forms.ValidationError(refusal.message) from refusal
    if not smallest <= units <= LARGEST_QUANTITY:
        raise forms.ValidationError(f"Between {enterable(smallest, unit)} and {LARGEST_QUANTITY:,} units.")
    return units


class UnitsField(forms.CharField):
    """A quantity of one variant; gives base units, or None where it is left empty."""

    def __init__(
        self,
        label: str,
        unit: UnitOfMeasure | None,
        *,
        smallest: int = 0,
        initial: int | None = None,
        **more: Any,
    ) -> None:
        self.unit, self.smallest = unit, smallest
        more = {"required": False, **more}
        if unit is not None:
            more["help_text"] = f"{more.get('help_text', '')} In {unit.code}.".strip()
        super().__init__(
            label=label,
            initial=None if initial is None else enterable(initial, unit),
            max_length=LONGEST_QUANTITY,
            widget=UnfoldAdminTextInputWidget({"inputmode": "decimal"}),
            **more,
        )

    def clean(self, value: Any) -> int | None:
        """Counts what was entered."""
        text = super().clean(value)
        return counted(text, self.unit, smallest=self.smallest) if text else None
