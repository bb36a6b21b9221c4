"""Webhooks to the merchants' own systems: subscriptions, and what became of each message."""

from datetime import timedelta
from http import HTTPStatus
from typing import Any, Final

import django_filters
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from config.api.examples import answer_example, request_example
from config.api.fields import Instant, StrictSerializer, Text, Truth, Whole
from config.api.problems import WRONG_STATE, Problem
from inventory.api.filters import Filters, TruthFilter, WholeFilter
from inventory.api.views import Changes, Reads, step
from inventory.models import Merchant
from reconciliation.api import problems as reconciliation_problems  # noqa: F401  # registers itself
from reconciliation.api import visibility as reconciliation_visibility  # noqa: F401  # registers itself
from reconciliation.models import WebhookMessage, WebhookSubscription
from reconciliation.outgoing import replaying, subscriptions
from reconciliation.outgoing.event_types import EVENTS, PATTERNS, TEST
from reconciliation.outgoing.leasing import message_id_of
from reconciliation.outgoing.subscriptions import LONGEST_OVERLAP, Wish
from reconciliation.signed_posts import OVERLAP

_STATES: Final = (("waiting", "waiting"), ("arrived", "arrived"), ("given_up", "given_up"))
_TYPES: Final = (*EVENTS, TEST)
_EXAMPLE: Final = {
    "url": "https://erp.example/hooks/onecount",
    "events": ["stock.changed", "order.*"],
    "description": "ERP",
}


@answer_example(
    "An ERP that is told of stock and orders",
    {
        "id": 6,
        "url": "https://erp.example/hooks/onecount",
        "description": "ERP",
        "events": ["order.*", "stock.changed"],
        "is_active": True,
        "disabled_at": None,
        "disabled_because": "",
        "gave_up": False,
        "created_at": "2026-01-31T14:00:00Z",
        "created_by": "ERP (oc_live_4fTq8sLk2P)",
    },
)
class WebhookSubscriptionSerializer(serializers.ModelSerializer[WebhookSubscription]):
    """An address of your own that is told of some events. Its secret is never shown again."""

    events = serializers.ListField(child=serializers.ChoiceField(choices=PATTERNS))
    disabled_because = serializers.CharField(help_text="Why it is told nothing; empty while it is active.")
    gave_up = serializers.BooleanField(
        help_text="It took nothing for a day or answered 410, and was switched off by that."
    )

    class Meta:
        model = WebhookSubscription
        fields = (
            "id", "url", "description", "events", "is_active", "disabled_at", "disabled_because", "gave_up", "created_at",
            "created_by",
        )  # fmt: skip
        read_only_fields = fields


class NewSubscriptionSerializer(serializers.Serializer[Any]):
    """A subscription with a secret that was just made."""

    secret = serializers.CharField(
        allow_null=True,
        help_text="What messages are signed with. Shown this once; null where the request is repeated.",
    )
    subscription = WebhookSubscriptionSerializer()


def _events(**options: Any) -> serializers.ListField:
    return serializers.ListField(
        child=serializers.ChoiceField(choices=PATTERNS),
        min_length=1,
        max_length=len(PATTERNS),
        help_text="Names of events, `order.*` for all of a family, `*` for all.",
        **options,
    )


@request_example("Stock and orders for an ERP", _EXAMPLE)
class SubscriptionBodySerializer(StrictSerializer):
    """Where you want to be told of what."""

    url = Text(max_length=500, help_text="https, and no address in a private network.")
    events = _events()
    description = Text(required=False, allow_blank=True)


@request_example("Conflicts as well", {"events": ["order.*", "conflict.*"]})
class SubscriptionChangeSerializer(StrictSerializer):
    """What is to be otherwise; what is not named stays."""

    url = Text(max_length=500, required=False)
    events = _events(required=False)
    description = Text(required=False, allow_blank=True)


@request_example("An hour to change over", {"overlap_seconds": 3600})
class SecretRotationSerializer(StrictSerializer):
    """How long the old secret signs along."""

    overlap_seconds = Whole(
        max_value=int(LONGEST_OVERLAP.total_seconds()), default=int(OVERLAP.total_seconds())
    )


