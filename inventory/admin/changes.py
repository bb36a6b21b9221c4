"""The feed of changes, as it is told; facts, read-only for everybody."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from config.admin_panels import page_of
from config.admin_site import FactsAdmin
from inventory.models import CatalogueNote, Change, FeedMark


@admin.register(Change)
class ChangeAdmin(FactsAdmin):
    """What changed, in the order in which mirrors and webhooks are told."""

    list_display = (
        "position", "happened_at", "kind", "variant_link", "location", "version", "operation_link", "merchant",
    )  # fmt: skip
    list_display_links = ("position",)
    list_filter = ("kind", "merchant")
    search_fields = ("variant__sku__exact",)
    search_help_text = "SKU, in full"
    ordering = ("-position",)
    fields = (
        "position", "kind", "merchant", "variant", "location", "version", "operation", "number", "payload", "happened_at",
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Change]:
        """Brings along what a change names."""
        queryset: QuerySet[Change] = super().get_queryset(request)
        return queryset.select_related("merchant", "variant", "location", "operation")

    @admin.display(description="variant")
    def variant_link(self, change: Change) -> str:
        """Leads to the variant."""
        return page_of(change.variant) if change.variant else ""

    @admin.display(description="operation")
    def operation_link(self, change: Change) -> str:
        """Leads to what caused it."""
        return page_of(change.operation, change.operation.verb) if change.operation else ""


@admin.register(CatalogueNote)
class CatalogueNoteAdmin(FactsAdmin):
    """Changes of variants and locations that wait for their place; there for less than a second."""

    list_display = ("id", "noted_at", "kind", "variant", "location", "merchant")
    list_filter = ("kind", "merchant")
    ordering = ("-id",)
    fields = ("kind", "merchant", "variant", "location", "payload", "noted_at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Brings along what a note names."""
        queryset: QuerySet[Any] = super().get_queryset(request)
        return queryset.select_related("merchant", "variant", "location")


@admin.register(FeedMark)
class FeedMarkAdmin(FactsAdmin):
    """How far the feed has come: the last place given, the last one forgotten, the operations looked through."""

    list_display = ("name", "value")
    ordering = ("name",)
    fields = ("name", "value")
