"""Rule sets: drawn up, approved, put in force, rolled back, and rehearsed on recorded events."""

from http import HTTPStatus
from typing import Any, Final

import django_filters
from django.core.exceptions import ValidationError as ModelError
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from simple_history.utils import bulk_create_with_history

from channels.models import Channel, ChannelGroup, Rehearsal, Rule, RuleSet, RuleSetVersion
from channels.models.rehearsals import RehearsalState
from channels.models.rules import SETTINGS, Quantile, VersionState
from channels.rehearsals import running
from channels.rules import lifecycle
from config.api.examples import request_example
from config.api.fields import MOST_ITEMS, BecauseSerializer, Instant, RowId, StrictSerializer, Text, Whole
from config.api.problems import NOT_FOUND, WRONG_STATE, Problem
from inventory.api.filters import Filters, WholeFilter
from inventory.api.naming import Sku, variant_ids
from inventory.api.nesting import COUNT_HELP, SHOWN, with_lines
from inventory.api.views import Changes, MerchantView, Reads, step
from inventory.models import Tag

_LARGEST: Final = 2**31 - 1
_PERCENT: Final = ("buffer_percent", "pool_percent")


class RuleSetSerializer(serializers.ModelSerializer[RuleSet]):
    """A named line of versions, of which at most one is in force."""

    class Meta:
        model = RuleSet
        fields = ("id", "name", "priority", "description", "created_at")
        read_only_fields = fields


@request_example("Rules for the season", {"name": "Christmas", "priority": 10})
class RuleSetBodySerializer(StrictSerializer):
    """A rule set."""

    name = Text(max_length=100)
    priority = Whole(
        min_value=-32768,
        max_value=32767,
        required=False,
        help_text="Of equally specific rules, the larger one wins.",
    )
    description = Text(max_length=10_000, required=False, allow_blank=True)


class RuleSerializer(serializers.ModelSerializer[Rule]):
    """What some channels are offered of some goods; what is null, less specific rules decide."""

    channel_id = serializers.IntegerField(allow_null=True)
    group_id = serializers.IntegerField(allow_null=True)
    pool_id = serializers.IntegerField(allow_null=True)
    sku = serializers.CharField(source="variant.sku", allow_null=True, default=None)
    tag = serializers.CharField(source="tag.name", allow_null=True, default=None)

    class Meta:
        model = Rule
        fields = (
            "position", "channel_id", "group_id", "sku", "tag", "category", *SETTINGS, "pool_id", "pool_units",
            "pool_percent",
        )  # fmt: skip
        read_only_fields = fields


class VersionSerializer(serializers.ModelSerializer[RuleSetVersion]):
    """One version of a rule set."""

    rule_set_id = serializers.IntegerField()
    state = serializers.ChoiceField(choices=VersionState.choices)
    rule_count = serializers.IntegerField(source="line_count", help_text=COUNT_HELP)
    rules = RuleSerializer(source=SHOWN, many=True)

    class Meta:
        model = RuleSetVersion
        fields = (
            "id", "rule_set_id", "number", "state", "effective_from", "effective_until", "why", "created_by", "created_at",
            "approved_by", "approved_at", "approved_because", "rule_count", "rules",
        )  # fmt: skip
        read_only_fields = fields


def _setting(name: str) -> Any:
    if name == "velocity_quantile":
        return serializers.ChoiceField(choices=Quantile.choices, required=False, allow_null=True)
    return Whole(max_value=100 if name in _PERCENT else _LARGEST, required=False, allow_null=True)


class _RuleScopeSerializer(StrictSerializer):
    """What a rule is about."""

    channel_id = RowId(required=False, allow_null=True)
    group_id = RowId(required=False, allow_null=True)
    sku = Sku(required=False, allow_null=True)
    tag = Text(max_length=64, required=False, allow_null=True)
    category = Text(required=False, allow_blank=True)
    pool_id = RowId(required=False, allow_null=True, help_text="The group for which units are ring-fenced.")


RuleBodySerializer = type(
    "RuleBodySerializer",
    (_RuleScopeSerializer,),
    {
        "__doc__": "What some channels are offered of some goods.",
        **{name: _setting(name) for name in (*SETTINGS, "pool_units", "pool_percent")},
    },
)


@request_example(
    "A tenth withheld everywhere", {"why": "Returns come late.", "rules": [{"buffer_percent": 10}]}
)
class DraftSerializer(StrictSerializer):
    """A draft of the next version."""

    why = Text(max_length=10_000, required=False, allow_blank=True)
    effective_from = Instant(required=False, allow_null=True)
    effective_until = Instant(required=False, allow_null=True)
    rules = serializers.ListField(child=RuleBodySerializer(), max_length=MOST_ITEMS, default=list)


