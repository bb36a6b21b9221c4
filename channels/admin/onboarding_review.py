"""One screen for what is not matched on a channel: suggestions with how sure they are, and what nobody knows."""

from typing import Any, Final

from django.contrib import messages
from django.db.models import F, QuerySet
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse

from channels.matching import accept
from channels.models import Channel, Listing, ListingMatch
from config.admin_site import own_page, require

#: Listings on one page.
ROWS: Final = 100
#: Suggestions that are mapped by one button, where they are at least so sure.
SURE: Final = 90


def review_page(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Lists the unmatched listings of a channel, the surest suggestion first; what is ticked is mapped."""
    require(request, "channels.view_listing")
    channel = get_object_or_404(Channel.objects.defer("credentials"), pk=pk)
    if request.method == "POST":
        require(request, "channels.map_listing")
        mapped = accept(
            channel.merchant_id,
            _chosen(request, channel),
            actor=request.user.get_username(),
            user=request.user,
        )
        messages.success(request, f"{mapped:,} listings are matched now.")
        return redirect(reverse("admin:channels_onboarding_review", args=[pk]))
    listings = _unmatched(channel)
    found = list(listings[: ROWS + 1])
    return own_page(
        request,
        "onecount/onboarding_review.html",
        f"Unmatched listings of {channel.name}",
        channel=channel,
        rows=[_row(listing) for listing in found[:ROWS]],
        has_more=len(found) > ROWS,
        sure=SURE,
        may_map=request.user.has_perm("channels.map_listing"),
    )


def _unmatched(channel: Channel) -> QuerySet[Listing]:
    listings = Listing.objects.filter(channel=channel, variant__isnull=True, is_active=True)
    by_sureness = F("match__confidence").desc(nulls_last=True)
    return listings.select_related("match__variant__product").order_by(by_sureness, "sku", "id")


def _chosen(request: HttpRequest, channel: Channel) -> list[int]:
    """Returns the ticked listings; of the button for all that are sure enough, those."""
    if request.POST.get("do") == "all":
        sure = ListingMatch.objects.filter(
            listing__channel=channel, listing__variant__isnull=True, confidence__gte=SURE
        )
        return list(sure.values_list("listing_id", flat=True))
    ticked = [int(each) for each in request.POST.getlist("listing") if each.isdecimal() and len(each) < 19]
    own = Listing.objects.filter(channel=channel, pk__in=ticked)
    return list(own.values_list("id", flat=True))


def _row(listing: Listing) -> dict[str, Any]:
    match = getattr(listing, "match", None)
    variant = match.variant if match is not None else None
    return {
        "id": listing.pk,
        "sku": listing.sku or listing.external_id,
        "gtin": listing.gtin,
        "title": listing.title,
        "our_sku": variant.sku if variant else "",
        "our_title": f"{variant.product.title} {variant.title}".strip() if variant else "",
        "sure": match.confidence if match else None,
        "basis": match.get_basis_display() if match else "",
        "is_sure": bool(match and match.confidence >= SURE),
        "map": reverse("admin:channels_map_listing", args=[listing.pk]),
    }
