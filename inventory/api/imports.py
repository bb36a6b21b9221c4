"""Files of stock, taken in by a worker."""

from http import HTTPStatus
from typing import Any

import django_filters
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from config.api.examples import request_example
from config.api.fields import StrictSerializer, Text, Truth
from inventory.api.filters import Filters
from inventory.api.views import Reads
from inventory.import_jobs import LONGEST_FILE, ask
from inventory.models import ImportJob
from inventory.models.import_jobs import ImportState


class RowErrorSerializer(serializers.Serializer[Any]):
    """What is wrong with a row of the file."""

    line = serializers.IntegerField()
    column = serializers.CharField()
    message = serializers.CharField()


class ImportReportSerializer(serializers.Serializer[Any]):
    """What came of a file so far."""

    rows = serializers.IntegerField()
    imported = serializers.IntegerField()
    known = serializers.IntegerField(help_text="Rows that an earlier import had taken in.")
    safety_stock_changed = serializers.IntegerField()
    short_units = serializers.IntegerField()
    error_count = serializers.IntegerField()
    errors = RowErrorSerializer(many=True, help_text="The first hundred.")  # type: ignore[assignment]


class ImportJobSerializer(serializers.ModelSerializer[ImportJob]):
    """A file of stock."""

    state = serializers.ChoiceField(choices=ImportState.choices)
    report = serializers.SerializerMethodField()

    class Meta:
        model = ImportJob
        fields = (
            "id", "name", "source", "is_dry_run", "state", "report", "asked_by", "created_at", "started_at", "finished_at",
        )  # fmt: skip
        read_only_fields = fields

    @extend_schema_field(ImportReportSerializer(allow_null=True))
    def get_report(self, job: ImportJob) -> dict[str, Any] | None:
        """Returns what came of it; None before it has begun."""
        return job.report or None


@request_example(
    "Opening balances", {"name": "opening.csv", "content": "sku,location,quantity\nMUG-BLUE,main,40\n"}
)
class ImportBodySerializer(StrictSerializer):
    """A CSV file; its columns are those of `import_stock`."""

    name = Text()
    content = Text(max_length=LONGEST_FILE)
    source = Text(  # type: ignore[assignment]
        max_length=30,
        default="import",
        help_text="Where its rows come from; their keys are unique within it.",
    )
    is_dry_run = Truth(default=False, help_text="Only say what would be wrong.")


class ImportFilters(Filters):
    """Imports by state."""

    state = django_filters.ChoiceFilter(choices=ImportState.choices)


class Imports(Reads):
    """Import jobs: files of opening balances, history and safety stock."""

    resource, name_of_rows, model = "imports", "imports", ImportJob
    serializer_class = ImportJobSerializer
    filterset_class = ImportFilters

    @extend_schema(request=ImportBodySerializer, responses={202: ImportJobSerializer})
    def create(self, request: Request) -> Response:
        """Keeps a file; a worker takes it in soon. Read the job again for what came of it."""
        body = self.body(ImportBodySerializer)
        job = ask(
            self.caller.merchant_id,
            body["name"],
            body["content"],
            source=body["source"],
            is_dry_run=body["is_dry_run"],
            by=self.caller.actor,
        )
        return self.shown(job, status=HTTPStatus.ACCEPTED)
