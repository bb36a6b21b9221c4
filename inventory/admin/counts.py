"""Count sheets: printed, counted, reviewed, approved."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import Count, OuterRef, QuerySet, Subquery, Sum
from django.db.models.functions import Abs, Coalesce
from django.http import HttpRequest, HttpResponseBase
from django.urls import URLPattern, path, reverse

from config.admin_panels import NOTHING, Panel, badge
from inventory.admin.count_accuracy import percent
from inventory.admin.count_forms import PrintForm
from inventory.admin.count_lines import is_hidden, review_panel
from inventory.admin.count_pages import entry_page, make_sheet, paper_page
from inventory.admin.document_forms import context_of, new_key, run_form
from inventory.admin.document_pages import DocumentAdmin, movements_panel
from inventory.count_accuracy import accuracy_of
from inventory.count_sheets import approve_sheet, cancel_sheet, want_recount
from inventory.models import CountSheet, CountSheetLine
from inventory.models.counts import CountSheetState

_TONES = {"open": "warning", "approved": "good", "cancelled": "neutral"}


@admin.register(CountSheet)
class CountSheetAdmin(DocumentAdmin):
    """Stocktakes."""

    list_display = (
        "__str__", "state_badge", "location", "title", "is_blind", "progress", "accuracy", "printed_at", "approved_at",
    )  # fmt: skip
    list_filter = ("state", "location", "merchant")
    search_fields = ("title",)
    actions = ("approve", "count_differences_again", "cancel")
    detail_actions = actions
    fields = ("state", "location", "title", "is_blind", ("printed_at", "approved_at"), "operation")

    def get_queryset(self, request: HttpRequest) -> QuerySet[CountSheet]:
        """Sums the lines of each sheet by subqueries, for the rows of one page only."""
        queryset: QuerySet[CountSheet] = super().get_queryset(request)
        return queryset.select_related("location", "operation").annotate(
            line_count=_of_lines(Count("pk")),
            counted_count=_of_lines(Count("counted_quantity")),
            counted_units=_of_lines(Sum("counted_quantity")),
            variance_units=_of_lines(Sum(Abs("variance"))),
        )

    @admin.display(description="state")
    def state_badge(self, sheet: CountSheet) -> str:
        """Says how far it has come."""
        return badge(sheet.get_state_display(), _TONES[sheet.state])

    @admin.display(description="counted")
    def progress(self, sheet: Any) -> str:
        """Returns how many lines were counted, of how many."""
        return f"{sheet.counted_count:,} of {sheet.line_count:,}"

    @admin.display(description="accuracy")
    def accuracy(self, sheet: Any) -> str:
        """Returns 1 − Σ|variance| / Σ counted, once nobody counts blindly any more."""
        if is_hidden(sheet):
            return NOTHING
        return percent(accuracy_of(sheet.counted_units, sheet.variance_units))

    def get_urls(self) -> list[URLPattern]:
        """Adds the pages on which a sheet is printed and counts are entered."""
        view = self.admin_site.admin_view
        pages = [
            path("<int:pk>/enter/", view(entry_page), name="inventory_countsheet_enter"),
            path("<int:pk>/paper/", view(paper_page), name="inventory_countsheet_paper"),
        ]
        return [*pages, *super().get_urls()]

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponseBase:
        """Makes a sheet."""
        return run_form(
            request, "New count sheet", PrintForm(request.POST or None, initial=new_key()), make_sheet
        )

    def object_links(self, request: HttpRequest, instance: CountSheet) -> list[tuple[str, str]]:
        """Leads to the paper and, for whoever moves stock, to the entry of counts."""
        links = [(reverse("admin:inventory_countsheet_paper", args=[instance.pk]), "Print")]
        if instance.state == CountSheetState.OPEN and self.has_move_permission(request):
            links.append((reverse("admin:inventory_countsheet_enter", args=[instance.pk]), "Enter counts"))
        return links

    def offers(self, action: str, instance: CountSheet) -> bool:
        """Offers what can be done while it is counted."""
        return instance.state == CountSheetState.OPEN

    @admin.action(description="Approve", permissions=["move"])
    def approve(self, request: HttpRequest, queryset: QuerySet[CountSheet]) -> None:
        """Records what was counted; one operation a sheet."""

        def act(sheet: Any) -> None:
            context = context_of(request, sheet.merchant_id, f"count-sheet:{sheet.pk}:approve")
            outcome = approve_sheet(context, sheet.pk)
            if left := sheet.line_count - sheet.counted_count:
                messages.info(request, f"{sheet}: {left} lines were not counted and stay as they are.")
            if short := sum(each.quantity for each in outcome.short):
                messages.warning(request, f"{sheet}: {short} units are owed now; see the open conflicts.")

        self.run_each(request, queryset, "sheet{s} approved", act)

    @admin.action(description="Have what differs counted again", permissions=["move"])
    def count_differences_again(self, request: HttpRequest, queryset: QuerySet[CountSheet]) -> None:
        """Asks for another count of every line with a variance."""

        def act(sheet: CountSheet) -> None:
            differing = sheet.lines.exclude(variance=0).filter(variance__isnull=False)
            lines = want_recount(
                sheet.merchant_id, sheet.pk, list(differing.values_list("variant", flat=True))
            )
            messages.info(request, f"{sheet}: {lines} lines are to be counted again.")

        self.run_each(request, queryset, "sheet{s} reviewed", act)

    @admin.action(description="Cancel", permissions=["move"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[CountSheet]) -> None:
        """Gives sheets up; nothing of them reaches the ledger."""
        self.run_each(request, queryset, "sheet{s} cancelled", lambda s: cancel_sheet(s.merchant_id, s.pk))

    def panels(self, request: HttpRequest, instance: CountSheet) -> list[Panel]:
        """Shows what differs, the largest variance first, and what the ledger recorded."""
        return [
            review_panel(instance),
            movements_panel([instance.operation_id] if instance.operation_id else []),
        ]


def _of_lines(aggregate: Any) -> Coalesce:
    lines = CountSheetLine.objects.filter(sheet=OuterRef("pk")).order_by().values("sheet")
    return Coalesce(Subquery(lines.annotate(total=aggregate).values("total")), 0)
