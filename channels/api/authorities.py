"""Who has the say over the stock of which location: a warehouse or ERP, connected as a channel."""

from http import HTTPStatus
from typing import Any

import django_filters
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from channels.models import Authority, Channel
from channels.warehouses import marks
from channels.warehouses.authorities import give_say, place_named
from config.api.examples import request_example
from config.api.fields import RowId, StrictSerializer, Text
from config.api.problems import NOT_FOUND, Problem
from inventory.api.filters import Filters
from inventory.api.naming import Code, location_ids_of
from inventory.api.views import Reads, step
from inventory.models import Location


class AuthoritySerializer(serializers.ModelSerializer[Authority]):
    """A channel that has the say over a location: its free stock drives the ledger there."""

    location = serializers.CharField(source="location.code")
    channel_id = serializers.IntegerField(source="place.channel_id")
    place = serializers.CharField(source="place.external_id", help_text="The channel's own id of the place.")

    class Meta:
        model = Authority
        fields = ("id", "location", "channel_id", "place", "began_at")
        read_only_fields = fields


@request_example("The warehouse counts", {"location": "W1", "channel_id": 7, "place": "1"})
class AuthorityBodySerializer(StrictSerializer):
    """Whose numbers are to count where."""

    location = Code()
    channel_id = RowId(help_text="A channel of a warehouse or ERP.")
    place = Text(max_length=200, help_text="The channel's own id of the place whose numbers count.")


class ReadAgainSerializer(serializers.Serializer[Any]):
    """What is read again."""

    marked = serializers.IntegerField(help_text="Numbers that will be read and counted, soon.")


class AuthorityFilters(Filters):
    """Authorities by location."""

    location = django_filters.CharFilter(field_name="location__code")


class Authorities(Reads):
    """Who has the say over which location."""

    resource, name_of_rows, model = "channels", "authorities", Authority
    serializer_class = AuthoritySerializer
    filterset_class = AuthorityFilters

    def related(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Brings location and place along."""
        return rows.select_related("location", "place")

    @extend_schema(request=AuthorityBodySerializer, responses={201: AuthoritySerializer})
    def create(self, request: Request) -> Response:
        """Gives a warehouse or ERP the say over a location; its numbers are read at once. Repeating it is harmless."""
        body = self.body(AuthorityBodySerializer)
        ids = location_ids_of(self.caller, [body["location"]], "location")
        channel = self.rows(Channel).defer("credentials").filter(pk=body["channel_id"]).first()
        if channel is None:
            raise Problem(NOT_FOUND, "There is no such channel.", field="channel_id")
        location = self.rows(Location).get(pk=ids[body["location"]])
        return self.shown(give_say(location, place_named(channel, body["place"])), status=HTTPStatus.CREATED)

    @step(None, ReadAgainSerializer)
    def read(self, request: Request, pk: str) -> Response:
        """Has everything read and counted again that the warehouse says of its locations."""
        authority: Any = self.found(pk)
        return Response({"marked": marks.read_all(authority.place.channel_id)})

    @step(None, AuthoritySerializer)
    def end(self, request: Request, pk: str) -> Response:
        """Takes the say away; the ledger keeps what it holds, and people answer the requests from then on."""
        authority: Any = self.signed(self.found(pk))
        data = self.get_serializer(authority).data
        authority.delete()
        return Response(data)
