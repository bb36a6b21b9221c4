"""Conflicts: what is owed and not there, why, what may end it, and what was decided."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import django_filters
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from config.api.examples import answer_example, request_example
from config.api.fields import Quantity, StrictSerializer, Text
from config.api.problems import TEST_KEY, WRONG_STATE, Problem
from inventory.access import may_test
from inventory.api.filters import Filters, InstantFilter, TruthFilter, WholeFilter
from inventory.api.views import Reads, step
from inventory.models import Conflict
from inventory.models.conflicts import ConflictCause
from reconciliation.api import problems as reconciliation_problems  # noqa: F401  # registers itself
from reconciliation.api import visibility as reconciliation_visibility  # noqa: F401  # registers itself
from reconciliation.causes import classify
from reconciliation.evidence import gather
from reconciliation.models import CauseClass, RemedyKind, Resolution, ResolutionState
from reconciliation.remedies import remedies_of, undecided_units
from reconciliation.resolving import Decision, done_by_hand, drop, resolve, try_again
from reconciliation.timelines import timeline


@answer_example(
    "Two units more were sold than there were",
    {
        "id": 5,
        "sku": "MUG-BLUE",
        "variant_id": 7,
        "cause": "shortage",
        "came_from": None,
        "because": None,
        "channel_id": 3,
        "reference": "order-line:57",
        "quantity": 2,
        "open_quantity": 2,
        "operation_id": 9034,
        "opened_at": "2026-01-31T14:00:00Z",
        "resolved_at": None,
    },
)
class ConflictSerializer(serializers.ModelSerializer[Conflict]):
    """Units that are owed and not there, or that left without having been on record."""

    sku = serializers.CharField(source="variant.sku")
    variant_id = serializers.IntegerField()
    cause = serializers.ChoiceField(choices=ConflictCause.choices, help_text="What the ledger says.")
    came_from = serializers.ChoiceField(
        source="case.cause_class", choices=CauseClass.choices, allow_null=True, default=None,
        help_text="What made it possible, as far as the record shows; null for the first minute.",
    )  # fmt: skip
    because = serializers.CharField(source="case.evidence", allow_null=True, default=None)
    channel_id = serializers.IntegerField(
        source="case.channel_id", allow_null=True, default=None, help_text="Whose order is owed the units."
    )
    reference = serializers.CharField(help_text="Whose demand is short, as in reservations and orders.")
    operation_id = serializers.IntegerField(help_text="The operation that opened it.")

    class Meta:
        model = Conflict
        fields = (
            "id", "sku", "variant_id", "cause", "came_from", "because", "channel_id", "reference", "quantity",
            "open_quantity", "operation_id", "opened_at", "resolved_at",
        )  # fmt: skip
        read_only_fields = fields


class RemedySerializer(serializers.Serializer[Any]):
    """One way to end a conflict."""

    remedy = serializers.ChoiceField(source="kind", choices=RemedyKind.choices)
    target = serializers.CharField(help_text="What it is about; name it when you resolve.")
    title = serializers.CharField()
    units = serializers.IntegerField(help_text="Units that it would end, at most.")
    cost = serializers.IntegerField(help_text="Points; the fewest are the best.")
    price = serializers.CharField(help_text="What it costs, in words.")
    is_feasible = serializers.BooleanField()
    obstacle = serializers.CharField(help_text="Why it cannot be had; empty where it can.")
    by_hand = serializers.CharField(
        help_text="Of a cancellation that a person has to make at the platform: why."
    )


class RemediesSerializer(serializers.Serializer[Any]):
    """What may end a conflict, the best first."""

    undecided_units = serializers.IntegerField(
        help_text="Units owed that are not on their way to being cancelled."
    )
    remedies = RemedySerializer(many=True)


class TimelineEventSerializer(serializers.Serializer[Any]):
    """One thing that happened."""

    at = serializers.DateTimeField()
    what = serializers.CharField()
    is_late = serializers.BooleanField(help_text="Whether it came later than it should have.")


class ToldSerializer(serializers.Serializer[Any]):
    """What one shelf had been told when the units were sold."""

    channel = serializers.CharField()
    place = serializers.CharField()
    sent = serializers.IntegerField(allow_null=True)
    sent_at = serializers.DateTimeField(allow_null=True)
    confirmed = serializers.IntegerField(allow_null=True)
    confirmed_at = serializers.DateTimeField(allow_null=True)
    shown = serializers.IntegerField(allow_null=True)


class TimelineSerializer(serializers.Serializer[Any]):
    """How a conflict came about."""

    came_from = serializers.ChoiceField(choices=CauseClass.choices)
    because = serializers.CharField()
    events = TimelineEventSerializer(many=True)
    told = ToldSerializer(many=True)


class ResolutionSerializer(serializers.ModelSerializer[Resolution]):
    """One remedy applied to units of one conflict."""

    conflict_id = serializers.IntegerField()
    channel_id = serializers.IntegerField(allow_null=True)
    operation_id = serializers.IntegerField(
        allow_null=True, help_text="The ledger's operation; null where a platform has to say so first."
    )
    remedy = serializers.ChoiceField(choices=RemedyKind.choices)
    state = serializers.ChoiceField(choices=ResolutionState.choices)
    checklist = serializers.CharField(help_text="What a person has to do at the platform, one step a line.")

    class Meta:
        model = Resolution
        fields = (
            "id", "conflict_id", "channel_id", "remedy", "target", "summary", "quantity", "state", "is_automatic", "actor",
            "note", "operation_id", "refunds", "restocks", "checklist", "attempts", "error", "requested_at", "finished_at",
        )  # fmt: skip
        read_only_fields = fields


@request_example(
    "Two units served from another location",
    {"remedy": "serve", "target": "7", "quantity": 2, "note": "The customer agreed."},
)
class DecisionSerializer(StrictSerializer):
    """Which remedy, as `remedies` lists it."""

    remedy = serializers.ChoiceField(choices=RemedyKind.choices)
    target = Text(max_length=40, allow_blank=True, default="")
    quantity = Quantity(required=False, allow_null=True, help_text="Without it, all that it can end.")
    note = Text(max_length=150, allow_blank=True, default="")


class ConflictFilters(Filters):
    """Conflicts by goods, cause, channel, demand, or whether something is still owed."""

    sku = django_filters.CharFilter(field_name="variant__sku")
    variant = WholeFilter(field_name="variant_id")
    cause = django_filters.ChoiceFilter(choices=ConflictCause.choices)
    came_from = django_filters.ChoiceFilter(field_name="case__cause_class", choices=CauseClass.choices)
    channel = WholeFilter(field_name="case__channel_id")
    reference = django_filters.CharFilter()
    is_open = TruthFilter(method="narrow_open", label="Whether something is still owed.")
    opened_since = InstantFilter(field_name="opened_at", lookup_expr="gte")
    opened_before = InstantFilter(field_name="opened_at", lookup_expr="lt")

    def narrow_open(self, rows: QuerySet[Conflict], name: str, value: bool) -> QuerySet[Conflict]:
        """Keeps those of which something is owed, or those that have ended."""
        return rows.filter(open_quantity__gt=0) if value else rows.filter(open_quantity=0)


class Conflicts(Reads):
    """Conflicts: more was sold or sent than there is."""

    resource, name_of_rows, model = "conflicts", "conflicts", Conflict
    serializer_class = ConflictSerializer
    filterset_class = ConflictFilters

    def related(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Brings along the variant, and what was judged."""
        return rows.select_related("variant", "case")

    @extend_schema(responses=RemediesSerializer)
    @action(detail=True, methods=["get"], filterset_class=None)
    def remedies(self, request: Request, pk: str) -> Response:
        """Lists what may end it, the best first, with what each costs; what cannot be had comes last, with the reason."""
        conflict = self._whole(pk)
        found = {"undecided_units": undecided_units(conflict), "remedies": remedies_of(conflict)}
        return Response(RemediesSerializer(found).data)

    @extend_schema(responses=TimelineSerializer)
    @action(detail=True, methods=["get"], filterset_class=None)
    def timeline(self, request: Request, pk: str) -> Response:
        """Tells who sold when, when we knew, what each channel had been told, and what was done since."""
        conflict = self._whole(pk)
        evidence = gather(conflict)
        came_from, because = classify(evidence)
        found = {
            "came_from": came_from,
            "because": because,
            "events": timeline(evidence, list(conflict.resolutions.order_by("id"))),
            "told": evidence.shelves,
        }
        return Response(TimelineSerializer(found).data)

    @step(DecisionSerializer, ResolutionSerializer, status=HTTPStatus.CREATED)
    def resolve(self, request: Request, pk: str) -> Response:
        """Applies a remedy, as the back office does. What a platform has to do is told in the background."""
        conflict = self._whole(pk)
        body = self.body(DecisionSerializer)
        decision = Decision(
            key=str(self.made_once()),
            kind=RemedyKind(body["remedy"]),
            target=body["target"],
            quantity=body.get("quantity"),
            actor=self.caller.actor,
            note=body["note"],
            source="api",
        )
        resolution = resolve(conflict, decision)
        return Response(ResolutionSerializer(resolution).data, status=HTTPStatus.CREATED)

    def _whole(self, pk: str) -> Conflict:
        """Returns a conflict, with which orders of all channels have to do. Raises `Problem` for test keys beside live ones."""
        conflict: Any = self.found(pk)
        if self.caller.is_test and not may_test(self.caller.merchant_id):
            raise Problem(TEST_KEY, "The merchant has a live channel, whose orders this would show.")
        found: Conflict = conflict
        return found


