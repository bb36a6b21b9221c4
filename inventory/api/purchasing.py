"""Suppliers, and what was ordered from them."""

from http import HTTPStatus
from typing import Any

import django_filters
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from config.api.examples import answer_example, request_example
from config.api.fields import Day, Quantity, RowId, StrictSerializer, Text, Truth, Whole, items
from config.api.problems import NOT_FOUND, Problem
from inventory import purchasing
from inventory.api.filters import Filters, TruthFilter
from inventory.api.naming import Code, Sku, check_once, places, variant_ids
from inventory.api.nesting import COUNT_HELP, SHOWN, with_lines
from inventory.api.views import Changes, Reads, step
from inventory.models import PurchaseOrder, PurchaseOrderLine, Supplier
from inventory.models.purchasing import PurchaseOrderState
from inventory.ordering import OrderedLine, order_goods


class SupplierSerializer(serializers.ModelSerializer[Supplier]):
    """Whom the merchant buys from."""

    email = serializers.CharField(help_text="Empty where none is known.")

    class Meta:
        model = Supplier
        fields = ("id", "code", "name", "email", "lead_time_days", "is_active")
        read_only_fields = fields


@request_example("A supplier", {"code": "acme", "name": "Acme", "lead_time_days": 14})
class SupplierBodySerializer(StrictSerializer):
    """A supplier."""

    code = Code()
    name = Text()
    email = serializers.EmailField(required=False, allow_blank=True, max_length=254)
    lead_time_days = Whole(max_value=3650, required=False, help_text="From order to arrival, as a rule.")
    is_active = Truth(required=False)


class SupplierFilters(Filters):
    """Suppliers by code."""

    code = django_filters.CharFilter()
    is_active = TruthFilter()


class Suppliers(Changes):
    """Suppliers: whom the merchant buys from."""

    resource, name_of_rows, model = "purchasing", "suppliers", Supplier
    serializer_class = SupplierSerializer
    create_class = change_class = SupplierBodySerializer
    filterset_class = SupplierFilters

    def create(self, request: Request) -> Response:
        """Adds a supplier."""
        supplier = Supplier(merchant_id=self.caller.merchant_id, **self.body(SupplierBodySerializer))
        self.signed(supplier).save()
        return self.shown(supplier, status=HTTPStatus.CREATED)


class PurchaseOrderLineSerializer(serializers.ModelSerializer[PurchaseOrderLine]):
    """Units of one variant on a purchase order."""

    sku = serializers.CharField(source="variant.sku")
    outstanding = serializers.IntegerField(help_text="Units still to come.")

    class Meta:
        model = PurchaseOrderLine
        fields = (
            "id", "sku", "quantity", "expected_on", "confirmed_quantity", "confirmed_on", "received_quantity",
            "cancelled_quantity", "promised_quantity", "outstanding",
        )  # fmt: skip
        read_only_fields = fields


@answer_example(
    "Forty mugs, confirmed for a day",
    {
        "id": 3,
        "number": "PO-1001",
        "supplier": "acme",
        "location": "main",
        "state": "ordered",
        "ordered_on": "2026-01-31",
        "note": "",
        "line_count": 1,
        "lines": [
            {
                "id": 12,
                "sku": "MUG-BLUE",
                "quantity": 40,
                "expected_on": "2026-02-14",
                "confirmed_quantity": 40,
                "confirmed_on": "2026-02-28",
                "received_quantity": 0,
                "cancelled_quantity": 0,
                "promised_quantity": 5,
                "outstanding": 40,
            }
        ],
        "created_at": "2026-01-31T14:00:00Z",
    },
)
class PurchaseOrderSerializer(serializers.ModelSerializer[PurchaseOrder]):
    """Goods ordered from one supplier for one location."""

    supplier = serializers.CharField(source="supplier.code")
    location = serializers.CharField(source="location.code")
    state = serializers.ChoiceField(choices=PurchaseOrderState.choices)
    line_count = serializers.IntegerField(help_text=COUNT_HELP)
    lines = PurchaseOrderLineSerializer(source=SHOWN, many=True)

    class Meta:
        model = PurchaseOrder
        fields = (
            "id",
            "number",
            "supplier",
            "location",
            "state",
            "ordered_on",
            "note",
            "line_count",
            "lines",
            "created_at",
        )
        read_only_fields = fields


