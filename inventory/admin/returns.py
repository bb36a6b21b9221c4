"""Returns of customers: announced, received, inspected, closed."""

from typing import Any

from django.contrib import admin
from django.db.models import F, OuterRef, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse

from config.admin_panels import Panel, address_of, badge, list_of, page_of
from config.admin_site import FactsAdmin
from inventory.admin.document_forms import as_text, context_of, new_key, run_form
from inventory.admin.document_pages import ROWS, DocumentAdmin, movements_panel
from inventory.admin.references import linked
from inventory.admin.return_forms import AnnounceForm, InspectForm, ReceiveReturnForm
from inventory.models import CustomerReturn, ReturnLine
from inventory.models.returns import ReturnState
from inventory.returns import announce_return, close_return, inspect_return, outstanding, receive_return

_TONES = {"announced": "neutral", "received": "warning", "closed": "good"}

_JUDGED = F("released_quantity") + F("written_off_quantity") + F("elsewhere_quantity")
_TO_INSPECT = F("received_quantity") - _JUDGED


@admin.register(CustomerReturn)
class CustomerReturnAdmin(DocumentAdmin):
    """What customers send back."""

    list_display = ("reference", "state_badge", "announced", "received", "waiting", "created_at")
    list_filter = ("state", "merchant")
    search_fields = ("reference__exact",)
    search_help_text = "Reference, in full"
    actions = ("stop_waiting",)
    detail_actions = actions
    readonly_fields = ("reference_link",)
    fields = ("reference_link", "state", ("created_at", "given_up_at"))

    def get_queryset(self, request: HttpRequest) -> QuerySet[CustomerReturn]:
        """Sums the lines of each return by subqueries, for the rows of one page only."""
        queryset: QuerySet[CustomerReturn] = super().get_queryset(request)
        return queryset.annotate(
            announced_units=_sum_of_lines("announced_quantity"),
            received_units=_sum_of_lines("received_quantity"),
            waiting_units=_sum_of_lines(_TO_INSPECT),
        )

    @admin.display(description="reference")
    def reference_link(self, customer_return: CustomerReturn) -> str:
        """Leads to whose goods they are, where that is known."""
        return linked([customer_return.reference])[customer_return.reference]

    @admin.display(description="state")
    def state_badge(self, customer_return: CustomerReturn) -> str:
        """Says how far it has come."""
        return badge(customer_return.get_state_display(), _TONES[customer_return.state])

    @admin.display(description="announced")
    def announced(self, customer_return: Any) -> int:
        """Returns the units that were announced."""
        return int(customer_return.announced_units)

    @admin.display(description="received")
    def received(self, customer_return: Any) -> int:
        """Returns the units that came."""
        return int(customer_return.received_units)

    @admin.display(description="to inspect")
    def waiting(self, customer_return: Any) -> int:
        """Returns the units that nobody has judged yet."""
        return int(customer_return.waiting_units)

    def get_urls(self) -> list[URLPattern]:
        """Adds the forms by which goods are received and inspected."""
        view = self.admin_site.admin_view
        pages = [
            path("arrive/", view(arrival_page), name="inventory_customerreturn_arrive"),
            path("<int:pk>/inspect/", view(inspection_page), name="inventory_customerreturn_inspect"),
        ]
        return [*pages, *super().get_urls()]

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponseBase:
        """Announces a return."""
        form = AnnounceForm(request.POST or None, initial=new_key())

        def act(form: AnnounceForm) -> str:
            data = form.cleaned_data
            merchant_id = data["location"].merchant_id
            announce_return(context_of(request, merchant_id, data["key"]), data["reference"], data["lines"])
            return _page(merchant_id, data["reference"])

        note = "An announcement moves nothing. Under a reference that is known, its units replace those announced before."
        return run_form(request, "Announce a return", form, act, note=note)

    def object_links(self, request: HttpRequest, instance: CustomerReturn) -> list[tuple[str, str]]:
        """Leads to the forms, for whoever moves stock."""
        if not self.has_move_permission(request):
            return []
        links = [
            (f"{reverse('admin:inventory_customerreturn_arrive')}?return={instance.pk}", "Receive goods")
        ]
        if instance.state == ReturnState.RECEIVED:
            links.append((reverse("admin:inventory_customerreturn_inspect", args=[instance.pk]), "Inspect"))
        return links

    def offers(self, action: str, instance: CustomerReturn) -> bool:
        """Offers to stop waiting while something is expected, or waits that may be gone."""
        return instance.state != ReturnState.CLOSED

    @admin.action(description="Stop waiting for it", permissions=["move"])
    def stop_waiting(self, request: HttpRequest, queryset: QuerySet[CustomerReturn]) -> None:
        """Closes returns of which nothing more will come; nothing moves."""

        def act(each: CustomerReturn) -> None:
            context = context_of(request, each.merchant_id, f"return:{each.pk}:close:{_version(each)}")
            close_return(context, each.pk)

        self.run_each(request, queryset, "return{s} closed", act)

    def panels(self, request: HttpRequest, instance: CustomerReturn) -> list[Panel]:
        """Shows what became of each line, and what the ledger recorded."""
        operation_ids = list(instance.operations.values_list("pk", flat=True))
        return [_lines_panel(instance), movements_panel(operation_ids)]


