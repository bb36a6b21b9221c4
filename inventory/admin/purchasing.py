"""Suppliers, purchase orders and what is still to come of them."""

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db import connection
from django.db.models import BigIntegerField, DateField, F, Min, OuterRef, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce, Greatest
from django.forms import BaseInlineFormSet
from django.http import HttpRequest
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from unfold.admin import TabularInline
from unfold.widgets import UnfoldAdminTextInputWidget

from config.admin_panels import Panel, badge, list_of
from config.admin_site import HistoryAdmin, StateFilter
from inventory.admin.inbound import OPEN
from inventory.admin.order_forms import ORDER_PAGES
from inventory.admin.order_panels import events_of, lines_of, promised_of
from inventory.admin.quantities import LONGEST_QUANTITY, counted
from inventory.errors import StockError
from inventory.models import PurchaseOrder, PurchaseOrderLine, Supplier
from inventory.models.purchasing import PurchaseOrderState
from inventory.purchasing import place
from inventory.units import enterable

_TONES: Final = {
    PurchaseOrderState.DRAFT: "neutral",
    PurchaseOrderState.ORDERED: "warning",
    PurchaseOrderState.CONFIRMED: "good",
    PurchaseOrderState.PARTIAL: "warning",
    PurchaseOrderState.RECEIVED: "good",
    PurchaseOrderState.CANCELLED: "neutral",
}

_TO_COME: Final = F("quantity") - F("received_quantity") - F("cancelled_quantity")
#: States of orders that were sent and of which something is to come.
_PLACED: Final = (PurchaseOrderState.ORDERED, PurchaseOrderState.CONFIRMED, PurchaseOrderState.PARTIAL)


