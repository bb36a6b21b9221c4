"""The form that says what a variant is made of, and those by which composites are assembled and taken apart."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from config.admin_panels import address_of
from config.admin_site import own_page, require
from inventory.admin.stock_forms import QuantityField, StockForm, StockPage, VariantSelect
from inventory.assembly import AssemblyLine, assemble, disassemble
from inventory.bundles import Component, define
from inventory.errors import IdempotencyConflict, InvalidStockRequest, StockError
from inventory.ledger import Context, Outcome
from inventory.models import BundleComponent, BundleKind, Variant
from inventory.units import base_quantity, enterable

#: Empty rows below the components that there are.
_EMPTY_ROWS: Final = 6


class BundleForm(forms.Form):
    """Whose components are entered, and when they become the whole."""

    key = forms.UUIDField(widget=forms.HiddenInput)
    variant = forms.ModelChoiceField(
        Variant.objects.select_related("merchant"), label="Bundle", help_text="Type a SKU or title."
    )
    kind = forms.ChoiceField(
        choices=BundleKind.choices,
        widget=UnfoldAdminSelectWidget,
        help_text="A kit is put together when it is sold and has no stock of its own. A composite is assembled before.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _let_choose(self.fields["variant"], VariantSelect())


class ComponentForm(forms.Form):
    """One component; both fields empty: none."""

    variant = forms.ModelChoiceField(
        Variant.objects.select_related("merchant", "unit"), label="Component", required=False
    )
    amount = forms.CharField(
        label="Amount in one bundle", max_length=40, required=False, widget=UnfoldAdminTextInputWidget
    )

    def __init__(self, *args: Any, known: Mapping[str, str] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _let_choose(self.fields["variant"], KnownVariantSelect(known or {}))

    def clean(self) -> dict[str, Any]:
        """Counts the amount in base units: 0.25 kg is 250."""
        cleaned: dict[str, Any] = super().clean() or {}
        variant, amount = cleaned.get("variant"), cleaned.get("amount", "").strip()
        if variant is None:
            if amount and "variant" not in self.errors:
                self.add_error("variant", "Name the component, or leave the amount out.")
            return cleaned
        try:
            cleaned["quantity"] = base_quantity(amount, variant.unit, field="amount")
        except InvalidStockRequest as refusal:
            self.add_error("amount", refusal.message)
            return cleaned
        if cleaned["quantity"] < 1:
            self.add_error("amount", "Enter more than 0, or leave the component out.")
        return cleaned


class KnownVariantSelect(VariantSelect):
    """Draws chosen variants by SKUs that were read for all rows at once."""

    def __init__(self, known: Mapping[str, str]) -> None:
        super().__init__()
        self.known = known

    def optgroups(self, name: str, value: Any, attr: Any = None) -> Any:
        """Returns the chosen variant, and the choice of none."""
        chosen = [str(each) for each in value if each]
        if not all(each in self.known for each in chosen):
            return super().optgroups(name, value, attr)
        options = [self.create_option(name, "", "", False, 0)]
        options += [self.create_option(name, each, self.known[each], True, 1) for each in chosen]
        return [(None, options, 0)]


def _let_choose(field: Any, widget: VariantSelect) -> None:
    field.widget = widget
    field.widget.choices = field.choices


ComponentRows = forms.formset_factory(ComponentForm, extra=_EMPTY_ROWS, max_num=200)


def bundle_page(request: HttpRequest) -> HttpResponseBase:
    """Shows what a variant is made of and takes what it is made of from now on, as a new version."""
    require(request, "inventory.define_bundle")
    if request.method != "POST":
        form, rows = _opened(request.GET.get("variant", ""))
        return _show(request, form, rows)
    form, rows = BundleForm(request.POST), ComponentRows(request.POST, prefix="components")
    if form.is_valid() and rows.is_valid() and _record(request, form, rows):
        return redirect(address_of("inventory.variant", form.cleaned_data["variant"].pk))
    return _show(request, form, rows)


def _opened(chosen: str) -> tuple[BundleForm, Any]:
    """Returns the form filled with what the variant is made of now."""
    initial: dict[str, Any] = {"key": uuid.uuid4()}
    components: Sequence[BundleComponent] = ()
    if chosen.isdecimal():
        initial["variant"] = chosen
        current = BundleComponent.objects.filter(bundle__variant_id=int(chosen), bundle__is_current=True)
        components = list(current.select_related("variant__unit", "bundle").order_by("id"))
    if components:
        initial["kind"] = components[0].bundle.kind
    lines = [
        {"variant": each.variant_id, "amount": enterable(each.quantity, each.variant.unit)}
        for each in components
    ]
    known = {str(each.variant_id): each.variant.sku for each in components}
    rows = ComponentRows(initial=lines, prefix="components", form_kwargs={"known": known})
    return BundleForm(initial=initial), rows


def _show(request: HttpRequest, form: BundleForm, rows: Any) -> HttpResponse:
    return own_page(
        request,
        "onecount/bundle_form.html",
        "What it is made of",
        form=form,
        rows=rows,
        media=form.media + rows.media,
    )


def _record(request: HttpRequest, form: BundleForm, rows: Any) -> bool:
    """Writes the new version, and says so; False where it was refused."""
    data = form.cleaned_data
    variant: Variant = data["variant"]
    chosen = [row for row in rows if row.cleaned_data.get("variant")]
    strangers = [row for row in chosen if row.cleaned_data["variant"].merchant_id != variant.merchant_id]
    for row in strangers:
        row.add_error("variant", f"It does not belong to {variant.merchant}, who sells {variant}.")
    if strangers:
        return False
    components = [Component(row.cleaned_data["variant"].pk, row.cleaned_data["quantity"]) for row in chosen]
    context = Context(
        variant.merchant_id, f"admin:{data['key']}", actor=request.user.get_username(), source="back office"
    )
    try:
        define(context, variant.pk, BundleKind(data["kind"]), components)
    except IdempotencyConflict:
        form.add_error(None, "This form was recorded before with other components. Open it again.")
        return False
    except InvalidStockRequest as refusal:
        form.add_error(refusal.field if refusal.field in form.fields else None, str(refusal))
        return False
    except StockError as error:
        form.add_error(None, str(error))
        return False
    messages.success(request, f"{variant}: what it is made of is recorded.")
    return True


class AssembleForm(StockForm):
    """Composites that were made."""

    quantity = QuantityField("Made", smallest=1)

    def run(self, context: Context) -> Outcome:
        """Records what was made, and what went into it."""
        return assemble(context, [self.line()])

    def line(self) -> AssemblyLine:
        """Returns what was entered."""
        data = self.cleaned_data
        return AssemblyLine(data["variant"].pk, data["location"].pk, data["quantity"])


class DisassembleForm(AssembleForm):
    """Composites that were taken apart."""

    quantity = QuantityField("Taken apart", smallest=1)

    def run(self, context: Context) -> Outcome:
        """Records what was taken apart, and what came out of it."""
        return disassemble(context, [self.line()])


ASSEMBLY_PAGES: Final = (
    StockPage(
        "assemble",
        "Assemble",
        AssembleForm,
        "Takes the components that are available at the location, and adds what is made of them.",
    ),
    StockPage(
        "disassemble",
        "Disassemble",
        DisassembleForm,
        "Takes units that are available, and gives back the components of the current version.",
    ),
)
