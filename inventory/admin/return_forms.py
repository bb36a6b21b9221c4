"""The forms of a return: what was announced, what came, what the inspection found."""

from typing import Any

from django import forms

from inventory.admin.document_forms import GoodsField, KeyedForm, place_field, text_field
from inventory.models import Location
from inventory.returns import ReturnUnits, Verdict


class _ReturnedGoods(KeyedForm):
    """Goods of a return at a place."""

    reference = text_field("Reference", required=True, help_text="RMA number, or whatever the parcel says.")
    location = place_field("Place")

    def clean(self) -> dict[str, Any]:
        """Turns the goods into lines."""
        cleaned: dict[str, Any] = super().clean() or {}
        location = cleaned.get("location")
        if location and "goods" in cleaned:
            units = self.variants("goods", location.merchant_id)
            cleaned["lines"] = [ReturnUnits(variant, location.pk, each) for variant, each in units.items()]
        return cleaned


class AnnounceForm(_ReturnedGoods):
    """What a customer will send back."""

    goods = GoodsField(label="Expected", smallest=0)


class ReceiveReturnForm(_ReturnedGoods):
    """What came back."""

    goods = GoodsField(label="Received")


class InspectForm(KeyedForm):
    """What the inspection of goods at one place found."""

    location = place_field("Place")
    released = GoodsField(label="Fit for sale", required=False)
    written_off = GoodsField(label="Write off", required=False)

    def __init__(self, *args: Any, merchant_id: int, location_ids: set[int], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.merchant_id = merchant_id
        field: Any = self.fields["location"]
        field.queryset = Location.objects.filter(pk__in=location_ids)

    def clean(self) -> dict[str, Any]:
        """Turns the two lists into verdicts."""
        cleaned: dict[str, Any] = super().clean() or {}
        released = self.variants("released", self.merchant_id)
        written_off = self.variants("written_off", self.merchant_id)
        if not released and not written_off and not self.errors:
            raise forms.ValidationError("Name what was inspected, in one of the two lists.")
        if place := cleaned.get("location"):
            cleaned["verdicts"] = [
                Verdict(variant, place.pk, released.get(variant, 0), written_off.get(variant, 0))
                for variant in {**released, **written_off}
            ]
        return cleaned
