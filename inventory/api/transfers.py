"""Goods that move between places of the merchant."""

from http import HTTPStatus
from typing import Any

import django_filters
from django.db.models import QuerySet
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from config.api.examples import request_example
from config.api.fields import Day, Quantity, StrictSerializer, Text, Truth, Whole, items
from inventory import transfer_drafts, transfers
from inventory.api.filters import Filters
from inventory.api.naming import Code, Sku, location_id, variant_ids
from inventory.api.nesting import COUNT_HELP, SHOWN, with_lines
from inventory.api.views import Reads, step
from inventory.models import Transfer, TransferLine
from inventory.models.transfers import TransferState


class TransferLineSerializer(serializers.ModelSerializer[TransferLine]):
    """One variant of a transfer, in base units."""

    sku = serializers.CharField(source="variant.sku")
    in_transit = serializers.IntegerField()

    class Meta:
        model = TransferLine
        fields = (
            "sku", "quantity", "sent_quantity", "received_quantity", "missing_quantity", "recalled_quantity",
            "surplus_quantity", "in_transit",
        )  # fmt: skip
        read_only_fields = fields


class TransferSerializer(serializers.ModelSerializer[Transfer]):
    """One consignment between two places."""

    source = serializers.CharField()  # type: ignore[assignment]
    destination = serializers.CharField(source="destination.code")
    state = serializers.ChoiceField(choices=TransferState.choices)
    line_count = serializers.IntegerField(help_text=COUNT_HELP)
    lines = TransferLineSerializer(source=SHOWN, many=True)

    class Meta:
        model = Transfer
        fields = (
            "id", "number", "source", "destination", "state", "reference", "expected_on", "line_count", "lines",
            "created_at", "sent_at", "closed_at",
        )  # fmt: skip
        read_only_fields = fields


class PlannedLineSerializer(StrictSerializer):
    """Units to be sent."""

    sku = Sku()
    quantity = Quantity()


@request_example(
    "Four mugs for the store",
    {"source": "main", "destination": "store", "lines": [{"sku": "MUG-BLUE", "quantity": 4}]},
)
class TransferBodySerializer(StrictSerializer):
    """What is to go where."""

    source = Code()  # type: ignore[assignment]
    destination = Code()
    reference = Text(required=False, allow_blank=True)
    expected_on = Day(required=False, allow_null=True)
    lines = items(PlannedLineSerializer())


@request_example("The goods are gone already", {"has_left": True})
class SendSerializer(StrictSerializer):
    """How goods leave."""

    has_left = Truth(default=False, help_text="The goods are gone already: recorded whatever is available.")


class ArrivalSerializer(StrictSerializer):
    """Units that arrived."""

    sku = Sku()
    quantity = Quantity()
    unavailable = Whole(default=0, help_text="How many of them cannot be sold.")


@request_example(
    "Three arrived, one of them broken", {"lines": [{"sku": "MUG-BLUE", "quantity": 3, "unavailable": 1}]}
)
class ArrivalsSerializer(StrictSerializer):
    """Goods that arrived."""

    lines = items(ArrivalSerializer())


class TransferFilters(Filters):
    """Transfers by state or place."""

    state = django_filters.ChoiceFilter(choices=TransferState.choices)
    source = django_filters.CharFilter(field_name="source__code")
    destination = django_filters.CharFilter(field_name="destination__code")


class Transfers(Reads):
    """Transfers: goods on their way between two places."""

    resource, name_of_rows, model = "stock", "transfers", Transfer
    serializer_class = TransferSerializer
    create_class = TransferBodySerializer
    filterset_class = TransferFilters
    locks_row_first = True

    def related(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Brings places and lines along."""
        lines = self.rows(TransferLine).select_related("variant")
        documents = rows.select_related("source", "destination")
        return with_lines(documents, lines, is_list=self.action == "list")

    def create(self, request: Request) -> Response:
        """Drafts a transfer; nothing moves."""
        plan = self._plan()
        transfer = transfer_drafts.draft_transfer(self.caller.merchant_id, plan, key=self.made_once())
        return self.shown(transfer, status=HTTPStatus.CREATED)

    @step(TransferBodySerializer, TransferSerializer)
    def replan(self, request: Request, pk: str) -> Response:
        """Replaces what a draft says, as a whole."""
        transfer: Any = self.found(pk)
        transfer_drafts.change_draft(self.caller.merchant_id, transfer.pk, self._plan())
        return self.shown(transfer)

    def _plan(self) -> transfer_drafts.TransferPlan:
        body = self.body(TransferBodySerializer)
        variants = variant_ids(self.caller, body["lines"])
        quantities: dict[int, int] = {}
        for line in body["lines"]:
            variant = variants[line["sku"]]
            quantities[variant] = quantities.get(variant, 0) + line["quantity"]
        return transfer_drafts.TransferPlan(
            location_id(self.caller, body["source"], "source"),
            location_id(self.caller, body["destination"], "destination"),
            quantities,
            body.get("reference", ""),
            body.get("expected_on"),
        )

    @step(SendSerializer, TransferSerializer)
    def send(self, request: Request, pk: str) -> Response:
        """Sends what a draft says, from what is available; with `has_left`, whatever is available."""
        transfer: Any = self.found(pk)
        has_left = self.body(SendSerializer)["has_left"]
        depart = transfers.record_departure if has_left else transfers.send_transfer
        depart(self.context(), transfer.pk)
        return self.shown(transfer)

    @step(ArrivalsSerializer, TransferSerializer)
    def receive(self, request: Request, pk: str) -> Response:
        """Records goods that arrived, in as many parts as they come."""
        transfer: Any = self.found(pk)
        lines = self.body(ArrivalsSerializer)["lines"]
        variants = variant_ids(self.caller, lines)
        arrived = [
            transfers.Arrival(variants[line["sku"]], line["quantity"], line["unavailable"]) for line in lines
        ]
        transfers.receive_transfer(self.context(), transfer.pk, arrived)
        return self.shown(transfer)

    @step(None, TransferSerializer)
    def close(self, request: Request, pk: str) -> Response:
        """Gives up what is still on the way: it is written off as lost."""
        transfer: Any = self.found(pk)
        transfers.close_transfer(self.context(), transfer.pk)
        return self.shown(transfer)

    @step(None, TransferSerializer)
    def recall(self, request: Request, pk: str) -> Response:
        """Takes what is still on the way back to where it came from."""
        transfer: Any = self.found(pk)
        transfers.recall_transfer(self.context(), transfer.pk)
        return self.shown(transfer)

    @step(None, TransferSerializer)
    def cancel(self, request: Request, pk: str) -> Response:
        """Gives a draft up."""
        transfer: Any = self.found(pk)
        transfer_drafts.cancel_transfer(self.caller.merchant_id, transfer.pk)
        return self.shown(transfer)