@request_example("While the receiver moves", {"because": "The ERP moves to another machine."})
class DisableSerializer(StrictSerializer):
    """Why it is to be told nothing more."""

    because = Text(max_length=1_000, required=False, allow_blank=True)


@request_example("What was missed since noon", {"since": "2026-01-31T12:00:00Z", "only_missing": True})
class ReplaySinceSerializer(StrictSerializer):
    """From when on what happened is told again."""

    since = Instant()
    only_missing = Truth(
        default=False, help_text="Leaves alone what arrived or is on its way; otherwise all is told again."
    )


class MessagesReplayedSerializer(serializers.Serializer[Any]):
    """How much is told again."""

    messages = serializers.IntegerField()


class AttemptSerializer(serializers.Serializer[Any]):
    """One attempt at a message."""

    at = serializers.DateTimeField()
    milliseconds = serializers.IntegerField()
    status = serializers.IntegerField(help_text="What the receiver answered; 0 where it did not.")
    error = serializers.CharField()


class WebhookDeliverySerializer(serializers.ModelSerializer[WebhookMessage]):
    """One event for one subscription, and what became of telling it."""

    subscription_id = serializers.IntegerField()
    event_id = serializers.SerializerMethodField(
        help_text="The `webhook-id` of the message, the same in every attempt and for every subscription."
    )
    type = serializers.ChoiceField(source="event.type", choices=_TYPES)
    subject = serializers.CharField(source="event.subject", help_text="What it is about, such as `order:42`.")
    version = serializers.IntegerField(
        source="event.version",
        help_text="Of two events about one subject the larger one tells the later state.",
    )
    occurred_at = serializers.DateTimeField(source="event.occurred_at")
    state = serializers.ChoiceField(choices=_STATES)
    status = serializers.IntegerField(help_text="What the receiver answered last; 0 where it did not.")
    log = AttemptSerializer(many=True, help_text="The latest attempts, the oldest first.")

    class Meta:
        model = WebhookMessage
        fields = (
            "id", "subscription_id", "event_id", "type", "subject", "version", "occurred_at", "state", "attempts",
            "next_attempt_at", "arrived_at", "given_up_at", "status", "error", "log", "created_at",
        )  # fmt: skip
        read_only_fields = fields

    @extend_schema_field(serializers.CharField())
    def get_event_id(self, message: WebhookMessage) -> str:
        """Returns the id that the message carries."""
        return message_id_of(message.event.event_id)


class SubscriptionFilters(Filters):
    """Subscriptions by state."""

    is_active = TruthFilter()


class DeliveryFilters(Filters):
    """Deliveries by subscription, event and what became of them."""

    subscription = WholeFilter(field_name="subscription_id")
    type = django_filters.ChoiceFilter(field_name="event__type", choices=[(each, each) for each in _TYPES])
    subject = django_filters.CharFilter(field_name="event__subject")
    state = django_filters.ChoiceFilter(choices=_STATES, method="narrow_state")

    def narrow_state(self, rows: QuerySet[WebhookMessage], name: str, value: str) -> QuerySet[WebhookMessage]:
        """Keeps those in this state."""
        column = {"waiting": "next_attempt_at", "arrived": "arrived_at", "given_up": "given_up_at"}[value]
        return rows.filter(**{f"{column}__isnull": False})


