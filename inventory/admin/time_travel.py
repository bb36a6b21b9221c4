"""Time travel: what was there at an instant, for one variant or a whole location.

Other apps add panels of what they know of that instant, as `references` have links added.
"""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Any, Final

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from unfold.widgets import UnfoldAdminTextInputWidget

from config.admin_panels import Panel, link
from config.admin_site import own_page, require
from inventory.admin.references import linked
from inventory.history import PastLevel, PastReservation, levels_as_of, reservations_as_of
from inventory.location_history import location_page_as_of, location_reservations_as_of
from inventory.models import Location, StockCheckpoint, StockMovement, Variant

ROWS: Final = 50
#: Reservations shown, oldest first.
HELD: Final = 100

#: Takes variants of one merchant and an instant; returns what else is known of it.
PanelSource = Callable[[int, Collection[int], datetime], Sequence[Panel]]

_sources: list[PanelSource] = []


def register(source: PanelSource) -> None:
    """Has the pages show these panels too."""
    if source not in _sources:
        _sources.append(source)


class InstantField(forms.DateTimeField):
    """An instant that has been; now where nothing is entered."""

    def __init__(self, label: str = "As of (UTC)", **kwargs: Any) -> None:
        widget = UnfoldAdminTextInputWidget({"placeholder": "2026-01-31 14:00:00"})
        super().__init__(label=label, required=False, widget=widget, **kwargs)

    def clean(self, value: Any) -> datetime:
        """Refuses what is still to come."""
        at: datetime | None = super().clean(value)
        now = timezone.now()
        if at is not None and at > now:
            raise forms.ValidationError(
                f"That is still to come: it is {now:%Y-%m-%d %H:%M:%S} UTC. Enter an instant that has been."
            )
        return at or now


class InstantForm(forms.Form):
    """The instant to go to."""

    at = InstantField()

    @property
    def instant(self) -> datetime:
        """The instant that was entered; now where it cannot be read."""
        self.full_clean()
        at: datetime = self.cleaned_data["at"] if "at" in self.cleaned_data else timezone.now()
        return at


class LocationInstantForm(InstantForm):
    """The instant, and which goods."""

    q = forms.CharField(
        label="SKU contains", required=False, max_length=128, widget=UnfoldAdminTextInputWidget
    )
    empty = forms.BooleanField(label="Also what had nothing on hand", required=False)


def variant_page(request: HttpRequest, variant_id: int) -> HttpResponse:
    """Shows one variant as it was: levels, who held units, and what other apps add."""
    require(request, "inventory.view_variant", "inventory.view_stockmovement")
    variant = get_object_or_404(Variant.objects.select_related("product"), pk=variant_id)
    form = InstantForm(request.GET)
    at = form.instant
    levels = levels_as_of(variant.merchant_id, [variant.pk], at)
    held = reservations_as_of(variant.merchant_id, [variant.pk], at)
    panels = [levels_panel(levels), held_panel(held)]
    return _page(request, f"{variant.sku} as it was", form, at, panels, variant.merchant_id, [variant.pk])


def location_page(request: HttpRequest, location_id: int) -> HttpResponse:
    """Shows a location as it was, fifty levels at a time; the statements do not grow with its levels."""
    require(request, "inventory.view_location", "inventory.view_stockmovement")
    location = get_object_or_404(Location, pk=location_id)
    form = LocationInstantForm(request.GET)
    at = form.instant
    number = request.GET.get("page", "")
    page = max(int(number), 1) if number.isdecimal() and len(number) < 9 else 1
    found = location_page_as_of(
        location.merchant_id,
        location.pk,
        at,
        search=form.cleaned_data.get("q", ""),
        with_empty=form.cleaned_data.get("empty", False),
        offset=(page - 1) * ROWS,
        limit=ROWS,
    )
    totals = found.totals
    note = (
        f"{totals.levels:,} levels: {totals.on_hand:,} on hand, {totals.reserved:,} reserved, "
        f"{totals.unavailable:,} unavailable, {totals.available:,} available."
    )
    rows = [
        (link(_travel_to(level.variant_id, at), sku), *_figures(level), _movement(level, level.movement_id))
        for sku, level in found.levels
    ]
    held = location_reservations_as_of(location.merchant_id, location.pk, at, limit=HELD)
    panels = [
        Panel("Stock", ("Variant", *_FIGURES, "Left by"), rows, empty="Nothing matches.", note=note),
        held_panel(held),
    ]
    variants = [level.variant_id for _, level in found.levels]
    pages = _pages(request, page, has_next=totals.levels > page * ROWS)
    return _page(
        request, f"{location.code} as it was", form, at, panels, location.merchant_id, variants, **pages
    )


