"""Orders as platforms state them; read-only: an order is changed at its platform."""

from typing import ClassVar

from django.contrib import admin
from django.db.models import F, QuerySet
from django.http import HttpRequest
from django.urls import URLPattern, path, reverse

from channels.admin.acknowledgements import words_panel
from channels.admin.fulfilment import requests_panel
from channels.admin.rows import ChannelFilter, with_channel
from channels.admin.sourcing import resource_page, sources_panel
from channels.mapping import waiting_reason
from channels.models import ChannelOrder, ChannelOrderLine
from channels.models.orders import ORDER_REFERENCE, WAITS
from config.admin_panels import Panel, badge, duration, page_of
from config.admin_site import FactsAdmin, StateFilter
from inventory.admin import references
from inventory.models import Conflict


class OrderFilter(StateFilter):
    """How far an order is."""

    states = (
        (
            "moving",
            "Not on every shelf yet",
            lambda q: q.filter(applied_at__isnull=False, propagated_at__isnull=True),
        ),
        ("unapplied", "Nothing applied", lambda q: q.filter(applied_at__isnull=True)),
        ("fetching", "To be fetched again", lambda q: q.filter(fetch_wanted__gt=F("fetched"))),
        ("failing", "Fetch failed", lambda q: q.exclude(fetch_error="")),
        ("test", "Test orders", lambda q: q.filter(is_test=True)),
        ("deleted", "Deleted at the platform", lambda q: q.filter(is_deleted=True)),
    )