class ResolutionFilters(Filters):
    """Resolutions by conflict, channel, remedy or state."""

    conflict = WholeFilter(field_name="conflict_id")
    channel = WholeFilter(field_name="channel_id")
    remedy = django_filters.ChoiceFilter(choices=RemedyKind.choices)
    state = django_filters.ChoiceFilter(choices=ResolutionState.choices)


class Resolutions(Reads):
    """Resolutions: what was decided about conflicts, and how far it is."""

    resource, name_of_rows, model = "conflicts", "resolutions", Resolution
    serializer_class = ResolutionSerializer
    filterset_class = ResolutionFilters

    @step(None, ResolutionSerializer)
    def done(self, request: Request, pk: str) -> Response:
        """Notes that a person has cancelled at the platform; its order is fetched, and the ledger follows that."""
        return self._step(pk, done_by_hand, "It does not wait for a person.")

    @step(None, ResolutionSerializer)
    def drop(self, request: Request, pk: str) -> Response:
        """Gives a cancellation up that no platform was told yet; its units can be resolved otherwise."""
        return self._step(pk, drop, "It was told to the platform, or is over.")

    @step(None, ResolutionSerializer)
    def again(self, request: Request, pk: str) -> Response:
        """Has a failed cancellation told again, under the same id."""
        return self._step(pk, try_again, "It has not failed, or its units are owed no more.")

    def _step(self, pk: str, work: Callable[[Resolution], bool], refused: str) -> Response:
        resolution: Any = self.found(pk)
        if not work(resolution):
            raise Problem(WRONG_STATE, refused)
        return self.shown(resolution)
