"""The key figures: the page with their charts, the days behind it, and the targets that people set."""

from collections.abc import Sequence
from typing import Any, Final

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils import timezone
from unfold.widgets import UnfoldAdminSelectWidget

from analytics.kpis.charts import PARTS, chart_of, shown_value
from analytics.kpis.sources import has_drift, has_handled
from analytics.kpis.targets import LATENCIES, TIMES
from analytics.kpis.trends import Series, series_of
from analytics.models import FastSeller, Kpi, KpiDay, KpiTarget, ToldOrder
from channels.admin.rows import ChannelFilter, with_channel
from channels.models import Channel
from config.admin_panels import NOTHING, Figure, Panel, badge
from config.admin_site import FactsAdmin, HistoryAdmin, own_page, require
from inventory.models import Merchant

SEEN: Final = "analytics.view_kpiday"

_TITLES: Final = {Kpi.LATENCY: "By channel that sold", Kpi.TOLD: "By channel that was told"}
_TRENDS: Final = {"better": "good", "worse": "warning", "unchanged": "neutral"}


class MerchantForm(forms.Form):
    """Whose figures to show."""

    merchant = forms.ModelChoiceField(
        Merchant.objects.filter(is_active=True), empty_label=None, widget=UnfoldAdminSelectWidget
    )


def chosen_merchant(request: HttpRequest) -> tuple[MerchantForm, Merchant | None]:
    """Returns the form as it was sent, and the merchant that it names; the first one where it names none."""
    first = Merchant.objects.filter(is_active=True).order_by("name", "id").first()
    form = MerchantForm(request.GET if "merchant" in request.GET else None, initial={"merchant": first})
    merchant = form.cleaned_data["merchant"] if form.is_bound and form.is_valid() else first
    return form, merchant


def kpi_page(request: HttpRequest) -> HttpResponse:
    """Shows every figure of a merchant with its target, trend, chart and the days as a table."""
    require(request, SEEN)
    form, merchant = chosen_merchant(request)
    found = series_of(merchant.pk, until=timezone.now().date()) if merchant else {}
    return own_page(
        request,
        "onecount/kpis.html",
        "Key figures",
        form=form,
        merchant=merchant,
        figures=[_figure(kpi, series) for kpi, series in found.items()],
    )


def _figure(kpi: Kpi, series: Sequence[Series]) -> dict[str, Any]:
    whole = series[0]
    return {
        "key": kpi.value,
        "label": kpi.label,
        "value": shown_value(whole, whole.value),
        "target": shown_value(whole, whole.target),
        "verdict": verdict(whole),
        "trend": badge(whole.trend, _TRENDS[whole.trend]) if whole.trend else "",
        "is_missed": whole.is_met is False,
        "empty": _why_empty(kpi),
        "chart": chart_of(whole, kpi.label),
        "channels": _channels(kpi, series),
    }


def verdict(series: Series) -> str:
    """Says whether a week's value meets its target."""
    if series.is_met is None:
        return ""
    return badge("on target", "good") if series.is_met else badge("off target", "bad")


def _why_empty(kpi: Kpi) -> str:
    """Says what has to be there before a figure can be measured."""
    if kpi is Kpi.DRIFT and not has_drift():
        return "Not measured: nothing reconciles channels yet."
    if kpi in (Kpi.AUTOMATIC, Kpi.HANDLING) and not has_handled():
        return "Not measured: nothing counts resolved items yet."
    return "Nothing measured yet."


def _channels(kpi: Kpi, series: Sequence[Series]) -> Panel:
    part, whole = PARTS[kpi.value]
    rows = [
        (
            each.name,
            *_values(each),
            Figure(shown_value(each, each.target)),
            verdict(each),
            each.part,
            each.whole,
        )
        for each in series
    ]
    values = ("p50", "p95, last 7 days", "p99") if kpi in LATENCIES else ("Last 7 days",)
    return Panel(_TITLES.get(kpi, "By channel"), ("Channel", *values, "Target", "", part, whole), rows)


def _values(series: Series) -> tuple[Figure, ...]:
    values = series.percentiles if series.kpi in LATENCIES else (series.value,)
    return tuple(Figure(shown_value(series, value)) for value in values)


