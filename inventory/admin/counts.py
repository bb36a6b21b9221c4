"""Count sheets: printed, counted, reviewed, approved."""

from collections import Counter, defaultdict
from typing import Any

from django.contrib import admin, messages
from django.core.paginator import Paginator
from django.db.models import Count, OuterRef, QuerySet, Subquery, Sum
from django.db.models.functions import Abs, Coalesce
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse

from config.admin_panels import NOTHING, Change, Panel, address_of, badge, list_of, page_of
from config.admin_site import FactsAdmin, StateFilter, own_page, require
from inventory.admin.count_accuracy import percent
from inventory.admin.count_forms import LINES, EntryForm, PrintForm
from inventory.admin.document_forms import context_of, new_key, run_form
from inventory.admin.document_pages import ROWS, DocumentAdmin, movements_panel
from inventory.count_accuracy import accuracy_of
from inventory.count_sheets import approve_sheet, cancel_sheet, enter_counts, print_sheet, want_recount
from inventory.errors import StockError
from inventory.models import CountSheet, CountSheetLine, StockLevel
from inventory.models.counts import CountSheetState

_TONES = {"open": "warning", "approved": "good", "cancelled": "neutral"}

#: Lines of a sheet on paper.
PRINTED = 2_000


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
        if _is_hidden(sheet):
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
            request, "New count sheet", PrintForm(request.POST or None, initial=new_key()), _print
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
            _review_panel(instance),
            movements_panel([instance.operation_id] if instance.operation_id else []),
        ]


def _of_lines(aggregate: Any) -> Coalesce:
    lines = CountSheetLine.objects.filter(sheet=OuterRef("pk")).order_by().values("sheet")
    return Coalesce(Subquery(lines.annotate(total=aggregate).values("total")), 0)


def _is_hidden(sheet: Any) -> bool:
    """Tells whether somebody still counts blindly."""
    is_open = sheet.is_blind and sheet.state == CountSheetState.OPEN
    return bool(is_open and sheet.counted_count < sheet.line_count)


def _print(form: PrintForm) -> str:
    data = form.cleaned_data
    sheet = print_sheet(
        data["location"].merchant_id,
        data["location"].pk,
        form.variant_ids,
        key=data["key"],
        title=data["title"],
        is_blind=data["is_blind"],
    )
    return address_of("inventory.countsheet", sheet.pk)


