"""The form that says how many units of a variant a place keeps back from the channels."""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from unfold.widgets import UnfoldAdminIntegerFieldWidget

from config.admin_panels import address_of
from inventory.admin.document_forms import new_key, run_form
from inventory.admin.stock_forms import PlaceForm, chosen
from inventory.models import StockLevel
from inventory.safety_stock import set_safety_stock
from inventory.validation import LARGEST_QUANTITY


class SafetyStockForm(PlaceForm):
    """Units that no channel is offered."""

    safety_stock = forms.IntegerField(
        label="Units kept back",
        min_value=0,
        max_value=LARGEST_QUANTITY,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text="No channel is offered them; they can be sold to whoever asks you. 0 keeps none back.",
    )


def safety_stock_page(request: HttpRequest) -> HttpResponseBase:
    """Sets the safety stock of a level."""
    initial = {**chosen(request), **new_key()}
    if {"variant", "location"} <= initial.keys():
        levels = StockLevel.objects.filter(variant=initial["variant"], location=initial["location"])
        initial["safety_stock"] = levels.values_list("safety_stock", flat=True).first() or 0
    form = SafetyStockForm(request.POST or None, initial=initial)

    def act(form: Any) -> str:
        data = form.cleaned_data
        variant, location = data["variant"], data["location"]
        set_safety_stock(variant.merchant_id, {(variant.pk, location.pk): data["safety_stock"]})
        messages.success(request, f"{location} keeps {data['safety_stock']} of {variant} back.")
        return address_of("inventory.variant", variant.pk)

    note = "Planning: nothing moves in the ledger. The channels are told what is left at once."
    return run_form(request, "Safety stock", form, act, note=note)