class OrderedLineSerializer(StrictSerializer):
    """Units to be ordered; a day in `confirmed_on` confirms all of them for it."""

    sku = Sku()
    quantity = Quantity()
    expected_on = Day(required=False, allow_null=True)
    confirmed_on = Day(required=False, allow_null=True)


@request_example(
    "Forty mugs, confirmed for a day",
    {
        "number": "PO-1001",
        "supplier": "acme",
        "location": "main",
        "lines": [{"sku": "MUG-BLUE", "quantity": 40, "confirmed_on": "2026-02-28"}],
    },
)
class PurchaseOrderBodySerializer(StrictSerializer):
    """Goods that were ordered."""

    number = Text(max_length=100)
    supplier = Code()
    location = Code()
    ordered_on = Day(required=False, allow_null=True)
    lines = items(OrderedLineSerializer())


class LineReceiptSerializer(StrictSerializer):
    """Units of a line that arrived."""

    line_id = RowId()
    quantity = Quantity()
    is_last = Truth(default=False, help_text="Nothing more will come of the line: the rest is cancelled.")


class LineConfirmationSerializer(StrictSerializer):
    """What the supplier says of the units still to come; 0 takes a confirmation back."""

    line_id = RowId()
    quantity = Whole()
    on = Day(allow_null=True)


class LineCancellationSerializer(StrictSerializer):
    """Units of a line that will not come; without a quantity, all that are still to come."""

    line_id = RowId()
    quantity = Quantity(required=False, allow_null=True)


@request_example(
    "All that will come of a line", {"lines": [{"line_id": 12, "quantity": 36, "is_last": True}]}
)
class ReceiptsSerializer(StrictSerializer):
    """Goods that arrived on lines of an order."""

    lines = items(LineReceiptSerializer())


@request_example(
    "Ten units confirmed for a day", {"lines": [{"line_id": 12, "quantity": 10, "on": "2026-02-28"}]}
)
class ConfirmationsSerializer(StrictSerializer):
    """What the supplier says of lines of an order."""

    lines = items(LineConfirmationSerializer())


@request_example("Four units of a line will not come", {"lines": [{"line_id": 12, "quantity": 4}]})
class CancellationsSerializer(StrictSerializer):
    """What will not come; without lines, nothing more of the order."""

    lines = items(LineCancellationSerializer(), required=False)


@request_example("A week later", {"to": "2026-03-07"})
class DateSerializer(StrictSerializer):
    """Another day for everything still to come."""

    to = Day()


class PurchaseOrderFilters(Filters):
    """Purchase orders by number, state, supplier or location."""

    number = django_filters.CharFilter()
    state = django_filters.ChoiceFilter(choices=PurchaseOrderState.choices)
    supplier = django_filters.CharFilter(field_name="supplier__code")
    location = django_filters.CharFilter(field_name="location__code")


