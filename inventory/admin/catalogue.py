"""Merchants, products, variants and locations."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db import transaction
from django.db.models import Count, OuterRef, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.urls import URLPattern, path, reverse

from config.admin_panels import Panel, link, list_of, page_of
from config.admin_site import HistoryAdmin, OperatorAdmin
from inventory.admin import time_travel
from inventory.admin.bundle_panels import bundle_links, bundle_panels
from inventory.admin.count_accuracy import accuracy_panel
from inventory.admin.movements import movements_page
from inventory.admin.on_the_way import on_the_way_panel
from inventory.admin.promising import promise_panels
from inventory.admin.stock_forms import STOCK_PAGES
from inventory.announcements import announce_catalogue
from inventory.models import Location, Merchant, Product, StockLevel, Variant
from inventory.models.catalogue import LocationKind
from inventory.switching import announce_switched
from inventory.tagging import note_category
from inventory.units import shown


@admin.register(Merchant)
class MerchantAdmin(OperatorAdmin):
    """Tenants; one that ends is switched off, not deleted."""

    list_display = ("name", "slug", "is_active", "created_at")
    search_fields = ("name", "slug")
    prepopulated_fields: ClassVar[dict[str, tuple[str, ...]]] = {"slug": ("name",)}

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Returns False: everything hangs on it."""
        return False


@admin.register(Product)
class ProductAdmin(HistoryAdmin):
    """What customers browse."""

    list_display = ("title", "category", "merchant", "variant_count")
    list_filter = ("merchant",)
    list_select_related = ("merchant",)
    search_fields = ("title", "category")
    autocomplete_fields = ("merchant",)

    def save_model(self, request: HttpRequest, obj: Product, form: Any, change: bool) -> None:
        """Saves the product, and says so where its category changed."""
        with transaction.atomic():
            super().save_model(request, obj, form, change)
            if change and "category" in form.changed_data:
                note_category(obj)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Product]:
        """Counts the variants of each product by a subquery, for the rows of one page only."""
        variants = Variant.objects.filter(product=OuterRef("pk")).order_by().values("product")
        counted = variants.annotate(count=Count("pk")).values("count")
        queryset: QuerySet[Product] = super().get_queryset(request)
        return queryset.annotate(variant_count=Coalesce(Subquery(counted), 0))

    @admin.display(description="variants")
    def variant_count(self, product: Any) -> int:
        """Returns how many variants it groups."""
        return int(product.variant_count)

    def panels(self, request: HttpRequest, instance: Product) -> list[Panel]:
        """Shows the product's variants."""
        variants = instance.variants.order_by("sku")[:200]
        rows = [(page_of(variant), variant.title, variant.gtin, variant.is_active) for variant in variants]
        return [Panel("Variants", ("SKU", "Title", "GTIN", "Active"), rows)]


def _sum_of_levels(field: str) -> Coalesce:
    levels = StockLevel.objects.filter(variant=OuterRef("pk")).order_by().values("variant")
    return Coalesce(Subquery(levels.annotate(total=Sum(field)).values("total")), 0)


