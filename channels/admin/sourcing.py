"""Where an order is served from, and the page on which a person has another location serve a line."""

import uuid
from typing import Any, Final

from django import forms
from django.contrib import messages
from django.db.models import F, Q, Sum
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from unfold.widgets import UnfoldAdminSelectWidget

from channels.admin.rows import with_channel
from channels.models import ChannelOrder, ChannelOrderLine
from channels.sourcing import resource_line, serving_ids
from config.admin_panels import Panel, address_of, link, page_of
from config.admin_site import own_page, require
from inventory.admin.quantities import UnitsField
from inventory.bundles import kits_available
from inventory.errors import IdempotencyConflict, InsufficientStock, InvalidStockRequest, StockError
from inventory.models import Conflict, Location, Reservation, StockLevel

PERMISSION: Final = "channels.resource_channelorderline"
_OWED: Final = "owed"


def sources_panel(request: HttpRequest, lines: list[ChannelOrderLine]) -> Panel:
    """Shows at which locations the lines of an order hold units, and leads to where that is changed."""
    by_reference = {line.reference: line for line in lines if line.variant_id is not None}
    merchants = {line.variant.merchant_id for line in by_reference.values() if line.variant}
    held = (
        Reservation.objects.filter(merchant__in=merchants, reference__in=by_reference)
        .values_list("reference", "variant__sku", "level__location__code")
        .annotate(held=Sum("open_quantity"), shipped=Sum("fulfilled_quantity"))
        .order_by("reference", "variant__sku", "level__location__code")
    )
    may = request.user.has_perm(PERMISSION)
    rows = [
        (
            sku,
            page_of(by_reference[reference], by_reference[reference].sku or sku),
            code,
            units,
            shipped,
            by_reference[reference].is_sourced_by_hand,
            _move_link(by_reference[reference]) if may and units else "",
        )
        for reference, sku, code, units, shipped in held
        if units or shipped
    ]
    headers = ("SKU", "Line", "Location", "Held", "Shipped", "Chosen by hand", "")
    links = [
        (_move_address(line), f"Serve {line.sku} from elsewhere")
        for line in _owed(by_reference, merchants)
        if may
    ]
    return Panel("Served from", headers, rows, empty="No location holds anything for it.", links=links)


def _owed(by_reference: dict[str, ChannelOrderLine], merchants: set[int]) -> list[ChannelOrderLine]:
    owed = Conflict.objects.filter(
        merchant__in=merchants, reference__in=by_reference, open_quantity__gt=0
    ).exclude(cause="beyond_record")
    return [by_reference[reference] for reference in sorted(set(owed.values_list("reference", flat=True)))]


def _move_address(line: ChannelOrderLine) -> str:
    return reverse("admin:channels_resource_line", args=[line.pk])


def _move_link(line: ChannelOrderLine) -> str:
    return link(_move_address(line), "Re-source")


