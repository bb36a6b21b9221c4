"""Backorders: units promised to somebody from goods that are still to come."""

from typing import Any

import django_filters
from django.db.models import QuerySet
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from config.api.fields import Quantity, StrictSerializer
from inventory.api.filters import Filters, TruthFilter, WholeFilter
from inventory.api.views import Reads, step
from inventory.backorders import BackorderUnits, cancel_backorders
from inventory.models import Backorder


class BackorderSerializer(serializers.ModelSerializer[Backorder]):
    """Units promised to one demand from one line of a purchase order."""

    sku = serializers.CharField(source="variant.sku")
    purchase_order_id = serializers.IntegerField(source="line.order_id")
    line_id = serializers.IntegerField()
    open_quantity = serializers.IntegerField(help_text="Units that still wait.")
    filled_quantity = serializers.IntegerField(help_text="Units that arrived, and are reserved since.")
    broken_quantity = serializers.IntegerField(
        help_text="Units whose goods slipped or fell away; they became a conflict."
    )
    allowed_by = serializers.CharField(help_text="Which rule, or who, allowed the promise.")
    kit_sku = serializers.CharField(
        source="kit.variant.sku",
        allow_null=True,
        default=None,
        help_text="Of units promised as a part of kits: which kits. They are filled, and cancelled, whole.",
    )

    class Meta:
        model = Backorder
        fields = (
            "id", "reference", "sku", "purchase_order_id", "line_id", "quantity", "open_quantity", "filled_quantity",
            "cancelled_quantity", "broken_quantity", "promised_on", "allowed_by", "kit_sku", "created_at",
        )  # fmt: skip
        read_only_fields = fields


class BackorderCancellationSerializer(StrictSerializer):
    """How many units are no longer wanted."""

    quantity = Quantity(required=False, allow_null=True, help_text="Without it, all that still wait.")


class BackorderFilters(Filters):
    """Backorders by demand, goods, purchase order, or whether they still wait."""

    reference = django_filters.CharFilter()
    sku = django_filters.CharFilter(field_name="variant__sku")
    purchase_order = WholeFilter(field_name="line__order_id")
    is_open = TruthFilter(method="narrow_open", label="Whether some of it still waits.")

    def narrow_open(self, rows: QuerySet[Backorder], name: str, value: bool) -> QuerySet[Backorder]:
        """Keeps those that wait, or those that do not."""
        return rows.filter(open_quantity__gt=0) if value else rows.filter(open_quantity=0)


class Backorders(Reads):
    """Backorders: units promised from goods that are still to come."""

    resource, name_of_rows, model = "reservations", "backorders", Backorder
    serializer_class = BackorderSerializer
    filterset_class = BackorderFilters

    def related(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Brings variant, line and kit along."""
        return rows.select_related("variant", "line", "kit__variant")

    @step(BackorderCancellationSerializer, BackorderSerializer)
    def cancel(self, request: Request, pk: str) -> Response:
        """Takes a promise back whose goods are no longer wanted; others may be promised them from then on."""
        backorder: Any = self.found(pk)
        quantity = self.body(BackorderCancellationSerializer).get("quantity")
        cancel_backorders(self.context(), [BackorderUnits(backorder.pk, quantity)])
        return self.shown(backorder)
