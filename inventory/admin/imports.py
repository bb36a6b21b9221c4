"""Rows that were imported from files."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from config.admin_panels import page_of
from config.admin_site import FactsAdmin
from inventory.models import ImportedRow


@admin.register(ImportedRow)
class ImportedRowAdmin(FactsAdmin):
    """Which row of which file became which operation."""

    list_display = ("key", "kind", "level_link", "document", "occurred_at", "operation_link")
    list_filter = ("kind", "merchant")
    search_fields = ("key__exact",)
    search_help_text = "Key, in full, with its source: erp:4711"
    ordering = ("-id",)
    fields = ("key", "kind", "level", "document", "occurred_at", "operation", "digest")

    def get_queryset(self, request: HttpRequest) -> QuerySet[ImportedRow]:
        """Brings level and operation along."""
        queryset: QuerySet[ImportedRow] = super().get_queryset(request)
        return queryset.select_related("level__variant", "level__location", "operation")

    @admin.display(description="level")
    def level_link(self, row: ImportedRow) -> str:
        """Leads to the level it changed."""
        return page_of(row.level)

    @admin.display(description="operation")
    def operation_link(self, row: Any) -> str:
        """Leads to the operation it is part of."""
        return page_of(row.operation, row.operation.verb)
