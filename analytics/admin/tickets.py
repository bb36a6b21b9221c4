"""Tickets of help desks: the list, and the page that reads a file."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from unfold.widgets import UnfoldAdminFileFieldWidget, UnfoldAdminSelectWidget

from analytics.errors import TicketRefused
from analytics.models import SupportTicket
from analytics.tickets import Recorded, read_tickets, record_tickets
from channels.admin.rows import ChannelFilter, with_channel
from config.admin_site import FactsAdmin, own_page, require
from inventory.models import Merchant

_MAY: str = "analytics.import_supportticket"


class TicketFileForm(forms.Form):
    """A help desk's file."""

    merchant = forms.ModelChoiceField(Merchant.objects.filter(is_active=True), widget=UnfoldAdminSelectWidget)
    file = forms.FileField(
        widget=UnfoldAdminFileFieldWidget,
        help_text="CSV with the columns ticket and opened_at, and channel and sku where known; UTF-8.",
    )

    def record(self) -> Recorded | None:
        """Counts the tickets; None where they are refused, which then stands at the file."""
        try:
            lines = self.cleaned_data["file"].read().decode("utf-8-sig").splitlines()
            return record_tickets(self.cleaned_data["merchant"].pk, read_tickets(lines))
        except UnicodeDecodeError:
            self.add_error("file", "It is not in UTF-8. Save it as CSV UTF-8.")
        except TicketRefused as error:
            self.add_error("file", str(error))
        return None


def import_page(request: HttpRequest) -> HttpResponseBase:
    """Reads tickets from a file."""
    require(request, _MAY)
    form = TicketFileForm(request.POST or None, request.FILES or None)
    back = reverse("admin:analytics_supportticket_changelist")
    if request.method == "POST" and form.is_valid() and (recorded := form.record()) is not None:
        messages.success(
            request, f"{recorded.new} tickets are counted, {recorded.known} were counted before."
        )
        return redirect(back)
    note = "Each ticket counts once, however often its file is read. Nothing about the customer is kept."
    return own_page(
        request, "onecount/decision.html", "Import tickets", form=form, button="Import", back=back, note=note
    )


@admin.register(SupportTicket)
class SupportTicketAdmin(FactsAdmin):
    """What help desks were asked about goods that were not available."""

    list_display = ("number", "opened_at", "merchant", "shown_channel", "variant", "recorded_at")
    list_filter = ("merchant", ChannelFilter, "opened_at")
    search_fields = ("number__exact", "variant__sku__exact")
    search_help_text = "A whole number or SKU"
    ordering = ("-opened_at", "-id")

    def get_urls(self) -> list[URLPattern]:
        """Adds the page that reads a file."""
        view = self.admin_site.admin_view(import_page)
        return [path("import/", view, name="analytics_import_tickets"), *super().get_urls()]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Brings along what a row is named after."""
        queryset: QuerySet[Any] = super().get_queryset(request)
        return with_channel(queryset, "merchant", "variant")

    @admin.display(description="channel")
    def shown_channel(self, ticket: SupportTicket) -> str:
        """Names the channel."""
        return "" if ticket.channel is None else ticket.channel.name
