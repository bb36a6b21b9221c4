"""The form that says how many units of a variant a place keeps back from the channels."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase

from config.admin_panels import address_of
from inventory.admin.document_forms import new_key, run_form
from inventory.admin.stock_forms import PlaceForm, QuantityField, chosen
from inventory.models import StockLevel
from inventory.safety_stock import set_safety_stock
from inventory.units import enterable, shown


class SafetyStockForm(PlaceForm):
    """Units that no channel is offered."""

    safety_stock = QuantityField(
        "Units kept back",
        smallest=0,
        help_text="No channel is offered them; they can be sold to whoever asks you. 0 keeps none back.",
    )


def safety_stock_page(request: HttpRequest) -> HttpResponseBase:
    """Sets the safety stock of a level."""
    initial = {**chosen(request), **new_key()}
    if {"variant", "location"} <= initial.keys():
        levels = StockLevel.objects.select_related("variant__unit")
        level = levels.filter(variant=initial["variant"], location=initial["location"]).first()
        initial["safety_stock"] = enterable(level.safety_stock, level.variant.unit) if level else 0
    form = SafetyStockForm(request.POST or None, initial=initial)

    def act(form: Any) -> str:
        data = form.cleaned_data
        variant, location = data["variant"], data["location"]
        set_safety_stock(variant.merchant_id, {(variant.pk, location.pk): data["safety_stock"]})
        kept = shown(data["safety_stock"], variant.unit)
        messages.success(request, f"{location} keeps {kept} of {variant} back.")
        return address_of("inventory.variant", variant.pk)

    note = "Planning: nothing moves in the ledger. The channels are told what is left at once."
    return run_form(request, "Safety stock", form, act, note=note)