@admin.register(ChannelOrder)
class ChannelOrderAdmin(FactsAdmin):
    """What was sold where."""

    list_display = ("arrived_at", "shown_number", "channel", "progress", "to_shelf", "ordered_at", "country")
    list_display_links = ("arrived_at", "shown_number")
    list_filter = (ChannelFilter, OrderFilter)
    search_fields = ("external_id__exact", "number__exact")
    search_help_text = "Number or the platform's id, in full"
    ordering = ("-id",)
    readonly_fields: ClassVar[tuple[str, ...]] = ("shown_number", "progress", "to_shelf")
    fields = (
        "shown_number", "channel", "external_id", "progress", "to_shelf", ("ordered_at", "updated_at"),
        ("arrived_at", "applied_at", "propagated_at"), ("country", "currency"), ("is_test", "is_deleted"),
        ("fetch_wanted", "fetched", "next_fetch_at"), "fetch_error", "state_key",
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[ChannelOrder]:
        """Brings the channel along."""
        return with_channel(super().get_queryset(request))

    @admin.display(description="number")
    def shown_number(self, order: ChannelOrder) -> str:
        """Returns the number as the merchant sees it."""
        return str(order)

    @admin.display(description="progress")
    def progress(self, order: ChannelOrder) -> str:
        """Says how far the order is."""
        if order.is_deleted:
            return badge("deleted")
        if order.fetch_error:
            return badge("fetch failed", "bad")
        if order.applied_at is None:
            return badge("not applied", "warning")
        return badge("on every shelf", "good") if order.propagated_at else badge("on its way", "warning")

    @admin.display(description="sale to shelf")
    def to_shelf(self, order: ChannelOrder) -> str:
        """Returns how long the other channels took to show it, from its arrival."""
        return duration(order.propagated_at - order.arrived_at if order.propagated_at else None)

    def panels(self, request: HttpRequest, instance: ChannelOrder) -> list[Panel]:
        """Shows the lines and what the ledger knows of them, and what they are owed."""
        lines = list(instance.lines.select_related("variant", "channel_location").order_by("id")[:200])
        rows = [
            (
                page_of(line, line.sku or line.external_id),
                page_of(line.variant) if line.variant else badge("unmapped", "bad"),
                line.quantity,
                line.cancelled,
                line.fulfilled,
                line.returned,
                line.applied_demand,
                line.applied_fulfilled,
                str(line.channel_location or ""),
            )
            for line in lines
        ]
        headers = (
            "SKU",
            "Variant",
            "Ordered",
            "Cancelled",
            "Fulfilled",
            "Returned",
            "Demanded",
            "Shipped",
            "Place",
        )
        note = "Demanded and shipped are what the ledger knows; the rest is what the platform says."
        return [
            Panel("Lines", headers, rows, note=note),
            sources_panel(request, lines),
            requests_panel(instance.pk),
            words_panel(instance.pk),
            _owed(lines),
        ]

    def get_urls(self) -> list[URLPattern]:
        """Adds the page on which another location is chosen for a line."""
        view = self.admin_site.admin_view(resource_page)
        return [
            path("lines/<int:line_id>/re-source/", view, name="channels_resource_line"),
            *super().get_urls(),
        ]


def _owed(lines: list[ChannelOrderLine]) -> Panel:
    merchants = {line.variant.merchant_id for line in lines if line.variant}
    conflicts = Conflict.objects.filter(
        merchant__in=merchants, reference__in=[line.reference for line in lines]
    )
    rows = [
        (
            page_of(each, each.get_cause_display()),
            page_of(each.variant),
            each.quantity,
            each.open_quantity,
            each.opened_at,
        )
        for each in conflicts.select_related("variant").order_by("id")
    ]
    return Panel(
        "Conflicts", ("Cause", "SKU", "Units", "Still open", "Since"), rows, empty="Nothing is owed."
    )


class LineFilter(StateFilter):
    """Whether the ledger knows a line."""

    states = (
        ("waiting", "Waiting for a variant or place", lambda q: q.filter(WAITS)),
        ("unmapped", "Unmapped SKU", lambda q: q.filter(WAITS, variant__isnull=True)),
        ("open", "Units not shipped", lambda q: q.filter(applied_demand__gt=F("applied_fulfilled"))),
    )


@admin.register(ChannelOrderLine)
class ChannelOrderLineAdmin(FactsAdmin):
    """Lines of all orders."""

    list_display = (
        "sku", "order", "channel_name", "variant", "quantity", "cancelled", "fulfilled", "applied_demand",
        "applied_fulfilled",
    )  # fmt: skip
    list_filter = (LineFilter,)
    search_fields = ("sku__exact", "variant__sku__exact")
    search_help_text = "SKU, in full"
    ordering = ("-id",)
    readonly_fields: ClassVar[tuple[str, ...]] = ("waits_for",)
    fields = (
        "order", "external_id", "sku", "title", "variant", "waits_for", "listing_external_id", "channel_location",
        "unit_price", ("quantity", "cancelled", "fulfilled"), ("returned", "restocked"),
        ("applied_demand", "applied_fulfilled"), "is_sourced_by_hand",
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[ChannelOrderLine]:
        """Brings order, channel and variant along."""
        return with_channel(
            super().get_queryset(request), "variant", "channel_location", channel="order__channel"
        )

    @admin.display(description="channel")
    def channel_name(self, line: ChannelOrderLine) -> str:
        """Names the channel."""
        return line.order.channel.name

    @admin.display(description="waits for")
    def waits_for(self, line: ChannelOrderLine) -> str:
        """Says why the ledger knows nothing of the line yet, and what ends that."""
        return waiting_reason(line)

    def object_links(self, request: HttpRequest, instance: ChannelOrderLine) -> list[tuple[str, str]]:
        """Leads to the mapping, for whoever may, while the SKU is unknown."""
        if instance.variant_id is None and request.user.has_perm("channels.map_listing"):
            return [(reverse("admin:channels_unmapped"), "Map the SKU")]
        return []


def pages_of_lines(found: list[str]) -> dict[str, tuple[str, str]]:
    """Returns the order's page for references of order lines."""
    keys = {key for reference in found if (key := ChannelOrderLine.id_of(reference)) is not None}
    lines = ChannelOrderLine.objects.filter(pk__in=keys)
    rows = lines.values_list("pk", "order_id", "order__number", "order__external_id", "order__channel__name")
    return {
        f"order-line:{pk}": (
            reverse("admin:channels_channelorder_change", args=[order_id]),
            f"{number or external_id} · {channel}",
        )
        for pk, order_id, number, external_id, channel in rows
    }


references.register("order-line:", pages_of_lines)


def pages_of_orders(found: list[str]) -> dict[str, tuple[str, str]]:
    """Returns the order's page for references of orders."""
    keys = [each.removeprefix(ORDER_REFERENCE) for each in found]
    orders = ChannelOrder.objects.filter(pk__in=[key for key in keys if key.isdecimal() and len(key) < 19])
    rows = orders.values_list("pk", "number", "external_id", "channel__name")
    return {
        f"{ORDER_REFERENCE}{pk}": (
            reverse("admin:channels_channelorder_change", args=[pk]),
            f"{number or external_id} · {channel}",
        )
        for pk, number, external_id, channel in rows
    }


references.register(ORDER_REFERENCE, pages_of_orders)