class WebhookSubscriptions(Changes):
    """Webhook subscriptions: what your own systems are told."""

    resource, name_of_rows, model = "webhooks", "webhook_subscriptions", WebhookSubscription
    serializer_class = WebhookSubscriptionSerializer
    change_class = SubscriptionChangeSerializer
    filterset_class = SubscriptionFilters
    told_once = frozenset({"secret"})
    http_method_names = [*Changes.http_method_names, "delete"]

    def related(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Leaves secrets where they are."""
        return rows.defer("secrets")

    @extend_schema(request=SubscriptionBodySerializer, responses={201: NewSubscriptionSerializer})
    def create(self, request: Request) -> Response:
        """Subscribes an address to events from now on. The secret is shown in this answer and never again."""
        wish = Wish(**self.body(SubscriptionBodySerializer))
        merchant = Merchant(pk=self.caller.merchant_id)
        return self._told(*subscriptions.subscribe(merchant, wish, by=self.caller.actor))

    def change(self, row: WebhookSubscription, wanted: dict[str, Any]) -> None:
        """Changes where it is told of what; what is waiting goes to the new address."""
        for name, value in wanted.items():
            setattr(row, name, value)
        subscriptions.change(row)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Ends a subscription: it, what waits to be told and the log of what was are deleted. Disabling keeps them."""
        subscriptions.remove(self.signed(self.locked(pk)))
        return Response(status=HTTPStatus.NO_CONTENT)

    @step(
        SecretRotationSerializer,
        NewSubscriptionSerializer,
        url_path="rotate-secret",
        url_name="rotate-secret",
        status=HTTPStatus.CREATED,
    )
    def rotate_secret(self, request: Request, pk: str) -> Response:
        """Makes a new secret; messages are signed with the old one as well for the overlap."""
        row = self.locked(pk)
        overlap = timedelta(seconds=self.body(SecretRotationSerializer)["overlap_seconds"])
        return self._told(row, subscriptions.renew_secret(row.pk, overlap=overlap))

    @step(DisableSerializer, WebhookSubscriptionSerializer)
    def disable(self, request: Request, pk: str) -> Response:
        """Has a subscription told nothing more. What is waiting waits; what happens meanwhile is not noted."""
        row = self.signed(self.locked(pk))
        subscriptions.disable(row, because=self.body(DisableSerializer).get("because", ""))
        return self.shown(row)

    @step(None, WebhookSubscriptionSerializer)
    def enable(self, request: Request, pk: str) -> Response:
        """Has a subscription told again, what waited first."""
        row = self.signed(self.locked(pk))
        subscriptions.enable(row)
        return self.shown(row)

    @step(None, WebhookDeliverySerializer, status=HTTPStatus.CREATED)
    def test(self, request: Request, pk: str) -> Response:
        """Sends the event `webhook.test`. Read the delivery again for what became of it."""
        row: Any = self.found(pk)
        if not row.is_active:
            raise Problem(WRONG_STATE, "The subscription is switched off. Enable it first.")
        message = replaying.send_test(row)
        return Response(WebhookDeliverySerializer(message).data, status=HTTPStatus.CREATED)

    @step(ReplaySinceSerializer, MessagesReplayedSerializer, status=HTTPStatus.ACCEPTED)
    def replay(self, request: Request, pk: str) -> Response:
        """Tells again what happened since an instant, under the same ids.

        Events that nobody had subscribed to when they happened were not kept.
        """
        row: Any = self.found(pk)
        if not row.is_active:
            raise Problem(WRONG_STATE, "The subscription is switched off. Enable it first.")
        count = replaying.replay_since(row, **self.body(ReplaySinceSerializer))
        return Response({"messages": count}, status=HTTPStatus.ACCEPTED)

    def _told(self, row: WebhookSubscription, secret: str) -> Response:
        shown = self.get_serializer(self.get_queryset().get(pk=row.pk)).data
        return Response({"secret": secret, "subscription": shown}, status=HTTPStatus.CREATED)


class WebhookDeliveries(Reads):
    """Webhook deliveries: the log of what your systems were told, the newest first."""

    resource, name_of_rows, model = "webhooks", "webhook_deliveries", WebhookMessage
    serializer_class = WebhookDeliverySerializer
    filterset_class = DeliveryFilters
    newest_first = True

    def related(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Brings along what was told."""
        return rows.select_related("event").defer("event__data", "event__facts")

    @step(None, WebhookDeliverySerializer, status=HTTPStatus.ACCEPTED)
    def replay(self, request: Request, pk: str) -> Response:
        """Sends a message again under the same id, whatever became of it."""
        row: Any = self.found(pk)
        if not replaying.replay([row.pk]):
            raise Problem(WRONG_STATE, "The subscription is switched off. Enable it first.")
        return self.shown(row, status=HTTPStatus.ACCEPTED)
