"""What went wrong with channels: the error log, messages that could not be read, work that others were in the way of."""

from typing import Any

import django_filters
from django.db.models import QuerySet
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from channels import deliveries, retried_work
from channels.models import ErrorEntry, Retry, WebhookDelivery
from channels.models.error_log import ErrorJob
from channels.models.inbound import DeliveryState
from channels.models.retry_queue import RetryKind, RetryState
from config.api.examples import request_example
from config.api.fields import RowId, StrictSerializer, items
from config.api.problems import WRONG_STATE, Problem
from inventory.api.filters import Filters, InstantFilter, WholeFilter
from inventory.api.views import Reads, step


class ErrorSerializer(serializers.ModelSerializer[ErrorEntry]):
    """One failure: which call, what was answered, and what to do about it."""

    channel_id = serializers.IntegerField()
    job = serializers.ChoiceField(choices=ErrorJob.choices, help_text="What was being done.")
    call = serializers.CharField(
        help_text="Method, host and path, without query and content; empty where no call was made."
    )
    status = serializers.IntegerField(allow_null=True, help_text="The HTTP status of the answer.")
    code = serializers.CharField(help_text="What kind of failure it is, such as `throttled`.")
    object_label = serializers.CharField(help_text="What it is about; empty: the channel as a whole.")

    class Meta:
        model = ErrorEntry
        fields = (
            "id", "channel_id", "at", "job", "call", "status", "code", "message", "remedy", "object_label", "object_id",
        )  # fmt: skip
        read_only_fields = fields


class ErrorFilters(Filters):
    """Failures by channel, kind or time."""

    channel = WholeFilter(field_name="channel_id")
    job = django_filters.ChoiceFilter(choices=ErrorJob.choices)
    code = django_filters.CharFilter()
    since = InstantFilter(field_name="at", lookup_expr="gte")
    before = InstantFilter(field_name="at", lookup_expr="lt")


class Errors(Reads):
    """The error log: every failure of every channel."""

    resource, name_of_rows, model = "channels", "errors", ErrorEntry
    serializer_class = ErrorSerializer
    filterset_class = ErrorFilters


class MessageSerializer(serializers.ModelSerializer[WebhookDelivery]):
    """One authentic message of a platform. What was kept of its content is shown in the back office alone."""

    channel_id = serializers.IntegerField()
    state = serializers.ChoiceField(choices=DeliveryState.choices)
    repeats = serializers.IntegerField(help_text="How often the same message came again.")

    class Meta:
        model = WebhookDelivery
        fields = (
            "id", "channel_id", "topic", "state", "received_at", "processed_at", "repeats", "attempts", "next_attempt_at",
            "error",
        )  # fmt: skip
        read_only_fields = fields


class MessageFilters(Filters):
    """Messages by channel, topic, state or time."""

    channel = WholeFilter(field_name="channel_id")
    topic = django_filters.CharFilter()
    state = django_filters.ChoiceFilter(choices=DeliveryState.choices)
    received_since = InstantFilter(field_name="received_at", lookup_expr="gte")
    received_before = InstantFilter(field_name="received_at", lookup_expr="lt")


@request_example("Two messages", {"message_ids": [7, 8]})
class NamedMessagesSerializer(StrictSerializer):
    """Which messages."""

    message_ids = items(RowId())


class ReplayedMessagesSerializer(serializers.Serializer[Any]):
    """How many will be processed again."""

    replayed = serializers.IntegerField(
        help_text="Of those named; the others wait already, or their channel is off."
    )


class Messages(Reads):
    """Messages that platforms sent; those in the state `dead` were given up."""

    resource, name_of_rows, model = "channels", "platform_messages", WebhookDelivery
    serializer_class = MessageSerializer
    filterset_class = MessageFilters

    def related(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Leaves the content where it is."""
        return rows.defer("payload")

    @step(None, MessageSerializer)
    def replay(self, request: Request, pk: str) -> Response:
        """Has a message processed again from the start; an order counts nothing twice, because it is a state."""
        message: Any = self.found(pk)
        if not self._replay([message.pk]):
            raise Problem(WRONG_STATE, "It waits to be processed already, or its channel is off.")
        return self.shown(message)

    @step(
        NamedMessagesSerializer,
        ReplayedMessagesSerializer,
        on_row=False,
        url_path="replay",
        url_name="replay-many",
    )
    def replay_many(self, request: Request) -> Response:
        """Has up to 1,000 messages processed again."""
        wanted = self.body(NamedMessagesSerializer)["message_ids"]
        return Response({"replayed": self._replay(self.ids_of(WebhookDelivery, wanted, "message_ids"))})

    def _replay(self, ids: list[int]) -> int:
        rows = self.rows(WebhookDelivery).filter(pk__in=ids, channel__is_active=True)
        ended = rows.exclude(state=DeliveryState.RECEIVED)
        return deliveries.replay(ended.order_by("pk").values_list("pk", flat=True))


class RetrySerializer(serializers.ModelSerializer[Retry]):
    """One piece of work that met a lock timeout, a deadlock or a serialisation failure; tried again until it is done."""

    channel_id = serializers.IntegerField(allow_null=True)
    kind = serializers.ChoiceField(choices=RetryKind.choices)
    key = serializers.CharField(help_text="Which work: a message's id, or channel and order.")
    state = serializers.ChoiceField(choices=RetryState.choices)

    class Meta:
        model = Retry
        fields = (
            "id", "channel_id", "kind", "key", "reason", "state", "attempts", "first_at", "last_at", "next_attempt_at",
            "ended_at",
        )  # fmt: skip
        read_only_fields = fields


class RetryFilters(Filters):
    """Work by channel, kind or state."""

    channel = WholeFilter(field_name="channel_id")
    kind = django_filters.ChoiceFilter(choices=RetryKind.choices)
    state = django_filters.ChoiceFilter(choices=RetryState.choices)


class Retries(Reads):
    """The retry queue: work that others were in the way of."""

    resource, name_of_rows, model = "channels", "retries", Retry
    serializer_class = RetrySerializer
    filterset_class = RetryFilters

    @step(None, RetrySerializer)
    def again(self, request: Request, pk: str) -> Response:
        """Begins given up work anew; it counts nothing twice."""
        retry: Any = self.found(pk)
        if not retried_work.try_again([retry]):
            raise Problem(WRONG_STATE, "It was not given up.")
        return self.shown(retry)
