"""Stock levels, operations and movements: facts, read-only for everybody."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import F, QuerySet
from django.http import HttpRequest
from django.urls import URLPattern, path, reverse

from config.admin_panels import Panel, link, list_of, page_of, signed
from config.admin_site import FactsAdmin, StateFilter
from inventory.admin.movements import movement_row
from inventory.admin.on_the_way import on_the_way_panel
from inventory.admin.references import linked
from inventory.admin.safety_stock import safety_stock_page
from inventory.admin.stock_forms import STOCK_PAGES
from inventory.models import StockLevel, StockMovement, StockOperation

_MOVEMENT_HEADERS = (
    "Recorded", "SKU", "Location", "What", "Why", "On hand", "Reserved", "Unavailable", "On hand after", "For",
)  # fmt: skip


class LevelFilter(StateFilter):
    """Levels with nothing left, or with nothing left to promise."""

    title = "stock"
    parameter_name = "stock"
    states = (
        ("available", "Available", lambda rows: rows.filter(on_hand__gt=F("reserved") + F("unavailable"))),
        ("none", "None available", lambda rows: rows.filter(on_hand=F("reserved") + F("unavailable"))),
        ("reserved", "With reservations", lambda rows: rows.filter(reserved__gt=0)),
        ("unavailable", "With unavailable units", lambda rows: rows.filter(unavailable__gt=0)),
    )


@admin.register(StockLevel)
class StockLevelAdmin(FactsAdmin):
    """How much is where."""

    list_display = (
        "variant", "location", "on_hand", "reserved", "unavailable", "available", "safety_stock", "recorded_at",
    )  # fmt: skip
    list_display_links = ("variant",)
    list_filter = ("location", LevelFilter, "merchant")
    list_select_related = ("variant", "location")
    search_fields = ("variant__sku",)
    search_help_text = "SKU"
    ordering = ("variant_id", "location_id")

    def get_queryset(self, request: HttpRequest) -> QuerySet[StockLevel]:
        """Brings variant and location along, which a level is named after."""
        queryset: QuerySet[StockLevel] = super().get_queryset(request)
        return queryset.select_related("variant", "location")

    @admin.display(description="available")
    def available(self, level: StockLevel) -> int:
        """Returns the units that may be promised."""
        return level.available

    def get_urls(self) -> list[URLPattern]:
        """Adds the forms that move stock."""
        pages = [
            path(f"{page.verb}/", self.admin_site.admin_view(page), name=f"inventory_{page.verb}")
            for page in STOCK_PAGES
        ]
        keep = self.admin_site.admin_view(safety_stock_page)
        return [*pages, path("safety_stock/", keep, name="inventory_safety_stock"), *super().get_urls()]

    def object_links(self, request: HttpRequest, instance: StockLevel) -> list[tuple[str, str]]:
        """Leads to the variant's movements and, for whoever may, to the forms that move stock here."""
        movements = reverse("admin:inventory_variant_movements", args=[instance.variant_id])
        links = [(f"{movements}?location={instance.location_id}", "Movements")]
        if request.user.has_perm("inventory.move_stock"):
            query = f"variant={instance.variant_id}&location={instance.location_id}"
            links += [
                (f"{reverse(f'admin:inventory_{page.verb}')}?{query}", page.text) for page in STOCK_PAGES
            ]
            links.append((f"{reverse('admin:inventory_safety_stock')}?{query}", "Safety stock"))
        return links

    def panels(self, request: HttpRequest, instance: StockLevel) -> list[Panel]:
        """Shows who holds units here, and what is on its way here."""
        held = instance.reservations.filter(open_quantity__gt=0).order_by("id")[:50]
        references = linked(reservation.reference for reservation in held)
        rows = [
            (page_of(each, each.pk), references.get(each.reference, ""), each.open_quantity, each.created_at)
            for each in held
        ]
        headers = ("Reservation", "For", "Held", "Since")
        held_now = Panel("Held now, oldest first", headers, rows, empty="Nobody holds units here.")
        return [held_now, on_the_way_panel(instance.variant, instance.location_id)]


@admin.register(StockOperation)
class StockOperationAdmin(FactsAdmin):
    """What happened: who, why, under which key."""

    list_display = ("recorded_at", "verb", "actor", "source", "document", "key", "merchant")
    list_display_links = ("recorded_at", "verb")
    list_filter = ("merchant",)
    list_select_related = ("merchant",)
    search_fields = ("key__exact", "document__exact")
    search_help_text = "Key or document, in full"
    ordering = ("-id",)
    fields = (
        "verb",
        "key",
        "actor",
        "source",
        "document",
        "occurred_at",
        "recorded_at",
        "merchant",
        "digest",
    )

    def panels(self, request: HttpRequest, instance: StockOperation) -> list[Panel]:
        """Shows what the operation did: its movements, and what it left owed."""
        return [_movements_of(instance), _conflicts_of(instance)]


