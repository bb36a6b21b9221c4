"""What lies where, and every movement that made it so."""

from typing import Any

import django_filters
from django.db.models import QuerySet
from rest_framework import serializers

from inventory.api.filters import Filters, InstantFilter, WholeFilter
from inventory.api.views import Reads
from inventory.models import StockLevel, StockMovement
from inventory.models.stock import MovementKind, Reason


class StockLevelSerializer(serializers.ModelSerializer[StockLevel]):
    """One variant at one location, in base units."""

    sku = serializers.CharField(source="variant.sku")
    location = serializers.CharField(source="location.code")
    available = serializers.IntegerField()

    class Meta:
        model = StockLevel
        fields = (
            "id", "sku", "location", "on_hand", "reserved", "unavailable", "available", "safety_stock", "version",
            "recorded_at",
        )  # fmt: skip
        read_only_fields = fields


class StockLevelFilters(Filters):
    """Levels by variant, location or what happened since."""

    sku = django_filters.CharFilter(field_name="variant__sku")
    variant = WholeFilter(field_name="variant_id")
    location = django_filters.CharFilter(field_name="location__code")
    recorded_since = InstantFilter(field_name="recorded_at", lookup_expr="gte")


class StockLevels(Reads):
    """Stock levels: how much of each variant is at each location."""

    resource, name_of_rows, model = "stock", "stock_levels", StockLevel
    serializer_class = StockLevelSerializer
    filterset_class = StockLevelFilters

    def related(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Brings variant and location along."""
        return rows.select_related("variant", "location")


class MovementSerializer(serializers.ModelSerializer[StockMovement]):
    """One row of the ledger: the change of one level, and the level after it."""

    sku = serializers.CharField(source="level.variant.sku")
    location = serializers.CharField(source="level.location.code")
    kind = serializers.ChoiceField(choices=MovementKind.choices)
    reason = serializers.ChoiceField(choices=Reason.choices)
    operation_id = serializers.IntegerField()
    reservation_id = serializers.IntegerField(allow_null=True)
    reverses_id = serializers.IntegerField(allow_null=True)
    actor = serializers.CharField(source="operation.actor")
    source = serializers.CharField(source="operation.source")  # type: ignore[assignment]
    document = serializers.CharField(source="operation.document")

    class Meta:
        model = StockMovement
        fields = (
            "id", "operation_id", "sku", "location", "version", "kind", "reason", "on_hand_delta", "reserved_delta",
            "unavailable_delta", "on_hand_after", "reserved_after", "unavailable_after", "reservation_id", "reverses_id",
            "actor", "source", "document", "occurred_at", "recorded_at",
        )  # fmt: skip
        read_only_fields = fields


class MovementFilters(Filters):
    """Movements by what they are about and when they were recorded."""

    operation = WholeFilter(field_name="operation_id")
    sku = django_filters.CharFilter(field_name="level__variant__sku")
    variant = WholeFilter(field_name="level__variant_id")
    location = django_filters.CharFilter(field_name="level__location__code")
    kind = django_filters.ChoiceFilter(choices=MovementKind.choices)
    reason = django_filters.ChoiceFilter(choices=Reason.choices)
    recorded_since = InstantFilter(field_name="recorded_at", lookup_expr="gte")
    recorded_before = InstantFilter(field_name="recorded_at", lookup_expr="lt")


class Movements(Reads):
    """Movements: the ledger, in the order in which it was written. They never change."""

    resource, name_of_rows, model = "stock", "movements", StockMovement
    serializer_class = MovementSerializer
    filterset_class = MovementFilters

    def related(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Brings along what each is about."""
        return rows.select_related("level__variant", "level__location", "operation")
