"""Pages on which people say which variant an unknown SKU is."""

from typing import Any, Final

from django import forms
from django.contrib import messages
from django.db import transaction
from django.db.models import Count, Exists, Min, OuterRef, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse

from channels.admin.rows import with_channel
from channels.mapping import UnfitVariant, map_listing
from channels.models import ChannelOrderLine, Listing
from channels.models.orders import WAITS
from config.admin_panels import Panel, link, page_of
from config.admin_site import own_page, require
from inventory.admin.stock_forms import VariantSelect
from inventory.models import Variant

ROWS: Final = 100


class MapForm(forms.Form):
    """Which variant it is."""

    variant = forms.ModelChoiceField(Variant.objects.all(), help_text="Type a SKU or title.")

    def __init__(self, *args: Any, merchant_id: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field: Any = self.fields["variant"]
        field.queryset = Variant.objects.filter(merchant_id=merchant_id)
        field.widget = VariantSelect(merchant_id=merchant_id)
        field.widget.choices = field.choices


def unmapped_page(request: HttpRequest) -> HttpResponse:
    """Lists what cannot be counted yet: listings without a variant, and sold SKUs that no listing knows."""
    require(request, "channels.view_listing", "channels.view_channelorderline")
    may_map = request.user.has_perm("channels.map_listing")
    search = request.GET.get("q", "").strip()
    panels = [_lines_panel(search, may_map=may_map), _listings_panel(search, may_map=may_map)]
    return own_page(
        request, "onecount/unmapped.html", "Unmapped SKUs", panels=panels, search=search, may_map=may_map
    )


def _listings_panel(search: str, *, may_map: bool) -> Panel:
    listings = with_channel(Listing.objects.filter(variant__isnull=True, is_active=True)).order_by(
        "sku", "id"
    )
    rows = [
        (
            each.channel.name,
            page_of(each, each.sku or "(none)"),
            each.title,
            each.external_id,
            link(reverse("admin:channels_map_listing", args=[each.pk]), "Map") if may_map else "",
        )
        for each in (listings.filter(sku__icontains=search) if search else listings)[:ROWS]
    ]
    note = f"The first {ROWS}; narrow them by SKU." if len(rows) == ROWS else ""
    headers = ("Channel", "SKU", "Title", "Their id", "")
    return Panel("Listings without a variant", headers, rows, empty="Every listing is mapped.", note=note)


def _lines_panel(search: str, *, may_map: bool) -> Panel:
    rows = [
        (
            each["order__channel__name"],
            each["sku"] or "(none)",
            each["title"],
            each["count"],
            each["since"],
            _line_remedy(each, may_map=may_map),
        )
        for each in unknown_lines(search)[:ROWS]
    ]
    headers = ("Channel", "SKU", "Title", "Order lines", "Since", "")
    note = "These orders are kept; their units are taken from stock as soon as the SKU is known."
    return Panel(
        "Sold, and not known", headers, rows, empty="Every sold SKU is known.", note=note if rows else ""
    )


def unknown_lines(search: str = "") -> QuerySet[ChannelOrderLine, Any]:
    """Returns SKUs that were sold and wait, and that no mapped listing stands for, with how often and since when."""
    mapped = Listing.objects.filter(
        channel=OuterRef("order__channel"), external_id=OuterRef("listing_external_id"), variant__isnull=False
    )
    lines = ChannelOrderLine.objects.filter(
        WAITS, ~Exists(mapped), variant__isnull=True, order__is_test=False
    )
    if search:
        lines = lines.filter(sku__icontains=search)
    grouped = lines.values("order__channel__name", "sku", "listing_external_id")
    return grouped.annotate(
        count=Count("pk"), since=Min("order__arrived_at"), line_id=Min("pk"), title=Min("title")
    ).order_by("since")


def _line_remedy(line: dict[str, Any], *, may_map: bool) -> str:
    if not may_map:
        return ""
    if line["listing_external_id"]:
        return link(reverse("admin:channels_map_line", args=[line["line_id"]]), "Map")
    return "add a variant of this SKU"


def map_listing_page(request: HttpRequest, listing_id: int) -> HttpResponseBase:
    """Asks which variant a listing is, and links the two."""
    require(request, "channels.map_listing")
    listing = get_object_or_404(with_channel(Listing.objects.all(), "variant"), pk=listing_id)
    return _ask(request, listing)


def map_line_page(request: HttpRequest, line_id: int) -> HttpResponseBase:
    """Asks which variant a sold SKU is, and keeps the answer as the channel's listing."""
    require(request, "channels.map_listing")
    lines = with_channel(ChannelOrderLine.objects.exclude(listing_external_id=""), channel="order__channel")
    line = get_object_or_404(lines, pk=line_id)
    known = with_channel(Listing.objects.filter(channel=line.order.channel_id), "variant")
    listing = known.filter(external_id=line.listing_external_id).first() or Listing(
        channel=line.order.channel, external_id=line.listing_external_id, sku=line.sku, title=line.title
    )
    return _ask(request, listing)


def _ask(request: HttpRequest, listing: Listing) -> HttpResponseBase:
    merchant_id = listing.channel.merchant_id
    form = MapForm(request.POST or None, merchant_id=merchant_id, initial={"variant": listing.variant_id})
    if request.method == "POST" and form.is_valid() and _map(request, listing, form):
        return redirect("admin:channels_unmapped")
    title = f"Map {listing.sku or listing.external_id} on {listing.channel.name}"
    return own_page(request, "onecount/map_listing.html", title, form=form, listing=listing)


def _map(request: HttpRequest, listing: Listing, form: MapForm) -> bool:
    variant: Variant = form.cleaned_data["variant"]
    try:
        with transaction.atomic():
            if listing._state.adding:
                listing.save()
            map_listing(listing, variant)
    except UnfitVariant as error:
        form.add_error("variant", str(error))
        return False
    messages.success(
        request,
        f"{listing.sku or listing.external_id} is {variant} now; what was sold of it is applied in a moment.",
    )
    return True
