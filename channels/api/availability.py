"""How many of something can be had: now, by a day, as of an instant, on a channel."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final

from drf_spectacular.helpers import forced_singular_serializer
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import ValidationError

from channels.arrival_texts import arrival_texts
from channels.models import Channel
from channels.offers import offered_units
from config.api.problems import NO_SCOPE, NOT_FOUND, REFUSED, Problem
from inventory.api.query import day, instant, row_id, texts
from inventory.api.views import MerchantView
from inventory.bundles import kits_available
from inventory.history import levels_as_of
from inventory.models import Location, Variant
from inventory.models.catalogue import LocationKind
from inventory.promising import promisable
from inventory.stock_now import LevelNow, stock_now

MOST_SKUS: Final = 200
MOST_LOCATIONS: Final = 100


class PlaceSerializer(serializers.Serializer[Any]):
    """A variant at one location, in base units; of a kit, whole kits."""

    location = serializers.CharField()
    on_hand = serializers.IntegerField(
        allow_null=True, help_text="Null for a kit, which has no stock of its own."
    )
    reserved = serializers.IntegerField(allow_null=True)
    unavailable = serializers.IntegerField(allow_null=True)
    available = serializers.IntegerField()


class AvailableSerializer(serializers.Serializer[Any]):
    """How many of one variant can be had."""

    sku = serializers.CharField()
    variant_id = serializers.IntegerField()
    is_kit = serializers.BooleanField()
    available = serializers.IntegerField(help_text="Units that may be reserved, over all these locations.")
    locations = PlaceSerializer(many=True)
    available_to_promise = serializers.IntegerField(
        allow_null=True,
        help_text="With `by_date`: available, and what is confirmed or in transit by then and nobody is promised.",
    )
    inbound = serializers.IntegerField(
        allow_null=True, help_text="With `by_date`: how much of that is still to come."
    )
    offered = serializers.IntegerField(
        allow_null=True,
        help_text="With `channel`: what the channel is to be told, over its places; null if unlisted.",
    )
    arrives = serializers.CharField(
        allow_null=True,
        help_text="With `channel`: what it may say of when goods arrive, such as `within 2 to 4 days`; null where the channel "
        "has no delivery days.",
    )


class AvailabilitySerializer(serializers.Serializer[Any]):
    """How many can be had."""

    data = AvailableSerializer(many=True)  # type: ignore[assignment]
    unknown = serializers.ListField(child=serializers.CharField(), help_text="SKUs that there are not.")


@dataclass(slots=True)
class _Asked:
    """What is asked for."""

    skus: list[str]
    at: datetime | None
    by: date | None
    channel_id: int | None
    codes: list[str]


@dataclass(slots=True)
class _Found:
    """A variant with what was found of it."""

    sku: str
    is_kit: bool
    places: list[dict[str, Any]] = field(default_factory=list)


class Availability(MerchantView):
    """Availability: how many of something can be had."""

    resource, name_of_rows, model = "stock", "availability", Variant
    serializer_class = AvailabilitySerializer
    parameters = frozenset({"sku", "as_of", "by_date", "channel", "location"})
    pagination_class = None

    def check_permissions(self, request: Request) -> None:
        """Refuses who lacks the scope; what a channel is to be told needs that of channels, too."""
        super().check_permissions(request)
        if "channel" in request.query_params and not self.caller.may("channels", "read"):
            raise Problem(NO_SCOPE, "The key lacks the scope channels:read.", field="channel")

    @extend_schema(
        responses=forced_singular_serializer(AvailabilitySerializer),  # type: ignore[no-untyped-call]
        parameters=[
            OpenApiParameter(
                "sku",
                {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": MOST_SKUS},
                required=True,
                explode=True,
                description=f"Once for each variant, at most {MOST_SKUS} times.",
                examples=[OpenApiExample("Two variants", value=["MUG-BLUE", "TRAY"])],
            ),
            OpenApiParameter(
                "as_of", datetime, description="An instant of the past, by recorded time. Not for kits."
            ),
            OpenApiParameter("by_date", date, description="The day by which goods may still arrive."),
            OpenApiParameter("channel", int, description="The id of a channel: what it is to be told."),
            OpenApiParameter(
                "location",
                {"type": "array", "items": {"type": "string"}, "maxItems": MOST_LOCATIONS},
                explode=True,
                description="Codes; without it, all locations in use but those that a platform draws on alone.",
            ),
        ],
    )
    def list(self, request: Request) -> Response:
        """Tells how many of up to 200 variants can be had; as many statements for one as for all."""
        asked = self._asked(request)
        found = self._variants(asked)
        self._fill(found, asked)
        promised = self._promised(found, asked)
        channel = self._channel(asked.channel_id)
        offered = self._offered(found, channel)
        arrives = {} if channel is None else arrival_texts(channel, list(found))
        data = [
            {
                "sku": each.sku,
                "variant_id": identity,
                "is_kit": each.is_kit,
                "available": sum(place["available"] for place in each.places),
                "locations": each.places,
                **promised.get(identity, {"available_to_promise": None, "inbound": None}),
                "offered": offered.get(identity),
                "arrives": arrives.get(identity),
            }
            for identity, each in found.items()
        ]
        known = {each.sku for each in found.values()}
        return Response({"data": data, "unknown": [sku for sku in asked.skus if sku not in known]})

    def _asked(self, request: Request) -> _Asked:
        asked = _Asked(
            texts(request, "sku", most=MOST_SKUS),
            instant(request, "as_of"),
            day(request, "by_date"),
            row_id(request, "channel"),
            texts(request, "location", most=MOST_LOCATIONS),
        )
        if not asked.skus:
            raise ValidationError({"sku": ["Name at least one."]})
        if asked.at is not None and (asked.by is not None or asked.channel_id is not None):
            raise ValidationError({"as_of": ["Leave out by_date and channel: the past is what it was."]})
        return asked

    def _variants(self, asked: _Asked) -> dict[int, _Found]:
        """Returns the variants, with what there is of them now unless the past is asked for."""
        rows = stock_now(self.caller.merchant_id, asked.skus, asked.codes)
        return {
            each.id: _Found(
                each.sku, each.is_kit, [] if asked.at else [_level(level) for level in each.levels]
            )
            for each in rows
        }

    def _fill(self, found: dict[int, _Found], asked: _Asked) -> None:
        """Adds what is made of parts, and what there was."""
        kits = [identity for identity, each in found.items() if each.is_kit]
        if kits and asked.at is not None:
            message = f"{found[kits[0]].sku} is a kit, which has no stock of its own. Ask for its parts."
            raise Problem(REFUSED, message, field="as_of")
        if asked.at is not None:
            self._fill_past(found, asked)
        if kits:
            self._fill_kits(found, kits, asked.codes)

    def _fill_kits(self, found: dict[int, _Found], kits: Sequence[int], codes: Sequence[str]) -> None:
        shown = self._codes(codes)
        for variant_id, by_place in kits_available(self.caller.merchant_id, kits).items():
            for location_id, units in by_place.items():
                if location_id in shown:
                    place = {
                        "location": shown[location_id],
                        "on_hand": None,
                        "reserved": None,
                        "unavailable": None,
                    }
                    found[variant_id].places.append({**place, "available": units})

    def _fill_past(self, found: dict[int, _Found], asked: _Asked) -> None:
        shown = self._codes(asked.codes)
        at: Any = asked.at
        for past in levels_as_of(self.caller.merchant_id, list(found), at) if found else ():
            if past.location_id in shown:
                level = LevelNow(shown[past.location_id], past.on_hand, past.reserved, past.unavailable)
                found[past.variant_id].places.append(_level(level))

    def _codes(self, codes: Sequence[str]) -> dict[int, str]:
        rows = self.rows(Location).filter(**_where(codes))
        if not codes:
            rows = rows.exclude(kind=LocationKind.CHANNEL_OWNED)
        return dict(rows.values_list("pk", "code"))

    def _promised(self, found: Mapping[int, _Found], asked: _Asked) -> dict[int, dict[str, int]]:
        if asked.by is None or not found:
            return {}
        places = list(self._codes(asked.codes)) if asked.codes else None
        promised = promisable(self.caller.merchant_id, list(found), asked.by, location_ids=places)
        return {
            identity: {"available_to_promise": each.units, "inbound": each.units - each.available}
            for identity, each in promised.items()
        }

    def _channel(self, channel_id: int | None) -> Channel | None:
        if channel_id is None:
            return None
        for channel in self.rows(Channel).filter(pk=channel_id).defer("credentials"):
            found: Channel = channel
            return found
        raise Problem(NOT_FOUND, "There is no such channel.", field="channel")

    def _offered(self, found: Iterable[int], channel: Channel | None) -> dict[int, int]:
        return {} if channel is None else offered_units(channel.pk, found)


def _where(codes: Sequence[str]) -> dict[str, Any]:
    """Returns which locations count: those named, else those in use."""
    return {"code__in": codes} if codes else {"is_active": True}


def _level(level: LevelNow) -> dict[str, Any]:
    return {
        "location": level.location,
        "on_hand": level.on_hand,
        "reserved": level.reserved,
        "unavailable": level.unavailable,
        "available": level.available,
    }
