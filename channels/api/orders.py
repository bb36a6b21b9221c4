"""Orders: those of the platforms to read, those of the merchant's own systems to send."""

import re
from decimal import Decimal
from http import HTTPStatus
from typing import Any, Final

import django_filters
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from channels.events import OrderLineState, OrderState
from channels.models import Channel, ChannelOrder, ChannelOrderLine
from channels.own_systems import take_order
from channels.screening import LARGEST_QUANTITY
from config.api.examples import answer_example, request_example
from config.api.fields import Instant, RowId, StrictSerializer, Text, Truth, Whole
from config.api.problems import NOT_FOUND, Problem
from inventory.api.filters import Filters, InstantFilter, WholeFilter
from inventory.api.naming import Code
from inventory.api.nesting import COUNT_HELP, SHOWN, with_lines
from inventory.api.views import Reads

MOST_LINES = 1_000


class OrderLineSerializer(serializers.ModelSerializer[ChannelOrderLine]):
    """One line of an order, in units."""

    variant_id = serializers.IntegerField(
        allow_null=True, help_text="Null while nobody knows the SKU: the line waits."
    )
    reference = serializers.CharField(help_text="The name of its demand in reservations and conflicts.")

    class Meta:
        model = ChannelOrderLine
        fields = (
            "id", "external_id", "sku", "title", "variant_id", "reference", "unit_price", "quantity", "cancelled", "fulfilled",
            "returned", "applied_demand", "applied_fulfilled",
        )  # fmt: skip
        read_only_fields = fields


@answer_example(
    "An order of which one unit left",
    {
        "id": 42,
        "channel_id": 3,
        "external_id": "1001",
        "number": "#1001",
        "ordered_at": "2026-01-31T13:59:00Z",
        "updated_at": "2026-01-31T14:00:00Z",
        "country": "NL",
        "currency": "EUR",
        "is_test": False,
        "is_deleted": False,
        "arrived_at": "2026-01-31T14:00:01Z",
        "applied_at": "2026-01-31T14:00:01Z",
        "line_count": 1,
        "lines": [
            {
                "id": 57,
                "external_id": "1",
                "sku": "MUG-BLUE",
                "title": "Mug, blue",
                "variant_id": 7,
                "reference": "order-line:57",
                "unit_price": "12.5000",
                "quantity": 3,
                "cancelled": 0,
                "fulfilled": 1,
                "returned": 0,
                "applied_demand": 3,
                "applied_fulfilled": 1,
            }
        ],
    },
)
class OrderSerializer(serializers.ModelSerializer[ChannelOrder]):
    """The newest known state of an order."""

    channel_id = serializers.IntegerField()
    line_count = serializers.IntegerField(help_text=COUNT_HELP)
    lines = OrderLineSerializer(source=SHOWN, many=True)

    class Meta:
        model = ChannelOrder
        fields = (
            "id", "channel_id", "external_id", "number", "ordered_at", "updated_at", "country", "currency", "is_test",
            "is_deleted", "arrived_at", "applied_at", "line_count", "lines",
        )  # fmt: skip
        read_only_fields = fields


#: Python reads more than this as a number: `1_000`, `1e2`, ` 1 `.
_AMOUNT: Final = re.compile(r"[0-9]+(?:\.[0-9]+)?")


class Price(serializers.DecimalField):
    """An amount, in ASCII digits and with a point."""

    def to_internal_value(self, data: Any) -> Decimal:
        """Returns the amount."""
        if isinstance(data, str) and not _AMOUNT.fullmatch(data):
            self.fail("invalid")
        return super().to_internal_value(data)


def _count(**options: Any) -> Whole:
    return Whole(max_value=LARGEST_QUANTITY, **options)


