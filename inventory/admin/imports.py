"""Rows that were imported from files."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from config.admin_panels import page_of
from config.admin_site import FactsAdmin
from inventory.models import ImportedRow, ImportJob


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


@admin.register(ImportJob)
class ImportJobAdmin(FactsAdmin):
    """Files of stock that came through the API, and what came of each."""

    list_display = (
        "name",
        "merchant",
        "state",
        "row_count",
        "refused",
        "is_dry_run",
        "asked_by",
        "created_at",
    )
    list_filter = ("state", "is_dry_run", "merchant")
    list_select_related = ("merchant",)
    search_fields = ("name",)
    ordering = ("-id",)
    fields = (
        "name", "merchant", "source", "is_dry_run", "state", "report", "asked_by", "attempts", "created_at", "started_at",
        "progress_at", "finished_at",
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[ImportJob]:
        """Leaves the files where they are."""
        queryset: QuerySet[ImportJob] = super().get_queryset(request)
        return queryset.defer("content")

    @admin.display(description="rows")
    def row_count(self, job: ImportJob) -> Any:
        """Returns how many rows were read so far."""
        return job.report.get("rows")

    @admin.display(description="refused")
    def refused(self, job: ImportJob) -> Any:
        """Returns how many rows were refused."""
        return job.report.get("error_count")
