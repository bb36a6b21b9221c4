"""The forms of a count sheet: what is to be counted, and what was."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.db.models import QuerySet
from unfold.widgets import (
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from inventory.admin.document_forms import GoodsField, KeyedForm, place_field, text_field
from inventory.admin.quantities import UnitsField
from inventory.models import CountSheetLine, Location, Variant
from inventory.units import shown

#: Lines that are entered on one page.
LINES = 100


def _switch(label: str, help_text: str = "") -> forms.BooleanField:
    return forms.BooleanField(
        label=label, required=False, widget=UnfoldBooleanSwitchWidget, help_text=help_text
    )


class PrintForm(KeyedForm):
    """What is to be counted; without a selection everything that was ever kept at the place."""

    location = place_field("Place")
    title = text_field("Title", help_text="What a colleague would call it: shelf A, yearly count.")
    is_blind = _switch("Blind", "Whoever counts is not shown what the ledger expects.")
    category = text_field("Only this category", help_text="As the products name it.")
    only_on_hand = _switch("Only what should be there", "Leaves out variants with nothing on hand.")
    skus = forms.CharField(
        label="Only these SKUs",
        required=False,
        widget=UnfoldAdminTextareaWidget({"rows": 5, "class": "oc-mono"}),
        help_text="One in each line.",
    )

    def clean_skus(self) -> list[str]:
        """Returns the SKUs that were named."""
        return [line.strip() for line in self.cleaned_data["skus"].splitlines() if line.strip()]

    def clean(self) -> dict[str, Any]:
        """Complains about SKUs that are unknown."""
        cleaned: dict[str, Any] = super().clean() or {}
        location, skus = cleaned.get("location"), cleaned.get("skus") or []
        if location and skus:
            rows = Variant.objects.filter(merchant=location.merchant_id, sku__in=skus)
            known = set(rows.values_list("sku", flat=True))
            if unknown := [sku for sku in skus if sku not in known]:
                self.add_error("skus", f"Unknown: {', '.join(unknown[:5])}. Case matters.")
        return cleaned

    @property
    def variant_ids(self) -> list[int] | None:
        """The variants that the selection names; None for all."""
        data = self.cleaned_data
        if not (data["skus"] or data["category"] or data["only_on_hand"]):
            return None
        return list(self._selected(data["location"]).values_list("pk", flat=True))

    def _selected(self, location: Location) -> QuerySet[Variant]:
        data = self.cleaned_data
        of_merchant = Variant.objects.filter(merchant=location.merchant_id)
        chosen = {"sku__in": data["skus"]} if data["skus"] else {"levels__location": location}
        rows = of_merchant.filter(**chosen)
        if data["category"]:
            rows = rows.filter(product__category=data["category"])
        if data["only_on_hand"]:
            rows = rows.filter(levels__location=location, levels__on_hand__gt=0)
        return rows.distinct()


class EntryForm(KeyedForm):
    """What was counted of some lines; what is left empty was not counted."""

    counted_at = forms.DateTimeField(
        label="Counted at (UTC)",
        required=False,
        widget=UnfoldAdminTextInputWidget({"placeholder": "2026-01-31 14:00"}),
        help_text="When the units were counted; empty for now. What moves afterwards is no variance.",
    )

    def __init__(
        self, *args: Any, lines: Sequence[CountSheetLine], merchant_id: int, is_blind: bool, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.lines, self.merchant_id = lines, merchant_id
        for line in lines:
            self.fields[f"counted_{line.variant_id}"] = _counted_field(line, is_blind=is_blind)
        self.fields["others"] = GoodsField(
            label="Found besides, not on the sheet", required=False, smallest=0
        )

    def clean(self) -> dict[str, Any]:
        """Gathers what was counted, by variant."""
        cleaned: dict[str, Any] = super().clean() or {}
        counted = {
            line.variant_id: cleaned[f"counted_{line.variant_id}"]
            for line in self.lines
            if cleaned.get(f"counted_{line.variant_id}") is not None
        }
        counted |= self.variants("others", self.merchant_id)
        if not counted and not self.errors:
            raise forms.ValidationError("Enter at least one count.")
        cleaned["counted"] = counted
        return cleaned


def _counted_field(line: CountSheetLine, *, is_blind: bool) -> UnitsField:
    unit = line.variant.unit
    hints = [] if is_blind else [f"{shown(line.expected_quantity, unit)} expected when printed"]
    if line.is_recount_wanted:
        hints.append("count again")
    elif line.counted_quantity is not None:
        hints.append(f"{shown(line.counted_quantity, unit)} entered; empty leaves it")
    return UnitsField(line.variant.sku, unit, help_text="; ".join(hints))
