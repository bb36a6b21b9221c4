"""The daily report: to whom it goes and when, a look at it, and what became of each."""

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from unfold.widgets import UnfoldAdminTextareaWidget

from analytics.models import ReportPlan, ReportRun, ReportState
from analytics.reports.content import report_of
from analytics.reports.mail import html_of
from analytics.reports.sending import send_now
from config.admin_panels import Panel, badge
from config.admin_site import FactsAdmin, HistoryAdmin, require

_MOST: int = 50
_TONES = {ReportState.SENT: "good", ReportState.FAILED: "bad", ReportState.SENDING: "neutral"}


class PlanForm(forms.ModelForm):  # type: ignore[type-arg]
    """A plan, with its recipients one a line."""

    recipients = forms.CharField(
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 4}),
        help_text=f"E-mail addresses, one a line, at most {_MOST}.",
    )

    class Meta:
        model = ReportPlan
        fields = ("merchant", "recipients", "hour", "has_csv", "is_active")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.initial["recipients"] = "\n".join(self.instance.recipients)

    def clean_recipients(self) -> list[str]:
        """Returns the addresses; names the first that is none."""
        addresses = list(dict.fromkeys(self.cleaned_data["recipients"].replace(",", "\n").split()))
        if len(addresses) > _MOST:
            raise ValidationError(f"These are {len(addresses)} addresses. Enter at most {_MOST}.")
        for address in addresses:
            try:
                validate_email(address)
            except ValidationError as error:
                raise ValidationError(f"{address} is no e-mail address. Correct it, one a line.") from error
        return addresses


@admin.register(ReportPlan)
class ReportPlanAdmin(HistoryAdmin):
    """When each merchant's daily report is sent, and to whom."""

    list_display = ("merchant", "shown_recipients", "hour", "has_csv", "is_active")
    list_filter = ("is_active",)
    search_fields = ("merchant__name",)
    ordering = ("merchant__name", "id")
    form = PlanForm
    actions = ("send_yesterday",)
    detail_actions = ("send_yesterday",)

    def get_urls(self) -> list[URLPattern]:
        """Adds the page that shows a report."""
        view = self.admin_site.admin_view(preview)
        return [path("<int:plan_id>/preview/", view, name="analytics_report_preview"), *super().get_urls()]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Brings the merchant along."""
        queryset: QuerySet[Any] = super().get_queryset(request)
        return queryset.select_related("merchant")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Leaves a plan with its merchant."""
        return () if obj is None else ("merchant",)

    @admin.display(description="recipients")
    def shown_recipients(self, plan: ReportPlan) -> str:
        """Names the first recipient, and how many more there are."""
        more = len(plan.recipients) - 1
        return f"{plan.recipients[0]} and {more} more" if more else plan.recipients[0]

    @admin.action(description="Send yesterday's report now", permissions=["change"])
    def send_yesterday(self, request: HttpRequest, queryset: QuerySet[ReportPlan]) -> None:
        """Sends the reports of the day before, again where they were sent already."""
        yesterday = timezone.now().date() - timedelta(days=1)
        runs = [send_now(plan, yesterday) for plan in queryset.select_related("merchant")]
        failed = sum(run.state == ReportState.FAILED for run in runs)
        self.report(request, len(runs) - failed, "report{s} sent", {"not sent, see Sent reports": failed})

    def object_links(self, request: HttpRequest, instance: ReportPlan) -> list[tuple[str, str]]:
        """Leads to the report itself."""
        return [(reverse("admin:analytics_report_preview", args=[instance.pk]), "Look at yesterday's report")]

    def panels(self, request: HttpRequest, instance: ReportPlan) -> list[Panel]:
        """Shows what became of the last reports."""
        runs = ReportRun.objects.filter(merchant_id=instance.merchant_id).order_by("-reported_on")[:14]
        rows = [(run.reported_on, _state(run), run.sent_at, run.attempts, run.error) for run in runs]
        return [Panel("Sent reports", ("Day", "State", "Sent", "Attempts", "Error"), rows)]


def _state(run: ReportRun) -> str:
    return badge(run.get_state_display(), _TONES[ReportState(run.state)])


def preview(request: HttpRequest, plan_id: int) -> HttpResponse:
    """Shows the report of the day before as it would be sent now."""
    require(request, "analytics.view_reportplan")
    plan = get_object_or_404(ReportPlan.objects.select_related("merchant"), pk=plan_id)
    return HttpResponse(html_of(report_of(plan.merchant, timezone.now().date() - timedelta(days=1))))


@admin.register(ReportRun)
class ReportRunAdmin(FactsAdmin):
    """What became of each report."""

    list_display = ("reported_on", "merchant", "shown_state", "sent_at", "attempts", "error")
    list_filter = ("state", "merchant")
    ordering = ("-reported_on", "-id")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Brings the merchant along."""
        queryset: QuerySet[Any] = super().get_queryset(request)
        return queryset.select_related("merchant")

    @admin.display(description="state")
    def shown_state(self, run: ReportRun) -> str:
        """Says whether it was sent."""
        return _state(run)
