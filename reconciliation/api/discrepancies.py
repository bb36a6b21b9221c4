"""Discrepancies: what shops show, or authorities say, and should not; and the comparisons that find them."""

from http import HTTPStatus
from typing import Any

import django_filters
from django.db.models import Q, QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from channels.models import Channel
from config.api.examples import request_example
from config.api.fields import BecauseSerializer, RowId, StrictSerializer, Text, Truth
from config.api.problems import NOT_FOUND, WRONG_STATE, Problem
from inventory.api.filters import Filters, InstantFilter, TruthFilter, WholeFilter
from inventory.api.naming import Sku, variant_id
from inventory.api.views import Reads, step
from inventory.models import Tag
from reconciliation import authority, discrepancies, runs
from reconciliation.models import Discrepancy, ReconciliationRun
from reconciliation.models.discrepancies import Cause, DiscrepancyState, RunKind, RunState


class DiscrepancySerializer(serializers.ModelSerializer[Discrepancy]):
    """A shelf that shows, or a level that holds, another number than it should; in base units."""

    channel_id = serializers.IntegerField(
        allow_null=True, help_text="Null where an authority contradicts the ledger."
    )
    listing_level_id = serializers.IntegerField(allow_null=True)
    stock_level_id = serializers.IntegerField(allow_null=True)
    run_id = serializers.IntegerField(allow_null=True, help_text="The comparison that saw it first.")
    sku = serializers.SerializerMethodField()
    difference = serializers.IntegerField(help_text="`shown` less `expected`.")
    value = serializers.DecimalField(
        max_digits=40, decimal_places=4, allow_null=True, help_text="By the last known price; else null."
    )
    cause = serializers.ChoiceField(choices=Cause.choices, help_text="What probably lies behind it.")
    evidence = serializers.DictField(help_text="What speaks for the cause: label and fact.")
    state = serializers.ChoiceField(choices=DiscrepancyState.choices)

    class Meta:
        model = Discrepancy
        fields = (
            "id", "channel_id", "listing_level_id", "stock_level_id", "run_id", "sku", "shown", "expected", "difference",
            "value", "currency", "cause", "evidence", "state", "sightings", "first_seen_at", "last_seen_at", "closed_at",
            "closed_by", "because",
        )  # fmt: skip
        read_only_fields = fields

    @extend_schema_field(str)
    def get_sku(self, discrepancy: Discrepancy) -> str:
        """Returns the SKU: the platform's of a shelf, ours of a level."""
        if discrepancy.listing_level is not None:
            return discrepancy.listing_level.listing.sku
        return discrepancy.stock_level.variant.sku if discrepancy.stock_level else ""


class RunSerializer(serializers.ModelSerializer[ReconciliationRun]):
    """One comparison of a channel with what its shelves should show; `read` grows while it runs."""

    channel_id = serializers.IntegerField()
    kind = serializers.ChoiceField(choices=RunKind.choices)
    state = serializers.ChoiceField(choices=RunState.choices)
    tag = serializers.CharField(source="tag.name", allow_null=True, default=None)
    sku = serializers.CharField(help_text="Empty: not limited to one.")
    read = serializers.IntegerField(help_text="Shelves that the platform named so far.")
    compared = serializers.IntegerField()
    moving = serializers.IntegerField(
        help_text="Shelves to which something was on its way; they were not compared."
    )
    drifted = serializers.IntegerField(help_text="Shelves that differed for certain.")
    drift_rate = serializers.FloatField(allow_null=True)

    class Meta:
        model = ReconciliationRun
        fields = (
            "id", "channel_id", "kind", "state", "tag", "sku", "asked_by", "asked_at", "started_at", "finished_at", "read",
            "compared", "moving", "drifted", "drift_rate", "corrected", "flagged", "missing", "closed", "error",
        )  # fmt: skip
        read_only_fields = fields


@request_example("One SKU of one channel", {"channel_id": 3, "sku": "MUG-BLUE"})
class RunBodySerializer(StrictSerializer):
    """What is to be compared: the whole channel, goods with a tag, or one SKU."""

    channel_id = RowId()
    tag = Text(max_length=64, required=False, allow_null=True)
    sku = Sku(required=False, allow_null=True)
    is_full = Truth(
        default=False, help_text="Reads the listings first, and counts shelves that the platform lacks."
    )