class ResourceForm(forms.Form):
    """Units of one line that another location is to serve."""

    key = forms.UUIDField(widget=forms.HiddenInput)
    source = forms.ChoiceField(label="Units", widget=UnfoldAdminSelectWidget)
    target = forms.ChoiceField(label="To be served from", widget=UnfoldAdminSelectWidget)

    def __init__(self, line: ChannelOrderLine, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.line = line
        self.fields["quantity"] = UnitsField(
            "How many",
            line.variant.unit if line.variant else None,
            smallest=1,
            help_text="Empty: as many as the location has.",
        )
        source: Any = self.fields["source"]
        target: Any = self.fields["target"]
        source.choices = _sources(line)
        target.choices = _targets(line)

    def clean(self) -> dict[str, Any]:
        """Refuses a move to where the units are already."""
        cleaned: dict[str, Any] = super().clean() or {}
        if cleaned.get("source") and cleaned.get("source") == cleaned.get("target"):
            self.add_error("target", "The units are there already; choose another location.")
        return cleaned

    def run(self, actor: str) -> bool:
        """Moves the units; False, with the reason beside its input, where that is refused."""
        data = self.cleaned_data
        source = data["source"]
        try:
            resource_line(
                self.line,
                to_location_id=int(data["target"]),
                from_location_id=None if source == _OWED else int(source),
                quantity=data["quantity"],
                key=str(data["key"]),
                actor=actor,
            )
        except StockError as error:
            self.add_error(_field_of(error), _words(error))
            return False
        return True


def _field_of(error: StockError) -> str | None:
    if isinstance(error, InsufficientStock):
        return "target"
    field = error.field if isinstance(error, InvalidStockRequest) else ""
    return {"to_location_id": "target", "quantity": "quantity"}.get(field)


def _words(error: StockError) -> str:
    if isinstance(error, InsufficientStock):
        (shortage,) = error.shortages
        return f"{shortage.available} units are available there, {shortage.requested} are to be served."
    if isinstance(error, IdempotencyConflict):
        return "This form was recorded before with other figures. Open it again for another move."
    return str(error)


def _sources(line: ChannelOrderLine) -> list[tuple[str, str]]:
    """Returns where the line's units, or kits, are: held at locations, or owed."""
    own = {"reference": line.reference, "variant": line.variant_id, "open_quantity__gt": 0}
    # Kits are held part by part, and counted by the first part.
    mine = Q(bundle__isnull=True, variant=line.variant_id) | Q(bundle__variant=line.variant_id, lead=F("pk"))
    held = (
        Reservation.objects.filter(mine, reference=line.reference, open_quantity__gt=0)
        .values_list("level__location_id", "level__location__code")
        .annotate(units=Sum(F("open_quantity") / Coalesce("per_bundle", 1)))
        .order_by("level__location__code")
    )
    choices = [(str(location_id), f"{units} held at {code}") for location_id, code, units in held]
    owed = Conflict.objects.filter(**own).exclude(cause="beyond_record").aggregate(units=Sum("open_quantity"))
    return [*choices, *([(_OWED, f"{owed['units']} owed")] if owed["units"] else [])]


def _targets(line: ChannelOrderLine) -> list[tuple[str, str]]:
    """Returns the locations that may serve the channel, with what they have."""
    ids = serving_ids(line.order.channel)
    levels = StockLevel.objects.filter(variant=line.variant_id, location__in=ids)
    available = {level.location_id: level.available for level in levels}
    if line.variant is not None:
        available |= kits_available(line.variant.merchant_id, [line.variant.pk]).get(line.variant.pk, {})
    codes = dict(Location.objects.filter(pk__in=ids).values_list("pk", "code"))
    return [(str(pk), f"{codes[pk]} ({available.get(pk, 0)} available)") for pk in ids]


def resource_page(request: HttpRequest, line_id: int) -> HttpResponseBase:
    """Asks which location is to serve units of a line, and has it serve them."""
    require(request, PERMISSION)
    lines = with_channel(ChannelOrderLine.objects.all(), "variant__unit", "order", channel="order__channel")
    line = get_object_or_404(lines, pk=line_id, variant__isnull=False)
    form = ResourceForm(line, request.POST or None, initial={"key": uuid.uuid4()})
    if request.method == "POST" and form.is_valid() and form.run(request.user.get_username()):
        messages.success(
            request, f"{line.sku}: served from {dict(_targets(line))[form.cleaned_data['target']]}."
        )
        return redirect(_order_address(line.order))
    note = (
        "What is held moves to the other location, what is owed is held there. It stays there: routing does not"
        " move it again. A location that was told to ship it is told of the change."
    )
    title = f"Re-source {line.sku} of {line.order}"
    return own_page(request, "onecount/stock_form.html", title, form=form, note=note)


def _order_address(order: ChannelOrder) -> str:
    return address_of("channels.channelorder", order.pk)
