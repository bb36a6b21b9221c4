"""Key figures: the week as it stands against its targets, and every day as it was measured."""

import math
from dataclasses import replace
from datetime import date, timedelta
from typing import Any, Final

from django.utils import timezone
from drf_spectacular.helpers import forced_singular_serializer
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from analytics.api.asking import CHANNEL, FROM, TO, Figures, channels_of
from analytics.kpis.targets import TIMES
from analytics.kpis.trends import Series, point_of, series_of
from analytics.models import Kpi, KpiDay
from analytics.series import Key, kpi_days
from inventory.api.query import choice, day
from inventory.api.views import MerchantView

#: What part and whole of a figure are.
_UNITS: Final = ("percent", "seconds")
_SPANS: Final = {"total": True, "channel": False}


class KpiSerializer(serializers.Serializer[Any]):
    """One figure of the last seven days, of one channel or of all together."""

    kpi = serializers.ChoiceField(choices=Kpi.choices)
    title = serializers.CharField()
    channel_id = serializers.IntegerField(allow_null=True, help_text="Null: all channels together.")
    unit = serializers.ChoiceField(choices=_UNITS)
    value = serializers.FloatField(
        allow_null=True, help_text="Null where nothing was measured, or it is still on its way."
    )
    before = serializers.FloatField(allow_null=True, help_text="The value of the seven days before.")
    is_on_its_way = serializers.BooleanField(
        help_text="Of the latency: it falls on orders that have not reached every shelf."
    )
    target = serializers.FloatField(allow_null=True)
    is_met = serializers.BooleanField(allow_null=True)
    trend = serializers.ChoiceField(choices=["", "better", "worse", "unchanged"])
    part = serializers.IntegerField(help_text="What was counted …")
    whole = serializers.IntegerField(help_text="… of how many.")


class KpisSerializer(serializers.Serializer[Any]):
    """Key figures."""

    data = KpiSerializer(many=True)  # type: ignore[assignment]


class Kpis(MerchantView):
    """Key figures of the last seven days."""

    resource, name_of_rows, model = "analytics", "kpis", KpiDay
    serializer_class = KpisSerializer
    parameters = frozenset({"until"})
    pagination_class = None

    @extend_schema(
        responses=forced_singular_serializer(KpisSerializer),  # type: ignore[no-untyped-call]
        parameters=[OpenApiParameter("until", date, description="The last of the seven days; else today.")],
    )
    def list(self, request: Request) -> Response:
        """Lists every figure of which anything was measured, of all channels together and of each."""
        until = day(request, "until") or timezone.now().date()
        allowed = channels_of(self)
        found = series_of(self.caller.merchant_id, until=max(until, _EARLIEST))
        data = [
            _shown(series)
            for several in found.values()
            for series in several
            if series.points and (allowed is None or series.channel_id in allowed)
        ]
        return Response(KpisSerializer({"data": data}).data)


#: Nothing is measured before, and no calendar ends here.
_EARLIEST: Final = date(1970, 1, 1) + timedelta(days=366)


def _shown(series: Series) -> dict[str, Any]:
    value, before = series.value, series.before
    return {
        "kpi": series.kpi,
        "title": series.kpi.label,
        "channel_id": series.channel_id,
        "unit": _UNITS[series.kpi in TIMES],
        "value": _finite(value),
        "before": _finite(before),
        "is_on_its_way": value is not None and math.isinf(value),
        "target": series.target,
        "is_met": series.is_met,
        "trend": series.trend,
        "part": series.part,
        "whole": series.whole,
    }


def _finite(value: float | None) -> float | None:
    """Returns a number as JSON can write it."""
    return None if value is None or not math.isfinite(value) else value


class Finite(serializers.FloatField):
    """A number that JSON can write; what is endless is null."""

    def to_representation(self, value: Any) -> Any:
        """Returns the number."""
        return _finite(value)


class KpiDaySerializer(serializers.Serializer[Any]):
    """One figure of one day."""

    day = serializers.DateField(source="measured_on")
    kpi = serializers.ChoiceField(choices=Kpi.choices)
    channel_id = serializers.IntegerField(allow_null=True, help_text="Null: all channels together.")
    value = serializers.SerializerMethodField(
        "measured", help_text="Percent or seconds; null while it is on its way."
    )
    part = serializers.IntegerField()
    whole = serializers.IntegerField()
    p50 = Finite(allow_null=True, help_text="Of the latency, in seconds; null while it is on its way.")
    p95 = Finite(allow_null=True)
    p99 = Finite(allow_null=True)

    def measured(self, row: KpiDay) -> float | None:
        """Returns percent or seconds."""
        return _finite(point_of(row).value)


class KpiDays(Figures):
    """Key figures of each day."""

    name_of_rows, model = "kpi_days", KpiDay
    serializer_class = KpiDaySerializer
    parameters = frozenset({"from", "to", "kpi", "by", "channel"})
    key_types = (date, str, int)

    def key_of(self, row: KpiDay) -> tuple[Any, ...]:
        """Returns day, figure and channel."""
        return (row.measured_on, str(row.kpi), row.channel_id or 0)

    @extend_schema(
        parameters=[
            FROM, TO, CHANNEL,
            OpenApiParameter("kpi", str, enum=list(Kpi.values), description="Only this figure."),
            OpenApiParameter(
                "by", str, enum=list(_SPANS),
                description="Only those of all channels together, or only those of single ones; else both.",
            ),
        ]
    )  # fmt: skip
    def list(self, request: Request) -> Response:
        """Lists figures as they were measured, in order of day; today's and yesterday's change as things happen."""
        asked, kpi = self.asked(request), choice(request, "kpi", Kpi.values)
        by = choice(request, "by", list(_SPANS))

        def fetch(after: Key | None, limit: int) -> list[KpiDay]:
            page = replace(asked, after=after, limit=limit)
            return kpi_days(page, kpi=Kpi(kpi) if kpi else None, is_total=_SPANS[by] if by else None)

        return self.paged(fetch)
