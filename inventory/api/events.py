"""`inventory.update`: events of the merchant's own systems, each with a result of its own."""

from typing import Any, Final

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from config.api.examples import answer_example, request_example
from config.api.fields import LARGEST_QUANTITY, Instant, StrictSerializer, Text, Whole, items
from config.api.problems import NOT_FOUND, Problem, ProblemSerializer, problem_of
from inventory.api.naming import Code, Sku, places
from inventory.api.views import MerchantView
from inventory.errors import StockError
from inventory.ledger import Context
from inventory.models import StockLevel, Variant
from inventory.references import strange
from inventory.stock_events import EventKind, StockEvent, record

_TYPE: Final = "inventory.update"


class EventSerializer(StrictSerializer):
    """One thing that happened to one variant at one location; it has a `delta` or a `level`."""

    id = Text(
        max_length=150,
        help_text="Your id of the event, unique within the merchant (begin it with the system's name): recorded once.",
    )
    type = serializers.ChoiceField(choices=[_TYPE], default=_TYPE)
    action = serializers.ChoiceField(choices=[kind.value for kind in EventKind])
    sku = Sku()
    location = Code()
    delta = Whole(
        min_value=-LARGEST_QUANTITY,
        required=False,
        allow_null=True,
        help_text="By how much it changed what is on hand.",
    )
    level = Whole(required=False, allow_null=True, help_text="What is on hand after it.")
    reference = Text(
        required=False, allow_blank=True, help_text="Whose goods left; its reservation is used up first."
    )
    document = Text(required=False, allow_blank=True)
    occurred_at = Instant(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuses an event that says both, or neither."""
        if (attrs.get("delta") is None) == (attrs.get("level") is None):
            raise serializers.ValidationError({"delta": ["Say either the delta or the level."]})
        return attrs


@request_example(
    "Two mugs picked, and a shelf counted",
    {
        "events": [
            {"id": "wms-1", "action": "pick", "sku": "MUG-BLUE", "location": "main", "delta": -2},
            {"id": "wms-2", "action": "count", "sku": "TRAY", "location": "main", "level": 17},
        ]
    },
)
class EventsSerializer(StrictSerializer):
    """Up to 1,000 events, in the order in which they happened."""

    events = items(serializers.JSONField(help_text="One `inventory.update`."))


class EventResultSerializer(serializers.Serializer[Any]):
    """What became of an event."""

    id = serializers.CharField(allow_null=True)
    status = serializers.ChoiceField(choices=["recorded", "repeated", "nothing", "refused"])
    operation_id = serializers.IntegerField(allow_null=True)
    problem = ProblemSerializer(allow_null=True)


@answer_example(
    "One recorded, one told before",
    {
        "results": [
            {"id": "wms-1", "status": "recorded", "operation_id": 9034, "problem": None},
            {"id": "wms-2", "status": "repeated", "operation_id": 9021, "problem": None},
        ]
    },
)
class EventResultsSerializer(serializers.Serializer[Any]):
    """What became of the events, in their order."""

    results = EventResultSerializer(many=True)


class Events(MerchantView):
    """Events of the merchant's own systems."""

    resource, name_of_rows, model = "stock", "events", StockLevel
    serializer_class = EventResultsSerializer
    #: Each event commits by itself, under the key that its id makes.
    is_one_transaction = False

    @extend_schema(request=EventsSerializer, responses={200: EventResultsSerializer})
    def create(self, request: Request) -> Response:
        """Records events. Each commits by itself, and once for its id: send all of them again after a failure."""
        given = self.body(EventsSerializer)["events"]
        shape = EventSerializer()
        checked = [_checked(shape, each) for each in given]
        good = [each for each in checked if isinstance(each, dict)]
        self._variants = self._ids(self.rows(Variant), "sku", {each["sku"] for each in good})
        self._places = self._ids(places(self.caller), "code", {each["location"] for each in good})
        named = (each.get("reference", "") for each in good)
        self._strange = strange(self.caller.merchant_id, named)
        return Response(
            {"results": [self._result(raw, each) for raw, each in zip(given, checked, strict=True)]}
        )

    def _ids(self, rows: Any, name: str, wanted: set[str]) -> dict[str, int]:
        return dict(rows.filter(**{f"{name}__in": wanted}).order_by().values_list(name, "pk"))

    def _result(self, raw: Any, checked: dict[str, Any] | serializers.ValidationError) -> dict[str, Any]:
        identity = raw.get("id") if isinstance(raw, dict) and isinstance(raw.get("id"), str) else None
        try:
            if isinstance(checked, serializers.ValidationError):
                raise checked
            status, operation_id = self._record(checked)
        except (serializers.ValidationError, StockError, Problem) as error:
            problem = problem_of(error).body
            return {"id": identity, "status": "refused", "operation_id": None, "problem": problem}
        return {"id": identity, "status": status, "operation_id": operation_id, "problem": None}

    def _record(self, event: dict[str, Any]) -> tuple[str, int | None]:
        for field, what, known in (
            ("sku", "variant", self._variants),
            ("location", "location", self._places),
        ):
            if event[field] not in known:
                raise Problem(NOT_FOUND, f"There is no {what} {event[field]!r}.", field=field)
        if event.get("reference") in self._strange:
            raise Problem(NOT_FOUND, "There is no such order line.", field="reference")
        made = StockEvent(
            EventKind(event["action"]),
            self._variants[event["sku"]],
            self._places[event["location"]],
            event.get("delta"),
            event.get("level"),
            event.get("reference", ""),
        )
        context = Context(
            self.caller.merchant_id,
            f"event:{event['id']}",
            actor=self.caller.actor,
            source="api",
            document=event.get("document", ""),
            occurred_at=event.get("occurred_at"),
        )
        outcome = record(context, made)
        if outcome is None:
            return "nothing", None
        return "repeated" if outcome.is_repeat else "recorded", outcome.operation_id


def _checked(shape: EventSerializer, given: Any) -> dict[str, Any] | serializers.ValidationError:
    """Returns an event as it was understood, or what is wrong with it."""
    try:
        return dict(shape.run_validation(given))
    except serializers.ValidationError as error:
        return error