@admin.register(KpiDay)
class KpiDayAdmin(FactsAdmin):
    """Every figure of every day, as measured."""

    list_display = (
        "measured_on",
        "kpi",
        "merchant",
        "shown_channel",
        "shown",
        "part",
        "whole",
        "p50",
        "p95",
        "p99",
    )
    list_filter = ("kpi", "merchant", ChannelFilter, "measured_on")
    ordering = ("-measured_on", "-id")

    def get_urls(self) -> list[URLPattern]:
        """Adds the page with the charts."""
        view = self.admin_site.admin_view(kpi_page)
        return [path("overview/", view, name="analytics_kpis"), *super().get_urls()]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Brings along what a row is named after."""
        queryset: QuerySet[Any] = super().get_queryset(request)
        return with_channel(queryset, "merchant")

    @admin.display(description="channel")
    def shown_channel(self, day: KpiDay) -> str:
        """Names the channel."""
        return "all" if day.channel is None else day.channel.name

    @admin.display(description="percent")
    def shown(self, day: KpiDay) -> str:
        """Returns the part in percent, where there is a whole."""
        if not day.whole or day.kpi == Kpi.HANDLING:
            return NOTHING
        return f"{100 * day.part / day.whole:.2f}"


class TargetForm(forms.ModelForm):  # type: ignore[type-arg]
    """A target; refused where it names a channel of another merchant or cannot be reached."""

    channel = forms.ModelChoiceField(
        Channel.objects.defer("credentials").order_by("name", "id"),
        required=False,
        empty_label="All channels without a target of their own",
        widget=UnfoldAdminSelectWidget,
    )

    class Meta:
        model = KpiTarget
        fields = ("merchant", "kpi", "channel", "value")

    def clean(self) -> dict[str, Any]:
        """Compares merchant and channel, and value and figure."""
        data: dict[str, Any] = super().clean() or {}
        channel, merchant = data.get("channel"), data.get("merchant")
        if channel and merchant and channel.merchant_id != merchant.pk:
            raise ValidationError(
                {"channel": f"{channel} belongs to another merchant. Choose one of {merchant}."}
            )
        value = data.get("value")
        if value is not None and data.get("kpi") not in TIMES and value > 100:
            raise ValidationError({"value": "It is a percentage: enter at most 100."})
        return data


@admin.register(KpiTarget)
class KpiTargetAdmin(HistoryAdmin):
    """What figures are held against where the defaults do not fit."""

    list_display = ("kpi", "merchant", "shown_channel", "value")
    list_filter = ("kpi", "merchant")
    ordering = ("merchant__name", "kpi", "channel__name", "id")
    form = TargetForm

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Brings along what a row is named after."""
        queryset: QuerySet[Any] = super().get_queryset(request)
        return with_channel(queryset, "merchant")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Leaves a target with its figure."""
        return () if obj is None else ("merchant", "kpi", "channel")

    @admin.display(description="channel")
    def shown_channel(self, target: KpiTarget) -> str:
        """Names the channel."""
        return "all" if target.channel is None else target.channel.name


@admin.register(FastSeller)
class FastSellerAdmin(FactsAdmin):
    """Which variants counted as fast-selling on a day."""

    list_display = ("measured_on", "variant", "units")
    list_filter = ("merchant", "measured_on")
    ordering = ("-measured_on", "-units", "-id")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Brings the variants along."""
        queryset: QuerySet[Any] = super().get_queryset(request)
        return queryset.select_related("merchant", "variant")


@admin.register(ToldOrder)
class ToldOrderAdmin(FactsAdmin):
    """How long it took until each other channel had been told of an order, of the last weeks."""

    list_display = ("order", "shown_channel", "arrived_on", "seconds")
    list_filter = ("merchant", ChannelFilter, "arrived_on")
    ordering = ("-id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Brings along what a row is named after."""
        queryset: QuerySet[Any] = super().get_queryset(request)
        return with_channel(queryset, "merchant", "order")

    @admin.display(description="told")
    def shown_channel(self, told: ToldOrder) -> str:
        """Names the channel that was told."""
        return told.channel.name
