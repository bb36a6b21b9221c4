"""What sells, what lies, and what is missing: sales, stock figures and how stock moved."""

from dataclasses import replace
from datetime import date
from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from analytics.api import problems as analytics_problems  # noqa: F401  # registers itself
from analytics.api import visibility as analytics_visibility  # noqa: F401  # registers itself
from analytics.api.asking import CHANNEL, FROM, INTERVAL, LOCATION, SKU, TO, Figures, span_of
from analytics.models import SalesFact, StockFact
from analytics.performance import StockFigures, stock_after
from analytics.series import GROUPS, Key, SalesRow, StockRow, sales, stock_moves
from inventory.api.query import choice, text


def _amount(**options: Any) -> serializers.DecimalField:
    return serializers.DecimalField(max_digits=28, decimal_places=4, **options)


class SalesRowSerializer(serializers.Serializer[Any]):
    """What was sold on one channel, or of one variant, in one currency, by the day on which the customer ordered."""

    day = serializers.DateField(help_text="The first day of the day, week or month; of the total, `from`.")
    channel_id = serializers.IntegerField(allow_null=True, help_text="Null by variant.")
    variant_id = serializers.IntegerField(
        allow_null=True, help_text="Null by channel, and for what is not mapped."
    )
    sku = serializers.CharField(allow_null=True)
    currency = serializers.CharField(help_text="ISO 4217; empty where the platform does not say.")
    orders = serializers.IntegerField(
        allow_null=True, help_text="Null by variant: an order of two variants is one."
    )
    ordered = serializers.IntegerField(help_text="Units, cancelled ones included.")
    cancelled = serializers.IntegerField()
    shipped = serializers.IntegerField()
    returned = serializers.IntegerField()
    unpriced = serializers.IntegerField(
        help_text="Units of `ordered` that came without a price; in no amount."
    )
    amount = _amount(help_text="Of all that was ordered, as the platform states prices.")
    cancelled_amount = _amount()
    returned_amount = _amount()
    gmv = _amount(help_text="Gross merchandise value: ordered and not cancelled.")


class SalesFigures(Figures):
    """Sales: units and gross merchandise value over time."""

    name_of_rows, model = "sales", SalesFact
    serializer_class = SalesRowSerializer
    parameters = frozenset({"from", "to", "interval", "by", "channel", "sku"})
    key_types = (date, int, str)

    def key_of(self, row: SalesRow) -> tuple[Any, ...]:
        """Returns day, channel or variant, and currency."""
        return (row.day, row.channel_id or row.variant_id or 0, row.currency)

    @extend_schema(
        parameters=[
            FROM, TO, INTERVAL, CHANNEL, SKU,
            OpenApiParameter("by", str, enum=list(GROUPS), default="channel", description="What rows are of."),
        ]
    )  # fmt: skip
    def list(self, request: Request) -> Response:
        """Lists what was sold, by channel or variant, in order of day. Counted a minute after it is known, at the latest."""
        asked, by = self.asked(request), choice(request, "by", list(GROUPS), "channel") or "channel"

        def fetch(after: Key | None, limit: int) -> list[SalesRow]:
            return sales(replace(asked, after=after, limit=limit), by=by)

        return self.paged(fetch)


class StockFiguresSerializer(serializers.Serializer[Any]):
    """How the stock of a variant did over some days; units at all places together, those in transit included."""

    variant_id = serializers.IntegerField()
    sku = serializers.CharField()
    days = serializers.IntegerField()
    opening = serializers.IntegerField(help_text="On hand when the days began.")
    closing = serializers.IntegerField(help_text="On hand when they ended.")
    received = serializers.IntegerField()
    shipped = serializers.IntegerField()
    returned = serializers.IntegerField()
    average = serializers.FloatField(help_text="Mean of what was on hand at the end of each day.")
    out_days = serializers.FloatField(help_text="Time without anything available, over its places, in days.")
    sell_through = serializers.FloatField(
        allow_null=True, help_text="Of what was there or came in, the share that was shipped."
    )
    turns = serializers.FloatField(
        allow_null=True, help_text="How often the average stock would be shipped in a year."
    )


class StockPerformance(Figures):
    """Stock figures: sell-through, turns and stock-out days of each variant."""

    name_of_rows, model = "stock_figures", StockFact
    serializer_class = StockFiguresSerializer
    parameters = frozenset({"from", "to", "sku"})
    key_types = (int,)

    def key_of(self, row: StockFigures) -> tuple[Any, ...]:
        """Returns the variant."""
        return (row.variant_id,)

    @extend_schema(parameters=[FROM, TO, SKU])
    def list(self, request: Request) -> Response:
        """Lists the figures of active variants, in order of their ids."""
        span, sku = span_of(request, self.caller.merchant_id), text(request, "sku")

        def fetch(after: Key | None, limit: int) -> list[StockFigures]:
            return stock_after(span, after[0] if after else 0, sku=sku, limit=limit)

        return self.paged(fetch)


class StockRowSerializer(serializers.Serializer[Any]):
    """How the stock of a variant moved, in base units, by the ledger's own clock."""

    day = serializers.DateField(help_text="The first day of the day, week or month; of the total, `from`.")
    variant_id = serializers.IntegerField()
    sku = serializers.CharField()
    received = serializers.IntegerField()
    shipped = serializers.IntegerField()
    returned = serializers.IntegerField()
    transferred = serializers.IntegerField(help_text="Arrived less sent, between places.")
    adjusted = serializers.IntegerField(help_text="Corrections, counts, losses, assembly.")
    on_hand_delta = serializers.IntegerField(help_text="By how many units what is on hand changed.")
    held = serializers.IntegerField(help_text="Newly held for somebody.")
    released = serializers.IntegerField(help_text="Held no longer, without having left.")


class StockMoves(Figures):
    """How stock moved over time."""

    name_of_rows, model = "stock_moves", StockFact
    serializer_class = StockRowSerializer
    parameters = frozenset({"from", "to", "interval", "channel", "sku", "location"})
    key_types = (date, int)

    def key_of(self, row: StockRow) -> tuple[Any, ...]:
        """Returns day and variant."""
        return (row.day, row.variant_id)

    @extend_schema(parameters=[FROM, TO, INTERVAL, CHANNEL, SKU, LOCATION])
    def list(self, request: Request) -> Response:
        """Lists how stock moved, by variant and in order of day; a day on which nothing moved has no row."""
        asked = self.asked(request)

        def fetch(after: Key | None, limit: int) -> list[StockRow]:
            return stock_moves(replace(asked, after=after, limit=limit))

        return self.paged(fetch)
