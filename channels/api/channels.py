"""Channels: how they do, and what they are offered."""

from http import HTTPStatus
from typing import Any

import django_filters
from django.core.validators import MaxValueValidator
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from channels.api import problems as channel_problems  # noqa: F401  # registers itself
from channels.api import visibility as channel_visibility  # noqa: F401  # registers itself
from channels.connectors import CONNECTORS
from channels.models import Channel
from channels.models.channels import MOST_DELIVERY_DAYS
from channels.own_systems import connect
from channels.simulated import is_simulated
from channels.tuning import poll_now, push_now, tune
from config.api.examples import answer_example, request_example
from config.api.fields import StrictSerializer, Text, Truth, Whole
from config.api.problems import TEST_KEY, WRONG_STATE, Problem
from inventory.api.filters import Filters, TruthFilter
from inventory.api.naming import Code, location_ids_of
from inventory.api.views import Changes, step

_LARGEST = 2**31 - 1


@answer_example(
    "The till of a shop",
    {
        "id": 3,
        "name": "Counter",
        "kind": "api",
        "is_active": True,
        "is_paused": False,
        "in_shadow": False,
        "is_simulated": False,
        "buffer_units": 0,
        "buffer_percent": 0,
        "minimum_exposure": 0,
        "maximum_exposure": None,
        "routing": "priority",
        "may_split": True,
        "delivery_days_from": None,
        "delivery_days_to": None,
        "created_at": "2026-01-02T09:00:00Z",
    },
)
class ChannelSerializer(serializers.ModelSerializer[Channel]):
    """One account at one platform, or a system of the merchant's own. Credentials are never shown."""

    is_simulated = serializers.SerializerMethodField()

    class Meta:
        model = Channel
        fields = (
            "id", "name", "kind", "is_active", "is_paused", "in_shadow", "is_simulated", "buffer_units",
            "buffer_percent", "minimum_exposure", "maximum_exposure", "routing", "may_split", "delivery_days_from",
            "delivery_days_to", "created_at",
        )  # fmt: skip
        read_only_fields = fields

    def get_is_simulated(self, channel: Channel) -> bool:
        """Returns whether test keys see it."""
        return is_simulated(channel)


@request_example("The till of a shop", {"name": "Counter", "locations": ["store"]})
class ChannelBodySerializer(StrictSerializer):
    """A system of your own, which sends its orders here."""

    name = Text()
    locations = serializers.ListField(
        child=Code(),
        min_length=1,
        max_length=100,
        help_text="From where its orders are served, the first ones first.",
    )
    is_simulated = Truth(default=False, help_text="For tests: test keys may use it.")


@request_example("Two units withheld of each listing", {"buffer_units": 2})
class ChannelChangeSerializer(StrictSerializer):
    """What a channel is offered, and whether it is told."""

    is_paused = Truth(required=False, help_text="Told nothing until resumed; its orders still come in.")
    buffer_units = Whole(max_value=_LARGEST, required=False, help_text="Units withheld of each listing.")
    buffer_percent = Whole(max_value=100, required=False, validators=[MaxValueValidator(100)])
    minimum_exposure = Whole(
        max_value=_LARGEST, required=False, help_text="Below this many units it shows none."
    )
    maximum_exposure = Whole(max_value=_LARGEST, required=False, allow_null=True)
    may_split = Truth(required=False, help_text="Whether one order may leave from several locations.")
    delivery_days_from = Whole(
        max_value=MOST_DELIVERY_DAYS,
        required=False,
        allow_null=True,
        help_text="Days from goods in stock to goods at the customer, at best.",
    )
    delivery_days_to = Whole(
        max_value=MOST_DELIVERY_DAYS, required=False, allow_null=True, help_text="And at worst."
    )


class PushedSerializer(serializers.Serializer[Any]):
    """What is told again."""

    marked = serializers.IntegerField(help_text="Numbers that will be told, soon.")


class ChannelFilters(Filters):
    """Channels by kind or state."""

    kind = django_filters.CharFilter()
    is_active = TruthFilter()
    is_paused = TruthFilter()


class Channels(Changes):
    """Channels: where the merchant sells."""

    resource, name_of_rows, model = "channels", "channels", Channel
    serializer_class = ChannelSerializer
    change_class = ChannelChangeSerializer
    filterset_class = ChannelFilters

    def related(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Leaves secrets where they are."""
        return rows.defer("credentials")

    @extend_schema(request=ChannelBodySerializer, responses={201: ChannelSerializer})
    def create(self, request: Request) -> Response:
        """Connects a system of your own, without a connector. Platforms are connected in the back office."""
        body = self.body(ChannelBodySerializer)
        if self.caller.is_test and not body["is_simulated"]:
            raise Problem(TEST_KEY, "A test key connects simulated systems alone.", field="is_simulated")
        codes = list(dict.fromkeys(body["locations"]))
        ids = location_ids_of(self.caller, codes, "locations")
        channel = connect(
            self.caller.merchant_id,
            body["name"],
            {code: ids[code] for code in codes},
            is_simulated=body["is_simulated"],
        )
        return self.shown(channel, status=HTTPStatus.CREATED)

    def change(self, row: Channel, wanted: dict[str, Any]) -> None:
        """Changes what it is offered; its numbers are computed anew."""
        tune(row, wanted)

    @step(None, ChannelSerializer)
    def pause(self, request: Request, pk: str) -> Response:
        """Stops telling it numbers; its orders still come in. Harmless where it is paused."""
        return self._switched(pk, is_paused=True)

    @step(None, ChannelSerializer)
    def resume(self, request: Request, pk: str) -> Response:
        """Tells it again, beginning with what became due meanwhile. Harmless where it is not paused."""
        return self._switched(pk, is_paused=False)

    def _switched(self, pk: str, *, is_paused: bool) -> Response:
        channel = self.signed(self.locked(pk))
        tune(channel, {"is_paused": is_paused})
        return self.shown(channel)

    @step(None, PushedSerializer, is_one_transaction=False)
    def push(self, request: Request, pk: str) -> Response:
        """Has all its mapped listings told their numbers, whether or not they changed. Doing it twice does no harm."""
        channel: Any = self.found(pk)
        if not channel.is_active or channel.is_paused or channel.kind not in CONNECTORS:
            raise Problem(
                WRONG_STATE, "The channel is paused or off, or has no platform: it is told nothing."
            )
        return Response({"marked": push_now([channel.pk])})

    @step(None, ChannelSerializer)
    def poll(self, request: Request, pk: str) -> Response:
        """Has its orders read at once."""
        channel: Any = self.found(pk)
        if not channel.is_active or channel.kind not in CONNECTORS:
            raise Problem(WRONG_STATE, "The channel is off, or has no platform that could be asked.")
        poll_now([channel.pk])
        return self.shown(channel)
