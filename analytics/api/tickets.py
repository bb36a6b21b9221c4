"""Tickets of a help desk about goods that were not available: counted for the key figures."""

from collections.abc import Collection
from http import HTTPStatus
from typing import Any

import django_filters
from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from analytics.errors import TicketRefused
from analytics.models import SupportTicket
from analytics.tickets import Ticket, record_tickets
from channels.models import Channel
from config.api.fields import StrictSerializer, Text, items
from config.api.problems import NOT_FOUND, REFUSED, Problem, register
from inventory.api.filters import Filters
from inventory.api.naming import Sku
from inventory.api.views import Lists
from inventory.api.visibility import enter
from inventory.models import Variant

register(TicketRefused, lambda error: Problem(REFUSED, str(error), field=error.field))
enter(SupportTicket, "merchant")


class TicketSerializer(serializers.ModelSerializer[SupportTicket]):
    """A ticket; nothing is kept of the customer, or of what was written."""

    ticket = serializers.CharField(source="number")
    channel = serializers.CharField(source="channel.name", allow_null=True, default=None)
    sku = serializers.CharField(source="variant.sku", allow_null=True, default=None)

    class Meta:
        model = SupportTicket
        fields = ("id", "ticket", "opened_at", "channel", "sku", "recorded_at")
        read_only_fields = fields


class TicketBodySerializer(StrictSerializer):
    """A ticket in which a customer was told that something is not available."""

    ticket = Text(
        max_length=100, help_text="Its number at the help desk: it counts once, however often it is sent."
    )
    opened_at = serializers.DateTimeField()
    channel = Text(
        required=False, allow_blank=True, default="", help_text="The name of the channel, if known."
    )
    sku = Sku(required=False, allow_blank=True, default="", help_text="What was asked for, if known.")


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "Two customers asked",
            value={
                "tickets": [
                    {"ticket": "T-4711", "opened_at": "2026-01-31T14:00:00Z", "sku": "MUG-BLUE"},
                    {"ticket": "T-4712", "opened_at": "2026-01-31T14:20:00Z", "channel": "Web shop"},
                ]
            },
            request_only=True,
        )
    ]
)
class TicketsSerializer(StrictSerializer):
    """Up to 1,000 tickets; all are counted, or none."""

    tickets = items(TicketBodySerializer())


class RecordedSerializer(serializers.Serializer[Any]):
    """What became of them."""

    new = serializers.IntegerField()
    known = serializers.IntegerField(help_text="Counted before.")


class TicketFilters(Filters):
    """Tickets by the time at which they were opened."""

    opened_since = django_filters.IsoDateTimeFilter(field_name="opened_at", lookup_expr="gte")
    opened_before = django_filters.IsoDateTimeFilter(field_name="opened_at", lookup_expr="lt")


class Tickets(Lists):
    """Support tickets: what customers asked for in vain."""

    resource, name_of_rows, model = "tickets", "support_tickets", SupportTicket
    serializer_class = TicketSerializer
    filterset_class = TicketFilters

    def related(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Brings along what a ticket names."""
        return rows.select_related("channel", "variant").defer("channel__credentials")

    @extend_schema(request=TicketsSerializer, responses={201: RecordedSerializer})
    def create(self, request: Request) -> Response:
        """Counts tickets of a help desk. Those that were counted before stay as they are."""
        given = self.body(TicketsSerializer)["tickets"]
        self._check_names(Channel, "name", "channel", {each["channel"] for each in given})
        self._check_names(Variant, "sku", "sku", {each["sku"] for each in given})
        tickets = [Ticket(each["ticket"], each["opened_at"], each["channel"], each["sku"]) for each in given]
        done = record_tickets(self.caller.merchant_id, tickets)
        return Response({"new": done.new, "known": done.known}, status=HTTPStatus.CREATED)

    def _check_names(self, model: type[Any], column: str, field: str, wanted: Collection[str]) -> None:
        """Refuses names of nothing that the key may see."""
        named = set(wanted) - {""}
        rows = self.rows(model).filter(**{f"{column}__in": named}).order_by()
        unknown = sorted(named - set(rows.values_list(column, flat=True)))
        if unknown:
            raise Problem(NOT_FOUND, f"There is no {field} {unknown[0]!r}.", field="tickets")