def _movements_of(operation: StockOperation) -> Panel:
    movements = operation.movements.select_related(
        "level__location", "level__variant", "operation", "reservation"
    )
    found = list(movements.order_by("id")[:200])
    references = linked(each.reservation.reference for each in found if each.reservation)
    rows = []
    for each in found:
        recorded, location, kind, reason, on_hand, reserved, unavailable, after, _, reference, _ = (
            movement_row(each, references)
        )
        sku = page_of(each.level.variant)
        rows.append((recorded, sku, location, kind, reason, on_hand, reserved, unavailable, after, reference))
    everything = list_of("inventory.stockmovement", f"operation__id__exact={operation.pk}")
    return Panel(
        "Movements", _MOVEMENT_HEADERS, rows, empty="It moved nothing.", links=[(everything, "All of them")]
    )


def _conflicts_of(operation: StockOperation) -> Panel:
    conflicts = operation.conflicts.select_related("variant").order_by("id")[:50]
    references = linked(each.reference for each in conflicts)
    rows = [
        (
            page_of(each, each.get_cause_display()),
            page_of(each.variant),
            references.get(each.reference, ""),
            each.quantity,
            each.open_quantity,
        )
        for each in conflicts
    ]
    return Panel(
        "Conflicts", ("Cause", "SKU", "For", "Units", "Still open"), rows, empty="It left nothing owed."
    )


@admin.register(StockMovement)
class StockMovementAdmin(FactsAdmin):
    """The ledger's rows."""

    list_display = (
        "recorded_at", "sku", "location", "kind", "reason", "on_hand_change", "reserved_change",
        "unavailable_change", "on_hand_after", "reserved_after", "operation_link",
    )  # fmt: skip
    list_display_links = ("recorded_at",)
    list_filter = ("kind", "reason", "level__location", "merchant")
    list_select_related = ("level__variant", "level__location", "operation")
    search_fields = ("level__variant__sku__exact",)
    search_help_text = "SKU, in full"
    ordering = ("-id",)
    readonly_fields: ClassVar[tuple[str, ...]] = ("place", "reservation_link", "operation_link")
    fields = (
        "place", "version", "kind", "reason", ("on_hand_delta", "on_hand_after"),
        ("reserved_delta", "reserved_after"), ("unavailable_delta", "unavailable_after"),
        "reservation_link", "reverses", "operation_link", "occurred_at", "recorded_at",
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[StockMovement]:
        """Brings along what a movement is shown with."""
        queryset: QuerySet[StockMovement] = super().get_queryset(request)
        return queryset.select_related("level__variant", "level__location", "operation", "reservation")

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        """Allows the links that lead here from an operation and from a level."""
        return lookup in {"operation__id__exact", "level__id__exact"} or bool(
            super().lookup_allowed(lookup, value, request)
        )

    @admin.display(description="SKU")
    def sku(self, movement: StockMovement) -> str:
        """Leads to everything that happened to the variant."""
        address = reverse("admin:inventory_variant_movements", args=[movement.level.variant_id])
        return link(address, movement.level.variant.sku)

    @admin.display(description="location")
    def location(self, movement: StockMovement) -> str:
        """Returns the location's code."""
        return movement.level.location.code

    @admin.display(description="level")
    def place(self, movement: StockMovement) -> str:
        """Leads to the level it changed."""
        return page_of(movement.level)

    @admin.display(description="on hand")
    def on_hand_change(self, movement: StockMovement) -> str:
        """Returns the change with its sign."""
        return signed(movement.on_hand_delta)

    @admin.display(description="reserved")
    def reserved_change(self, movement: StockMovement) -> str:
        """Returns the change with its sign."""
        return signed(movement.reserved_delta)

    @admin.display(description="unavailable")
    def unavailable_change(self, movement: StockMovement) -> str:
        """Returns the change with its sign."""
        return signed(movement.unavailable_delta)

    @admin.display(description="operation")
    def operation_link(self, movement: StockMovement) -> str:
        """Leads to the operation it is part of."""
        return page_of(movement.operation, movement.operation.verb)

    @admin.display(description="reservation")
    def reservation_link(self, movement: StockMovement) -> str:
        """Leads to the reservation that holds or gives up the units."""
        return page_of(movement.reservation)
