"""Goods that customers send back."""

from http import HTTPStatus
from typing import Any

import django_filters
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from config.api.examples import request_example
from config.api.fields import StrictSerializer, Text, Whole, items
from inventory import returns
from inventory.api.filters import Filters
from inventory.api.naming import Code, LineSerializer, Sku, location_ids, variant_ids
from inventory.api.nesting import COUNT_HELP, SHOWN, with_lines
from inventory.api.views import Reads, step
from inventory.models import CustomerReturn, ReturnLine
from inventory.models.returns import ReturnState


class ReturnLineSerializer(serializers.ModelSerializer[ReturnLine]):
    """One variant of a return, in base units."""

    sku = serializers.CharField(source="variant.sku")
    location = serializers.CharField(source="location.code")
    to_inspect = serializers.IntegerField()

    class Meta:
        model = ReturnLine
        fields = (
            "sku", "location", "announced_quantity", "received_quantity", "released_quantity", "written_off_quantity",
            "to_inspect",
        )  # fmt: skip
        read_only_fields = fields


class ReturnSerializer(serializers.ModelSerializer[CustomerReturn]):
    """What one customer sends back."""

    state = serializers.ChoiceField(choices=ReturnState.choices)
    line_count = serializers.IntegerField(help_text=COUNT_HELP)
    lines = ReturnLineSerializer(source=SHOWN, many=True)

    class Meta:
        model = CustomerReturn
        fields = ("id", "reference", "state", "line_count", "lines", "created_at", "given_up_at")
        read_only_fields = fields


class AnnouncedLineSerializer(StrictSerializer):
    """Units that are expected, in total; 0 withdraws a line."""

    sku = Sku()
    location = Code()
    quantity = Whole()


@request_example(
    "Two mugs are to come back",
    {"reference": "RMA-17", "lines": [{"sku": "MUG-BLUE", "location": "main", "quantity": 2}]},
)
class AnnouncementSerializer(StrictSerializer):
    """What a customer sends back."""

    reference = Text(help_text="The RMA number.")
    lines = items(AnnouncedLineSerializer())


@request_example(
    "Two mugs came back",
    {"reference": "RMA-17", "lines": [{"sku": "MUG-BLUE", "location": "main", "quantity": 2}]},
)
class ReturnedSerializer(StrictSerializer):
    """Goods that came back, announced or not."""

    reference = Text(help_text="The RMA number.")
    lines = items(LineSerializer())


class VerdictSerializer(StrictSerializer):
    """What an inspection says of units; together at least one."""

    sku = Sku()
    location = Code()
    released = Whole(default=0, help_text="Fit for sale.")
    written_off = Whole(default=0)


@request_example(
    "One is fit for sale, one is not",
    {"verdicts": [{"sku": "MUG-BLUE", "location": "main", "released": 1, "written_off": 1}]},
)
class InspectionSerializer(StrictSerializer):
    """What an inspection says."""

    verdicts = items(VerdictSerializer())


class ReturnFilters(Filters):
    """Returns by RMA number or state."""

    reference = django_filters.CharFilter()
    state = django_filters.ChoiceFilter(choices=ReturnState.choices)


class Returns(Reads):
    """Returns: goods that customers send back."""

    resource, name_of_rows, model = "stock", "returns", CustomerReturn
    serializer_class = ReturnSerializer
    filterset_class = ReturnFilters
    locks_row_first = True

    def related(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Brings the lines along."""
        lines = self.rows(ReturnLine).select_related("variant", "location")
        return with_lines(rows, lines, is_list=self.action == "list")

    @extend_schema(request=AnnouncementSerializer, responses={201: ReturnSerializer})
    def create(self, request: Request) -> Response:
        """Announces what a customer sends back, or replaces the totals of the lines named; nothing moves."""
        body = self.body(AnnouncementSerializer)
        returns.announce_return(self.context(), body["reference"], self._units(body["lines"]))
        return self._shown(body["reference"])

    @step(ReturnedSerializer, ReturnSerializer, on_row=False, status=HTTPStatus.CREATED)
    def receive(self, request: Request) -> Response:
        """Records goods that came back: on hand, and unavailable until they are inspected."""
        body = self.body(ReturnedSerializer)
        returns.receive_return(self.context(), body["reference"], self._units(body["lines"]))
        return self._shown(body["reference"])

    @step(InspectionSerializer, ReturnSerializer)
    def inspect(self, request: Request, pk: str) -> Response:
        """Releases received units for sale, or writes them off."""
        parcel: Any = self.found(pk)
        given = self.body(InspectionSerializer)["verdicts"]
        variants = variant_ids(self.caller, given, within="verdicts")
        places = location_ids(self.caller, given, within="verdicts")
        verdicts = [
            returns.Verdict(variants[v["sku"]], places[v["location"]], v["released"], v["written_off"])
            for v in given
        ]
        returns.inspect_return(self.context(), parcel.pk, verdicts)
        return self.shown(parcel)

    @step(None, ReturnSerializer)
    def close(self, request: Request, pk: str) -> Response:
        """Stops waiting for what has not come."""
        parcel: Any = self.found(pk)
        returns.close_return(self.context(), parcel.pk)
        return self.shown(parcel)

    def _units(self, lines: list[dict[str, Any]]) -> list[returns.ReturnUnits]:
        variants, places = variant_ids(self.caller, lines), location_ids(self.caller, lines)
        return [
            returns.ReturnUnits(variants[line["sku"]], places[line["location"]], line["quantity"])
            for line in lines
        ]

    def _shown(self, reference: str) -> Response:
        return self.shown(self.rows(CustomerReturn).get(reference=reference), status=HTTPStatus.CREATED)
