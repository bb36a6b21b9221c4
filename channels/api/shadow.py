"""Shadow mode: what channels that are only watched would have been told, and what was oversold meanwhile."""

from typing import Any

import django_filters
from django.db.models import F, Q, QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from channels.models import ShadowRun, ShadowSpan
from channels.models.shadow import ShadowOutcome
from channels.shadow.report import report
from inventory.api.filters import Filters, InstantFilter, TruthFilter, WholeFilter
from inventory.api.views import Lists, Reads


class ShadowRunSerializer(serializers.ModelSerializer[ShadowRun]):
    """A span in which a channel was read and told nothing."""

    channel_id = serializers.IntegerField()
    outcome = serializers.CharField(help_text="How it ended, `live` or `stopped`; empty while it goes on.")
    may_subscribe = serializers.BooleanField(
        help_text="Whether its webhooks are subscribed to at the platform."
    )
    first_push = serializers.DictField(
        allow_null=True,
        help_text="What it would have been told at once, in figures, as somebody last looked at it.",
    )

    class Meta:
        model = ShadowRun
        fields = (
            "id",
            "channel_id",
            "began_at",
            "ended_at",
            "outcome",
            "may_subscribe",
            "first_push",
            "seen_at",
        )
        read_only_fields = fields


class ShadowTotalsSerializer(serializers.Serializer[Any]):
    """A run in figures."""

    shelves = serializers.IntegerField(help_text="Shelves that are watched.")
    read = serializers.IntegerField(help_text="Of these, with a number that the platform said.")
    differ_now = serializers.IntegerField()
    differed = serializers.IntegerField(help_text="Shelves that differed at some time.")
    seconds_differed = serializers.FloatField(help_text="All shelves together.")
    seconds_compared = serializers.FloatField(
        help_text="All shelves together, while both numbers were known."
    )
    share_differed = serializers.FloatField(help_text="Of the compared time, 0 to 1.")
    would_have_sent = serializers.IntegerField(help_text="Numbers that we would have sent.")


class ShadowLeadSerializer(serializers.Serializer[Any]):
    """Seconds from what a number rests on until we would have sent it, and until the shelf showed it."""

    changes = serializers.IntegerField()
    shown_already = serializers.IntegerField(help_text="Shown before: the shop had sold it itself.")
    followed = serializers.IntegerField()
    not_followed = serializers.IntegerField(help_text="Changes that the shelf never showed.")
    ours_median = serializers.FloatField(allow_null=True)
    ours_p95 = serializers.FloatField(allow_null=True)
    theirs_median = serializers.FloatField(allow_null=True)
    theirs_p95 = serializers.FloatField(allow_null=True)


class ShadowDifferenceSerializer(serializers.Serializer[Any]):
    """A shelf that showed something else than we would have."""

    listing_level_id = serializers.IntegerField()
    sku = serializers.CharField()
    title = serializers.CharField()
    place = serializers.CharField()
    shown = serializers.IntegerField(allow_null=True, help_text="At the end.")
    would = serializers.IntegerField(allow_null=True, help_text="At the end.")
    times = serializers.IntegerField()
    seconds = serializers.FloatField()
    most_above = serializers.IntegerField()
    most_below = serializers.IntegerField()


class ShadowOversoldSerializer(serializers.Serializer[Any]):
    """Units that an order was sold and that were not there."""

    conflict_id = serializers.IntegerField()
    order_id = serializers.IntegerField()
    order = serializers.CharField(help_text="As the merchant sees it.")
    channel_id = serializers.IntegerField()
    channel = serializers.CharField()
    sku = serializers.CharField()
    ordered_at = serializers.DateTimeField()
    quantity = serializers.IntegerField(help_text="Units of the line.")
    units = serializers.IntegerField(help_text="Of these, not there.")
    would = serializers.IntegerField(
        allow_null=True, help_text="What we would have shown then; null on another channel."
    )
    prevented = serializers.IntegerField(help_text="Units that our number would have kept from being sold.")


