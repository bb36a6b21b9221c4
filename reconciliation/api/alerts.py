"""Alerts: what is wrong and what to do; acknowledged, muted or ended with a reason."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

import django_filters
from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from config.api.examples import request_example
from config.api.fields import Because, BecauseSerializer, Quantity, StrictSerializer
from config.api.problems import WRONG_STATE, Problem
from inventory.api.filters import Filters, InstantFilter, TruthFilter, WholeFilter
from inventory.api.views import Reads, step
from reconciliation import alerts
from reconciliation.models import Alert, Severity

#: How bad an alert is, in words.
SEVERITIES: Final[Sequence[tuple[str, str]]] = [(each.name.lower(), each.label) for each in Severity]
#: Nobody mutes an alert for longer than a year, in hours.
LONGEST_MUTE: Final = 366 * 24


class AlertSerializer(serializers.ModelSerializer[Alert]):
    """One thing that is wrong, from the moment it was noticed until it is over."""

    channel_id = serializers.IntegerField(allow_null=True)
    severity = serializers.SerializerMethodField()
    is_open = serializers.SerializerMethodField()
    is_muted = serializers.SerializerMethodField()
    kind = serializers.CharField(help_text="What kind of thing is wrong, such as `channel_down`.")
    subject = serializers.CharField(help_text="Which of several things of the kind.")
    link = serializers.CharField(help_text="The page of the back office that shows more.")
    evidence = serializers.DictField()

    class Meta:
        model = Alert
        fields = (
            "id", "channel_id", "kind", "subject", "severity", "is_open", "is_muted", "title", "detail", "remedy", "link",
            "evidence", "opened_at", "last_seen_at", "occurrences", "escalates_at", "escalated_at", "acknowledged_at",
            "acknowledged_by", "acknowledged_because", "muted_until", "muted_by", "muted_because", "resolved_at",
            "resolved_by", "resolved_because",
        )  # fmt: skip
        read_only_fields = fields

    @extend_schema_field(serializers.ChoiceField(choices=SEVERITIES))
    def get_severity(self, alert: Alert) -> str:
        """Returns how bad it is."""
        return Severity(alert.severity).name.lower()

    def get_is_open(self, alert: Alert) -> bool:
        """Returns whether it lasts."""
        return alert.resolved_at is None

    def get_is_muted(self, alert: Alert) -> bool:
        """Returns whether nobody is told of it now."""
        return alerts.is_muted(alert)


@request_example("Quiet until tomorrow", {"hours": 24, "because": "The platform moves its servers tonight."})
class MuteSerializer(StrictSerializer):
    """For how long nobody is told, and why."""

    hours = Quantity(max_value=LONGEST_MUTE)
    because = Because()


class AlertFilters(Filters):
    """Alerts by channel, kind, severity, or whether they last."""

    channel = WholeFilter(field_name="channel_id")
    kind = django_filters.CharFilter()
    severity = django_filters.ChoiceFilter(
        choices=SEVERITIES, method="narrow_severity", label="How bad it is."
    )
    is_open = TruthFilter(field_name="resolved_at", lookup_expr="isnull", label="Whether it lasts.")
    is_acknowledged = TruthFilter(
        field_name="acknowledged_at", lookup_expr="isnull", exclude=True, label="Whether somebody sees to it."
    )
    opened_since = InstantFilter(field_name="opened_at", lookup_expr="gte")
    opened_before = InstantFilter(field_name="opened_at", lookup_expr="lt")

    def narrow_severity(self, rows: QuerySet[Alert], name: str, value: str) -> QuerySet[Alert]:
        """Keeps those that are so bad."""
        return rows.filter(severity=Severity[value.upper()])


class Alerts(Reads):
    """Alerts of the merchant and its channels; those of the installation are seen in the back office."""

    resource, name_of_rows, model = "alerts", "alerts", Alert
    serializer_class = AlertSerializer
    filterset_class = AlertFilters

    @step(BecauseSerializer, AlertSerializer)
    def acknowledge(self, request: Request, pk: str) -> Response:
        """Notes that somebody sees to it: it stays open until it is over, but becomes no worse by itself."""
        alert: Any = self.found(pk)
        because = self.body(BecauseSerializer)["because"]
        done = alerts.acknowledge([alert.pk], actor=self.caller.actor, because=because)
        return self._shown(alert, done, "Somebody sees to it already, or it is over.")

    @step(MuteSerializer, AlertSerializer)
    def mute(self, request: Request, pk: str) -> Response:
        """Has nobody told of it for some hours, also where it is over and comes again."""
        alert: Any = self.found(pk)
        body = self.body(MuteSerializer)
        until = timezone.now() + timedelta(hours=body["hours"])
        done = alerts.mute([alert.pk], until=until, actor=self.caller.actor, because=body["because"])
        return self._shown(alert, done, "It is over.")

    @step(None, AlertSerializer)
    def unmute(self, request: Request, pk: str) -> Response:
        """Has people told of it again."""
        alert: Any = self.found(pk)
        return self._shown(alert, alerts.unmute([alert.pk]), "It is not muted.")

    @step(BecauseSerializer, AlertSerializer)
    def resolve(self, request: Request, pk: str) -> Response:
        """Ends it by hand; what is still wrong opens again within a minute."""
        alert: Any = self.found(pk)
        because = self.body(BecauseSerializer)["because"]
        done = alerts.resolve_by_hand([alert.pk], actor=self.caller.actor, because=because)
        return self._shown(alert, done, "It is over.")

    def _shown(self, alert: Alert, done: int, refused: str) -> Response:
        if not done:
            raise Problem(WRONG_STATE, refused)
        return self.shown(alert)
