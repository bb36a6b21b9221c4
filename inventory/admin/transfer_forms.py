"""The forms of a transfer: what shall go where, and what arrived."""

from typing import Any

from django import forms
from unfold.widgets import UnfoldAdminDateWidget

from inventory.admin.document_forms import GoodsField, KeyedForm, place_field, text_field
from inventory.transfer_drafts import TransferPlan
from inventory.transfers import Arrival


class TransferForm(KeyedForm):
    """What shall go where."""

    source = place_field("From")
    destination = place_field("To")
    expected_on = forms.DateField(
        label="Expected on", required=False, widget=UnfoldAdminDateWidget, help_text="When it should arrive."
    )
    reference = text_field("Reference", help_text="Consignment note, tracking number.")
    goods = GoodsField(label="Goods")

    def clean(self) -> dict[str, Any]:
        """Refuses places of two merchants, the same place twice, and unknown SKUs."""
        cleaned: dict[str, Any] = super().clean() or {}
        source, destination = cleaned.get("source"), cleaned.get("destination")
        if source and destination and source == destination:
            self.add_error("destination", "The goods are there already; choose another place.")
        elif source and destination and source.merchant_id != destination.merchant_id:
            self.add_error("destination", f"{destination} belongs to another merchant than {source}.")
        if source and "goods" in cleaned:
            cleaned["quantities"] = self.variants("goods", source.merchant_id)
        return cleaned

    @property
    def plan(self) -> TransferPlan:
        """The plan that the form describes."""
        data = self.cleaned_data
        return TransferPlan(
            data["source"].pk,
            data["destination"].pk,
            data["quantities"],
            reference=data["reference"],
            expected_on=data["expected_on"],
        )


class ArrivalForm(KeyedForm):
    """What arrived of a transfer."""

    goods = GoodsField(label="Arrived")
    unsalable = GoodsField(label="Of them, not fit for sale", required=False)

    def __init__(self, *args: Any, merchant_id: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.merchant_id = merchant_id

    def clean(self) -> dict[str, Any]:
        """Refuses unknown SKUs, and more unsalable units than arrived."""
        cleaned: dict[str, Any] = super().clean() or {}
        arrived = self.variants("goods", self.merchant_id)
        unsalable = self.variants("unsalable", self.merchant_id)
        if any(units > arrived.get(variant, 0) for variant, units in unsalable.items()):
            self.add_error("unsalable", "A part of what arrived; no SKU may have more units here than above.")
        cleaned["arrivals"] = [
            Arrival(variant, units, min(unsalable.get(variant, 0), units))
            for variant, units in arrived.items()
        ]
        return cleaned
