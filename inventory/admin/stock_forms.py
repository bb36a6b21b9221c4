"""Forms by which people move stock: receive, adjust, count.

Each form carries an idempotency key made when it was opened, so that a double click, a reload or the back button records once.
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.widgets import AutocompleteSelect
from django.core.validators import MaxValueValidator, MinValueValidator
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from config.admin_panels import address_of
from config.admin_site import own_page, require
from inventory.admin.quantities import LONGEST_QUANTITY
from inventory.conditions import ConditionLine, put_back, scrap, set_aside
from inventory.errors import IdempotencyConflict, InvalidStockRequest, StockError
from inventory.ledger import Context, Outcome
from inventory.models import Location, StockLevel, Variant
from inventory.models.stock import Reason
from inventory.stock import AdjustmentLine, CountLine, StockLine, adjust, count, receive
from inventory.units import base_quantity
from inventory.validation import LARGEST_QUANTITY


class VariantSelect(AutocompleteSelect):
    """A choice of one variant by typing, that draws only the chosen one; of one merchant where that is given."""

    def __init__(self, merchant_id: int | None = None) -> None:
        super().__init__(StockLevel._meta.get_field("variant"), admin.site)
        self.merchant_id = merchant_id

    def get_url(self) -> str:
        """Returns where matching variants are asked for."""
        address: str = super().get_url()
        return address if self.merchant_id is None else f"{address}?merchant={self.merchant_id}"


class PlaceForm(forms.Form):
    """Which variant, where, and under which key."""

    key = forms.UUIDField(widget=forms.HiddenInput)
    variant = forms.ModelChoiceField(
        Variant.objects.select_related("merchant", "unit"), label="Variant", help_text="Type a SKU or title."
    )
    location = forms.ModelChoiceField(
        Location.objects.filter(is_active=True), empty_label="Choose …", widget=UnfoldAdminSelectWidget
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["variant"].widget = VariantSelect()
        self.fields["variant"].widget.choices = self.fields["variant"].choices  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        """Counts what was entered in base units, and refuses a location of another merchant."""
        cleaned: dict[str, Any] = super().clean() or {}
        for name, field in self.fields.items():
            if isinstance(field, QuantityField) and name in cleaned and "variant" in cleaned:
                self._count(name, field, cleaned)
        variant, location = cleaned.get("variant"), cleaned.get("location")
        if variant and location and variant.merchant_id != location.merchant_id:
            self.add_error(
                "location", f"{location} does not belong to {variant.merchant}, who sells {variant}."
            )
        return cleaned

    def _count(self, name: str, field: "QuantityField", cleaned: dict[str, Any]) -> None:
        try:
            units = base_quantity(cleaned[name], cleaned["variant"].unit, field=name)
            MinValueValidator(field.smallest)(units)
            MaxValueValidator(LARGEST_QUANTITY)(units)
        except InvalidStockRequest as refusal:
            self.add_error(name, refusal.message)
        except forms.ValidationError as refusal:
            self.add_error(name, refusal)
        else:
            cleaned[name] = units


class StockForm(PlaceForm):
    """What moved there, and under which document."""

    field_order = ("key", "variant", "location", "quantity", "delta", "counted", "reason", "document")

    document = forms.CharField(
        max_length=200,
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text="Delivery note, count sheet, ticket: what a colleague would look for.",
    )


class QuantityField(forms.CharField):
    """A quantity in the unit of measure of the form's variant, or in pieces."""

    def __init__(self, label: str, *, smallest: int, help_text: str = "") -> None:
        #: In base units.
        self.smallest = smallest
        super().__init__(
            label=label,
            max_length=LONGEST_QUANTITY,
            widget=UnfoldAdminTextInputWidget({"inputmode": "decimal"}),
            help_text=f"{help_text} In the variant's unit of measure, or in pieces.".strip(),
        )


class ReceiveForm(StockForm):
    """Goods that arrived."""

    quantity = QuantityField("Units received", smallest=1)
    reason = forms.ChoiceField(
        choices=[(each.value, each.label) for each in (Reason.PURCHASE, Reason.OPENING, Reason.OTHER)],
        widget=UnfoldAdminSelectWidget,
    )

    def run(self, context: Context) -> Outcome:
        """Records the receipt."""
        data = self.cleaned_data
        line = StockLine(data["variant"].pk, data["location"].pk, data["quantity"])
        return receive(context, [line], reason=Reason(data["reason"]))


_LOSSES: Final = (Reason.CORRECTION, Reason.DAMAGE, Reason.LOSS, Reason.WRITE_OFF, Reason.OTHER)


class AdjustForm(StockForm):
    """A correction up or down."""

    delta = QuantityField(
        "Units more or less", smallest=-LARGEST_QUANTITY, help_text="−3 takes three off, 3 adds three."
    )
    reason = forms.ChoiceField(
        choices=[(each.value, each.label) for each in _LOSSES], widget=UnfoldAdminSelectWidget
    )

    def clean(self) -> dict[str, Any]:
        """Refuses 0, which would correct nothing."""
        cleaned = super().clean()
        if cleaned.get("delta") == 0:
            self.add_error("delta", "0 changes nothing.")
        return cleaned

    def run(self, context: Context) -> Outcome:
        """Records the adjustment."""
        data = self.cleaned_data
        line = AdjustmentLine(data["variant"].pk, data["location"].pk, data["delta"], Reason(data["reason"]))
        return adjust(context, [line])


