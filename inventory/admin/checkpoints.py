"""What is kept for asking after the past; written by a schedule and by the database, changed by nobody."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from config.admin_site import FactsAdmin
from inventory.models import (
    CheckpointLevel,
    CheckpointReservation,
    SafetyStockChange,
    StockCheckpoint,
)


@admin.register(StockCheckpoint)
class StockCheckpointAdmin(FactsAdmin):
    """Instants of which the whole stock is kept, so that asking for another one is cheap."""

    list_display = ("at", "merchant", "written_at")
    list_filter = ("merchant",)
    list_select_related = ("merchant",)
    ordering = ("-at", "-id")
    fields = ("at", "merchant", "written_at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Brings the merchant along."""
        queryset: QuerySet[Any] = super().get_queryset(request)
        return queryset.select_related("merchant")


@admin.register(CheckpointLevel)
class CheckpointLevelAdmin(FactsAdmin):
    """Levels as they were when a checkpoint was taken."""

    list_display = ("checkpoint", "level", "version", "on_hand", "reserved", "unavailable")
    ordering = ("-id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Brings along what a level is named after."""
        queryset: QuerySet[Any] = super().get_queryset(request)
        return queryset.select_related("checkpoint", "level__variant", "level__location")


@admin.register(CheckpointReservation)
class CheckpointReservationAdmin(FactsAdmin):
    """Reservations that held units when a checkpoint was taken."""

    list_display = ("checkpoint", "level", "reservation", "quantity")
    ordering = ("-id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Brings along what level and reservation are named after."""
        queryset: QuerySet[Any] = super().get_queryset(request)
        return queryset.select_related("checkpoint", "level__variant", "level__location", "reservation")


@admin.register(SafetyStockChange)
class SafetyStockChangeAdmin(FactsAdmin):
    """When safety stock was set to something else."""

    list_display = ("changed_at", "level", "before", "after")
    ordering = ("-id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Brings along what a level is named after."""
        queryset: QuerySet[Any] = super().get_queryset(request)
        return queryset.select_related("level__variant", "level__location")
