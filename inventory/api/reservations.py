"""Units held for carts and orders of the merchant's own systems."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any, Final

import django_filters
from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from config.api.examples import answer_example, request_example
from config.api.fields import Quantity, RowId, StrictSerializer, Text, Truth, Whole, items
from config.api.problems import NO_SCOPE, REFUSED, Kind, Problem
from inventory import reservations
from inventory.api.demands import DemandSerializer, demands_in
from inventory.api.filters import Filters, TruthFilter
from inventory.api.naming import OutcomeSerializer
from inventory.api.outcomes import shown_outcome
from inventory.api.views import Reads, step
from inventory.models import Reservation
from inventory.references import is_kept

_OF_AN_ORDER: Final = {
    REFUSED: "An order of a channel holds it. Change the order, or resolve its conflict.",
    NO_SCOPE: "An order of a channel holds it: the key lacks the scope orders:write.",
}
#: A hold with an end lasts at most this long, in seconds: 30 days.
LONGEST_HOLD = 30 * 24 * 3600


@answer_example(
    "Two units held for a cart",
    {
        "id": 81,
        "reference": "cart-81",
        "sku": "MUG-BLUE",
        "variant_id": 7,
        "location": "main",
        "location_id": 2,
        "quantity": 2,
        "open_quantity": 2,
        "fulfilled_quantity": 0,
        "released_quantity": 0,
        "expires_at": "2026-01-31T14:15:00Z",
        "confirmed_at": None,
        "created_at": "2026-01-31T14:00:00Z",
    },
)
class ReservationSerializer(serializers.ModelSerializer[Reservation]):
    """Units of one level held for one demand."""

    sku = serializers.CharField(source="variant.sku")
    variant_id = serializers.IntegerField()
    location = serializers.CharField(source="level.location.code", help_text="Its code.")
    location_id = serializers.IntegerField(source="level.location_id")

    class Meta:
        model = Reservation
        fields = (
            "id", "reference", "sku", "variant_id", "location", "location_id", "quantity", "open_quantity",
            "fulfilled_quantity", "released_quantity", "expires_at", "confirmed_at", "created_at",
        )  # fmt: skip
        read_only_fields = fields


class ReservationFilters(Filters):
    """Reservations by demand, variant, or whether they still hold something."""

    reference = django_filters.CharFilter()
    sku = django_filters.CharFilter(field_name="variant__sku")
    location = django_filters.CharFilter(field_name="level__location__code")
    is_open = TruthFilter(method="narrow_open", label="Whether it still holds units.")

    def narrow_open(self, rows: QuerySet[Reservation], name: str, value: bool) -> QuerySet[Reservation]:
        """Keeps those that hold something, or those that do not."""
        return rows.filter(open_quantity__gt=0) if value else rows.filter(open_quantity=0)


@request_example(
    "Two mugs held for a cart for fifteen minutes",
    {"ttl_seconds": 900, "lines": [{"reference": "cart-81", "sku": "MUG-BLUE", "quantity": 2}]},
)
class ReserveSerializer(StrictSerializer):
    """What is to be held."""

    lines = items(DemandSerializer())
    ttl_seconds = Quantity(
        max_value=LONGEST_HOLD,
        required=False,
        allow_null=True,
        help_text="How long; without it, until it is released.",
    )
    allow_partial = Truth(default=False, help_text="Hold what there is, instead of all or nothing.")
    document = Text(required=False, allow_blank=True)


@request_example("One hold", {"reservation_ids": [81]})
class NamedSerializer(StrictSerializer):
    """Which reservations."""

    reservation_ids = items(RowId())


@request_example("Fifteen minutes from now", {"reservation_ids": [81], "ttl_seconds": 900})
class ExtendSerializer(NamedSerializer):
    """Which reservations, and for how long from now."""

    ttl_seconds = Quantity(max_value=LONGEST_HOLD)


class UnitsSerializer(StrictSerializer):
    """Units of one reservation."""

    reservation_id = RowId()
    quantity = Whole(
        min_value=1, required=False, allow_null=True, help_text="Without it, all that it still holds."
    )


@request_example(
    "All of one hold, and a unit of another",
    {"units": [{"reservation_id": 81}, {"reservation_id": 82, "quantity": 1}]},
)
class SomeUnitsSerializer(StrictSerializer):
    """Units of reservations."""

    units = items(UnitsSerializer())


class Reservations(Reads):
    """Reservations: units held for carts and orders."""

    resource, name_of_rows, model = "reservations", "reservations", Reservation
    serializer_class = ReservationSerializer
    filterset_class = ReservationFilters

    def related(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Brings variant and location along."""
        return rows.select_related("variant", "level__location")

    @extend_schema(request=ReserveSerializer, responses={201: OutcomeSerializer})
    def create(self, request: Request) -> Response:
        """Holds units: all or nothing, or as many as there are. With `ttl_seconds` they are given back by themselves."""
        body = self.body(ReserveSerializer)
        demands, names = demands_in(self.caller, body["lines"])
        outcome = reservations.reserve(
            self.context(document=body.get("document", "")),
            demands,
            expires_at=_end(body.get("ttl_seconds")),
            allow_partial=body["allow_partial"],
        )
        return Response(shown_outcome(outcome, names), status=HTTPStatus.CREATED)

    @step(NamedSerializer, OutcomeSerializer, on_row=False)
    def confirm(self, request: Request) -> Response:
        """Makes holds permanent, all or none."""
        ids = self.body(NamedSerializer)["reservation_ids"]
        self._leave_orders(ids, "reservation_ids[{}]")
        return Response(shown_outcome(reservations.confirm(self.context(), ids)))

    @step(ExtendSerializer, OutcomeSerializer, on_row=False)
    def extend(self, request: Request) -> Response:
        """Gives holds another end, all or none."""
        body = self.body(ExtendSerializer)
        self._leave_orders(body["reservation_ids"], "reservation_ids[{}]")
        until = timezone.now() + timedelta(seconds=body["ttl_seconds"])
        return Response(shown_outcome(reservations.extend(self.context(), body["reservation_ids"], until)))

    @step(SomeUnitsSerializer, OutcomeSerializer, on_row=False)
    def release(self, request: Request) -> Response:
        """Gives held units back. What an order of a channel holds follows the order: it is refused here."""
        units = self._units()
        self._leave_orders([each.reservation_id for each in units], "units[{}].reservation_id")
        return Response(shown_outcome(reservations.release(self.context(), units)))

    @step(SomeUnitsSerializer, OutcomeSerializer, on_row=False)
    def fulfil(self, request: Request) -> Response:
        """Records that held goods left. For what an order of a channel holds, the key needs `orders:write` as well."""
        units = self._units()
        if not self.caller.may("orders", "write"):
            self._leave_orders([each.reservation_id for each in units], "units[{}].reservation_id", NO_SCOPE)
        return Response(shown_outcome(reservations.fulfil(self.context(), units)))

    def _units(self) -> list[reservations.ReservedUnits]:
        given = self.body(SomeUnitsSerializer)["units"]
        return [reservations.ReservedUnits(each["reservation_id"], each.get("quantity")) for each in given]

    def _leave_orders(self, ids: Sequence[int], field: str, kind: Kind = REFUSED) -> None:
        """Refuses what an order of a channel holds: another state of the order would hold it anew. Raises `Problem`."""
        holders = dict(self.rows(Reservation).filter(pk__in=ids).values_list("pk", "reference"))
        for index, identity in enumerate(ids):
            if is_kept(holders.get(identity, "")):
                raise Problem(kind, _OF_AN_ORDER[kind], field=field.format(index))


def _end(seconds: int | None) -> datetime | None:
    return None if seconds is None else timezone.now() + timedelta(seconds=seconds)
