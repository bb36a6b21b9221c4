"""Transfers: drafted, sent, received and closed."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.db.models import F, OuterRef, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse

from config.admin_panels import Panel, address_of, badge, list_of, page_of
from config.admin_site import FactsAdmin
from inventory.admin.document_forms import as_text, context_of, new_key, run_form
from inventory.admin.document_pages import ROWS, DocumentAdmin, movements_panel
from inventory.admin.transfer_forms import ArrivalForm, TransferForm
from inventory.ledger import Context, Outcome
from inventory.models import Location, StockLevel, Transfer, TransferLine
from inventory.models.transfers import TransferState
from inventory.transfer_drafts import cancel_transfer, change_draft, draft_transfer
from inventory.transfers import (
    close_transfer,
    recall_transfer,
    receive_transfer,
    record_departure,
    send_transfer,
)

_TONES = {"draft": "neutral", "sent": "warning", "closed": "good", "cancelled": "neutral"}

#: The state in which an action makes sense.
_OFFERED = {
    "send": TransferState.DRAFT,
    "goods_have_left": TransferState.DRAFT,
    "cancel": TransferState.DRAFT,
    "close_with_missing": TransferState.SENT,
    "take_back": TransferState.SENT,
}

_ON_THE_WAY = F("sent_quantity") - F("received_quantity") - F("missing_quantity") - F("recalled_quantity")


@admin.register(Transfer)
class TransferAdmin(DocumentAdmin):
    """Goods between two places of the merchant."""

    list_display = (
        "__str__", "state_badge", "source", "destination", "on_the_way", "expected_on", "reference", "created_at",
    )  # fmt: skip
    list_filter = ("state", "source", "destination", "merchant")
    search_fields = ("reference__exact",)
    search_help_text = "Reference, in full"
    actions = ("send", "goods_have_left", "close_with_missing", "take_back", "cancel")
    detail_actions = actions
    fields = (
        "state", ("source", "destination"), "expected_on", "reference", ("created_at", "sent_at", "closed_at"),
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Transfer]:
        """Brings the places along, and sums what is on the way."""
        queryset: QuerySet[Transfer] = super().get_queryset(request)
        lines = TransferLine.objects.filter(transfer=OuterRef("pk")).order_by().values("transfer")
        summed = lines.annotate(total=Sum(_ON_THE_WAY)).values("total")
        return queryset.select_related("source", "destination").annotate(
            units_on_the_way=Coalesce(Subquery(summed), 0)
        )

    @admin.display(description="state")
    def state_badge(self, transfer: Transfer) -> str:
        """Says how far it has come."""
        return badge(transfer.get_state_display(), _TONES[transfer.state])

    @admin.display(description="on the way")
    def on_the_way(self, transfer: Any) -> int:
        """Returns the units between the two places."""
        return int(transfer.units_on_the_way)

    def get_urls(self) -> list[URLPattern]:
        """Adds the forms by which a draft is changed and goods are received."""
        pages = [
            path("<int:pk>/edit/", self.admin_site.admin_view(edit_page), name="inventory_transfer_edit"),
            path(
                "<int:pk>/arrive/", self.admin_site.admin_view(arrival_page), name="inventory_transfer_arrive"
            ),
        ]
        return [*pages, *super().get_urls()]

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponseBase:
        """Drafts a transfer."""
        form = TransferForm(request.POST or None, initial={**new_key(), **_chosen(request)})
        return run_form(request, "New transfer", form, _draft, note="A draft moves nothing until it is sent.")

    def object_links(self, request: HttpRequest, instance: Transfer) -> list[tuple[str, str]]:
        """Leads to the forms, for whoever moves stock."""
        if not self.has_move_permission(request):
            return []
        if instance.state == TransferState.DRAFT:
            return [(reverse("admin:inventory_transfer_edit", args=[instance.pk]), "Change the draft")]
        if instance.state in {TransferState.SENT, TransferState.CLOSED}:
            return [(reverse("admin:inventory_transfer_arrive", args=[instance.pk]), "Receive goods")]
        return []

    def offers(self, action: str, instance: Transfer) -> bool:
        """Offers what fits the state."""
        return _OFFERED[action] == instance.state

    @admin.action(description="Send, from what is available", permissions=["move"])
    def send(self, request: HttpRequest, queryset: QuerySet[Transfer]) -> None:
        """Sends drafts whose goods are available."""
        self._run(request, queryset, "transfer{s} sent", "send", send_transfer)

    @admin.action(description="The goods have left", permissions=["move"])
    def goods_have_left(self, request: HttpRequest, queryset: QuerySet[Transfer]) -> None:
        """Records that the goods left, whatever was available; reservations may become conflicts."""
        self._run(request, queryset, "departure{s} recorded", "depart", record_departure)

    @admin.action(description="Close: the rest is missing", permissions=["move"])
    def close_with_missing(self, request: HttpRequest, queryset: QuerySet[Transfer]) -> None:
        """Writes off what has not arrived."""
        self._run(request, queryset, "transfer{s} closed", "close", close_transfer)

    @admin.action(description="Take the rest back to where it came from", permissions=["move"])
    def take_back(self, request: HttpRequest, queryset: QuerySet[Transfer]) -> None:
        """Puts what has not arrived back."""
        self._run(request, queryset, "transfer{s} taken back", "recall", recall_transfer)

    @admin.action(description="Cancel the draft", permissions=["move"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Transfer]) -> None:
        """Gives drafts up."""
        self.run_each(request, queryset, "draft{s} cancelled", lambda t: cancel_transfer(t.merchant_id, t.pk))

    def _run(
        self,
        request: HttpRequest,
        queryset: QuerySet[Transfer],
        what: str,
        step: str,
        operation: Callable[[Context, int], Outcome],
    ) -> None:
        def act(transfer: Transfer) -> None:
            key = f"transfer:{transfer.pk}:{step}"
            outcome = operation(context_of(request, transfer.merchant_id, key), transfer.pk)
            if short := sum(each.quantity for each in outcome.short):
                messages.warning(request, f"{transfer}: {short} units are owed now; see the open conflicts.")

        self.run_each(request, queryset, what, act)

    def panels(self, request: HttpRequest, instance: Transfer) -> list[Panel]:
        """Shows what became of each line, and what the ledger recorded."""
        operation_ids = list(instance.operations.values_list("pk", flat=True))
        return [_lines_panel(instance), movements_panel(operation_ids)]


def _chosen(request: HttpRequest) -> dict[str, str]:
    source = request.GET.get("source", "")
    return {"source": source} if source.isdecimal() else {}


def _draft(form: TransferForm) -> str:
    source: Location = form.cleaned_data["source"]
    transfer = draft_transfer(source.merchant_id, form.plan, key=form.cleaned_data["key"])
    return address_of("inventory.transfer", transfer.pk)


def edit_page(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Changes a draft."""
    transfer = get_object_or_404(Transfer, pk=pk)
    lines = transfer.lines.order_by("id").values_list("variant", "quantity")
    initial = {
        **new_key(),
        "source": transfer.source_id,
        "destination": transfer.destination_id,
        "expected_on": transfer.expected_on,
        "reference": transfer.reference,
        "goods": as_text(dict(lines)),
    }
    form = TransferForm(request.POST or None, initial=initial)

    def act(form: TransferForm) -> str:
        change_draft(transfer.merchant_id, transfer.pk, form.plan)
        return address_of("inventory.transfer", transfer.pk)

    return run_form(request, f"Change {transfer}", form, act, note="A draft moves nothing until it is sent.")


