"""Keys, managed by an owner key."""

from datetime import timedelta
from http import HTTPStatus
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from config.api.examples import request_example
from config.api.fields import Instant, Quantity, StrictSerializer, Text, Truth, Whole
from config.api.problems import TEST_KEY, Problem
from inventory.access import LONGEST_OVERLAP, USUAL_OVERLAP, KeyTerms, issue, revoke, rotate
from inventory.api.views import Reads, step
from inventory.models import ApiKey, Merchant
from inventory.models.access import LARGEST_RATE, USUAL_RATE
from inventory.scopes import SCOPES


class KeySerializer(serializers.ModelSerializer[ApiKey]):
    """A key, as far as it may be shown."""

    last_used_at = serializers.DateTimeField(source="use.last_used_at", allow_null=True)
    replaces_id = serializers.IntegerField(allow_null=True)

    class Meta:
        model = ApiKey
        fields = (
            "id", "name", "prefix", "scopes", "is_test", "requests_per_minute", "created_at", "created_by", "expires_at",
            "revoked_at", "replaces_id", "last_used_at",
        )  # fmt: skip
        read_only_fields = fields


class NewKeySerializer(serializers.Serializer[Any]):
    """A key that was just made."""

    secret = serializers.CharField(
        allow_null=True, help_text="The key itself. Shown this once; null where the request is repeated."
    )
    key = KeySerializer()


@request_example(
    "A key of a warehouse system",
    {"name": "WMS", "scopes": ["stock:read", "stock:write"], "requests_per_minute": 1200},
)
class KeyBodySerializer(StrictSerializer):
    """What a key is to be."""

    name = Text(max_length=100)
    scopes = serializers.ListField(
        child=serializers.ChoiceField(choices=SCOPES), min_length=1, max_length=len(SCOPES)
    )
    is_test = Truth(default=False, help_text="Touches simulated shops only.")
    requests_per_minute = Quantity(max_value=LARGEST_RATE, default=USUAL_RATE)
    expires_at = Instant(required=False, allow_null=True)


@request_example("An hour to change over", {"overlap_seconds": 3600})
class RotationSerializer(StrictSerializer):
    """How long the old key stays in force."""

    overlap_seconds = Whole(
        max_value=int(LONGEST_OVERLAP.total_seconds()), default=int(USUAL_OVERLAP.total_seconds())
    )


class Keys(Reads):
    """Keys. Only a key with the scope `owner` sees and makes them."""

    resource, name_of_rows, model = "keys", "keys", ApiKey
    serializer_class = KeySerializer
    told_once = frozenset({"secret"})

    def related(self, rows: Any) -> Any:
        """Brings along when they were used."""
        return rows.select_related("use")

    @extend_schema(request=KeyBodySerializer, responses={201: NewKeySerializer})
    def create(self, request: Request) -> Response:
        """Makes a key. It is shown in this answer and never again. A test key makes test keys alone."""
        terms = KeyTerms(**self.body(KeyBodySerializer))
        if self.caller.is_test and not terms.is_test:
            raise Problem(TEST_KEY, "A test key makes test keys alone.", field="is_test")
        merchant = Merchant.objects.get(pk=self.caller.merchant_id)
        return self._told(*issue(merchant, terms, by=self.caller.actor))

    @step(RotationSerializer, NewKeySerializer, status=HTTPStatus.CREATED)
    def rotate(self, request: Request, pk: str) -> Response:
        """Makes a key with the same rights; the old one stays in force for the overlap."""
        old: Any = self.found(pk)
        overlap = timedelta(seconds=self.body(RotationSerializer)["overlap_seconds"])
        return self._told(*rotate(self.caller.merchant_id, old.pk, by=self.caller.actor, overlap=overlap))

    @step(None, KeySerializer)
    def revoke(self, request: Request, pk: str) -> Response:
        """Has requests with a key refused from now on."""
        key: Any = self.found(pk)
        return self.shown(revoke(self.caller.merchant_id, key.pk))

    def _told(self, key: ApiKey, text: str) -> Response:
        shown = self.get_serializer(self.get_queryset().get(pk=key.pk)).data
        return Response({"secret": text, "key": shown}, status=HTTPStatus.CREATED)
