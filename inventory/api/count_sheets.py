"""Stocktakes: sheets of what is to be counted at one place, what was counted, and its approval."""

from http import HTTPStatus
from typing import Any

import django_filters
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from config.api.examples import request_example
from config.api.fields import Instant, StrictSerializer, Text, Truth, Whole, items
from inventory import count_sheets
from inventory.api.filters import Filters
from inventory.api.naming import Code, OutcomeSerializer, Sku, check_once, location_id, variant_ids
from inventory.api.outcomes import shown_outcome
from inventory.api.views import Reads, step
from inventory.models import CountSheet, CountSheetLine
from inventory.models.counts import CountSheetState


class CountSheetSerializer(serializers.ModelSerializer[CountSheet]):
    """What is counted at one place; its lines are read apart."""

    location = serializers.CharField(source="location.code")
    state = serializers.ChoiceField(choices=CountSheetState.choices)
    line_count = serializers.IntegerField()
    counted_count = serializers.IntegerField(help_text="Lines that were counted.")
    operation_id = serializers.IntegerField(
        allow_null=True, help_text="What recorded it, once it is approved."
    )

    class Meta:
        model = CountSheet
        fields = (
            "id", "number", "location", "title", "state", "is_blind", "line_count", "counted_count", "printed_at",
            "approved_at", "operation_id",
        )  # fmt: skip
        read_only_fields = fields


class CountSheetLineSerializer(serializers.ModelSerializer[CountSheetLine]):
    """One variant of a sheet, in base units. While a blind sheet is being counted, what is expected is null."""

    sku = serializers.CharField(source="variant.sku")
    expected_quantity = serializers.IntegerField(allow_null=True, help_text="On hand when it was printed.")
    level_quantity = serializers.IntegerField(
        allow_null=True, help_text="On hand by the ledger when it was counted."
    )
    variance = serializers.IntegerField(allow_null=True, help_text="Counted less `level_quantity`.")

    class Meta:
        model = CountSheetLine
        fields = (
            "id", "sku", "expected_quantity", "counted_quantity", "counted_at", "counted_by", "level_quantity", "variance",
            "previous_quantity", "is_recount_wanted",
        )  # fmt: skip
        read_only_fields = fields

    def to_representation(self, line: CountSheetLine) -> dict[str, Any]:
        """Returns a line; what somebody who counts blindly may not know is null."""
        shown: dict[str, Any] = super().to_representation(line)
        if self.context.get("is_hidden"):
            shown |= {"expected_quantity": None, "level_quantity": None, "variance": None}
        return shown


@request_example(
    "Two variants counted blindly", {"location": "main", "skus": ["MUG-BLUE", "TRAY"], "is_blind": True}
)
class CountSheetBodySerializer(StrictSerializer):
    """What is to be counted."""

    location = Code()
    skus = items(Sku(), required=False, help_text="Without it, all that was ever kept there.")
    title = Text(required=False, allow_blank=True)
    is_blind = Truth(default=False, help_text="Whoever counts is not told what the ledger expects.")


class CountedSerializer(StrictSerializer):
    """What was counted of one variant."""

    sku = Sku()
    counted = Whole(help_text="Units on hand, reserved ones included.")


@request_example(
    "What was counted of two variants",
    {
        "lines": [{"sku": "MUG-BLUE", "counted": 38}, {"sku": "TRAY", "counted": 17}],
        "counted_by": "Day shift",
    },
)
class CountsSerializer(StrictSerializer):
    """What was counted; entered again, it replaces what was entered."""

    lines = items(CountedSerializer())
    counted_by = Text(required=False, allow_blank=True, help_text="Without it, the key.")
    counted_at = Instant(required=False, allow_null=True, help_text="When it was counted; else now.")


@request_example("One variant again", {"skus": ["MUG-BLUE"]})
class RecountSerializer(StrictSerializer):
    """Which variants are to be counted again."""

    skus = items(Sku())


class CountSheetFilters(Filters):
    """Count sheets by place or state."""

    location = django_filters.CharFilter(field_name="location__code")
    state = django_filters.ChoiceFilter(choices=CountSheetState.choices)


