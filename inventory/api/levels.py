"""What lies where, and every movement that made it so."""

from typing import Any

import django_filters
from django.db.models import QuerySet
from rest_framework import serializers

from config.api.examples import answer_example
from inventory.api.filters import Filters, InstantFilter, WholeFilter
from inventory.api.views import Reads
from inventory.models import StockLevel, StockMovement
from inventory.models.stock import MovementKind, Reason


@answer_example(
    "Blue mugs in the main warehouse",
    {
        "id": 12,
        "sku": "MUG-BLUE",
        "variant_id": 7,
        "location": "main",
        "location_id": 2,
        "on_hand": 40,
        "reserved": 3,
        "unavailable": 0,
        "available": 37,
        "safety_stock": 5,
        "version": 19,
        "recorded_at": "2026-01-31T14:00:00.120000Z",
    },
)
class StockLevelSerializer(serializers.ModelSerializer[StockLevel]):
    """One variant at one location, in base units."""

    sku = serializers.CharField(source="variant.sku")
    variant_id = serializers.IntegerField()
    location = serializers.CharField(source="location.code", help_text="Its code.")
    location_id = serializers.IntegerField()
    available = serializers.IntegerField()

    class Meta:
        model = StockLevel
        fields = (
            "id", "sku", "variant_id", "location", "location_id", "on_hand", "reserved", "unavailable", "available",
            "safety_stock", "version", "recorded_at",
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


@answer_example(
    "Two units were reserved",
    {
        "id": 31877,
        "operation_id": 9034,
        "level_id": 12,
        "sku": "MUG-BLUE",
        "variant_id": 7,
        "location": "main",
        "location_id": 2,
        "version": 19,
        "kind": "reservation",
        "reason": "sale",
        "on_hand_delta": 0,
        "reserved_delta": 2,
        "unavailable_delta": 0,
        "on_hand_after": 40,
        "reserved_after": 3,
        "unavailable_after": 0,
        "reservation_id": 81,
        "reverses_id": None,
        "actor": "webshop (oc_live_4fTq8sLk2P)",
        "source": "api",
        "document": "",
        "occurred_at": "2026-01-31T14:00:00Z",
        "recorded_at": "2026-01-31T14:00:00.120000Z",
    },
)
class MovementSerializer(serializers.ModelSerializer[StockMovement]):
    """One row of the ledger: the change of one level, and the level after it."""

    sku = serializers.CharField(source="level.variant.sku")
    variant_id = serializers.IntegerField(source="level.variant_id")
    location = serializers.CharField(source="level.location.code", help_text="Its code.")
    location_id = serializers.IntegerField(source="level.location_id")
    level_id = serializers.IntegerField(help_text="The stock level that it changed.")
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
            "id", "operation_id", "level_id", "sku", "variant_id", "location", "location_id", "version", "kind", "reason",
            "on_hand_delta", "reserved_delta", "unavailable_delta", "on_hand_after", "reserved_after", "unavailable_after",
            "reservation_id", "reverses_id",
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