class OrderLineBodySerializer(StrictSerializer):
    """One line, as it is now; all counts are totals, not changes."""

    external_id = Text(help_text="Your id of the line, the same in every state of the order.")
    sku = Text()
    quantity = _count(help_text="Units ordered.")
    cancelled = _count(default=0, help_text="Units of them that will not be delivered.")
    fulfilled = _count(default=0, help_text="Units that left.")
    returned = _count(default=0, help_text="Units that left and are to come back.")
    title = Text(max_length=300, required=False, allow_blank=True)
    unit_price = Price(max_digits=18, decimal_places=4, min_value=0, required=False, allow_null=True)
    location = Code(
        required=False, help_text="Where it is taken from, if that is settled: a location of the channel."
    )


@request_example(
    "A paid order of the web shop",
    {
        "channel_id": 3,
        "external_id": "1001",
        "updated_at": "2026-01-31T14:00:00Z",
        "ordered_at": "2026-01-31T13:59:00Z",
        "lines": [{"external_id": "1", "sku": "MUG-BLUE", "quantity": 2}],
    },
)
class OrderBodySerializer(StrictSerializer):
    """An order as it is now. Of several states the one with the latest `updated_at` counts, in whatever sequence they come."""

    channel_id = RowId(help_text="A channel without a connector.")
    external_id = Text(help_text="Your id of the order.")
    number = Text(max_length=100, required=False, allow_blank=True)
    updated_at = Instant(help_text="When the order became as this says.")
    ordered_at = Instant()
    country = serializers.RegexField(
        r"\A(?:[A-Z]{2})?\Z",
        required=False,
        allow_blank=True,
        trim_whitespace=False,
        help_text="Ship-to, ISO 3166-1.",
    )
    currency = serializers.RegexField(
        r"\A(?:[A-Z]{3})?\Z", required=False, allow_blank=True, trim_whitespace=False
    )
    is_test = Truth(default=False, help_text="Reserves nothing.")
    lines = serializers.ListField(child=OrderLineBodySerializer(), max_length=MOST_LINES)


class OrderFilters(Filters):
    """Orders by channel, number or time."""

    channel = WholeFilter(field_name="channel_id")
    external_id = django_filters.CharFilter()
    number = django_filters.CharFilter()
    ordered_since = InstantFilter(field_name="ordered_at", lookup_expr="gte")
    ordered_before = InstantFilter(field_name="ordered_at", lookup_expr="lt")


class Orders(Reads):
    """Orders of all channels."""

    resource, name_of_rows, model = "orders", "orders", ChannelOrder
    serializer_class = OrderSerializer
    filterset_class = OrderFilters

    def related(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Brings the lines along."""
        return with_lines(rows, self.rows(ChannelOrderLine), is_list=self.action == "list")

    @extend_schema(request=OrderBodySerializer, responses={201: OrderSerializer})
    def create(self, request: Request) -> Response:
        """Takes the state of an order of a system of your own: what it demands is reserved, what left is shipped."""
        body = self.body(OrderBodySerializer)
        channel = self.rows(Channel).filter(pk=body["channel_id"], is_active=True).first()
        if channel is None:
            raise Problem(NOT_FOUND, "There is no such channel.", field="channel_id")
        return self.shown(take_order(channel, _state(body)), status=HTTPStatus.CREATED)


def _state(body: dict[str, Any]) -> OrderState:
    return OrderState(
        external_id=body["external_id"],
        updated_at=body["updated_at"],
        ordered_at=body["ordered_at"],
        number=body.get("number", ""),
        country=body.get("country", ""),
        currency=body.get("currency", ""),
        is_test=body["is_test"],
        lines=tuple(map(_line, body["lines"])),
    )


def _line(line: dict[str, Any]) -> OrderLineState:
    return OrderLineState(
        external_id=line["external_id"],
        listing_external_id="",
        sku=line["sku"],
        quantity=line["quantity"],
        cancelled=line["cancelled"],
        fulfilled=line["fulfilled"],
        returned=line["returned"],
        title=line.get("title", ""),
        unit_price=line.get("unit_price"),
        location_external_id=line.get("location", ""),
    )