class PurchaseOrders(Reads):
    """Purchase orders: goods that are to come."""

    resource, name_of_rows, model = "purchasing", "purchase_orders", PurchaseOrder
    serializer_class = PurchaseOrderSerializer
    filterset_class = PurchaseOrderFilters

    def related(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Brings supplier, location and lines along."""
        lines = self.rows(PurchaseOrderLine).select_related("variant")
        documents = rows.select_related("supplier", "location")
        return with_lines(documents, lines, is_list=self.action == "list")

    @extend_schema(request=PurchaseOrderBodySerializer, responses={201: PurchaseOrderSerializer})
    def create(self, request: Request) -> Response:
        """Orders goods: the order is placed at once, and lines with a day in `confirmed_on` are confirmed."""
        body = self.body(PurchaseOrderBodySerializer)
        variants = variant_ids(self.caller, body["lines"])
        lines = [
            OrderedLine(
                variants[line["sku"]], line["quantity"], line.get("expected_on"), line.get("confirmed_on")
            )
            for line in body["lines"]
        ]
        supplier = self._named(self.rows(Supplier).filter(code=body["supplier"]), "supplier")
        location = self._named(places(self.caller).filter(code=body["location"]), "location")
        order = order_goods(
            self.context(document=body["number"]),
            body["number"],
            supplier,
            location,
            lines,
            ordered_on=body.get("ordered_on"),
        )
        return self.shown(order, status=HTTPStatus.CREATED)

    def _named(self, rows: QuerySet[Any], field: str) -> Any:
        row = rows.first()
        if row is None:
            raise Problem(NOT_FOUND, f"There is no such {field}.", field=field)
        return row

    @step(None, PurchaseOrderSerializer)
    def place(self, request: Request, pk: str) -> Response:
        """Places a draft that was written in the back office; harmless where it is placed already."""
        order: Any = self.found(pk)
        purchasing.place(self.caller.merchant_id, order.pk)
        return self.shown(order)

    @step(ReceiptsSerializer, PurchaseOrderSerializer)
    def receive(self, request: Request, pk: str) -> Response:
        """Records goods that arrived; more than was ordered is received all the same."""
        order, lines = self._order(pk, ReceiptsSerializer)
        receipts = [
            purchasing.LineReceipt(each["line_id"], each["quantity"], each["is_last"]) for each in lines
        ]
        purchasing.receive_lines(self.context(document=order.number), receipts)
        return self.shown(order)

    @step(ConfirmationsSerializer, PurchaseOrderSerializer)
    def confirm(self, request: Request, pk: str) -> Response:
        """Notes what the supplier says of the units still to come."""
        order, lines = self._order(pk, ConfirmationsSerializer)
        said = [purchasing.LineConfirmation(each["line_id"], each["quantity"], each["on"]) for each in lines]
        purchasing.confirm_lines(self.context(document=order.number), said)
        return self.shown(order)

    @step(DateSerializer, PurchaseOrderSerializer)
    def slip(self, request: Request, pk: str) -> Response:
        """Moves everything still to come to another day."""
        order: Any = self.found(pk)
        ids = list(
            self.rows(PurchaseOrderLine).filter(order=order).order_by("pk").values_list("pk", flat=True)
        )
        purchasing.slip_lines(self.context(document=order.number), ids, self.body(DateSerializer)["to"])
        return self.shown(order)

    @step(CancellationsSerializer, PurchaseOrderSerializer)
    def cancel(self, request: Request, pk: str) -> Response:
        """Gives up what will not come: the lines named, or all that is still to come."""
        order, lines = self._order(pk, CancellationsSerializer)
        context = self.context(document=order.number)
        if lines:
            given_up = [purchasing.LineCancellation(each["line_id"], each.get("quantity")) for each in lines]
            purchasing.cancel_lines(context, given_up)
        else:
            purchasing.cancel_order(context, order.pk)
        return self.shown(order)

    def _order(self, pk: str, shape: type[StrictSerializer]) -> tuple[Any, list[dict[str, Any]]]:
        """Returns the order and the lines named. Raises `Problem` (404) for lines of another order."""
        order: Any = self.found(pk)
        lines: list[dict[str, Any]] = self.body(shape).get("lines", [])
        check_once(lines, "line_id")
        own = set(self.rows(PurchaseOrderLine).filter(order=order).values_list("pk", flat=True))
        for index, line in enumerate(lines):
            if line["line_id"] not in own:
                raise Problem(NOT_FOUND, "The order has no such line.", field=f"lines[{index}].line_id")
        return order, lines
