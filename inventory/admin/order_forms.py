"""Forms by which people say what became of a purchase order: confirmed, received, dated anew, cancelled.

Each carries an idempotency key made when it was opened, as the forms that move stock do.
"""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanWidget,
)

from config.admin_panels import address_of
from config.admin_site import own_page, require
from inventory.admin.quantities import UnitsField
from inventory.errors import IdempotencyConflict, InvalidStockRequest, LineRefused, StockError
from inventory.ledger import Context, Outcome
from inventory.models import PurchaseOrder, PurchaseOrderLine
from inventory.purchasing import (
    LineCancellation,
    LineConfirmation,
    LineReceipt,
    cancel_lines,
    confirm_lines,
    receive_lines,
    slip_lines,
)
from inventory.units import shown


def day_field(label: str, **more: Any) -> forms.DateField:
    """Returns an input for a day."""
    return forms.DateField(label=label, widget=UnfoldAdminTextInputWidget({"type": "date"}), **more)


class OrderForm(forms.Form):
    """One input or more for each line of an order."""

    key = forms.UUIDField(widget=forms.HiddenInput)

    def __init__(self, *args: Any, order: PurchaseOrder, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        lines = order.lines.select_related("variant__unit").order_by("id")
        self.lines = [line for line in lines if self.shows(line)]
        for line in self.lines:
            self.fields.update(self.inputs_of(line))

    def shows(self, line: PurchaseOrderLine) -> bool:
        """Returns whether the form is about a line: something of it is still to come."""
        return line.outstanding > 0

    def inputs_of(self, line: PurchaseOrderLine) -> dict[str, forms.Field]:
        """Returns the inputs of one line by name."""
        return {}

    def units(self) -> Iterator[tuple[int, int]]:
        """Gives the lines for which units were entered."""
        for line in self.lines:
            units = self.cleaned_data.get(f"units_{line.pk}")
            if units is not None:
                yield line.pk, units

    def refuse(self, error: StockError) -> None:
        """Shows a refusal beside the input that it is about."""
        field = None
        if isinstance(error, LineRefused):
            field = f"units_{error.line_id}"
        elif isinstance(error, InvalidStockRequest):
            field = error.field
        self.add_error(field if field in self.fields else None, str(error))


class ReceiveLinesForm(OrderForm):
    """Goods that arrived."""

    document = forms.CharField(
        max_length=200, required=False, widget=UnfoldAdminTextInputWidget, label="Delivery note"
    )
    is_last = forms.BooleanField(
        required=False,
        widget=UnfoldBooleanWidget,
        label="Nothing more will come of these lines",
        help_text="Cancels what is missing of every line for which units are entered.",
    )

    def shows(self, line: PurchaseOrderLine) -> bool:
        """Shows every line: more may come than was ordered."""
        return True

    def inputs_of(self, line: PurchaseOrderLine) -> dict[str, forms.Field]:
        """Asks how many units came; as many as are to come, unless said otherwise."""
        is_cancelled = line.cancelled_quantity == line.quantity
        unit = line.variant.unit
        to_come = f"{shown(line.outstanding, unit)} of {shown(line.quantity, unit)} to come"
        label = f"{line.variant} ({'cancelled' if is_cancelled else to_come})"
        return {f"units_{line.pk}": UnitsField(label, unit, initial=line.outstanding or None)}

    def run(self, context: Context) -> Outcome:
        """Records the receipt of the lines for which units were entered."""
        is_last = self.cleaned_data["is_last"]
        receipts = [LineReceipt(line_id, units, is_last) for line_id, units in self.units() if units]
        return receive_lines(context, receipts)


class ConfirmLinesForm(OrderForm):
    """What the supplier confirmed."""

    def inputs_of(self, line: PurchaseOrderLine) -> dict[str, forms.Field]:
        """Asks how many of the units to come are confirmed, and for when."""
        unit = line.variant.unit
        return {
            f"units_{line.pk}": UnitsField(
                f"{line.variant}: units confirmed of {shown(line.outstanding, unit)} to come",
                unit,
                initial=line.confirmed_quantity or line.outstanding,
            ),
            f"on_{line.pk}": day_field(
                f"{line.variant}: arrive on", required=False, initial=line.confirmed_on or line.expected_on
            ),
        }

    def clean(self) -> dict[str, Any]:
        """Refuses confirmed units without a day."""
        cleaned: dict[str, Any] = super().clean() or {}
        for line in self.lines:
            if cleaned.get(f"units_{line.pk}") and not cleaned.get(f"on_{line.pk}"):
                self.add_error(f"on_{line.pk}", "Enter the day on which the confirmed units will arrive.")
        return cleaned

    def run(self, context: Context) -> Outcome:
        """Records the confirmations of the lines for which units were entered, 0 too."""
        confirmed = [
            LineConfirmation(line_id, units, self.cleaned_data.get(f"on_{line_id}") if units else None)
            for line_id, units in self.units()
        ]
        return confirm_lines(context, confirmed)


class SlipLinesForm(OrderForm):
    """A new day for what is still to come."""

    on = day_field("Arrives on", initial=date.today)
    chosen = forms.MultipleChoiceField(label="Lines", widget=UnfoldAdminCheckboxSelectMultipleWidget)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [
            (str(line.pk), f"{line.variant}: {shown(line.outstanding, line.variant.unit)} to come")
            for line in self.lines
        ]
        self.fields["chosen"].choices = choices  # type: ignore[attr-defined]
        self.fields["chosen"].initial = [value for value, _ in choices]

    def run(self, context: Context) -> Outcome:
        """Records the new day."""
        line_ids = [int(value) for value in self.cleaned_data["chosen"]]
        return slip_lines(context, line_ids, self.cleaned_data["on"])


class CancelLinesForm(OrderForm):
    """Units that will not come any more."""

    def inputs_of(self, line: PurchaseOrderLine) -> dict[str, forms.Field]:
        """Asks how many units will not come; all that are to come, unless said otherwise."""
        unit = line.variant.unit
        label = f"{line.variant}: units to cancel of {shown(line.outstanding, unit)} to come"
        return {f"units_{line.pk}": UnitsField(label, unit, initial=line.outstanding)}

    def run(self, context: Context) -> Outcome:
        """Records the cancellation of the lines for which units were entered."""
        return cancel_lines(context, [LineCancellation(pk, units) for pk, units in self.units() if units])


@dataclass(frozen=True, slots=True)
class OrderPage:
    """The page of one thing that happens to a placed order."""

    verb: str
    title: str
    form_class: Callable[..., Any]
    note: str
    permission: str = "inventory.purchase"

    @property
    def url_name(self) -> str:
        """The name of its address in the back office."""
        return f"inventory_purchaseorder_{self.verb}"

    def __call__(self, request: HttpRequest, order_id: int) -> HttpResponseBase:
        """Shows the form; a valid one is recorded and leads to the order's page."""
        require(request, "inventory.view_purchaseorder", self.permission)
        order = get_object_or_404(PurchaseOrder.objects.select_related("merchant"), pk=order_id)
        page = address_of("inventory.purchaseorder", order.pk)
        if request.method != "POST":
            return self._show(request, order, self.form_class(order=order, initial={"key": uuid.uuid4()}))
        form = self.form_class(request.POST, order=order)
        if form.is_valid() and self._record(request, order, form):
            return redirect(page)
        return self._show(request, order, form)

    def _show(self, request: HttpRequest, order: PurchaseOrder, form: Any) -> HttpResponseBase:
        title = f"{self.title}: {order.number}"
        return own_page(request, "onecount/stock_form.html", title, form=form, note=self.note)

    def _record(self, request: HttpRequest, order: PurchaseOrder, form: Any) -> bool:
        """Records what the form says, and says what came of it; False where it was refused."""
        context = Context(
            order.merchant_id,
            f"admin:{form.cleaned_data['key']}",
            actor=request.user.get_username(),
            source="back office",
            document=form.cleaned_data.get("document") or order.number,
        )
        return run_form(request, self.title, form, context)


def run_form(request: HttpRequest, title: str, form: Any, context: Context) -> bool:
    """Runs a form's operation, and says what came of it; False where it was refused, with the reason on the form."""
    try:
        outcome = form.run(context)
    except IdempotencyConflict:
        form.add_error(
            None, "This form was recorded before with other figures. Open it again for another entry."
        )
        return False
    except StockError as error:
        form.refuse(error)
        return False
    if outcome.is_repeat:
        messages.info(request, f"{title}: already recorded as operation {outcome.operation_id}.")
        return True
    messages.success(request, f"{title}: recorded as operation {outcome.operation_id}.")
    short = sum(each.quantity for each in outcome.short)
    if short:
        messages.warning(request, f"{short} promised units are not covered any more; see the open conflicts.")
    return True


ORDER_PAGES: Final = (
    OrderPage(
        "confirm",
        "Confirm",
        ConfirmLinesForm,
        "What the supplier says of the units still to come. Only confirmed units may be promised; leave a line empty to "
        "leave it as it is.",
    ),
    OrderPage(
        "receive",
        "Receive",
        ReceiveLinesForm,
        "Open shortages get the goods first, oldest first, then whoever was promised them. More than was ordered is "
        "recorded all the same; leave a line empty of which nothing came.",
        "inventory.move_stock",
    ),
    OrderPage(
        "slip",
        "Change the day",
        SlipLinesForm,
        "What had been promised for an earlier day becomes a conflict.",
    ),
    OrderPage(
        "cancel",
        "Cancel units",
        CancelLinesForm,
        "What had been promised of the cancelled units becomes a conflict, the newest promise first.",
    ),
)