class CountForm(StockForm):
    """What somebody counted."""

    counted = QuantityField(
        "Units counted", smallest=0, help_text="All units on hand there, reserved ones too."
    )

    def run(self, context: Context) -> Outcome:
        """Records the count."""
        data = self.cleaned_data
        return count(context, [CountLine(data["variant"].pk, data["location"].pk, data["counted"])])


_ASIDE: Final = (Reason.DAMAGE, Reason.QUARANTINE, Reason.INSPECTION, Reason.OTHER)
_BACK: Final = (Reason.INSPECTION, Reason.QUARANTINE, Reason.CORRECTION, Reason.OTHER)
_SCRAPPED: Final = (Reason.WRITE_OFF, Reason.DAMAGE, Reason.LOSS, Reason.OTHER)


def _choices(*reasons: Reason) -> list[tuple[str, str]]:
    return [(each.value, each.label) for each in reasons]


class SetAsideForm(StockForm):
    """Units that cannot be sold any more, or not yet."""

    quantity = QuantityField("Units to set aside", smallest=1)
    reason = forms.ChoiceField(choices=_choices(*_ASIDE), widget=UnfoldAdminSelectWidget)

    def run(self, context: Context) -> Outcome:
        """Makes the units unavailable."""
        return set_aside(context, [_condition(self)], reason=Reason(self.cleaned_data["reason"]))


class PutBackForm(StockForm):
    """Unavailable units that can be sold after all."""

    quantity = QuantityField("Units to put back", smallest=1)
    reason = forms.ChoiceField(choices=_choices(*_BACK), widget=UnfoldAdminSelectWidget)

    def run(self, context: Context) -> Outcome:
        """Makes the units available."""
        return put_back(context, [_condition(self)], reason=Reason(self.cleaned_data["reason"]))


class ScrapForm(StockForm):
    """Unavailable units that leave the stock."""

    quantity = QuantityField("Units to write off", smallest=1)
    reason = forms.ChoiceField(choices=_choices(*_SCRAPPED), widget=UnfoldAdminSelectWidget)

    def run(self, context: Context) -> Outcome:
        """Takes the units off what is on hand."""
        return scrap(context, [_condition(self)], reason=Reason(self.cleaned_data["reason"]))


def _condition(form: StockForm) -> ConditionLine:
    data = form.cleaned_data
    return ConditionLine(data["variant"].pk, data["location"].pk, data["quantity"])


@dataclass(frozen=True, slots=True)
class StockPage:
    """The page of one verb."""

    verb: str
    title: str
    form_class: Callable[..., Any]
    note: str

    @property
    def text(self) -> str:
        """What a button that leads here says."""
        return self.verb.replace("_", " ").capitalize()

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Shows the form; a valid one is recorded and leads to the variant's page."""
        require(request, "inventory.move_stock")
        if request.method != "POST":
            return self._show(request, self.form_class(initial={**chosen(request), "key": uuid.uuid4()}))
        form = self.form_class(request.POST)
        if form.is_valid() and self._record(request, form):
            return redirect(address_of("inventory.variant", form.cleaned_data["variant"].pk))
        return self._show(request, form)

    def _show(self, request: HttpRequest, form: Any) -> HttpResponseBase:
        return own_page(request, "onecount/stock_form.html", self.title, form=form, note=self.note)

    def _record(self, request: HttpRequest, form: Any) -> bool:
        """Records what the form says, and says what came of it; False where it was refused."""
        data = form.cleaned_data
        context = Context(
            data["variant"].merchant_id,
            f"admin:{data['key']}",
            actor=request.user.get_username(),
            source="back office",
            document=data["document"],
        )
        try:
            outcome = form.run(context)
        except IdempotencyConflict:
            form.add_error(
                None, "This form was recorded before with other figures. Open it again for another entry."
            )
            return False
        except InvalidStockRequest as error:
            name = error.field.removesuffix("_id")
            form.add_error(name if name in form.fields else None, error.message)
            return False
        except StockError as error:
            form.add_error(None, str(error))
            return False
        _tell(request, self.title, outcome)
        return True


def chosen(request: HttpRequest) -> dict[str, str]:
    """Returns the variant and location that a link asked for."""
    given = {name: request.GET.get(name, "") for name in ("variant", "location")}
    return {name: value for name, value in given.items() if value.isdecimal()}


def _tell(request: HttpRequest, title: str, outcome: Outcome) -> None:
    if outcome.is_repeat:
        messages.info(
            request, f"{title}: already recorded as operation {outcome.operation_id}; nothing was added."
        )
        return
    messages.success(request, f"{title}: recorded as operation {outcome.operation_id}.")
    short = sum(each.quantity for each in outcome.short)
    if short:
        messages.warning(request, f"{short} reserved units are no longer covered; see the open conflicts.")


STOCK_PAGES: Final = (
    StockPage("receive", "Receive stock", ReceiveForm, "Open shortages are filled first, oldest first."),
    StockPage(
        "adjust",
        "Adjust stock",
        AdjustForm,
        "A loss takes what is available first, then the newest reservations, which become conflicts.",
    ),
    StockPage(
        "count",
        "Count stock",
        CountForm,
        "Sets what is on hand to what was counted; units gone break the newest reservations into conflicts.",
    ),
    StockPage(
        "set_aside",
        "Set units aside",
        SetAsideForm,
        "They stay on hand and cannot be sold; where too few are available, the newest reservations become conflicts.",
    ),
    StockPage("put_back", "Put units back", PutBackForm, "Open shortages are filled first, oldest first."),
    StockPage(
        "scrap", "Write unavailable units off", ScrapForm, "Units that were set aside leave the stock."
    ),
)
