"""Backorders: units promised to somebody from goods that are still to come."""

from http import HTTPStatus
from typing import Any

import django_filters
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from config.api.examples import answer_example, request_example
from config.api.fields import Day, Quantity, StrictSerializer, Text, Truth, items
from config.api.problems import REFUSED, Problem
from inventory.api.demands import DemandSerializer, demands_in
from inventory.api.filters import Filters, TruthFilter, WholeFilter
from inventory.api.naming import OutcomeSerializer
from inventory.api.outcomes import shown_outcome
from inventory.api.views import Reads, step
from inventory.backorders import BackorderUnits, cancel_backorders, promise
from inventory.inbound_rows import PromiseTerms
from inventory.models import Backorder
from inventory.references import is_kept


class BackorderSerializer(serializers.ModelSerializer[Backorder]):
    """Units promised to one demand from one line of a purchase order."""

    sku = serializers.CharField(source="variant.sku")
    variant_id = serializers.IntegerField()
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
            "id", "reference", "sku", "variant_id", "purchase_order_id", "line_id", "quantity", "open_quantity",
            "filled_quantity", "cancelled_quantity", "broken_quantity", "promised_on", "allowed_by", "kit_sku", "created_at",
        )  # fmt: skip
        read_only_fields = fields


@request_example(
    "Five mugs for a customer who waits until March",
    {
        "by": "2026-02-28",
        "lines": [{"reference": "order-1001", "sku": "MUG-BLUE", "quantity": 5}],
    },
)
class PromiseSerializer(StrictSerializer):
    """What is to be promised to whom."""

    lines = items(DemandSerializer())
    by = Day(help_text="The last day for which goods may be confirmed that are promised.")
    allow_partial = Truth(default=False, help_text="Promise what there is, instead of all or nothing.")
    document = Text(required=False, allow_blank=True)


class PromisedSerializer(serializers.Serializer[Any]):
    """Units promised from one line of a purchase order."""

    backorder_id = serializers.IntegerField()
    reference = serializers.CharField()
    sku = serializers.CharField()
    line_id = serializers.IntegerField(help_text="The line of the purchase order.")
    quantity = serializers.IntegerField()
    promised_on = serializers.DateField(help_text="The day for which the goods are confirmed.")


@answer_example(
    "Two units are held, three promised",
    {
        "operation_id": 9035,
        "held": [
            {
                "reservation_id": 82,
                "reference": "order-1001",
                "sku": "MUG-BLUE",
                "location": "main",
                "quantity": 2,
            }
        ],
        "short": [],
        "promised": [
            {
                "backorder_id": 14,
                "reference": "order-1001",
                "sku": "MUG-BLUE",
                "line_id": 12,
                "quantity": 3,
                "promised_on": "2026-02-28",
            }
        ],
    },
)
class PromiseOutcomeSerializer(OutcomeSerializer):
    """What was held from what is available, what was promised, and what could not be had."""

    promised = PromisedSerializer(many=True)


@request_example("Two units are no longer wanted", {"quantity": 2})
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

    @extend_schema(request=PromiseSerializer, responses={201: PromiseOutcomeSerializer})
    def create(self, request: Request) -> Response:
        """Holds what is available and promises the rest from goods confirmed in time, the earliest first. Not for kits.

        A promise whose goods slip or fall away becomes a conflict. The key is noted as who allowed it.
        """
        body = self.body(PromiseSerializer)
        demands, names = demands_in(self.caller, body["lines"])
        terms = PromiseTerms(body["by"], self.caller.actor)
        context = self.context(document=body.get("document", ""))
        outcome = promise(context, demands, terms, allow_partial=body["allow_partial"])
        skus = {identity: sku for sku, identity in names.variants.items()}
        promised = [
            {
                "backorder_id": each.backorder_id,
                "reference": each.reference,
                "sku": skus[each.variant_id],
                "line_id": each.line_id,
                "quantity": each.quantity,
                "promised_on": each.promised_on,
            }
            for each in outcome.promised
        ]
        shown = {**shown_outcome(outcome, names), "promised": promised}
        return Response(shown, status=HTTPStatus.CREATED)

    @step(BackorderCancellationSerializer, BackorderSerializer)
    def cancel(self, request: Request, pk: str) -> Response:
        """Takes a promise back whose goods are no longer wanted; others may be promised them from then on."""
        backorder: Any = self.found(pk)
        if is_kept(backorder.reference):
            raise Problem(
                REFUSED, "It is promised to an order of a channel. Cancel the order instead.", field="id"
            )
        quantity = self.body(BackorderCancellationSerializer).get("quantity")
        cancel_backorders(self.context(), [BackorderUnits(backorder.pk, quantity)])
        return self.shown(backorder)