def _version(customer_return: CustomerReturn) -> int:
    """Returns how often the return has changed, so that it can be closed again after it was announced again."""
    return customer_return.operations.count()


def _sum_of_lines(expression: Any) -> Coalesce:
    lines = ReturnLine.objects.filter(customer_return=OuterRef("pk")).order_by().values("customer_return")
    return Coalesce(Subquery(lines.annotate(total=Sum(expression)).values("total")), 0)


def _page(merchant_id: int, reference: str) -> str:
    found = CustomerReturn.objects.get(merchant_id=merchant_id, reference=reference)
    return address_of("inventory.customerreturn", found.pk)


def arrival_page(request: HttpRequest) -> HttpResponseBase:
    """Receives goods of a return, announced or not."""
    form = ReceiveReturnForm(request.POST or None, initial={**new_key(), **_expected(request)})

    def act(form: ReceiveReturnForm) -> str:
        data = form.cleaned_data
        merchant_id = data["location"].merchant_id
        receive_return(context_of(request, merchant_id, data["key"]), data["reference"], data["lines"])
        return _page(merchant_id, data["reference"])

    note = (
        "The goods are on hand and unavailable until they are inspected. Record what came, announced or not."
    )
    return run_form(request, "Receive a return", form, act, note=note)


def _expected(request: HttpRequest) -> dict[str, Any]:
    """Returns what is still expected of the return that a link named."""
    named = request.GET.get("return", "")
    found = CustomerReturn.objects.filter(pk=int(named[:18])).first() if named.isdecimal() else None
    if found is None:
        return {}
    lines = list(found.lines.order_by("id"))
    missing = outstanding(lines)
    goods = as_text(missing)
    return {"reference": found.reference, "location": lines[0].location_id if lines else None, "goods": goods}


def inspection_page(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Releases received goods of a return for sale, or writes them off."""
    found = get_object_or_404(CustomerReturn, pk=pk)
    waiting = found.lines.annotate(waiting=_TO_INSPECT).filter(waiting__gt=0).order_by("id")
    lines = list(waiting.select_related("variant", "location"))
    place = lines[0].location if lines else None
    goods = as_text({line.variant_id: line.to_inspect for line in lines if line.location == place})
    form = InspectForm(
        request.POST or None,
        initial={**new_key(), "location": place, "released": goods},
        merchant_id=found.merchant_id,
        location_ids={line.location_id for line in lines},
    )

    def act(form: InspectForm) -> str:
        data = form.cleaned_data
        inspect_return(context_of(request, found.merchant_id, data["key"]), found.pk, data["verdicts"])
        return address_of("inventory.customerreturn", found.pk)

    note = "What is released can be sold at once, and fills open shortages first; what is written off leaves the stock."
    return run_form(request, f"Inspect return {found}", form, act, note=note)


def _lines_panel(customer_return: CustomerReturn) -> Panel:
    lines = customer_return.lines.select_related("variant", "location").order_by("id")[:ROWS]
    rows = [
        (
            page_of(line.variant),
            line.location.code,
            line.announced_quantity,
            line.received_quantity,
            line.to_inspect,
            line.released_quantity,
            line.written_off_quantity,
            line.elsewhere_quantity,
        )
        for line in lines
    ]
    headers = (
        "SKU",
        "Location",
        "Announced",
        "Received",
        "To inspect",
        "Released",
        "Written off",
        "Judged elsewhere",
    )
    everything = list_of("inventory.returnline", f"customer_return__id__exact={customer_return.pk}")
    return Panel("Goods", headers, rows, links=[(everything, "All of them")])


@admin.register(ReturnLine)
class ReturnLineAdmin(FactsAdmin):
    """What became of the goods of returns."""

    list_display = (
        "number", "sku", "location", "announced_quantity", "received_quantity", "waiting", "released_quantity",
        "written_off_quantity", "elsewhere_quantity",
    )  # fmt: skip
    list_display_links = ("sku",)
    list_filter = ("customer_return__state", "location", "customer_return__merchant")
    search_fields = ("variant__sku__exact", "customer_return__reference__exact")
    search_help_text = "SKU or reference, in full"
    ordering = ("-id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ReturnLine]:
        """Brings return, variant and place along."""
        queryset: QuerySet[ReturnLine] = super().get_queryset(request)
        return queryset.select_related("customer_return", "variant", "location")

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        """Allows the link that leads here from a return."""
        return lookup == "customer_return__id__exact" or bool(super().lookup_allowed(lookup, value, request))

    @admin.display(description="return")
    def number(self, line: ReturnLine) -> str:
        """Leads to the return."""
        return page_of(line.customer_return)

    @admin.display(description="SKU")
    def sku(self, line: ReturnLine) -> str:
        """Returns the variant's SKU."""
        return line.variant.sku

    @admin.display(description="to inspect")
    def waiting(self, line: ReturnLine) -> int:
        """Returns the units that nobody has judged yet."""
        return line.to_inspect
