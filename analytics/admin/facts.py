"""The daily facts as lists; computed, changed by nobody."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import URLPattern, path

from analytics.admin.performance import performance_page
from analytics.models import CountedLine, DayChange, LevelMark, OrderChange, SalesFact, StockDay, StockFact
from channels.admin.rows import ChannelFilter, with_channel
from config.admin_site import FactsAdmin


@admin.register(StockFact)
class StockFactAdmin(FactsAdmin):
    """What moved on each day, by variant, location and channel."""

    list_display = (
        "recorded_on", "variant", "location", "channel", "received", "shipped", "returned", "transferred", "adjusted",
        "held", "released",
    )  # fmt: skip
    list_filter = ("merchant", "location", ChannelFilter, "recorded_on")
    search_fields = ("variant__sku__exact",)
    search_help_text = "A whole SKU"
    ordering = ("-recorded_on", "-id")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Brings along what a row is named after."""
        queryset: QuerySet[Any] = super().get_queryset(request)
        return with_channel(queryset, "merchant", "variant", "location")


@admin.register(StockDay)
class StockDayAdmin(FactsAdmin):
    """What each level began and ended a day with, and how long it was empty."""

    list_display = (
        "recorded_on",
        "variant",
        "location",
        "opening_available",
        "available",
        "on_hand",
        "out_for",
    )
    list_filter = ("merchant", "location", "recorded_on")
    search_fields = ("variant__sku__exact",)
    search_help_text = "A whole SKU"
    ordering = ("-recorded_on", "-id")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Brings along what a row is named after."""
        queryset: QuerySet[Any] = super().get_queryset(request)
        return queryset.select_related("merchant", "variant", "location")


@admin.register(SalesFact)
class SalesFactAdmin(FactsAdmin):
    """What each channel sold on each day, by variant and currency."""

    list_display = (
        "ordered_on", "variant", "channel", "currency", "orders", "ordered", "cancelled", "shipped", "returned",
        "unpriced", "amount", "cancelled_amount", "returned_amount",
    )  # fmt: skip
    list_filter = ("merchant", ChannelFilter, "currency", "ordered_on")
    search_fields = ("variant__sku__exact",)
    search_help_text = "A whole SKU"
    ordering = ("-ordered_on", "-id")

    def get_urls(self) -> list[URLPattern]:
        """Adds the page that sums them up."""
        view = self.admin_site.admin_view(performance_page)
        return [path("performance/", view, name="analytics_performance"), *super().get_urls()]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Brings along what a row is named after."""
        queryset: QuerySet[Any] = super().get_queryset(request)
        return with_channel(queryset, "merchant", "variant")


@admin.register(CountedLine)
class CountedLineAdmin(FactsAdmin):
    """Order lines as they stand in the sales facts."""

    list_display = (
        "line_id",
        "order_id",
        "ordered_on",
        "ordered",
        "cancelled",
        "shipped",
        "returned",
        "amount",
    )
    search_fields = ("order_id__exact",)
    search_help_text = "The id of an order"
    ordering = ("-line_id",)


@admin.register(LevelMark)
class LevelMarkAdmin(FactsAdmin):
    """Up to which version each level is counted."""

    list_display = ("level", "version")
    ordering = ("-level_id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Brings along what a level is named after."""
        queryset: QuerySet[Any] = super().get_queryset(request)
        return queryset.select_related("merchant", "level__variant", "level__location")


@admin.register(OrderChange)
class OrderChangeAdmin(FactsAdmin):
    """Orders that changed and are not counted anew yet."""

    list_display = ("order_id", "noted_at")
    ordering = ("id",)


@admin.register(DayChange)
class DayChangeAdmin(FactsAdmin):
    """Days whose key figures are to be measured anew."""

    list_display = ("changed_on", "merchant_id")
    ordering = ("id",)
