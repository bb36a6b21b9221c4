"""The movement history of a variant: everything that ever happened to it, with the figures after each step."""

from collections.abc import Sequence
from typing import Any, Final

from django import forms
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from config.admin_panels import Change, Panel, badge, moment, page_of
from config.admin_site import own_page, require
from inventory.admin.references import linked
from inventory.models import Location, StockMovement, Variant
from inventory.models.stock import MovementKind, Reason

ROWS: Final = 100

_HEADERS: Final = (
    "Recorded", "Location", "What", "Why", "On hand", "Reserved", "Unavailable",
    "On hand after", "Available after", "For", "Operation",
)  # fmt: skip


class MovementFilters(forms.Form):
    """Which movements to show; what is not given does not narrow."""

    location = forms.ModelChoiceField(
        Location.objects.none(), required=False, empty_label="All", widget=UnfoldAdminSelectWidget
    )
    kind = forms.ChoiceField(
        choices=[("", "All"), *MovementKind.choices], required=False, widget=UnfoldAdminSelectWidget
    )
    reason = forms.ChoiceField(
        choices=[("", "All"), *Reason.choices], required=False, widget=UnfoldAdminSelectWidget
    )
    since = forms.DateTimeField(
        required=False,
        label="Since (UTC)",
        widget=UnfoldAdminTextInputWidget({"placeholder": "2026-01-31 14:00"}),
    )
    until = forms.DateTimeField(
        required=False,
        label="Until (UTC)",
        widget=UnfoldAdminTextInputWidget({"placeholder": "2026-01-31 15:00"}),
    )

    def __init__(self, *args: Any, variant: Variant, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        locations = Location.objects.filter(levels__variant=variant)
        self.fields["location"].queryset = locations  # type: ignore[attr-defined]

    def narrow(self, movements: QuerySet[StockMovement]) -> QuerySet[StockMovement]:
        """Returns the movements that the valid fields ask for."""
        given: dict[str, Any] = getattr(self, "cleaned_data", {})
        fields: dict[str, str] = {
            "location": "level__location",
            "kind": "kind",
            "reason": "reason",
            "since": "recorded_at__gte",
            "until": "recorded_at__lte",
        }
        return movements.filter(**{path: given[name] for name, path in fields.items() if given.get(name)})


def movements_page(request: HttpRequest, variant_id: int) -> HttpResponse:
    """Shows one variant's movements, newest first, 100 at a time; continued by id, so that no page costs more than another."""
    require(request, "inventory.view_variant", "inventory.view_stockmovement")
    variant = get_object_or_404(Variant.objects.select_related("product"), pk=variant_id)
    filters = MovementFilters(request.GET or None, variant=variant)
    filters.is_valid()
    movements = filters.narrow(movements_of(variant))
    before = request.GET.get("before", "")
    if before.isdecimal():
        movements = movements.filter(pk__lt=min(int(before), 2**63 - 1))
    rows = list(movements[: ROWS + 1])
    return own_page(
        request,
        "onecount/movements.html",
        f"Movements of {variant.sku}",
        variant=variant,
        filters=filters,
        stock=_stock(variant),
        panel=Panel("Movements", _HEADERS, _rows(rows[:ROWS]), empty="No movement matches."),
        older=_older(request, rows),
    )


def movements_of(variant: Variant) -> QuerySet[StockMovement]:
    """Returns all movements of a variant, newest first, with what a row shows of them."""
    movements = StockMovement.objects.filter(level__variant=variant).order_by("-id")
    return movements.select_related("level__location", "operation", "reservation")


def _older(request: HttpRequest, rows: Sequence[StockMovement]) -> str:
    """Returns the query of the next page; empty on the last one."""
    if len(rows) <= ROWS:
        return ""
    query = request.GET.copy()
    query["before"] = str(rows[ROWS - 1].pk)
    return query.urlencode()


def _stock(variant: Variant) -> Panel:
    levels = variant.levels.select_related("location").order_by("location__code")
    rows = [
        (page_of(level, level.location), level.on_hand, level.reserved, level.unavailable, level.available)
        for level in levels
    ]
    return Panel("Now", ("Location", "On hand", "Reserved", "Unavailable", "Available"), rows)


def _rows(movements: Sequence[StockMovement]) -> list[tuple[Any, ...]]:
    references = linked(movement.reservation.reference for movement in movements if movement.reservation)
    return [movement_row(movement, references) for movement in movements]


def movement_row(movement: StockMovement, references: dict[str, str]) -> tuple[Any, ...]:
    """Returns what is shown of one movement."""
    reference = movement.reservation.reference if movement.reservation else ""
    return (
        moment(movement.recorded_at),
        movement.level.location.code,
        badge(movement.get_kind_display()),
        movement.get_reason_display(),
        Change(movement.on_hand_delta),
        Change(movement.reserved_delta),
        Change(movement.unavailable_delta),
        movement.on_hand_after,
        movement.on_hand_after - movement.reserved_after - movement.unavailable_after,
        references.get(reference, reference) or movement.operation.document,
        page_of(movement.operation, movement.operation.verb),
    )
