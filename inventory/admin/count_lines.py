"""Lines of count sheets: the list of what was counted, and the review of what differs."""

from collections import Counter, defaultdict
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.db.models.functions import Abs
from django.http import HttpRequest

from config.admin_panels import Change, Panel, badge, list_of, page_of
from config.admin_site import FactsAdmin, StateFilter
from inventory.admin.document_pages import ROWS
from inventory.count_sheets import want_recount
from inventory.errors import StockError
from inventory.models import CountSheetLine, StockLevel
from inventory.models.counts import CountSheetState


def is_hidden(sheet: Any) -> bool:
    """Tells whether somebody still counts blindly."""
    is_open = sheet.is_blind and sheet.state == CountSheetState.OPEN
    return bool(is_open and sheet.counted_count < sheet.line_count)


def review_panel(sheet: Any) -> Panel:
    """Shows what differs, the largest variance first."""
    headers = (
        "SKU", "Expected", "Moved before", "Counted", "Variance", "Moved since", "On hand after", "Count before", "Note",
    )  # fmt: skip
    everything = [(list_of("inventory.countsheetline", f"sheet__id__exact={sheet.pk}"), "All lines")]
    if is_hidden(sheet):
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
