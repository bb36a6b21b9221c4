"""The form that turns what an open conflict owes into a promise from confirmed inbound."""

import uuid
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from unfold.widgets import UnfoldAdminTextInputWidget

from config.admin_panels import address_of
from config.admin_site import own_page, require
from inventory.admin.order_forms import day_field, run_form
from inventory.admin.promising import days_of
from inventory.admin.quantities import UnitsField
from inventory.backorders import backorder_conflict
from inventory.errors import InvalidStockRequest, StockError
from inventory.inbound_rows import PromiseTerms
from inventory.ledger import Context, Outcome
from inventory.models import Conflict


class BackorderForm(forms.Form):
    """How many units, by when, and why that is allowed."""

    key = forms.UUIDField(widget=forms.HiddenInput)

    def __init__(self, *args: Any, conflict: Conflict, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conflict = conflict
        self.fields["quantity"] = UnitsField(
            "Units", conflict.variant.unit, smallest=1, required=True, initial=conflict.open_quantity
        )
        self.fields["by"] = day_field(
            "By",
            help_text="Goods that are confirmed for this day or an earlier one are promised, the earliest first.",
        )
        self.fields["allowed_by"] = forms.CharField(
            max_length=150,
            label="Why",
            widget=UnfoldAdminTextInputWidget,
            help_text="What the customer agreed to, or which rule allows it.",
        )

    def run(self, context: Context) -> Outcome:
        """Promises the units."""
        data = self.cleaned_data
        terms = PromiseTerms(data["by"], f"{context.actor[:40]}: {data['allowed_by']}")
        return backorder_conflict(context, self.conflict.pk, terms, quantity=data["quantity"])

    def refuse(self, error: StockError) -> None:
        """Shows a refusal beside the input that it is about."""
        field = error.field if isinstance(error, InvalidStockRequest) else None
        self.add_error(field if field in self.fields else None, str(error))


def backorder_page(request: HttpRequest, conflict_id: int) -> HttpResponseBase:
    """Shows the form with the days on which goods are confirmed; a valid one is recorded and leads to the conflict."""
    require(request, "inventory.view_conflict", "inventory.promise_inbound")
    conflict = get_object_or_404(Conflict.objects.select_related("variant__unit"), pk=conflict_id)
    if request.method != "POST":
        return _show(request, conflict, BackorderForm(conflict=conflict, initial={"key": uuid.uuid4()}))
    form = BackorderForm(request.POST, conflict=conflict)
    if not form.is_valid():
        return _show(request, conflict, form)
    context = Context(
        conflict.merchant_id,
        f"admin:{form.cleaned_data['key']}",
        actor=request.user.get_username(),
        source="back office",
    )
    if run_form(request, "Backorder", form, context):
        return redirect(address_of("inventory.conflict", conflict.pk))
    return _show(request, conflict, form)


def _show(request: HttpRequest, conflict: Conflict, form: Any) -> HttpResponseBase:
    title = f"Backorder: {conflict.open_quantity} × {conflict.variant}"
    return own_page(
        request, "onecount/stock_form.html", title, form=form, note=f"Confirmed: {days_of(conflict)}."
    )
