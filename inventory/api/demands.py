"""What is wanted for whom, in the caller's words."""

from collections.abc import Sequence

from rest_framework import serializers
from rest_framework.serializers import ValidationError

from config.api.fields import Quantity, StrictSerializer, Text
from inventory.access import Caller
from inventory.api.naming import Code, Line, Sku, names_in
from inventory.naming import Names
from inventory.references import check_free
from inventory.reservations import Demand


class DemandSerializer(StrictSerializer):
    """Units wanted for somebody."""

    reference = Text(help_text="Whose demand it is, in your words: cart or order line.")
    sku = Sku()
    quantity = Quantity()
    locations = serializers.ListField(
        child=Code(), required=False, min_length=1, max_length=100,
        help_text="Where it may be taken from, in order of preference; without it, from all in use, by code.",
    )  # fmt: skip


def demands_in(caller: Caller, lines: Sequence[Line]) -> tuple[list[Demand], Names]:
    """Returns the demands that these lines name, and the names; one statement.

    Raises `Problem` (404) for what there is not, `ValidationError`, and `InvalidStockRequest` for names that are kept.
    """
    check_free(line["reference"] for line in lines)
    names = names_in(caller, lines)
    if not names.in_use and any("locations" not in line for line in lines):
        raise ValidationError({"lines": ["There is no location in use. Add one first."]})
    demands = [
        Demand(
            line["reference"],
            names.variants[line["sku"]],
            line["quantity"],
            tuple(names.places[code] for code in line.get("locations", ())) or names.in_use,
        )
        for line in lines
    ]
    return demands, names
