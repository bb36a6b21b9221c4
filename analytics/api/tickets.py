"""Tickets of help desks about goods that were not available."""

from http import HTTPStatus
from typing import Any

import django_filters
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from analytics import tickets
from analytics.models import SupportTicket
from channels.models import Channel
from config.api.examples import request_example
from config.api.fields import Instant, RowId, StrictSerializer, Text, items
from config.api.problems import NOT_FOUND, Problem
from inventory.api.filters import Filters, InstantFilter, WholeFilter
from inventory.api.naming import Sku, variant_ids
from inventory.api.views import Reads


class TicketSerializer(serializers.ModelSerializer[SupportTicket]):
    """A customer asked why something was not available; nothing about the customer is kept."""

    channel_id = serializers.IntegerField(allow_null=True)
    sku = serializers.CharField(source="variant.sku", allow_null=True, default=None)

    class Meta:
        model = SupportTicket
        fields = ("id", "number", "opened_at", "channel_id", "sku", "recorded_at")
        read_only_fields = fields


class TicketBodySerializer(StrictSerializer):
    """One ticket."""

    number = Text(max_length=100, help_text="Its number at the help desk: it is counted once.")
    opened_at = Instant()
    channel_id = RowId(required=False, allow_null=True, help_text="Where it was sold, if the desk knows.")
    sku = Sku(required=False, allow_null=True)


@request_example(
    "A customer who could not buy a mug",
    {"tickets": [{"number": "T-4711", "opened_at": "2026-01-31T14:00:00Z", "sku": "MUG-BLUE"}]},
)
class TicketsSerializer(StrictSerializer):
    """Up to 1,000 tickets, all or none."""

    tickets = items(TicketBodySerializer())


class RecordedSerializer(serializers.Serializer[Any]):
    """What became of the tickets."""

    new = serializers.IntegerField()
    known = serializers.IntegerField(help_text="Counted before.")


class TicketFilters(Filters):
    """Tickets by channel, SKU or time."""

    number = django_filters.CharFilter()
    channel = WholeFilter(field_name="channel_id")
    sku = django_filters.CharFilter(field_name="variant__sku")
    opened_since = InstantFilter(field_name="opened_at", lookup_expr="gte")
    opened_before = InstantFilter(field_name="opened_at", lookup_expr="lt")


class Tickets(Reads):
    """Support tickets: “not available”."""

    resource, name_of_rows, model = "analytics", "support_tickets", SupportTicket
    serializer_class = TicketSerializer
    filterset_class = TicketFilters

    def related(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Brings the variant along."""
        return rows.select_related("variant")

    @extend_schema(request=TicketsSerializer, responses={201: RecordedSerializer})
    def create(self, request: Request) -> Response:
        """Counts tickets; those counted before stay as they are."""
        given = self.body(TicketsSerializer)["tickets"]
        variant_ids(self.caller, given, within="tickets")
        names = self._names(given)
        told = [
            tickets.Ticket(
                each["number"],
                each["opened_at"],
                names.get(each.get("channel_id"), ""),
                each.get("sku") or "",
            )
            for each in given
        ]
        recorded = tickets.record_tickets(self.caller.merchant_id, told)
        return Response({"new": recorded.new, "known": recorded.known}, status=HTTPStatus.CREATED)

    def _names(self, given: list[dict[str, Any]]) -> dict[Any, str]:
        """Returns the channels that are named. Raises `Problem` (404)."""
        wanted = {each["channel_id"] for each in given if each.get("channel_id")}
        found: dict[Any, str] = (
            dict(self.rows(Channel).filter(pk__in=wanted).values_list("pk", "name")) if wanted else {}
        )
        for index, each in enumerate(given):
            if each.get("channel_id") and each["channel_id"] not in found:
                raise Problem(NOT_FOUND, "There is no such channel.", field=f"tickets[{index}].channel_id")
        return found
