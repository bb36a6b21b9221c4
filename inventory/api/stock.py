"""What happens to goods, as the merchant's systems report it: received, adjusted, counted, set aside, shipped."""

from collections.abc import Callable, Sequence
from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from config.api.examples import request_example
from config.api.fields import LARGEST_QUANTITY, Instant, RowId, StrictSerializer, Text, Whole, items
from config.api.problems import NOT_FOUND, Problem
from inventory import conditions, stock
from inventory.api.naming import (
    Code,
    LineSerializer,
    OutcomeSerializer,
    Sku,
    check_once,
    location_ids,
    variant_ids,
)
from inventory.api.outcomes import shown_outcome
from inventory.api.views import MerchantView, step
from inventory.ledger import Context, Outcome
from inventory.models import StockLevel
from inventory.models.stock import Reason
from inventory.references import strange
from inventory.safety_stock import set_safety_stock

_RECEIPT_REASONS = (Reason.PURCHASE, Reason.OPENING, Reason.OTHER)
_ADJUSTMENT_REASONS = (Reason.CORRECTION, Reason.DAMAGE, Reason.LOSS, Reason.WRITE_OFF, Reason.OTHER)
_CONDITION_REASONS = (Reason.DAMAGE, Reason.QUARANTINE, Reason.INSPECTION, Reason.OTHER)


def _choice(reasons: Sequence[Reason], default: Reason) -> Any:
    choices = [(reason.value, reason.label) for reason in reasons]
    return serializers.ChoiceField(choices=choices, default=default.value)


class HeadSerializer(StrictSerializer):
    """What all reports have in common."""

    document = Text(required=False, allow_blank=True, help_text="What a colleague would look for.")
    occurred_at = Instant(required=False, help_text="By the clock of whoever reports it; else now.")


@request_example(
    "A delivery of forty mugs",
    {"document": "DN-4711", "lines": [{"sku": "MUG-BLUE", "location": "main", "quantity": 40}]},
)
class ReceiptSerializer(HeadSerializer):
    """Goods that arrived."""

    reason = _choice(_RECEIPT_REASONS, Reason.PURCHASE)
    lines = items(LineSerializer())


class AdjustmentLineSerializer(StrictSerializer):
    """A correction of what is on hand."""

    sku = Sku()
    location = Code()
    delta = Whole(min_value=-LARGEST_QUANTITY, help_text="Units more, or less with a minus; not 0.")
    reason = _choice(_ADJUSTMENT_REASONS, Reason.CORRECTION)
    reverses_id = RowId(required=False, allow_null=True, help_text="The movement that this one corrects.")

    def validate_delta(self, delta: int) -> int:
        """Refuses a correction of nothing."""
        if not delta:
            raise serializers.ValidationError("Say by how many units: not 0.")
        return delta


@request_example(
    "One broken mug",
    {
        "document": "INC-9",
        "lines": [{"sku": "MUG-BLUE", "location": "main", "delta": -1, "reason": "damage"}],
    },
)
class AdjustmentSerializer(HeadSerializer):
    """Corrections, losses, damage."""

    lines = items(AdjustmentLineSerializer())


class CountLineSerializer(StrictSerializer):
    """What somebody counted."""

    sku = Sku()
    location = Code()
    counted = Whole(help_text="Units on hand, reserved ones included.")


@request_example("What was counted", {"lines": [{"sku": "MUG-BLUE", "location": "main", "counted": 38}]})
class CountSerializer(HeadSerializer):
    """What was counted."""

    lines = items(CountLineSerializer())


class ShipmentLineSerializer(LineSerializer):
    """Units that left."""

    reference = Text(required=False, help_text="Whose reservation is used up first.")


@request_example(
    "Two mugs left for a cart",
    {"lines": [{"sku": "MUG-BLUE", "location": "main", "quantity": 2, "reference": "cart-81"}]},
)
class ShipmentSerializer(HeadSerializer):
    """Goods that left."""

    lines = items(ShipmentLineSerializer())


@request_example(
    "Two mugs to be inspected",
    {"reason": "inspection", "lines": [{"sku": "MUG-BLUE", "location": "main", "quantity": 2}]},
)
class ConditionSerializer(HeadSerializer):
    """Units that become unavailable."""

    reason = _choice(_CONDITION_REASONS, Reason.DAMAGE)
    lines = items(LineSerializer())


@request_example("Two mugs", {"lines": [{"sku": "MUG-BLUE", "location": "main", "quantity": 2}]})
class PutBackSerializer(HeadSerializer):
    """Unavailable units that become available, or are scrapped."""

    lines = items(LineSerializer())


