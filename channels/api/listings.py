"""Listings: what is sold where, what the channel was told, and why."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import django_filters
from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from channels.arrival_texts import arrival_texts
from channels.exposure import Exposure, exposures
from channels.mapping import map_listing
from channels.models import Listing, ListingLevel
from channels.models.listings import Lane
from channels.past_inputs import inputs_as_of
from channels.pushes import mark_listing_levels
from config.api.examples import answer_example, request_example
from config.api.fields import StrictSerializer
from inventory.api.filters import Filters, TruthFilter, WholeFilter
from inventory.api.naming import Sku, variant_id
from inventory.api.nesting import IN_LISTS, SHOWN, with_lines
from inventory.api.query import instant
from inventory.api.views import Reads, step
from inventory.models import Variant


class ListingLevelSerializer(serializers.ModelSerializer[ListingLevel]):
    """A listing at a place of the channel."""

    place = serializers.CharField(
        source="channel_location.external_id", help_text="The platform's id of the place."
    )
    is_due = serializers.BooleanField(help_text="Whether the channel has yet to be told.")
    is_dead = serializers.SerializerMethodField()

    class Meta:
        model = ListingLevel
        fields = (
            "id", "place", "is_due", "is_dead", "sent_quantity", "sent_at", "published_quantity", "confirmed_at", "expected",
            "last_error",
        )  # fmt: skip
        read_only_fields = fields

    def get_is_dead(self, level: ListingLevel) -> bool:
        """Returns whether it is told no more until somebody replays it."""
        return level.dead_at is not None


class ListingSerializer(serializers.ModelSerializer[Listing]):
    """One thing a channel sells."""

    channel_id = serializers.IntegerField()
    variant_id = serializers.IntegerField(allow_null=True, help_text="Null while it is not mapped.")
    variant_sku = serializers.CharField(source="variant.sku", allow_null=True, default=None)
    level_count = serializers.IntegerField(
        source="line_count",
        help_text=f"At how many places it is; a list shows the first {IN_LISTS} of them, the listing itself all.",
    )
    levels = ListingLevelSerializer(source=SHOWN, many=True)

    class Meta:
        model = Listing
        fields = (
            "id", "channel_id", "external_id", "sku", "gtin", "title", "variant_id", "variant_sku", "is_active",
            "level_count", "levels", "created_at",
        )  # fmt: skip
        read_only_fields = fields


@request_example("Which variant it is", {"sku": "MUG-BLUE"})
class MapSerializer(StrictSerializer):
    """Which variant it is."""

    sku = Sku()


class StepSerializer(serializers.Serializer[Any]):
    """One step of the way to a number."""

    name = serializers.CharField()
    before = serializers.IntegerField()
    after = serializers.IntegerField()
    why = serializers.CharField()
    rule = serializers.CharField(help_text="The rule that decided it; empty where none did.")


class WhyLevelSerializer(serializers.Serializer[Any]):
    """How the number of a listing level comes about."""

    listing_level_id = serializers.IntegerField()
    quantity = serializers.IntegerField(help_text="What the channel is, or was, to be told.")
    steps = StepSerializer(many=True)
    as_now = serializers.ListField(
        child=serializers.CharField(), help_text="What is not recorded over time and was taken as it is now."
    )


@answer_example(
    "Five units are kept back",
    {
        "levels": [
            {
                "listing_level_id": 41,
                "quantity": 32,
                "steps": [
                    {
                        "name": "Available",
                        "before": 0,
                        "after": 37,
                        "why": "37 available at main.",
                        "rule": "",
                    },
                    {
                        "name": "Safety stock",
                        "before": 37,
                        "after": 32,
                        "why": "5 are kept back.",
                        "rule": "",
                    },
                ],
                "as_now": [],
            }
        ],
        "arrives": None,
    },
)
class WhySerializer(serializers.Serializer[Any]):
    """The waterfall of each of a listing's levels."""

    levels = WhyLevelSerializer(many=True)
    arrives = serializers.CharField(
        allow_null=True,
        help_text="What may be said of when it arrives at the customer, such as `within 2 to 4 days`; null for the past, or "
        "where the channel has no delivery days.",
    )


class ListingFilters(Filters):
    """Listings by channel, SKU, variant or state."""

    channel = WholeFilter(field_name="channel_id")
    sku = django_filters.CharFilter()
    external_id = django_filters.CharFilter()
    variant = WholeFilter(field_name="variant_id")
    is_active = TruthFilter()
    is_mapped = TruthFilter(field_name="variant", lookup_expr="isnull", exclude=True)


class Listings(Reads):
    """Listings: what is sold where."""

    resource, name_of_rows, model = "channels", "listings", Listing
    serializer_class = ListingSerializer
    filterset_class = ListingFilters

    def related(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Brings variant and levels along."""
        levels = self.rows(ListingLevel).select_related("channel_location").order_by("pk")
        return with_lines(
            rows.select_related("variant"), levels, name="levels", is_list=self.action == "list"
        )

    @extend_schema(
        responses=WhySerializer,
        parameters=[
            OpenApiParameter("as_of", datetime, description="An instant of the past, by recorded time.")
        ],
    )
    @action(detail=True, methods=["get"], filterset_class=None, parameters=frozenset({"as_of"}))
    def why(self, request: Request, pk: str) -> Response:
        """Shows how the number at each place comes about, now or at an instant: each step with its reason."""
        at = instant(request, "as_of")
        listing: Any = self.found(pk)
        ids = list(
            self.rows(ListingLevel).filter(listing=listing).order_by("pk").values_list("pk", flat=True)
        )
        if at is None:
            levels = [_waterfall(exposure, ()) for exposure in exposures(ids).values()]
            arrives = arrival_texts(listing.channel, [listing.variant_id]).get(listing.variant_id)
        else:
            levels = [_waterfall(past.exposure, past.as_now) for past in inputs_as_of(ids, at).values()]
            arrives = None
        return Response({"levels": levels, "arrives": arrives})

    @step(MapSerializer, ListingSerializer, url_path="map", url_name="map")
    def map_to(self, request: Request, pk: str) -> Response:
        """Links a listing to a variant; orders that waited for it apply themselves."""
        listing: Any = self.found(pk)
        variant = self.rows(Variant).get(pk=variant_id(self.caller, self.body(MapSerializer)["sku"]))
        map_listing(listing, variant)
        return self.shown(listing)

    @step(None, ListingSerializer, url_path="push", url_name="push")
    def push(self, request: Request, pk: str) -> Response:
        """Has the channel told the listing's numbers again, whether or not they changed."""
        listing: Any = self.found(pk)
        levels = self.rows(ListingLevel).filter(
            listing=listing, listing__variant__isnull=False, dead_at__isnull=True
        )
        ids = list(levels.order_by("pk").values_list("pk", flat=True))
        mark_listing_levels(ids, lane=Lane.INCREASE, read_first=True)
        return self.shown(listing)


def _waterfall(exposure: Exposure, as_now: Sequence[str]) -> dict[str, Any]:
    steps = [
        {"name": each.name, "before": each.before, "after": each.after, "why": each.why, "rule": each.rule}
        for each in exposure.steps
    ]
    return {
        "listing_level_id": exposure.listing_level_id,
        "quantity": exposure.quantity,
        "steps": steps,
        "as_now": list(as_now),
    }