@admin.register(Variant)
class VariantAdmin(HistoryAdmin):
    """What is counted."""

    list_display = ("sku", "title", "product", "on_hand", "reserved", "available", "is_active")
    list_filter = ("merchant", "is_active")
    list_select_related = ("product", "unit")
    search_fields = ("sku", "gtin__exact", "title", "product__title")
    search_help_text = "SKU, title or product; a GTIN in full"
    autocomplete_fields = ("merchant", "product", "unit")

    def save_model(self, request: HttpRequest, obj: Variant, form: Any, change: bool) -> None:
        """Saves the variant, and says so where it has the category of another product now."""
        with transaction.atomic():
            super().save_model(request, obj, form, change)
            if change and "product" in form.changed_data:
                announce_catalogue(obj.merchant_id, {obj.pk})

    def get_queryset(self, request: HttpRequest) -> QuerySet[Variant]:
        """Sums the levels of each variant by subqueries, for the rows of one page only."""
        queryset: QuerySet[Variant] = super().get_queryset(request)
        return queryset.annotate(
            on_hand=_sum_of_levels("on_hand"),
            reserved=_sum_of_levels("reserved"),
            unavailable=_sum_of_levels("unavailable"),
        )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Variant], search_term: str
    ) -> tuple[QuerySet[Variant], bool]:
        """Limits a choice for a listing or product to the same merchant where the page says which."""
        merchant = request.GET.get("merchant", "")
        if merchant.isdecimal():
            queryset = queryset.filter(merchant_id=int(merchant))
        found: tuple[QuerySet[Variant], bool] = super().get_search_results(request, queryset, search_term)
        return found

    @admin.display(description="on hand")
    def on_hand(self, variant: Any) -> str:
        """Returns what is at all locations, in the variant's unit of measure."""
        return shown(int(variant.on_hand), variant.unit)

    @admin.display(description="reserved")
    def reserved(self, variant: Any) -> str:
        """Returns what is promised."""
        return shown(int(variant.reserved), variant.unit)

    @admin.display(description="available")
    def available(self, variant: Any) -> str:
        """Returns what may be promised."""
        return shown(int(variant.on_hand - variant.reserved - variant.unavailable), variant.unit)

    def get_urls(self) -> list[URLPattern]:
        """Adds the pages of all movements of a variant, and of how it was."""
        view = self.admin_site.admin_view(movements_page)
        return [
            path("<int:variant_id>/movements/", view, name="inventory_variant_movements"),
            path(
                "<int:variant_id>/as-of/",
                self.admin_site.admin_view(time_travel.variant_page),
                name="inventory_variant_time_travel",
            ),
            *super().get_urls(),
        ]

    def object_links(self, request: HttpRequest, instance: Variant) -> list[tuple[str, str]]:
        """Leads to the movements and, for whoever may, to the forms that move stock."""
        links = [
            (reverse("admin:inventory_variant_movements", args=[instance.pk]), "Movements"),
            (reverse("admin:inventory_variant_time_travel", args=[instance.pk]), "As it was"),
        ]
        if request.user.has_perm("inventory.move_stock"):
            links += [
                (f"{reverse(f'admin:inventory_{page.verb}')}?variant={instance.pk}", page.text)
                for page in STOCK_PAGES
            ]
        return [*links, *bundle_links(request, instance)]

    def panels(self, request: HttpRequest, instance: Variant) -> list[Panel]:
        """Shows how much is where, what may be promised, what it is made of and what is made of it."""
        levels = instance.levels.select_related("location").order_by("location__code")
        rows = [
            (
                page_of(level, level.location),
                *(
                    units if instance.unit is None else shown(units, instance.unit)
                    for units in (level.on_hand, level.reserved, level.unavailable, level.available)
                ),
            )
            for level in levels
        ]
        headers = ("Location", "On hand", "Reserved", "Unavailable", "Available")
        owed = list_of("inventory.conflict", f"state=open&variant__id__exact={instance.pk}")
        stock = Panel("Stock", headers, rows, empty="No stock yet.", links=[(owed, "Open conflicts")])
        tags = instance.taggings.select_related("tag").order_by("tag__name")
        tagged = [
            (page_of(each.tag), "by what it sells" if each.is_automatic else "by hand") for each in tags
        ]
        tag_panel = Panel("Tags", ("Tag", "Put on"), tagged, empty="None.")
        return [
            stock,
            *bundle_panels(instance),
            on_the_way_panel(instance),
            *promise_panels(instance),
            tag_panel,
        ]


@admin.register(Location)
class LocationAdmin(HistoryAdmin):
    """Places that hold stock; one that closes is switched off, not deleted."""

    list_display = ("code", "name", "kind", "country", "merchant", "is_active", "stock")
    list_filter = ("merchant", "kind", "is_active")
    list_select_related = ("merchant",)
    search_fields = ("code", "name")
    autocomplete_fields = ("merchant",)

    def save_model(self, request: HttpRequest, obj: Location, form: Any, change: bool) -> None:
        """Saves the location, and says so where its stock counts from now on, or no more."""
        with transaction.atomic():
            super().save_model(request, obj, form, change)
            if change and "is_active" in form.changed_data:
                announce_switched(obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Returns False: its stock and its history stay."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Returns False for the place of goods in transit, which the transfers keep."""
        is_place = obj is None or obj.kind != LocationKind.IN_TRANSIT
        return is_place and bool(super().has_change_permission(request, obj))

    def formfield_for_choice_field(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Offers the kinds of places that people make."""
        if db_field.name == "kind":
            kwargs["choices"] = [each for each in LocationKind.choices if each[0] != LocationKind.IN_TRANSIT]
        return super().formfield_for_choice_field(db_field, request, **kwargs)

    def panels(self, request: HttpRequest, instance: Location) -> list[Panel]:
        """Shows how well the record fits what was counted."""
        return [accuracy_panel(instance)]

    def get_urls(self) -> list[URLPattern]:
        """Adds the page of how a location was."""
        view = self.admin_site.admin_view(time_travel.location_page)
        page = path("<int:location_id>/as-of/", view, name="inventory_location_time_travel")
        return [page, *super().get_urls()]

    def object_links(self, request: HttpRequest, instance: Location) -> list[tuple[str, str]]:
        """Leads to how it was."""
        return [(reverse("admin:inventory_location_time_travel", args=[instance.pk]), "As it was")]

    @admin.display(description="stock")
    def stock(self, location: Location) -> str:
        """Leads to what is there."""
        return link(list_of("inventory.stocklevel", f"location__id__exact={location.pk}"), "Stock levels")
