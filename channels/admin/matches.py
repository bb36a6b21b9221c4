"""Listings that nobody has mapped, and which variant each is likely to be: reviewed and accepted in one screen."""

from collections import defaultdict
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseRedirect
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from channels.admin.rows import ChannelFilter, with_channel
from channels.matching import accept
from channels.models import ListingMatch
from channels.models.matches import MatchBasis
from config.admin_panels import Figure, badge, link, page_of
from config.admin_site import FactsAdmin, require
from config.jobs import wake
from inventory.models import Merchant

_TONES = {MatchBasis.GTIN: "good", MatchBasis.SKU: "good", MatchBasis.TITLE: "warning"}


class SureFilter(admin.SimpleListFilter):
    """Filters by how sure a match is."""

    title = "sure"
    parameter_name = "sure"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Returns the least percentages to choose from."""
        return [("90", "at least 90 %"), ("70", "at least 70 %")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Returns the rows that are that sure."""
        value = self.value() or ""
        return queryset.filter(confidence__gte=int(value)) if value.isdecimal() else queryset


@admin.register(ListingMatch)
class ListingMatchAdmin(FactsAdmin):
    """Guesses for unmapped listings, the surest first; nothing happens until somebody accepts them."""

    list_display = (
        "sure", "shown_basis", "channel", "listing_sku", "listing_title", "shown_variant", "variant_title", "otherwise",
    )  # fmt: skip
    list_display_links = ("sure",)
    list_filter = (SureFilter, "basis", type("_Channel", (ChannelFilter,), {"path": "listing__channel"}))
    search_fields = ("listing__sku__iexact", "variant__sku__iexact")
    search_help_text = "SKU, in full"
    ordering = ("-confidence", "id")
    actions = ("accept_matches",)
    readonly_fields: ClassVar[tuple[str, ...]] = (
        "sure", "shown_basis", "channel", "listing_sku", "listing_title", "shown_variant", "variant_title",
    )  # fmt: skip
    fields = (
        ("sure", "shown_basis"), ("channel", "listing_sku", "listing_title"), ("shown_variant", "variant_title"), "found_at",
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[ListingMatch]:
        """Shows what is still unmapped, with what it is about."""
        rows = super().get_queryset(request).filter(listing__variant__isnull=True, listing__is_active=True)
        return with_channel(rows, "listing", "variant__product", channel="listing__channel")

    def get_urls(self) -> list[URLPattern]:
        """Adds the address at which matches are looked for anew."""
        look = self.admin_site.admin_view(look_for_matches)
        return [path("look/", look, name="channels_find_matches"), *super().get_urls()]

    @admin.display(description="sure", ordering="confidence")
    def sure(self, match: ListingMatch) -> Figure:
        """Returns the percentage."""
        return Figure(f"{match.confidence} %")

    @admin.display(description="because of", ordering="basis")
    def shown_basis(self, match: ListingMatch) -> SafeString:
        """Says what it rests on."""
        return badge(match.get_basis_display(), _TONES.get(MatchBasis(match.basis), "neutral"))

    @admin.display(description="channel")
    def channel(self, match: ListingMatch) -> str:
        """Names the channel."""
        return match.listing.channel.name

    @admin.display(description="their SKU")
    def listing_sku(self, match: ListingMatch) -> str:
        """Leads to the listing."""
        return page_of(match.listing, match.listing.sku or "(none)")

    @admin.display(description="their title")
    def listing_title(self, match: ListingMatch) -> str:
        """Returns the title at the platform."""
        return match.listing.title

    @admin.display(description="our SKU", ordering="variant__sku")
    def shown_variant(self, match: ListingMatch) -> str:
        """Leads to the variant."""
        return page_of(match.variant, match.variant.sku)

    @admin.display(description="our title")
    def variant_title(self, match: ListingMatch) -> str:
        """Returns the titles of product and variant."""
        return f"{match.variant.product.title} {match.variant.title}".strip()

    @admin.display(description="")
    def otherwise(self, match: ListingMatch) -> str:
        """Leads to the page on which another variant is chosen."""
        return link(reverse("admin:channels_map_listing", args=[match.listing_id]), "Another variant")

    def has_map_permission(self, request: HttpRequest) -> bool:
        """Returns whether whoever asks may map listings."""
        return request.user.has_perm("channels.map_listing")

    @admin.action(description="Map to these variants", permissions=["map"])
    def accept_matches(self, request: HttpRequest, queryset: QuerySet[ListingMatch]) -> None:
        """Maps the chosen listings, and has their numbers told."""
        chosen: dict[int, list[int]] = defaultdict(list)
        pairs = queryset.values_list("listing__channel__merchant_id", "listing_id")
        for merchant_id, listing_id in pairs.order_by():
            chosen[merchant_id].append(listing_id)
        total = sum(map(len, chosen.values()))
        done = sum(
            accept(merchant_id, ids, actor=request.user.get_username(), user=request.user)
            for merchant_id, ids in sorted(chosen.items())
        )
        self.report(request, done, "listing{s} mapped", {"mapped already": total - done})


@require_POST
def look_for_matches(request: HttpRequest) -> HttpResponseRedirect:
    """Has a job look for matches of all merchants anew."""
    require(request, "channels.map_listing")
    for merchant_id in Merchant.objects.values_list("id", flat=True):
        wake("channels.tasks.find_matches", merchant_id)
    messages.success(request, "Matches are being looked for; reload the list in a moment.")
    return redirect("admin:channels_listingmatch_changelist")