class ActivationSerializer(serializers.Serializer[Any]):
    """Whether a version is in force now."""

    is_in_force = serializers.BooleanField(
        help_text="False: it changes so much that a person has to confirm it first, in the back office."
    )
    version = VersionSerializer()


class RuleSetFilters(Filters):
    """Rule sets by name."""

    name = django_filters.CharFilter()


class VersionFilters(Filters):
    """Versions by rule set or state."""

    rule_set = WholeFilter(field_name="rule_set_id")
    state = django_filters.ChoiceFilter(choices=VersionState.choices)


class RuleSets(Changes):
    """Rule sets: what channels are offered."""

    resource, name_of_rows, model = "rules", "rule_sets", RuleSet
    serializer_class = RuleSetSerializer
    create_class = change_class = RuleSetBodySerializer
    filterset_class = RuleSetFilters

    def create(self, request: Request) -> Response:
        """Adds a rule set without a version."""
        rule_set = RuleSet(merchant_id=self.caller.merchant_id, **self.body(RuleSetBodySerializer))
        self.signed(rule_set).save()
        return self.shown(rule_set, status=HTTPStatus.CREATED)

    @step(
        DraftSerializer, VersionSerializer, url_path="draw-up", url_name="draw-up", status=HTTPStatus.CREATED
    )
    def draw_up(self, request: Request, pk: str) -> Response:
        """Draws the next version up, as a draft with these rules. Nothing changes until it is approved and activated."""
        rule_set: Any = self.found(pk)
        body = self.body(DraftSerializer)
        version = lifecycle.draw_up(rule_set, actor=self.caller.actor, why=body.get("why", ""))
        version.effective_from, version.effective_until = (
            body.get("effective_from"),
            body.get("effective_until"),
        )
        version.clean()
        self.signed(version).save()
        if rules := self._rules(version, body["rules"]):
            bulk_create_with_history(rules, Rule, default_change_reason=self.caller.change_reason)
        return Response(_version(self, version.pk), status=HTTPStatus.CREATED)

    @step(BecauseSerializer, RuleSetSerializer, url_path="roll-back", url_name="roll-back")
    def roll_back(self, request: Request, pk: str) -> Response:
        """Puts back in force what was before the version in force."""
        rule_set: Any = self.found(pk)
        lifecycle.roll_back(
            rule_set.pk, actor=self.caller.actor, because=self.body(BecauseSerializer)["because"]
        )
        return self.shown(rule_set)

    @step(BecauseSerializer, RuleSetSerializer)
    def retire(self, request: Request, pk: str) -> Response:
        """Ends the version in force without another one."""
        rule_set: Any = self.found(pk)
        lifecycle.retire(
            rule_set.pk, actor=self.caller.actor, because=self.body(BecauseSerializer)["because"]
        )
        return self.shown(rule_set)

    def _rules(self, version: RuleSetVersion, given: list[dict[str, Any]]) -> list[Rule]:
        """Returns the rules of a draft, checked. Raises `ValidationError` with the rule's place, `Problem` (404)."""
        variants = variant_ids(self.caller, given, within="rules")
        tags = self._ids(Tag, "name", {rule["tag"] for rule in given if rule.get("tag")})
        groups = {rule[name] for rule in given for name in ("group_id", "pool_id") if rule.get(name)}
        known_groups = self._ids(ChannelGroup, "pk", groups)
        channels = self._ids(Channel, "pk", {rule["channel_id"] for rule in given if rule.get("channel_id")})
        made = []
        for position, named_rule in enumerate(given):
            rule = dict(named_rule)
            sku, tag = rule.pop("sku", None), rule.pop("tag", None)
            for name, known in (
                ("channel_id", channels),
                ("group_id", known_groups),
                ("pool_id", known_groups),
            ):
                _check_known(rule.get(name), known, f"rules[{position}].{name}")
            _check_known(tag, tags, f"rules[{position}].tag")
            made.append(
                Rule(
                    version=version,
                    position=position,
                    variant_id=variants[sku] if sku else None,
                    tag_id=tags[tag] if tag else None,
                    **rule,
                )
            )
        _check_rules(made)
        return made

    def _ids(self, model: type[Any], name: str, wanted: set[Any]) -> dict[Any, int]:
        rows = self.rows(model).filter(**{f"{name}__in": wanted})
        return dict(rows.values_list(name, "pk")) if wanted else {}


def _check_known(named: Any, known: dict[Any, int], field: str) -> None:
    if named and named not in known:
        raise Problem(NOT_FOUND, "There is no such thing.", field=field)