@admin.register(Supplier)
class SupplierAdmin(HistoryAdmin):
    """Whom the merchant buys from; one that ends is switched off, not deleted."""

    list_display = ("code", "name", "lead_time_days", "merchant", "is_active")
    list_filter = ("merchant", "is_active")
    list_select_related = ("merchant",)
    search_fields = ("code", "name")
    autocomplete_fields = ("merchant",)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Returns False: its orders stay."""
        return False

    def object_links(self, request: HttpRequest, instance: Supplier) -> list[tuple[str, str]]:
        """Leads to its orders."""
        return [(list_of("inventory.purchaseorder", f"supplier__id__exact={instance.pk}"), "Purchase orders")]


if TYPE_CHECKING:
    LineFormSetBase = BaseInlineFormSet[PurchaseOrderLine, PurchaseOrder, Any]
else:
    LineFormSetBase = BaseInlineFormSet


class _LineForm(forms.ModelForm):  # type: ignore[type-arg]
    """A line whose quantity is entered in its variant's unit of measure."""

    quantity = forms.CharField(
        max_length=LONGEST_QUANTITY, widget=UnfoldAdminTextInputWidget({"inputmode": "decimal"})
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.initial["quantity"] = enterable(self.instance.quantity, self.instance.variant.unit)

    def clean(self) -> dict[str, Any]:
        """Counts the quantity in base units."""
        cleaned: dict[str, Any] = super().clean() or {}
        known = self.instance.variant if self.instance.pk else None
        variant = cleaned.get("variant") or known
        if variant and "quantity" in cleaned:
            try:
                cleaned["quantity"] = counted(cleaned["quantity"], variant.unit, smallest=1)
            except ValidationError as refusal:
                self.add_error("quantity", refusal)
        return cleaned


class _LineFormSet(LineFormSetBase):
    """Refuses variants of another merchant."""

    def clean(self) -> None:
        """Names the line whose variant the order's merchant does not sell."""
        super().clean()
        for form in self.forms:
            variant = getattr(form, "cleaned_data", {}).get("variant")
            if variant and variant.merchant_id != self.instance.merchant_id:
                form.add_error(
                    "variant", f"{variant} is sold by another merchant. Choose one of this merchant's."
                )


class LineInline(TabularInline):
    """The lines of a draft."""

    model = PurchaseOrderLine
    form = _LineForm
    fields = ("variant", "quantity", "expected_on")
    readonly_fields = ("variant",)
    extra = 0
    max_num = 0
    verbose_name_plural = "lines"

    def get_queryset(self, request: HttpRequest) -> QuerySet[PurchaseOrderLine]:
        """Brings the variants along."""
        queryset: QuerySet[PurchaseOrderLine] = super().get_queryset(request)
        return queryset.select_related("variant__unit", "order")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Returns False: new lines have rows of their own."""
        return False


class NewLineInline(TabularInline):
    """Rows for new lines; apart, so that a long order asks for no variant twice."""

    model = PurchaseOrderLine
    form = _LineForm
    formset = _LineFormSet
    fields = ("variant", "quantity", "expected_on")
    autocomplete_fields = ("variant",)
    extra = 3
    verbose_name_plural = "new lines"

    def get_queryset(self, request: HttpRequest) -> QuerySet[PurchaseOrderLine]:
        """Shows none of those that are there."""
        queryset: QuerySet[PurchaseOrderLine] = super().get_queryset(request)
        return queryset.none()


class OrderFilter(StateFilter):
    """Orders by what has to be done about them."""

    title = "to do"
    parameter_name = "todo"
    states = (
        ("open", "Something is to come", lambda q: q.filter(state__in=_PLACED)),
        (
            "overdue",
            "Overdue",
            lambda q: q.filter(state__in=_PLACED, due_on__lt=timezone.localdate()),
        ),
        ("unconfirmed", "Not confirmed", lambda q: q.filter(state=PurchaseOrderState.ORDERED)),
    )


def _of_lines(expression: Any, output: Any) -> Subquery:
    lines = PurchaseOrderLine.objects.filter(order=OuterRef("pk")).order_by().values("order")
    return Subquery(lines.annotate(value=expression).values("value"), output_field=output)


@admin.register(PurchaseOrder)
class PurchaseOrderAdmin(HistoryAdmin):
    """Orders at suppliers: written as drafts, then placed; from there on changed by what happens to them."""

    list_display = (
        "number",
        "supplier",
        "location",
        "state_badge",
        "ordered_on",
        "due",
        "to_come",
        "merchant",
    )
    list_filter = (OrderFilter, "state", "merchant")
    list_select_related = ("supplier", "location", "merchant")
    search_fields = ("number", "supplier__code", "supplier__name")
    search_help_text = "Number or supplier"
    autocomplete_fields = ("merchant", "supplier", "location")
    ordering = ("-id",)
    fields = ("merchant", "number", "supplier", "location", "ordered_on", "note")
    actions = ("place_orders",)
    detail_actions = ("place_orders",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[PurchaseOrder]:
        """Adds what is to come and when, by subqueries for the rows of one page only."""
        queryset: QuerySet[PurchaseOrder] = super().get_queryset(request)
        to_come = Sum(Greatest(_TO_COME, 0, output_field=BigIntegerField()))
        coming = PurchaseOrderLine.objects.filter(OPEN, order=OuterRef("pk"))
        due = coming.order_by().values("order").annotate(day=Min(Coalesce("confirmed_on", "expected_on")))
        return queryset.annotate(
            units_to_come=Coalesce(_of_lines(to_come, BigIntegerField()), 0, output_field=BigIntegerField()),
            due_on=Subquery(due.values("day"), output_field=DateField()),
        )

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        """Allows the link that leads here from a supplier."""
        return lookup == "supplier__id__exact" or bool(super().lookup_allowed(lookup, value, request))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Leaves only the note to be edited once the order is placed."""
        if obj is None:
            return ()
        return ("merchant",) if obj.is_draft else ("merchant", "number", "supplier", "location", "ordered_on")

    def get_inlines(self, request: HttpRequest, obj: Any) -> list[Any]:
        """Offers lines while the order is a draft."""
        if obj is None:
            return [NewLineInline]
        return [LineInline, NewLineInline] if obj.is_draft else []

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """Has the form refuse what belongs to another merchant."""
        form = super().get_form(request, obj, change, **kwargs)

        class OrderOfOneMerchant(form):  # type: ignore[misc,valid-type]
            def clean(self) -> Any:
                cleaned = super().clean()
                _check_merchant(self)
                _check_number(self)
                return cleaned

        return OrderOfOneMerchant

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Returns whether the order is a draft that nobody counts on."""
        return obj is not None and obj.is_draft and bool(super().has_delete_permission(request, obj))

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """Locks an order that is about to be saved, so that nobody places it in between and nothing of it is lost."""
        if request.method == "POST" and connection.in_atomic_block and object_id.isdecimal():
            PurchaseOrder.objects.select_for_update(no_key=True).filter(pk=object_id).first()
        return super().get_object(request, object_id, from_field)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Lets the lines of a draft go with it, although nobody deletes them on their own page."""
        shown, counts, lacking, protected = super().get_deleted_objects(objs, request)
        return shown, counts, set(lacking) - {PurchaseOrderLine._meta.verbose_name}, protected

    def has_place_permission(self, request: HttpRequest) -> bool:
        """Returns whether whoever asks may place orders."""
        return request.user.has_perm("inventory.purchase")

    @admin.display(description="state", ordering="state")
    def state_badge(self, order: PurchaseOrder) -> str:
        """Shows how far the order is."""
        state = PurchaseOrderState(order.state)
        return badge(state.label.lower(), _TONES[state])

    @admin.display(description="due", ordering="due_on")
    def due(self, order: Any) -> str:
        """Returns the first day on which something is due, and marks it when it is over."""
        if order.due_on is None:
            return ""
        is_overdue = order.state in _PLACED and order.due_on < timezone.localdate()
        return badge(f"{order.due_on} overdue", "bad") if is_overdue else str(order.due_on)

    @admin.display(description="to come")
    def to_come(self, order: Any) -> int:
        """Returns the units still to come."""
        return int(order.units_to_come)

    def offers(self, action: str, instance: PurchaseOrder) -> bool:
        """Offers to place a draft."""
        return instance.is_draft

    @admin.action(description="Place the order", permissions=["place"])
    def place_orders(self, request: HttpRequest, queryset: QuerySet[PurchaseOrder]) -> None:
        """Places drafts: their lines are fixed from then on."""
        done, skipped = 0, Counter[str]()
        for order in queryset:
            try:
                if place(order.merchant_id, order.pk):
                    done += 1
                else:
                    skipped["no draft any more"] += 1
            except StockError as error:
                messages.error(request, str(error))
                skipped["refused"] += 1
        self.report(request, done, "order{s} placed", skipped)

    def get_urls(self) -> list[URLPattern]:
        """Adds the forms that say what became of an order."""
        pages = [
            path(f"<int:order_id>/{page.verb}/", self.admin_site.admin_view(page), name=page.url_name)
            for page in ORDER_PAGES
        ]
        return [*pages, *super().get_urls()]

    def object_links(self, request: HttpRequest, instance: PurchaseOrder) -> list[tuple[str, str]]:
        """Leads to the forms, for whoever may, once the order is placed."""
        if instance.is_draft or instance.state == PurchaseOrderState.CANCELLED:
            return []
        has_more = instance.state in _PLACED
        return [
            (reverse(f"admin:{page.url_name}", args=[instance.pk]), page.title)
            for page in ORDER_PAGES
            if request.user.has_perm(page.permission) and (has_more or page.verb == "receive")
        ]

    def panels(self, request: HttpRequest, instance: PurchaseOrder) -> list[Panel]:
        """Shows the lines, whom they are promised to and what happened to them."""
        return [lines_of(instance), promised_of(instance), events_of(instance)]


def _check_merchant(form: Any) -> None:
    """Names supplier or location where they belong to another merchant than the order."""
    merchant_id = form.instance.merchant_id or getattr(form.cleaned_data.get("merchant"), "pk", None)
    for field in ("supplier", "location"):
        chosen = form.cleaned_data.get(field)
        if chosen and chosen.merchant_id != merchant_id:
            form.add_error(
                field, ValidationError(f"{chosen} belongs to another merchant. Choose one of this one's.")
            )


def _check_number(form: Any) -> None:
    """Names the number where another order of the merchant has it."""
    # The merchant is read only, so that Django leaves the constraint out.
    number, order = form.cleaned_data.get("number"), form.instance
    merchant = form.cleaned_data.get("merchant") or order.merchant_id
    others = PurchaseOrder.objects.filter(merchant=merchant, number=number).exclude(pk=order.pk)
    if number and merchant and others.exists():
        form.add_error(
            "number", ValidationError(f"{number} is another order of this merchant. Choose another number.")
        )
