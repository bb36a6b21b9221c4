"""Units held for carts and orders of the merchant's own systems."""

from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any

import django_filters
from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import ValidationError

from config.api.fields import Quantity, RowId, StrictSerializer, Text, Truth, Whole, items
from inventory import reservations
from inventory.api.filters import Filters, TruthFilter
from inventory.api.naming import Code, OutcomeSerializer, Sku, names_in
from inventory.api.outcomes import shown_outcome
from inventory.api.views import Reads, step
from inventory.models import Reservation
from inventory.references import check_free

#: A hold with an end lasts at most this long, in seconds: 30 days.
LONGEST_HOLD = 30 * 24 * 3600


class ReservationSerializer(serializers.ModelSerializer[Reservation]):
    """Units of one level held for one demand."""

    sku = serializers.CharField(source="variant.sku")
    location = serializers.CharField(source="level.location.code")

    class Meta:
        model = Reservation
        fields = (
            "id", "reference", "sku", "location", "quantity", "open_quantity", "fulfilled_quantity", "released_quantity",
            "expires_at", "confirmed_at", "created_at",
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


class DemandSerializer(StrictSerializer):
    """Units wanted for somebody."""

    reference = Text(help_text="Whose demand it is, in your words: cart or order line.")
    sku = Sku()
    quantity = Quantity()
    locations = serializers.ListField(
        child=Code(), required=False, min_length=1, max_length=100,
        help_text="Where it may be taken from, in order of preference; without it, from all in use, by code.",
    )  # fmt: skip


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "Two mugs held for a cart for fifteen minutes",
            value={"ttl_seconds": 900, "lines": [{"reference": "cart-81", "sku": "MUG-BLUE", "quantity": 2}]},
            request_only=True,
        )
    ]
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


class NamedSerializer(StrictSerializer):
    """Which reservations."""

    reservation_ids = items(RowId())


class ExtendSerializer(NamedSerializer):
    """Which reservations, and for how long from now."""

    ttl_seconds = Quantity(max_value=LONGEST_HOLD)


class UnitsSerializer(StrictSerializer):
    """Units of one reservation."""

    reservation_id = RowId()
    quantity = Whole(
        min_value=1, required=False, allow_null=True, help_text="Without it, all that it still holds."
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
        lines = body["lines"]
        check_free(line["reference"] for line in lines)
        names = names_in(self.caller, lines)
        if not names.in_use and any("locations" not in line for line in lines):
            raise ValidationError({"lines": ["There is no location in use. Add one first."]})
        demands = [
            reservations.Demand(
                line["reference"],
                names.variants[line["sku"]],
                line["quantity"],
                tuple(names.places[code] for code in line.get("locations", ())) or names.in_use,
            )
            for line in lines
        ]
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
        return Response(shown_outcome(reservations.confirm(self.context(), ids)))

    @step(ExtendSerializer, OutcomeSerializer, on_row=False)
    def extend(self, request: Request) -> Response:
        """Gives holds another end, all or none."""
        body = self.body(ExtendSerializer)
        until = timezone.now() + timedelta(seconds=body["ttl_seconds"])
        return Response(shown_outcome(reservations.extend(self.context(), body["reservation_ids"], until)))

    @step(SomeUnitsSerializer, OutcomeSerializer, on_row=False)
    def release(self, request: Request) -> Response:
        """Gives held units back."""
        return Response(shown_outcome(reservations.release(self.context(), self._units())))

    @step(SomeUnitsSerializer, OutcomeSerializer, on_row=False)
    def fulfil(self, request: Request) -> Response:
        """Records that held goods left."""
        return Response(shown_outcome(reservations.fulfil(self.context(), self._units())))

    def _units(self) -> list[reservations.ReservedUnits]:
        given = self.body(SomeUnitsSerializer)["units"]
        return [reservations.ReservedUnits(each["reservation_id"], each.get("quantity")) for each in given]


def _end(seconds: int | None) -> datetime | None:
    return None if seconds is None else timezone.now() + timedelta(seconds=seconds)
