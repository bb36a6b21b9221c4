"""Bundles, their components and parts, and the units in which amounts are written."""

import uuid
from collections import Counter
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseBase
from django.urls import URLPattern, path

from config.admin_panels import Panel, badge, page_of
from config.admin_site import FactsAdmin, HistoryAdmin, OperatorAdmin, StateFilter
from inventory.admin.bundle_forms import ASSEMBLY_PAGES, bundle_page
from inventory.admin.bundle_panels import availability_panel, bundle_links, components_panel
from inventory.bundles import dissolve
from inventory.errors import StockError
from inventory.ledger import Context
from inventory.models import Bundle, BundleComponent, BundleKind, BundlePart, UnitOfMeasure
from inventory.units import shown


class VersionFilter(StateFilter):
    """The versions that hold now, or those before."""

    states = (
        ("current", "Current", lambda rows: rows.filter(is_current=True)),
        ("earlier", "Earlier versions", lambda rows: rows.filter(is_current=False)),
    )


@admin.register(Bundle)
class BundleAdmin(OperatorAdmin):
    """What variants are made of, version by version; a change is entered as a new one."""

    list_display = ("sku", "kind", "version", "state", "part_count", "created_at", "by")
    list_filter = (VersionFilter, "kind", "merchant")
    list_select_related = ("variant", "operation")
    search_fields = ("variant__sku",)
    search_help_text = "SKU"
    ordering = ("-id",)
    detail_actions = ("dissolve_bundles",)
    actions = ("dissolve_bundles",)
    readonly_fields: ClassVar[tuple[str, ...]] = ("bundle", "state")
    fields = ("bundle", "kind", ("version", "state"), "part_count", "created_at", "operation")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Bundle]:
        """Brings along what a version is shown with."""
        queryset: QuerySet[Bundle] = super().get_queryset(request)
        return queryset.select_related("variant", "operation")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Returns whether whoever asks may say what bundles are made of."""
        return request.user.has_perm("inventory.define_bundle")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Returns False: a version is never changed."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Returns False: reservations stay what they were made of."""
        return False

    def has_define_permission(self, request: HttpRequest) -> bool:
        """Returns whether whoever asks may say what bundles are made of."""
        return request.user.has_perm("inventory.define_bundle")

    def offers(self, action: str, instance: Bundle) -> bool:
        """Offers to dissolve what holds now."""
        return instance.is_current

    @admin.action(description="Dissolve: a plain variant again", permissions=["define"])
    def dissolve_bundles(self, request: HttpRequest, queryset: QuerySet[Bundle]) -> None:
        """Makes the bundles plain variants again, where nothing of them is held or owed."""
        done, skipped = 0, Counter[str]()
        for bundle in queryset:
            if not bundle.is_current:
                skipped["earlier versions"] += 1
                continue
            actor = request.user.get_username()
            context = Context(bundle.merchant_id, f"admin:{uuid.uuid4()}", actor=actor, source="back office")
            try:
                dissolve(context, bundle.variant_id)
                done += 1
            except StockError as refusal:
                skipped[f"{bundle.variant}: {refusal}"] += 1
        self.report(request, done, "bundle{s} dissolved", skipped)

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponseBase:
        """Shows the form for a new version."""
        return bundle_page(request)

    def get_urls(self) -> list[URLPattern]:
        """Adds the forms by which composites are assembled and taken apart."""
        pages = [
            path(f"{page.verb}/", self.admin_site.admin_view(page), name=f"inventory_{page.verb}")
            for page in ASSEMBLY_PAGES
        ]
        return [*pages, *super().get_urls()]

    @admin.display(description="SKU", ordering="variant__sku")
    def sku(self, bundle: Bundle) -> str:
        """Returns the SKU of what is made."""
        return bundle.variant.sku

    @admin.display(description="bundle")
    def bundle(self, bundle: Bundle) -> str:
        """Leads to what is made."""
        return page_of(bundle.variant)

    @admin.display(description="state")
    def state(self, bundle: Bundle) -> str:
        """Says whether it holds now."""
        return badge("current", "good") if bundle.is_current else badge("earlier")

    @admin.display(description="by")
    def by(self, bundle: Bundle) -> str:
        """Returns who wrote it."""
        return bundle.operation.actor

    def object_links(self, request: HttpRequest, instance: Bundle) -> list[tuple[str, str]]:
        """Leads to the forms of what is made."""
        return bundle_links(request, instance.variant)

    def panels(self, request: HttpRequest, instance: Bundle) -> list[Panel]:
        """Shows what is in it, what it takes from stock, and how many can be had."""
        parts = instance.parts.select_related("variant__unit").order_by("variant__sku")
        rows = [(page_of(part.variant), shown(part.quantity, part.variant.unit)) for part in parts]
        note = "Kits within it are taken apart; the same part is added up."
        panels = [components_panel(instance), Panel("Takes from stock", ("SKU", "Amount"), rows, note=note)]
        if instance.is_current and instance.kind == BundleKind.KIT:
            panels.append(availability_panel(instance.variant))
        return panels


class _Amounts(FactsAdmin):
    """Lines of bundles with their amounts."""

    list_display = ("owner", "sku", "amount")
    list_select_related = ("bundle__variant", "variant__unit")
    search_fields = ("variant__sku__exact",)
    search_help_text = "SKU, in full"
    ordering = ("-id",)
    readonly_fields: ClassVar[tuple[str, ...]] = ("owner", "sku", "amount")
    fields = ("owner", "sku", "amount")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Brings along what a line is shown with."""
        queryset: QuerySet[Any] = super().get_queryset(request)
        return queryset.select_related("bundle__variant", "variant__unit")

    @admin.display(description="bundle")
    def owner(self, line: Any) -> str:
        """Leads to the version it belongs to."""
        return page_of(line.bundle)

    @admin.display(description="SKU")
    def sku(self, line: Any) -> str:
        """Leads to what is taken."""
        return page_of(line.variant)

    @admin.display(description="amount")
    def amount(self, line: Any) -> str:
        """Returns how much one bundle takes of it, in its unit of measure."""
        return shown(line.quantity, line.variant.unit)


@admin.register(BundleComponent)
class BundleComponentAdmin(_Amounts):
    """Components as they were entered."""


@admin.register(BundlePart)
class BundlePartAdmin(_Amounts):
    """What bundles take from stock."""


@admin.register(UnitOfMeasure)
class UnitOfMeasureAdmin(HistoryAdmin):
    """Units in which quantities are entered and shown."""

    list_display = ("code", "name", "base_units", "base_code", "merchant")
    list_filter = ("merchant",)
    list_select_related = ("merchant",)
    search_fields = ("code", "name")
    autocomplete_fields = ("merchant",)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Returns False: variants are written in it."""
        return False
