"""The pages of a count sheet: made, put on paper, and filled in."""

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import reverse

from config.admin_panels import Panel, address_of
from config.admin_site import own_page, require
from inventory.admin.count_forms import LINES, EntryForm, PrintForm
from inventory.admin.document_forms import new_key, run_form
from inventory.count_sheets import enter_counts, print_sheet
from inventory.models import CountSheet

#: Lines of a sheet on paper.
PRINTED = 2_000


def make_sheet(form: PrintForm) -> str:
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
    every = sheet.lines.select_related("variant__unit").order_by("variant__sku")
    page = Paginator(every, LINES).get_page(request.GET.get("page"))
    # What was sent is what was shown, whatever has been added to the sheet since.
    lines = every.filter(variant__in=_sent(request)) if request.method == "POST" else page.object_list
    form = EntryForm(
        request.POST or None,
        initial=new_key(),
        lines=list(lines),
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


def _sent(request: HttpRequest) -> list[int]:
    """Returns the variants whose counts a form has sent."""
    named = [name.removeprefix("counted_") for name in request.POST if name.startswith("counted_")]
    return [int(name) for name in named if name.isdecimal() and len(name) < 19]


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