class DiscrepancyFilters(Filters):
    """Discrepancies by channel, SKU, cause, state or time."""

    channel = WholeFilter(field_name="channel_id")
    run = WholeFilter(field_name="run_id")
    sku = django_filters.CharFilter(
        method="narrow_sku", label="The platform's SKU of a shelf, or ours of a level."
    )
    cause = django_filters.ChoiceFilter(choices=Cause.choices)
    state = django_filters.ChoiceFilter(choices=DiscrepancyState.choices)
    is_open = TruthFilter(
        field_name="closed_at", lookup_expr="isnull", label="Whether it waits for something."
    )
    first_seen_since = InstantFilter(field_name="first_seen_at", lookup_expr="gte")
    first_seen_before = InstantFilter(field_name="first_seen_at", lookup_expr="lt")

    def narrow_sku(self, rows: QuerySet[Discrepancy], name: str, value: str) -> QuerySet[Discrepancy]:
        """Keeps those of one SKU."""
        return rows.filter(Q(listing_level__listing__sku=value) | Q(stock_level__variant__sku=value))


class Discrepancies(Reads):
    """Discrepancies: every difference that was certain, with its likely cause."""

    resource, name_of_rows, model = "reconciliation", "discrepancies", Discrepancy
    serializer_class = DiscrepancySerializer
    filterset_class = DiscrepancyFilters

    def related(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Brings along what names a row."""
        return rows.select_related("listing_level__listing", "stock_level__variant")

    @step(None, DiscrepancySerializer)
    def correct(self, request: Request, pk: str) -> Response:
        """Has the shop told its right number; what an authority found is counted into the ledger."""
        discrepancy: Any = self.found(pk)
        chosen, actor = self.rows(Discrepancy).filter(pk=discrepancy.pk), self.caller.actor
        if not discrepancies.correct_chosen(chosen, actor=actor) + authority.count_in(chosen, actor=actor):
            raise Problem(WRONG_STATE, "It is closed, or being corrected already.")
        return self.shown(discrepancy)

    @step(BecauseSerializer, DiscrepancySerializer)
    def dismiss(self, request: Request, pk: str) -> Response:
        """Closes it without a change; it comes back when it is seen again."""
        discrepancy: Any = self.found(pk)
        because = self.body(BecauseSerializer)["because"]
        chosen = self.rows(Discrepancy).filter(pk=discrepancy.pk)
        if not discrepancies.dismiss(chosen, actor=self.caller.actor, because=because):
            raise Problem(WRONG_STATE, "It is closed, or being corrected already.")
        return self.shown(discrepancy)

    @step(None, RunSerializer, url_path="look-again", url_name="look-again", status=HTTPStatus.ACCEPTED)
    def look_again(self, request: Request, pk: str) -> Response:
        """Has its SKU compared again, soon."""
        discrepancy: Any = self.found(pk)
        level = discrepancy.listing_level
        if level is None or level.listing.variant_id is None:
            raise Problem(WRONG_STATE, "It is of no shelf, or its listing is not mapped.")
        run = _ask(self, discrepancy.channel_id, sku=level.listing.variant.sku)
        return Response(RunSerializer(run).data, status=HTTPStatus.ACCEPTED)


class RunFilters(Filters):
    """Comparisons by channel, kind, state or time."""

    channel = WholeFilter(field_name="channel_id")
    kind = django_filters.ChoiceFilter(choices=RunKind.choices)
    state = django_filters.ChoiceFilter(choices=RunState.choices)
    asked_since = InstantFilter(field_name="asked_at", lookup_expr="gte")
    asked_before = InstantFilter(field_name="asked_at", lookup_expr="lt")


class Runs(Reads):
    """Comparisons of channels with what their shelves should show."""

    resource, name_of_rows, model = "reconciliation", "reconciliation_runs", ReconciliationRun
    serializer_class = RunSerializer
    filterset_class = RunFilters

    def related(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Brings the tag along."""
        return rows.select_related("tag")

    @extend_schema(request=RunBodySerializer, responses={202: RunSerializer})
    def create(self, request: Request) -> Response:
        """Asks for a comparison; read it again for how far it is. One of the same scope that waits already is enough."""
        body = self.body(RunBodySerializer)
        tag = None
        if body.get("tag") is not None:
            tag = self.rows(Tag).filter(name=body["tag"]).first()
            if tag is None:
                raise Problem(NOT_FOUND, "There is no such tag.", field="tag")
        if body.get("sku") is not None:
            variant_id(self.caller, body["sku"])
        kind = RunKind.FULL if body["is_full"] else RunKind.ON_DEMAND
        run = _ask(self, body["channel_id"], kind, tag=tag, sku=body.get("sku") or "")
        return self.shown(run, status=HTTPStatus.ACCEPTED)


def _ask(view: Reads, channel_id: int, kind: RunKind = RunKind.ON_DEMAND, **scope: Any) -> ReconciliationRun:
    """Asks for a comparison. Raises `Problem` (404) for a channel that the key does not see, `Refused`."""
    channel = view.rows(Channel).defer("credentials").filter(pk=channel_id).first()
    if channel is None:
        raise Problem(NOT_FOUND, "There is no such channel.", field="channel_id")
    return runs.ask(channel, kind, asked_by=view.caller.actor, **scope)