class ShadowReportSerializer(serializers.Serializer[Any]):
    """What we would have sent, and what was oversold meanwhile."""

    run_id = serializers.IntegerField()
    channel_id = serializers.IntegerField()
    channel = serializers.CharField()
    since = serializers.DateTimeField()
    until = serializers.DateTimeField()
    is_over = serializers.BooleanField()
    totals = ShadowTotalsSerializer()
    lead = ShadowLeadSerializer()
    oversold_orders = serializers.IntegerField()
    oversold_units = serializers.IntegerField()
    prevented_units = serializers.IntegerField()
    differences = ShadowDifferenceSerializer(many=True, help_text="The longest first, 100 at most.")
    oversold = ShadowOversoldSerializer(many=True, help_text="The first first, 100 at most.")


class ShadowRunFilters(Filters):
    """Runs by channel, or those that go on."""

    channel = WholeFilter(field_name="channel_id")
    is_over = TruthFilter(
        field_name="ended_at", lookup_expr="isnull", exclude=True, label="Whether it has ended."
    )
    outcome = django_filters.ChoiceFilter(choices=ShadowOutcome.choices)


class ShadowRuns(Reads):
    """Spans in which channels were only watched."""

    resource, name_of_rows, model = "channels", "shadow_runs", ShadowRun
    serializer_class = ShadowRunSerializer
    filterset_class = ShadowRunFilters

    def related(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Brings the channel along, its secrets left where they are."""
        return rows.select_related("channel").defer("channel__credentials")

    @extend_schema(responses=ShadowReportSerializer)
    @action(detail=True, methods=["get"], filterset_class=None)
    def report(self, request: Request, pk: str) -> Response:
        """Sums a run up until now, or until its end."""
        run: Any = self.found(pk)
        return Response(report(run).as_json())


class ShadowSpanSerializer(serializers.ModelSerializer[ShadowSpan]):
    """A span in which a shelf showed one number while we would have shown one."""

    run_id = serializers.IntegerField()
    listing_level_id = serializers.IntegerField()
    would = serializers.IntegerField(allow_null=True, help_text="What we would have told.")
    shown = serializers.IntegerField(allow_null=True, help_text="What the platform said that it shows.")
    caused_at = serializers.DateTimeField(
        allow_null=True,
        help_text="When that happened for which `would` changed with this span; null where it did not.",
    )

    class Meta:
        model = ShadowSpan
        fields = (
            "id", "run_id", "listing_level_id", "would", "shown", "began_at", "ended_at", "caused_at", "said_at",
        )  # fmt: skip
        read_only_fields = fields


class ShadowSpanFilters(Filters):
    """Spans by run, shelf or time; those that differ, and those with which we would have sent a number."""

    run = WholeFilter(field_name="run_id")
    listing_level = WholeFilter(field_name="listing_level_id")
    began_since = InstantFilter(field_name="began_at", lookup_expr="gte")
    began_before = InstantFilter(field_name="began_at", lookup_expr="lt")
    differs = TruthFilter(method="by_difference", label="Whether both numbers are known and not the same.")
    would_have_sent = TruthFilter(
        field_name="caused_at",
        lookup_expr="isnull",
        exclude=True,
        label="Whether it began with a number of ours.",
    )

    def by_difference(self, rows: QuerySet[ShadowSpan], name: str, value: bool) -> QuerySet[ShadowSpan]:
        """Keeps spans in which both numbers were known and not the same, or the others."""
        is_alike = Q(would__isnull=True) | Q(shown__isnull=True) | Q(would=F("shown"))
        return rows.filter(~is_alike if value else is_alike)


class ShadowSpans(Lists):
    """What shelves showed and what we would have shown, side by side over time."""

    resource, name_of_rows, model = "channels", "shadow_spans", ShadowSpan
    serializer_class = ShadowSpanSerializer
    filterset_class = ShadowSpanFilters