def _check_rules(rules: list[Rule]) -> None:
    for rule in rules:
        try:
            rule.clean()
        except ModelError as error:
            raise ModelError(
                {f"rules[{rule.position}].{name}": texts for name, texts in error.message_dict.items()}
            ) from None


def _version(view: MerchantView, pk: int) -> Any:
    return VersionSerializer(_with_rules(view, view.rows(RuleSetVersion)).get(pk=pk)).data


def _with_rules(view: MerchantView, rows: QuerySet[Any], *, is_list: bool = False) -> QuerySet[Any]:
    rules = view.rows(Rule).select_related("variant", "tag")
    return with_lines(rows, rules, name="rules", is_list=is_list)


class RuleVersions(Reads):
    """Versions of rule sets."""

    resource, name_of_rows, model = "rules", "rule_versions", RuleSetVersion
    serializer_class = VersionSerializer
    filterset_class = VersionFilters

    def related(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Brings the rules along."""
        return _with_rules(self, rows, is_list=self.action == "list")

    @step(BecauseSerializer, VersionSerializer)
    def approve(self, request: Request, pk: str) -> Response:
        """Closes a draft to edits."""
        version: Any = self.found(pk)
        lifecycle.approve(
            version.pk, actor=self.caller.actor, because=self.body(BecauseSerializer)["because"]
        )
        return self.shown(version)

    @step(None, VersionSerializer)
    def withdraw(self, request: Request, pk: str) -> Response:
        """Makes an approved version a draft again."""
        version: Any = self.found(pk)
        lifecycle.withdraw_approval(version.pk)
        return self.shown(version)

    @step(BecauseSerializer, ActivationSerializer)
    def activate(self, request: Request, pk: str) -> Response:
        """Puts an approved or retired version in force, unless it changes so much that a person has to confirm it."""
        version: Any = self.found(pk)
        because = self.body(BecauseSerializer)["because"]
        is_in_force = lifecycle.activate(version.pk, actor=self.caller.actor, because=because)
        return Response({"is_in_force": is_in_force, "version": _version(self, version.pk)})


class RehearsalSerializer(serializers.ModelSerializer[Rehearsal]):
    """The events of a period under a version of a rule set, and what came of it."""

    version_id = serializers.IntegerField()
    state = serializers.ChoiceField(choices=RehearsalState.choices)
    result = serializers.DictField(
        allow_null=True, help_text="What happened, and what would have; once it is done."
    )

    class Meta:
        model = Rehearsal
        fields = (
            "id", "version_id", "since", "until", "state", "events_done", "events_total", "result", "error", "asked_by",
            "asked_at", "started_at", "finished_at",
        )  # fmt: skip
        read_only_fields = fields


@request_example(
    "A week of events", {"version_id": 5, "since": "2026-01-24T00:00:00Z", "until": "2026-01-31T00:00:00Z"}
)
class RehearsalBodySerializer(StrictSerializer):
    """What is to be rehearsed."""

    version_id = RowId()
    since = Instant()
    until = Instant(help_text="Left out itself; some minutes ago at the latest.")


class RehearsalFilters(Filters):
    """Rehearsals by version or state."""

    version = WholeFilter(field_name="version_id")
    state = django_filters.ChoiceFilter(choices=RehearsalState.choices)


class Rehearsals(Reads):
    """Rehearsals of rules on recorded events."""

    resource, name_of_rows, model = "rules", "rehearsals", Rehearsal
    serializer_class = RehearsalSerializer
    filterset_class = RehearsalFilters

    @extend_schema(request=RehearsalBodySerializer, responses={202: RehearsalSerializer})
    def create(self, request: Request) -> Response:
        """Has a period rehearsed; read it again for the result."""
        body = self.body(RehearsalBodySerializer)
        version = self.rows(RuleSetVersion).select_related("rule_set").filter(pk=body["version_id"]).first()
        if version is None:
            raise Problem(NOT_FOUND, "There is no such version.", field="version_id")
        rehearsal = running.ask(version, body["since"], body["until"], asked_by=self.caller.actor)
        running.start(rehearsal)
        return self.shown(rehearsal, status=HTTPStatus.ACCEPTED)

    @step(None, RehearsalSerializer)
    def again(self, request: Request, pk: str) -> Response:
        """Repeats a rehearsal that has ended."""
        rehearsal: Any = self.found(pk)
        if rehearsal.state not in {RehearsalState.DONE, RehearsalState.FAILED}:
            raise Problem(WRONG_STATE, "It has not ended yet.")
        running.again(rehearsal.pk)
        running.start(rehearsal)
        return self.shown(rehearsal)