def _page(
    request: HttpRequest,
    title: str,
    form: InstantForm,
    at: datetime,
    panels: Sequence[Panel],
    merchant_id: int,
    variant_ids: Collection[int],
    **context: Any,
) -> HttpResponse:
    more = [panel for source in _sources for panel in source(merchant_id, variant_ids, at)]
    checkpoints = StockCheckpoint.objects.filter(merchant_id=merchant_id, at__lte=at)
    return own_page(
        request,
        "onecount/time_travel.html",
        title,
        form=form,
        at=at,
        panels=[*panels, *more],
        checkpoint=checkpoints.order_by("-at").first(),
        **context,
    )


def _pages(request: HttpRequest, page: int, *, has_next: bool) -> dict[str, str]:
    def query(number: int) -> str:
        given = request.GET.copy()
        given["page"] = str(number)
        return given.urlencode()

    return {"newer": query(page - 1) if page > 1 else "", "older": query(page + 1) if has_next else ""}


_FIGURES: Final = ("On hand", "Reserved", "Unavailable", "Available", "Safety stock")


def _figures(level: PastLevel) -> tuple[int, ...]:
    return level.on_hand, level.reserved, level.unavailable, level.available, level.safety_stock


def levels_panel(levels: Sequence[PastLevel]) -> Panel:
    """Shows levels as they were, each with the movement that left it so."""
    codes = dict(Location.objects.filter(pk__in=[e.location_id for e in levels]).values_list("pk", "code"))
    movements = StockMovement.objects.select_related("operation").in_bulk(
        [level.movement_id for level in levels if level.movement_id]
    )
    rows = [
        (
            codes.get(level.location_id, ""),
            *_figures(level),
            _movement(level, movements.get(level.movement_id)),
        )
        for level in levels
    ]
    return Panel("Stock", ("Location", *_FIGURES, "Left by"), rows, empty="No stock was kept.")


def _movement(level: PastLevel, movement: StockMovement | int | None) -> str:
    """Leads to the movement that left a level so."""
    if movement is None or level.movement_id is None:
        return "no movement yet"
    address = reverse("admin:inventory_stockmovement_change", args=[level.movement_id])
    if isinstance(movement, StockMovement):
        return link(address, f"{movement.get_kind_display()} of {movement.recorded_at:%Y-%m-%d %H:%M:%S}")
    return link(address, f"movement {level.version}")


def held_panel(held: Sequence[PastReservation]) -> Panel:
    """Shows who held units, oldest first."""
    shown = held[:HELD]
    references = linked(each.reference for each in shown)
    skus = dict(Variant.objects.filter(pk__in={e.variant_id for e in shown}).values_list("pk", "sku"))
    codes = dict(Location.objects.filter(pk__in={e.location_id for e in shown}).values_list("pk", "code"))
    rows = [
        (
            link(reverse("admin:inventory_reservation_change", args=[e.reservation_id]), e.reservation_id),
            references.get(e.reference, e.reference),
            skus.get(e.variant_id, ""),
            codes.get(e.location_id, ""),
            e.quantity,
        )
        for e in shown
    ]
    note = "" if len(held) <= HELD else f"The oldest {HELD} of {len(held)}."
    headers = ("Reservation", "For", "Variant", "Location", "Held")
    return Panel("Held then, oldest first", headers, rows, empty="Nobody held units.", note=note)


def _travel_to(variant_id: int, at: datetime) -> str:
    address = reverse("admin:inventory_variant_time_travel", args=[variant_id])
    return f"{address}?at={at:%Y-%m-%d+%H:%M:%S.%f}"