def arrival_page(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Receives goods of a transfer."""
    transfer = get_object_or_404(Transfer.objects.select_related("destination"), pk=pk)
    waiting = transfer.lines.annotate(waiting=_ON_THE_WAY).filter(waiting__gt=0).order_by("id")
    goods = as_text(dict(waiting.values_list("variant", "waiting")))
    form = ArrivalForm(
        request.POST or None, initial={**new_key(), "goods": goods}, merchant_id=transfer.merchant_id
    )

    def act(form: ArrivalForm) -> str:
        context = context_of(request, transfer.merchant_id, form.cleaned_data["key"])
        receive_transfer(context, transfer.pk, form.cleaned_data["arrivals"])
        return address_of("inventory.transfer", transfer.pk)

    note = (
        f"What arrived at {transfer.destination}, all that is on the way being filled in. What you take off stays on the "
        "way; what you add is recorded as a surplus."
    )
    return run_form(request, f"Receive {transfer}", form, act, note=note)


def _lines_panel(transfer: Transfer) -> Panel:
    lines = list(transfer.lines.select_related("variant").order_by("id")[:ROWS])
    available: dict[int, int] = {}
    if transfer.state == TransferState.DRAFT:
        levels = StockLevel.objects.filter(
            location=transfer.source_id, variant__in=[line.variant_id for line in lines]
        )
        available = {level.variant_id: level.available for level in levels}
    rows = [
        (
            page_of(line.variant),
            line.quantity,
            available.get(line.variant_id, 0) if transfer.state == TransferState.DRAFT else None,
            line.sent_quantity,
            line.in_transit,
            line.received_quantity,
            line.missing_quantity,
            line.recalled_quantity,
            line.surplus_quantity,
        )
        for line in lines
    ]
    headers = (
        "SKU", "Planned", "Available now", "Sent", "On the way", "Received", "Missing", "Taken back", "Surplus",
    )  # fmt: skip
    everything = list_of("inventory.transferline", f"transfer__id__exact={transfer.pk}")
    return Panel("Goods", headers, rows, links=[(everything, "All of them")])


@admin.register(TransferLine)
class TransferLineAdmin(FactsAdmin):
    """What became of the goods of transfers."""

    list_display = (
        "number", "sku", "quantity", "sent_quantity", "on_the_way", "received_quantity", "missing_quantity",
        "recalled_quantity", "surplus_quantity",
    )  # fmt: skip
    list_display_links = ("sku",)
    list_filter = ("transfer__state", "transfer__destination", "transfer__merchant")
    search_fields = ("variant__sku__exact",)
    search_help_text = "SKU, in full"
    ordering = ("-id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[TransferLine]:
        """Brings transfer and variant along."""
        queryset: QuerySet[TransferLine] = super().get_queryset(request)
        return queryset.select_related("transfer", "variant")

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        """Allows the link that leads here from a transfer."""
        return lookup == "transfer__id__exact" or bool(super().lookup_allowed(lookup, value, request))

    @admin.display(description="transfer")
    def number(self, line: TransferLine) -> str:
        """Leads to the transfer."""
        return page_of(line.transfer)

    @admin.display(description="SKU")
    def sku(self, line: TransferLine) -> str:
        """Returns the variant's SKU."""
        return line.variant.sku

    @admin.display(description="on the way")
    def on_the_way(self, line: TransferLine) -> int:
        """Returns the units between the two places."""
        return line.in_transit
