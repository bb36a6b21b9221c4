"""How many of something can be had: now, by a day, as of an instant, on a channel."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from operator import add
from typing import Any, Final

from django.http import HttpResponse
from drf_spectacular.helpers import forced_singular_serializer
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.serializers import ValidationError

from channels.arrival_texts import arrival_texts
from channels.models import Channel
from channels.offers import offered_units
from config.api.examples import answer_example
from config.api.problems import NO_SCOPE, NOT_FOUND, REFUSED, Problem
from inventory.api.query import day, instant, row_id, texts
from inventory.api.views import MerchantView
from inventory.bundles import kits_available
from inventory.history import levels_as_of
from inventory.models import Location, Variant
from inventory.models.catalogue import LocationKind
from inventory.promising import promisable
from inventory.stock_now import VariantNow, stock_now

_NOT_ASKED: Final = {"available_to_promise": None, "inbound": None, "promisable": None}

MOST_SKUS: Final = 200
MOST_LOCATIONS: Final = 100
#: Making an encoder takes longer than most of what it encodes here.
_json: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_NOTHING_FURTHER: Final = (
    ',"available_to_promise":null,"inbound":null,"promisable":null,"offered":null,"arrives":null},'
)


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
    promisable = serializers.IntegerField(
        allow_null=True,
        help_text="With `by_date`: how much of that suppliers confirmed. Only these units are pre-ordered or promised to a "
        "backorder; the others are in transit between places of the merchant.",
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


@answer_example(
    "One variant, and one that there is not",
    {
        "data": [
            {
                "sku": "MUG-BLUE",
                "variant_id": 7,
                "is_kit": False,
                "available": 37,
                "locations": [
                    {"location": "main", "on_hand": 40, "reserved": 3, "unavailable": 0, "available": 37}
                ],
                "available_to_promise": None,
                "inbound": None,
                "promisable": None,
                "offered": None,
                "arrives": None,
            }
        ],
        "unknown": ["TRAY"],
    },
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
    """What was found of a variant otherwise than in its stock of now: of a kit, or of the past."""

    places: list[dict[str, Any]] = field(default_factory=list)

    def add(self, code: str, available: int, *own: int | None) -> None:
        """Adds a place with what is on hand, reserved and unavailable there."""
        members = ("location", "on_hand", "reserved", "unavailable", "available")
        self.places.append(dict(zip(members, (code, *own, available), strict=True)))

    def json(self, variant: VariantNow) -> str:
        """Returns the variant as an object that is still open."""
        shown = {
            "sku": variant.sku,
            "variant_id": variant.id,
            "is_kit": variant.is_kit,
            "available": sum(place["available"] for place in self.places),
            "locations": self.places,
        }
        return _json(shown)[:-1]


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
            OpenApiParameter(
                "channel", OpenApiTypes.INT64, description="The id of a channel: what it is to be told."
            ),
            OpenApiParameter(
                "location",
                {"type": "array", "items": {"type": "string"}, "maxItems": MOST_LOCATIONS},
                explode=True,
                description="Codes; without it, all locations in use but those that a platform draws on alone.",
            ),
        ],
    )
    def list(self, request: Request) -> HttpResponse:
        """Tells how many of up to 200 variants can be had; as many statements for one as for all."""
        asked = self._asked(request)
        variants = stock_now(self.caller.merchant_id, asked.skus, asked.codes)
        further = self._further([each.id for each in variants], asked)
        data = _joined(self._shown(variants, asked), further)
        known = {each.sku for each in variants}
        unknown = _json([sku for sku in asked.skus if sku not in known])
        body = f'{{"data":[{data}],"unknown":{unknown}}}'
        return HttpResponse(body, content_type=JSONRenderer.media_type)

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
        self._check_places(asked.codes)
        return asked

    def _check_places(self, codes: Sequence[str]) -> None:
        """Refuses places that there are not, at which nothing would seem to be had. Raises `Problem` (404)."""
        if not codes:
            return
        known = set(self.rows(Location).filter(code__in=codes).values_list("code", flat=True))
        if missing := [code for code in codes if code not in known]:
            raise Problem(NOT_FOUND, f"There is no location {missing[0]!r}.", field="location")

    def _shown(self, variants: Sequence[VariantNow], asked: _Asked) -> Sequence[str]:
        """Returns each variant with its places, as an object that is still open; what is made of parts, or past, anew."""
        kits = [each for each in variants if each.is_kit]
        if kits and asked.at is not None:
            message = f"{kits[0].sku} is a kit, which has no stock of its own. Ask for its parts."
            raise Problem(REFUSED, message, field="as_of")
        if asked.at is not None:
            anew = self._past(variants, asked, asked.at)
        elif kits:
            anew = self._kits(kits, asked.codes)
        else:
            anew = {}
        return [anew[each.id].json(each) if each.id in anew else each.json for each in variants]

    def _kits(self, kits: Sequence[VariantNow], codes: Sequence[str]) -> dict[int, _Found]:
        shown, found = self._codes(codes), {each.id: _Found() for each in kits}
        for variant_id, by_place in kits_available(self.caller.merchant_id, list(found)).items():
            for location_id, units in by_place.items():
                if location_id in shown:
                    found[variant_id].add(shown[location_id], units, None, None, None)
        return found

    def _past(self, variants: Sequence[VariantNow], asked: _Asked, at: datetime) -> dict[int, _Found]:
        shown, found = self._codes(asked.codes), {each.id: _Found() for each in variants}
        for past in levels_as_of(self.caller.merchant_id, list(found), at) if found else ():
            if past.location_id in shown:
                available = past.on_hand - past.reserved - past.unavailable
                found[past.variant_id].add(
                    shown[past.location_id], available, past.on_hand, past.reserved, past.unavailable
                )
        return found

    def _codes(self, codes: Sequence[str]) -> dict[int, str]:
        rows = self.rows(Location).filter(**_where(codes))
        if not codes:
            rows = rows.exclude(kind=LocationKind.CHANNEL_OWNED)
        return dict(rows.values_list("pk", "code"))

    def _further(self, ids: Sequence[int], asked: _Asked) -> Sequence[str]:
        """Returns what else was asked for, as the last members of each variant; nothing where it was not."""
        channel = self._channel(asked.channel_id)
        if channel is None and asked.by is None:
            return []
        promised = self._promised(ids, asked)
        offered = self._offered(ids, channel)
        arrives = {} if channel is None else arrival_texts(channel, ids)
        members = [
            {
                **promised.get(identity, _NOT_ASKED),
                "offered": offered.get(identity),
                "arrives": arrives.get(identity),
            }
            for identity in ids
        ]
        return [f",{_json(each)[1:]}" for each in members]

    def _promised(self, ids: Sequence[int], asked: _Asked) -> dict[int, dict[str, int]]:
        if asked.by is None or not ids:
            return {}
        places = list(self._codes(asked.codes)) if asked.codes else None
        promised = promisable(self.caller.merchant_id, ids, asked.by, location_ids=places)
        return {
            identity: {
                "available_to_promise": each.units,
                "inbound": each.coming,
                "promisable": each.inbound,
            }
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


def _joined(shown: Sequence[str], further: Sequence[str]) -> str:
    """Returns the variants, each with what else was asked for; nothing else is the same for all of them."""
    if further:
        return ",".join(map(add, shown, further))
    return _NOTHING_FURTHER.join([*shown, ""]).removesuffix(",")