class CountSheets(Reads):
    """Count sheets: stocktakes, from printing to approval."""

    resource, name_of_rows, model = "stock", "count_sheets", CountSheet
    serializer_class = CountSheetSerializer
    filterset_class = CountSheetFilters

    def related(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Brings along the place, and how many lines there are."""
        placed: QuerySet[Any] = rows.select_related("location").annotate(
            line_count=self._count("pk"), counted_count=self._count("counted_quantity")
        )
        return placed

    def _count(self, field: str) -> Coalesce:
        """Returns how many lines of a sheet say something there; looked up for the sheets of the page alone."""
        lines = self.rows(CountSheetLine).filter(sheet=OuterRef("pk")).order_by().values("sheet")
        return Coalesce(Subquery(lines.annotate(number=Count(field)).values("number")), 0)

    @extend_schema(request=CountSheetBodySerializer, responses={201: CountSheetSerializer})
    def create(self, request: Request) -> Response:
        """Prints a sheet; nothing moves."""
        body = self.body(CountSheetBodySerializer)
        variants = self._variants(body["skus"]) if "skus" in body else None
        sheet = count_sheets.print_sheet(
            self.caller.merchant_id,
            location_id(self.caller, body["location"]),
            variants,
            key=self.made_once(),
            title=body.get("title", ""),
            is_blind=body["is_blind"],
        )
        return self.shown(sheet, status=HTTPStatus.CREATED)

    @extend_schema(responses=CountSheetLineSerializer(many=True))
    @action(
        detail=True, methods=["get"], filterset_class=None, parameters=frozenset({"cursor", "limit"}),
        serializer_class=CountSheetLineSerializer,
    )  # fmt: skip
    def lines(self, request: Request, pk: str) -> Response:
        """Lists the lines of a sheet, page by page."""
        sheet: Any = self.found(pk)
        is_open = sheet.is_blind and sheet.state == CountSheetState.OPEN
        rows = self.rows(CountSheetLine).filter(sheet=sheet).select_related("variant")
        page = self.paginate_queryset(rows) or []
        context = {"is_hidden": is_open and sheet.counted_count < sheet.line_count}
        return self.get_paginated_response(CountSheetLineSerializer(page, many=True, context=context).data)

    @step(CountsSerializer, CountSheetSerializer)
    def enter(self, request: Request, pk: str) -> Response:
        """Enters what was counted; variants that the sheet does not name are added to it."""
        sheet: Any = self.found(pk)
        body = self.body(CountsSerializer)
        check_once(body["lines"], "sku")
        variants = variant_ids(self.caller, body["lines"])
        count_sheets.enter_counts(
            self.caller.merchant_id,
            sheet.pk,
            {variants[line["sku"]]: line["counted"] for line in body["lines"]},
            counted_by=body.get("counted_by") or self.caller.actor,
            counted_at=body.get("counted_at"),
            key=self.made_once(),
        )
        return self.shown(sheet)

    @step(RecountSerializer, CountSheetSerializer)
    def recount(self, request: Request, pk: str) -> Response:
        """Asks for another count of some variants; the sheet is not approved before."""
        sheet: Any = self.found(pk)
        variants = self._variants(self.body(RecountSerializer)["skus"])
        count_sheets.want_recount(self.caller.merchant_id, sheet.pk, variants)
        return self.shown(sheet)

    @step(None, OutcomeSerializer)
    def approve(self, request: Request, pk: str) -> Response:
        """Records all that was counted in one operation; lines that nobody counted stay as they are."""
        sheet: Any = self.found(pk)
        return Response(shown_outcome(count_sheets.approve_sheet(self.context(), sheet.pk)))

    @step(None, CountSheetSerializer)
    def cancel(self, request: Request, pk: str) -> Response:
        """Gives a sheet up; nothing of it reaches the ledger."""
        sheet: Any = self.found(pk)
        count_sheets.cancel_sheet(self.caller.merchant_id, sheet.pk)
        return self.shown(sheet)

    def _variants(self, skus: list[str]) -> list[int]:
        return list(
            variant_ids(self.caller, [{"skus": sku} for sku in skus], within="", field="skus").values()
        )
