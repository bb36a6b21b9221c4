"""What the forms of documents share: a key, goods typed or pasted as lines of SKU and units, and how a form is run."""

import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final

from django import forms
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from config.admin_site import own_page, require
from inventory.errors import IdempotencyConflict, InvalidStockRequest, StockError
from inventory.ledger import Context
from inventory.models import Location, Variant
from inventory.validation import LARGEST_QUANTITY

#: Lines that a form names in its complaint.
_NAMED: Final = 5

Goods = dict[str, int]


class GoodsField(forms.CharField):
    """Goods as text, one line each: SKU, then units. Gives units by SKU, those of one SKU added up."""

    def __init__(self, *, label: str, required: bool = True, smallest: int = 1) -> None:
        super().__init__(
            label=label,
            required=required,
            widget=UnfoldAdminTextareaWidget({"rows": 8, "class": "oc-mono"}),
            help_text="One line each: SKU, a space or tab, units. Two columns pasted from a spreadsheet fit.",
        )
        self.smallest = smallest

    def clean(self, value: Any) -> Goods:
        """Reads the lines. Raises `ValidationError` with the line and the remedy."""
        goods: Counter[str] = Counter()
        for number, line in enumerate(super().clean(value).splitlines(), start=1):
            if line.strip():
                sku, units = self._line(number, line)
                goods[sku] += units
        if self.required and not goods:
            raise forms.ValidationError("Name at least one SKU and its units.")
        return dict(goods)

    def _line(self, number: int, line: str) -> tuple[str, int]:
        sku, _, units = line.replace("\t", " ").strip().rpartition(" ")
        sku = sku.strip().rstrip(",;").strip()
        if not sku or not units.isdecimal():
            raise forms.ValidationError(
                f"Line {number}: “{line.strip()}” is not a SKU and a whole number of units."
            )
        if not self.smallest <= int(units) <= LARGEST_QUANTITY:
            raise forms.ValidationError(
                f"Line {number}: between {self.smallest} and {LARGEST_QUANTITY} units."
            )
        return sku, int(units)


def as_text(goods: Mapping[str, int]) -> str:
    """Returns goods as the lines that a `GoodsField` reads."""
    return "\n".join(f"{sku} {units}" for sku, units in goods.items())


class KeyedForm(forms.Form):
    """A form that records once, however often it is sent."""

    key = forms.UUIDField(widget=forms.HiddenInput)

    def variants(self, field: str, merchant_id: int) -> dict[int, int]:
        """Returns the units of a goods field by variant; complains at the field about SKUs that are unknown."""
        goods: Goods = self.cleaned_data.get(field) or {}
        rows = Variant.objects.filter(merchant_id=merchant_id, sku__in=goods)
        known = dict(rows.values_list("sku", "pk"))
        if unknown := [sku for sku in goods if sku not in known]:
            more = " …" if len(unknown) > _NAMED else ""
            named = ", ".join(unknown[:_NAMED]) + more
            self.add_error(
                field, f"Unknown: {named}. Add the variants first, or correct the SKU (case matters)."
            )
        return {known[sku]: units for sku, units in goods.items() if sku in known}


def place_field(label: str, help_text: str = "") -> "forms.ModelChoiceField[Location]":
    """A choice of one of the places in use."""
    return forms.ModelChoiceField(
        Location.objects.filter(is_active=True),
        label=label,
        empty_label="Choose …",
        widget=UnfoldAdminSelectWidget,
        help_text=help_text,
    )


def text_field(
    label: str, *, required: bool = False, help_text: str = "", longest: int = 200
) -> forms.CharField:
    """A line of text."""
    return forms.CharField(
        label=label,
        max_length=longest,
        required=required,
        widget=UnfoldAdminTextInputWidget,
        help_text=help_text,
    )


def context_of(request: HttpRequest, merchant_id: int, key: object) -> Context:
    """Returns the context of an operation that whoever asks runs."""
    actor = request.user.get_username()
    return Context(merchant_id, f"admin:{key}", actor=actor, source="back office")


def new_key() -> dict[str, Any]:
    """Returns the key of a form that is being opened."""
    return {"key": uuid.uuid4()}


def run_form(
    request: HttpRequest, title: str, form: Any, act: Callable[[Any], str], *, note: str = ""
) -> HttpResponseBase:
    """Shows a form; a valid one is acted on and leads where `act` says. What is refused stands at the form."""
    require(request, "inventory.move_stock")
    if request.method == "POST" and form.is_valid():
        address = _act(form, act)
        if address:
            return redirect(address)
    return own_page(request, "onecount/stock_form.html", title, form=form, note=note)


def _act(form: Any, act: Callable[[Any], str]) -> str:
    try:
        return act(form)
    except IdempotencyConflict:
        form.add_error(
            None, "This form was recorded before with other figures. Open it again for another entry."
        )
    except InvalidStockRequest as error:
        form.add_error(error.field if error.field in form.fields else None, str(error))
    except StockError as error:
        form.add_error(None, str(error))
    return ""