def entry_page(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Takes counts in, a page of lines at a time; those that wait come first."""
    sheet = get_object_or_404(CountSheet.objects.select_related("location"), pk=pk)
    page = Paginator(_lines_to_enter(sheet), LINES).get_page(request.GET.get("page"))
    form = EntryForm(
        request.POST or None,
        initial=new_key(),
        lines=list(page.object_list),
        merchant_id=sheet.merchant_id,
        is_blind=sheet.is_blind,
    )
    address = reverse("admin:inventory_countsheet_enter", args=[sheet.pk])

    def act(form: EntryForm) -> str:
        data = form.cleaned_data
        enter_counts(
            sheet.merchant_id,
            sheet.pk,
            data["counted"],
            counted_by=request.user.get_username(),
            counted_at=data["counted_at"],
            key=data["key"],
        )
        messages.success(request, f"{len(data['counted'])} counts entered.")
        if page.has_next():
            return f"{address}?page={page.next_page_number()}"
        return address_of("inventory.countsheet", sheet.pk)

    note = (
        f"{sheet.location}, page {page.number} of {page.paginator.num_pages}. All units on hand, reserved ones too. "
        "What is left empty was not counted."
    )
    return run_form(request, f"Enter counts of {sheet}", form, act, note=note)


def _lines_to_enter(sheet: CountSheet) -> QuerySet[CountSheetLine]:
    return sheet.lines.select_related("variant").order_by("variant__sku")


def paper_page(request: HttpRequest, pk: int) -> HttpResponse:
    """Shows the sheet as it goes on paper."""
    require(request, "inventory.view_countsheet")
    sheet = get_object_or_404(CountSheet.objects.select_related("location"), pk=pk)
    lines = sheet.lines.select_related("variant__product").order_by("variant__sku")[:PRINTED]
    expected = () if sheet.is_blind else ("Expected",)
    rows = [
        (
            line.variant.sku,
            f"{line.variant.product.title} {line.variant.title}".strip(),
            *(() if sheet.is_blind else (line.expected_quantity,)),
            "",
        )
        for line in lines
    ]
    title = f"{sheet}: {sheet.title or sheet.location.name}"
    panel = Panel(
        title,
        ("SKU", "What it is", *expected, "Counted"),
        rows,
        note=f"Printed {sheet.printed_at:%Y-%m-%d %H:%M} UTC.",
    )
    return own_page(request, "onecount/paper.html", title, panel=panel)


def _review_panel(sheet: Any) -> Panel:
    headers = (
        "SKU", "Expected", "Moved before", "Counted", "Variance", "Moved since", "On hand after", "Count before", "Note",
    )  # fmt: skip
    everything = [(list_of("inventory.countsheetline", f"sheet__id__exact={sheet.pk}"), "All lines")]
    if _is_hidden(sheet):
        return Panel(
            "Review",
            headers,
            [],
            empty="Counted blindly: shown once every line is counted.",
            links=everything,
        )
    differing = sheet.lines.exclude(variance=0).filter(variance__isnull=False)
    lines = list(differing.select_related("variant").order_by(Abs("variance").desc(), "id")[:ROWS])
    levels = StockLevel.objects.filter(
        location=sheet.location_id, variant__in=[line.variant_id for line in lines]
    )
    on_hand = dict(levels.values_list("variant", "on_hand"))
    is_open = sheet.state == CountSheetState.OPEN
    rows = [_review_row(line, on_hand.get(line.variant_id, 0), is_open=is_open) for line in lines]
    note = "Variance is judged against the level at the time of counting; what moves since stays as it is."
    return Panel(
        "Review", headers, rows, empty="What was counted agrees with the record.", note=note, links=everything
    )


def _review_row(line: CountSheetLine, on_hand: int, *, is_open: bool) -> tuple[Any, ...]:
    level, variance = line.level_quantity or 0, line.variance or 0
    since = Change(on_hand - level) if is_open else None
    after = max(on_hand + variance, 0) if is_open else None
    note: str
    if line.is_recount_wanted:
        note = badge("count again", "warning")
    elif is_open and on_hand + variance < 0:
        note = badge("more has left than was counted", "bad")
    else:
        note = line.counted_by
    return (
        page_of(line.variant),
        line.expected_quantity,
        Change(level - line.expected_quantity),
        line.counted_quantity,
        Change(variance),
        since,
        after,
        line.previous_quantity,
        note,
    )


class LineFilter(StateFilter):
    """What has become of a line."""

    states = (
        ("waiting", "Not counted", lambda rows: rows.filter(counted_quantity__isnull=True)),
        ("again", "To be counted again", lambda rows: rows.filter(is_recount_wanted=True)),
        ("differs", "Differs", lambda rows: rows.filter(variance__isnull=False).exclude(variance=0)),
    )


@admin.register(CountSheetLine)
class CountSheetLineAdmin(FactsAdmin):
    """What was counted of each variant."""

    list_display = (
        "number", "sku", "expected", "level", "counted_quantity", "difference", "previous_quantity", "counted_at",
        "counted_by", "is_recount_wanted",
    )  # fmt: skip
    list_display_links = ("sku",)
    list_filter = (LineFilter, "sheet__state", "sheet__location", "sheet__merchant")
    search_fields = ("variant__sku__exact",)
    search_help_text = "SKU, in full"
    ordering = ("-id",)
    actions = ("count_again",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[CountSheetLine]:
        """Brings sheet and variant along."""
        queryset: QuerySet[CountSheetLine] = super().get_queryset(request)
        return queryset.select_related("sheet", "variant")

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        """Allows the link that leads here from a sheet."""
        return lookup == "sheet__id__exact" or bool(super().lookup_allowed(lookup, value, request))

    def has_move_permission(self, request: HttpRequest) -> bool:
        """Returns whether whoever asks moves stock."""
        return request.user.has_perm("inventory.move_stock")

    @admin.display(description="sheet")
    def number(self, line: CountSheetLine) -> str:
        """Leads to the sheet."""
        return page_of(line.sheet)

    @admin.display(description="SKU")
    def sku(self, line: CountSheetLine) -> str:
        """Returns the variant's SKU."""
        return line.variant.sku

    @admin.display(description="expected")
    def expected(self, line: CountSheetLine) -> int | None:
        """Returns what was on hand when the sheet was printed; nothing while it is counted blindly."""
        return None if _counts_blindly(line) else line.expected_quantity

    @admin.display(description="on hand then")
    def level(self, line: CountSheetLine) -> int | None:
        """Returns what was on hand when it was counted; nothing while it is counted blindly."""
        return None if _counts_blindly(line) else line.level_quantity

    @admin.display(description="variance")
    def difference(self, line: CountSheetLine) -> int | None:
        """Returns the variance; nothing while it is counted blindly."""
        return None if _counts_blindly(line) else line.variance

    @admin.action(description="Count again", permissions=["move"])
    def count_again(self, request: HttpRequest, queryset: QuerySet[CountSheetLine]) -> None:
        """Asks for another count of these lines, those of one sheet at a time."""
        skipped: Counter[str] = Counter()
        chosen: dict[tuple[int, int], list[int]] = defaultdict(list)
        for line in queryset:
            chosen[line.sheet.merchant_id, line.sheet_id].append(line.variant_id)
        done = 0
        for (merchant_id, sheet_id), variants in chosen.items():
            try:
                lines = want_recount(merchant_id, sheet_id, variants)
            except StockError as error:
                messages.error(request, str(error))
                lines = 0
            done += lines
            skipped["not counted yet, or of a closed sheet"] += len(variants) - lines
        self.report(request, done, "line{s} to be counted again", skipped)


def _counts_blindly(line: CountSheetLine) -> bool:
    return line.sheet.is_blind and line.sheet.state == CountSheetState.OPEN