class SafetyLineSerializer(StrictSerializer):
    """What a level keeps back from the channels."""

    sku = Sku()
    location = Code()
    quantity = Whole()


@request_example(
    "Five units kept back from the channels",
    {"lines": [{"sku": "MUG-BLUE", "location": "main", "quantity": 5}]},
)
class SafetySerializer(StrictSerializer):
    """Safety stock of up to 1,000 levels."""

    lines = items(SafetyLineSerializer())


class ChangedSerializer(serializers.Serializer[Any]):
    """How much was changed."""

    changed = serializers.IntegerField()


class Stock(MerchantView):
    """What happens to goods. Each request is one operation of the ledger: all of it or nothing."""

    resource, name_of_rows, model = "stock", "stock", StockLevel
    serializer_class = OutcomeSerializer

    @step(ReceiptSerializer, OutcomeSerializer, on_row=False)
    def receive(self, request: Request) -> Response:
        """Records goods that arrived; what is owed gets them first, oldest first."""
        body = self.body(ReceiptSerializer)
        reason = Reason(body["reason"])
        return self._report(
            body, stock.StockLine, lambda context, lines: stock.receive(context, lines, reason=reason)
        )

    @step(AdjustmentSerializer, OutcomeSerializer, on_row=False)
    def adjust(self, request: Request) -> Response:
        """Corrects what is on hand. A loss is never refused: it breaks the newest reservations into conflicts."""
        body = self.body(AdjustmentSerializer)
        for line in body["lines"]:
            line["reason"] = Reason(line["reason"])
        return self._report(body, stock.AdjustmentLine, stock.adjust)

    @step(CountSerializer, OutcomeSerializer, on_row=False)
    def count(self, request: Request) -> Response:
        """Sets what is on hand to what was counted."""
        body = self.body(CountSerializer)
        check_once(body["lines"], "sku", "location")
        return self._report(body, stock.CountLine, stock.count)

    @step(ShipmentSerializer, OutcomeSerializer, on_row=False)
    def ship(self, request: Request) -> Response:
        """Records goods that left. Never refused: what is not on record is added, with a conflict."""
        body = self.body(ShipmentSerializer)
        named = [line.get("reference", "") for line in body["lines"]]
        unknown = strange(self.caller.merchant_id, named)
        for index, reference in enumerate(named):
            if reference in unknown:
                raise Problem(NOT_FOUND, "There is no such order line.", field=f"lines[{index}].reference")
        return self._report(body, stock.ShipmentLine, stock.ship)

    @step(ConditionSerializer, OutcomeSerializer, on_row=False, url_path="set-aside", url_name="set-aside")
    def set_aside(self, request: Request) -> Response:
        """Makes units unavailable: damaged, in quarantine, being inspected."""
        body = self.body(ConditionSerializer)
        reason = Reason(body["reason"])
        return self._report(
            body,
            conditions.ConditionLine,
            lambda context, lines: conditions.set_aside(context, lines, reason=reason),
        )

    @step(PutBackSerializer, OutcomeSerializer, on_row=False, url_path="put-back", url_name="put-back")
    def put_back(self, request: Request) -> Response:
        """Makes unavailable units available again."""
        return self._report(self.body(PutBackSerializer), conditions.ConditionLine, conditions.put_back)

    @step(PutBackSerializer, OutcomeSerializer, on_row=False)
    def scrap(self, request: Request) -> Response:
        """Takes unavailable units off what is on hand."""
        return self._report(self.body(PutBackSerializer), conditions.ConditionLine, conditions.scrap)

    @step(SafetySerializer, ChangedSerializer, on_row=False, url_path="safety-stock", url_name="safety-stock")
    def safety_stock(self, request: Request) -> Response:
        """Sets how many units of levels no channel is offered."""
        lines = self.body(SafetySerializer)["lines"]
        check_once(lines, "sku", "location")
        variants, places = variant_ids(self.caller, lines), location_ids(self.caller, lines)
        wanted = {(variants[line["sku"]], places[line["location"]]): line["quantity"] for line in lines}
        return Response({"changed": set_safety_stock(self.caller.merchant_id, wanted)})

    def _report(
        self,
        body: dict[str, Any],
        line_class: Callable[..., Any],
        work: Callable[[Context, list[Any]], Outcome],
    ) -> Response:
        """Turns names into ids and calls the operation."""
        lines = body["lines"]
        variants, places = variant_ids(self.caller, lines), location_ids(self.caller, lines)
        made = [
            line_class(variant_id=variants[line.pop("sku")], location_id=places[line.pop("location")], **line)
            for line in map(dict, lines)
        ]
        context = self.context(document=body.get("document", ""), occurred_at=body.get("occurred_at"))
        return Response(shown_outcome(work(context, made)))
