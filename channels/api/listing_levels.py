"""Listing levels: what each channel was told at each of its places, what it said, and what was given up."""

from typing import Any

import django_filters
from django.db.models import F, QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from channels.models import ListingLevel, Push
from channels.models.listings import Lane
from channels.models.outbound import PushOutcome
from channels.pushes import mark_listing_levels, replay
from config.api.examples import request_example
from config.api.fields import RowId, StrictSerializer, items
from config.api.problems import WRONG_STATE, Problem
from inventory.api.filters import Filters, TruthFilter, WholeFilter
from inventory.api.views import Reads, step


class ShelfSerializer(serializers.ModelSerializer[ListingLevel]):
    """A listing at a place of its channel."""

    channel_id = serializers.IntegerField()
    listing_id = serializers.IntegerField()
    sku = serializers.CharField(source="listing.sku", help_text="As the platform has it.")
    place = serializers.CharField(
        source="channel_location.external_id", help_text="The platform's id of the place."
    )
    is_due = serializers.BooleanField(help_text="Whether the channel has yet to be told.")
    dead_at = serializers.DateTimeField(
        allow_null=True, help_text="Since when it is given up; told no more until it is replayed."
    )

    class Meta:
        model = ListingLevel
        fields = (
            "id", "channel_id", "listing_id", "sku", "place", "is_due", "due_since", "sent_quantity", "sent_at",
            "published_quantity", "confirmed_at", "expected", "attempts", "last_error", "dead_at",
        )  # fmt: skip
        read_only_fields = fields


class PushSerializer(serializers.ModelSerializer[Push]):
    """One attempt to tell a channel a number."""

    outcome = serializers.ChoiceField(choices=PushOutcome.choices)
    target = serializers.IntegerField(help_text="What it was to show.")
    quantity = serializers.IntegerField(
        allow_null=True, help_text="What was sent: the target, less sales that were not imported yet."
    )
    compared_with = serializers.IntegerField(
        allow_null=True, help_text="What the shop had to show for it to be written."
    )

    class Meta:
        model = Push
        fields = (
            "id",
            "outcome",
            "target",
            "quantity",
            "compared_with",
            "error",
            "computed_at",
            "finished_at",
        )
        read_only_fields = fields


@request_example("Two listing levels", {"listing_level_ids": [41, 42]})
class ShelvesSerializer(StrictSerializer):
    """Which listing levels."""

    listing_level_ids = items(RowId())


class ReplayedSerializer(serializers.Serializer[Any]):
    """How many will be tried again."""

    replayed = serializers.IntegerField(help_text="Of those named; the others were not given up.")


class ShelfFilters(Filters):
    """Listing levels by channel, SKU, or where they stand."""

    channel = WholeFilter(field_name="channel_id")
    listing = WholeFilter(field_name="listing_id")
    sku = django_filters.CharFilter(field_name="listing__sku")
    variant = WholeFilter(field_name="listing__variant_id")
    is_due = TruthFilter(method="narrow_due", label="Whether the channel has yet to be told.")
    is_dead = TruthFilter(
        field_name="dead_at", lookup_expr="isnull", exclude=True, label="Whether it was given up."
    )

    def narrow_due(self, rows: QuerySet[ListingLevel], name: str, value: bool) -> QuerySet[ListingLevel]:
        """Keeps those that are due, or those that are not."""
        return rows.filter(wanted__gt=F("done")) if value else rows.filter(wanted=F("done"))


class ListingLevels(Reads):
    """Listing levels: a listing at a place of its channel."""

    resource, name_of_rows, model = "channels", "listing_levels", ListingLevel
    serializer_class = ShelfSerializer
    filterset_class = ShelfFilters

    def related(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Brings listing and place along."""
        return rows.select_related("listing", "channel_location")

    @extend_schema(responses=PushSerializer(many=True))
    @action(
        detail=True, methods=["get"], filterset_class=None, parameters=frozenset({"cursor", "limit"}),
        serializer_class=PushSerializer, newest_first=True,
    )  # fmt: skip
    def pushes(self, request: Request, pk: str) -> Response:
        """Lists what the channel was told of it, the latest first."""
        level: Any = self.found(pk)
        page = self.paginate_queryset(self.rows(Push).filter(listing_level=level).defer("waterfall")) or []
        return self.get_paginated_response(PushSerializer(page, many=True).data)

    @step(None, ShelfSerializer)
    def push(self, request: Request, pk: str) -> Response:
        """Has the channel told the number again, whether or not it changed."""
        level: Any = self.found(pk)
        if level.dead_at is not None or level.listing.variant_id is None or not level.listing.is_active:
            raise Problem(WRONG_STATE, "It was given up (replay it), is not mapped, or no longer listed.")
        mark_listing_levels([level.pk], lane=Lane.INCREASE, read_first=True)
        return self.shown(level)

    @step(None, ShelfSerializer)
    def replay(self, request: Request, pk: str) -> Response:
        """Tries again to tell a number that was given up."""
        level: Any = self.found(pk)
        if not replay([level.pk]):
            raise Problem(WRONG_STATE, "It was not given up.")
        return self.shown(level)

    @step(ShelvesSerializer, ReplayedSerializer, on_row=False, url_path="replay", url_name="replay-many")
    def replay_many(self, request: Request) -> Response:
        """Tries again to tell up to 1,000 numbers that were given up."""
        wanted = self.body(ShelvesSerializer)["listing_level_ids"]
        return Response({"replayed": replay(self.ids_of(ListingLevel, wanted, "listing_level_ids"))})
