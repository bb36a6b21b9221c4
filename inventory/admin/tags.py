"""Tags, and the variants that carry them."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path, reverse
from unfold.widgets import UnfoldAdminTextareaWidget

from config.admin_forms import OwnNameForm
from config.admin_panels import Panel, address_of, list_of, page_of
from config.admin_site import FactsAdmin, HistoryAdmin, own_page, require
from inventory.models import Tag, Variant, VariantTag
from inventory.tagging import tag, untag


class SkusForm(forms.Form):
    """Which variants."""

    skus = forms.CharField(
        label="SKUs",
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 6}),
        help_text="One a line. SKUs are case-sensitive.",
    )

    def __init__(self, *args: Any, merchant_id: int, **kwargs: Any) -> None:
        self.merchant_id = merchant_id
        super().__init__(*args, **kwargs)

    def clean_skus(self) -> list[Variant]:
        """Finds the variants, and names the first SKU that nobody has."""
        wanted = list(dict.fromkeys(filter(None, map(str.strip, self.cleaned_data["skus"].splitlines()))))
        found = {v.sku: v for v in Variant.objects.filter(merchant=self.merchant_id, sku__in=wanted)}
        missing = [sku for sku in wanted if sku not in found]
        if missing:
            raise forms.ValidationError(f"No variant has the SKU {missing[0]}. Correct it, or leave it out.")
        return list(found.values())


@admin.register(Tag)
class TagAdmin(HistoryAdmin):
    """Words on variants, by which rules speak of them."""

    list_display = ("name", "merchant", "weekly_units", "variant_count")
    list_filter = ("merchant",)
    list_select_related = ("merchant",)
    search_fields = ("name",)
    autocomplete_fields = ("merchant",)
    form = OwnNameForm
    fields = ("merchant", "name", "weekly_units")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Tag]:
        """Counts the variants of each tag by a subquery, for the rows of one page only."""
        taggings = VariantTag.objects.filter(tag=OuterRef("pk")).order_by().values("tag")
        counted = taggings.annotate(count=Count("pk")).values("count")
        queryset: QuerySet[Tag] = super().get_queryset(request)
        return queryset.annotate(variant_count=Coalesce(Subquery(counted), 0))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Leaves a tag with its merchant."""
        return () if obj is None else ("merchant",)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Returns False: rules on record name it."""
        return False

    @admin.display(description="variants")
    def variant_count(self, a_tag: Any) -> int:
        """Returns how many variants carry it."""
        return int(a_tag.variant_count)

    def get_urls(self) -> list[URLPattern]:
        """Adds the pages that put a tag on variants and take it off."""
        view = self.admin_site.admin_view
        return [
            path("<int:tag_id>/put-on/", view(put_on_page), name="inventory_tag_put_on"),
            path("<int:tag_id>/take-off/", view(take_off_page), name="inventory_tag_take_off"),
            *super().get_urls(),
        ]

    def object_links(self, request: HttpRequest, instance: Tag) -> list[tuple[str, str]]:
        """Leads to these pages, for whoever may."""
        if not request.user.has_perm("inventory.add_varianttag"):
            return []
        return [
            (reverse("admin:inventory_tag_put_on", args=[instance.pk]), "Put on variants"),
            (reverse("admin:inventory_tag_take_off", args=[instance.pk]), "Take off variants"),
        ]

    def panels(self, request: HttpRequest, instance: Tag) -> list[Panel]:
        """Shows the first variants that carry it."""
        taggings = instance.taggings.select_related("variant").order_by("variant__sku")[:100]
        rows = [
            (
                page_of(each.variant),
                each.variant.title,
                "by what it sells" if each.is_automatic else "by hand",
            )
            for each in taggings
        ]
        links = [(list_of("inventory.varianttag", f"tag__id__exact={instance.pk}"), "All of them")]
        return [Panel("Variants", ("SKU", "Title", "Put on"), rows, empty="None yet.", links=links)]


def put_on_page(request: HttpRequest, tag_id: int) -> HttpResponseBase:
    """Asks for SKUs, and puts the tag on them."""
    return _ask(request, tag_id, "Put on variants", is_on=True)


def take_off_page(request: HttpRequest, tag_id: int) -> HttpResponseBase:
    """Asks for SKUs, and takes the tag off them."""
    return _ask(request, tag_id, "Take off variants", is_on=False)


def _ask(request: HttpRequest, tag_id: int, title: str, *, is_on: bool) -> HttpResponseBase:
    require(request, "inventory.add_varianttag")
    a_tag = get_object_or_404(Tag, pk=tag_id)
    form = SkusForm(request.POST or None, merchant_id=a_tag.merchant_id)
    back = address_of("inventory.tag", a_tag.pk)
    if request.method == "POST" and form.is_valid():
        done = (tag if is_on else untag)(a_tag, form.cleaned_data["skus"])
        messages.success(request, f"{done} variants changed.")
        return redirect(back)
    return own_page(
        request, "onecount/decision.html", f"{title}: {a_tag}", form=form, button=title, back=back
    )


@admin.register(VariantTag)
class VariantTagAdmin(FactsAdmin):
    """Which variant carries which tag, as one list; put on and taken off on the page of a tag."""

    list_display = ("variant", "tag", "is_automatic")
    list_filter = ("tag", "is_automatic")
    list_select_related = ("variant", "tag")
    search_fields = ("variant__sku__exact",)
    ordering = ("id",)
