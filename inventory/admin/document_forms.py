"""What the forms of documents share: a key, goods typed or pasted as lines of SKU and units, and how a form is run."""

import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from django import forms
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from config.admin_site import own_page, require
from inventory.admin.quantities import LONGEST_QUANTITY, counted
from inventory.errors import IdempotencyConflict, InvalidStockRequest, StockError
from inventory.ledger import Context
from inventory.models import Location, UnitOfMeasure, Variant
from inventory.units import enterable

#: Lines that a form names in its complaint.
_NAMED: Final = 5


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of a goods field: what stands behind the SKU."""

    line: int
    text: str


#: By SKU, until the variants are known by whose units it is counted.
Goods = dict[str, list[Entry]]


class GoodsField(forms.CharField):
    """Goods as text, one line each: SKU, then a quantity. Gives the entries by SKU; `KeyedForm.variants` counts them."""

    def __init__(self, *, label: str, required: bool = True, smallest: int = 1) -> None:
        super().__init__(
            label=label,
            required=required,
            widget=UnfoldAdminTextareaWidget({"rows": 8, "class": "oc-mono"}),
            help_text="One line each: SKU, a space or tab, the quantity in the variant's unit of measure, or in pieces. Two "
            "columns pasted from a spreadsheet fit.",
        )
        self.smallest = smallest

    def clean(self, value: Any) -> Goods:
        """Reads the lines. Raises `ValidationError` with the line and the remedy."""
        goods: defaultdict[str, list[Entry]] = defaultdict(list)
        for number, line in enumerate(super().clean(value).splitlines(), start=1):
            if line.strip():
                sku, entry = self._line(number, line)
                goods[sku].append(entry)
        if self.required and not goods:
            raise forms.ValidationError("Name at least one SKU and its units.")
        return dict(goods)

    def _line(self, number: int, line: str) -> tuple[str, Entry]:
        sku, _, text = line.replace("\t", " ").strip().rpartition(" ")
        sku = sku.strip().rstrip(",;").strip()
        if not sku or not text[0].isdecimal():
            raise forms.ValidationError(f"Line {number}: “{line.strip()}” is not a SKU and a quantity.")
        if len(text) > LONGEST_QUANTITY:
            raise forms.ValidationError(f"Line {number}: at most {LONGEST_QUANTITY} digits.")
        return sku, Entry(number, text)

    def units(self, entries: Iterable[Entry], unit: UnitOfMeasure | None) -> int:
        """Returns what was entered of one SKU, added up, in base units. Raises `ValidationError` with the line."""
        total = 0
        for entry in entries:
            try:
                total += counted(entry.text, unit, smallest=self.smallest)
            except forms.ValidationError as refusal:
                raise forms.ValidationError(f"Line {entry.line}: {refusal.message}") from refusal
        return total


def as_text(goods: Mapping[int, int]) -> str:
    """Returns units by variant as the lines that a `GoodsField` reads; one statement."""
    variants = Variant.objects.select_related("unit").in_bulk(list(goods))
    return "\n".join(
        f"{variants[variant_id].sku} {enterable(units, variants[variant_id].unit)}"
        for variant_id, units in goods.items()
    )


class KeyedForm(forms.Form):
    """A form that records once, however often it is sent."""

    key = forms.UUIDField(widget=forms.HiddenInput)

    def variants(self, field: str, merchant_id: int) -> dict[int, int]:
        """Returns the units of a goods field by variant, in base units.

        Complains at the field about SKUs that are unknown, and quantities that are none.
        """
        goods: Goods = self.cleaned_data.get(field) or {}
        rows = Variant.objects.filter(merchant_id=merchant_id, sku__in=goods).select_related("unit")
        known = {variant.sku: variant for variant in rows}
        if unknown := [sku for sku in goods if sku not in known]:
            more = " …" if len(unknown) > _NAMED else ""
            named = ", ".join(unknown[:_NAMED]) + more
            self.add_error(
                field, f"Unknown: {named}. Add the variants first, or correct the SKU (case matters)."
            )
        goods_field: Any = self.fields[field]
        units: dict[int, int] = {}
        for variant in (known[sku] for sku in goods if sku in known):
            try:
                units[variant.pk] = goods_field.units(goods[variant.sku], variant.unit)
            except forms.ValidationError as refusal:
                self.add_error(field, refusal)
        return units


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
