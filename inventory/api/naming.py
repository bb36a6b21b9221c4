"""What callers name in their own words: SKUs and codes of places, turned into rows of theirs."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from django.db.models import QuerySet
from rest_framework import serializers

from config.api.examples import answer_example
from config.api.fields import Quantity, StrictSerializer, Text
from config.api.problems import NOT_FOUND, REFUSED, Problem
from inventory.access import Caller
from inventory.api.visibility import visible
from inventory.models import Location, Variant
from inventory.models.catalogue import LocationKind
from inventory.naming import Names, find_names

Line = Mapping[str, Any]
#: Unknown names that are listed in one answer.
_LISTED: Final = 20


class Sku(Text):
    """The SKU of a variant, as it is written."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=128, **options)


class Code(Text):
    """The code of a location."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=64, **options)


class LineSerializer(StrictSerializer):
    """Units of a variant at a location."""

    sku = Sku()
    location = Code()
    quantity = Quantity(help_text="In the variant's base unit.")


class OutcomeHeldSerializer(serializers.Serializer[Any]):
    """Units that were reserved."""

    reservation_id = serializers.IntegerField()
    reference = serializers.CharField()
    sku = serializers.CharField()
    location = serializers.CharField()
    quantity = serializers.IntegerField()


class OutcomeShortSerializer(serializers.Serializer[Any]):
    """Units that could not be had."""

    reference = serializers.CharField()
    sku = serializers.CharField()
    quantity = serializers.IntegerField()


@answer_example(
    "Two units are held",
    {
        "operation_id": 9034,
        "held": [
            {
                "reservation_id": 81,
                "reference": "cart-81",
                "sku": "MUG-BLUE",
                "location": "main",
                "quantity": 2,
            }
        ],
        "short": [],
    },
)
class OutcomeSerializer(serializers.Serializer[Any]):
    """What an operation did."""

    operation_id = serializers.IntegerField(help_text="Its movements: `/movements?operation=…`.")
    held = OutcomeHeldSerializer(many=True)
    short = OutcomeShortSerializer(
        many=True, help_text="Units owed, or not reserved where a part was asked for."
    )


def names_in(caller: Caller, lines: Sequence[Line]) -> Names:
    """Returns the ids of the variants and `locations` that these lines name; one statement. Raises `Problem` (404)."""
    codes = {code for line in lines for code in line.get("locations", ())}
    names = find_names(caller.merchant_id, {line["sku"] for line in lines}, codes)
    _check(lines, names.variants, "lines", "sku", "variant")
    _check([{"locations": code} for code in sorted(codes)], names.places, "", "locations", "location")
    return names


def places(caller: Caller) -> QuerySet[Location]:
    """Returns the places where goods can be put and taken: all but the one between two places."""
    return visible(caller, Location).exclude(kind=LocationKind.IN_TRANSIT)


def variant_ids(
    caller: Caller, lines: Sequence[Line], *, within: str = "lines", field: str = "sku"
) -> dict[str, int]:
    """Returns the ids of the variants that these lines name, if they do. Raises `Problem` (404) with each unknown one."""
    rows = visible(caller, Variant).filter(sku__in=_named(lines, field))
    found = dict(rows.order_by().values_list("sku", "pk"))
    _check(lines, found, within, field, "variant")
    return found


def location_ids(
    caller: Caller, lines: Sequence[Line], *, within: str = "lines", field: str = "location"
) -> dict[str, int]:
    """Returns the ids of the locations that these lines name, if they do. Raises `Problem` (404) with each unknown one."""
    rows = places(caller).filter(code__in=_named(lines, field))
    found = dict(rows.order_by().values_list("code", "pk"))
    _check(lines, found, within, field, "location")
    return found


def location_id(caller: Caller, code: str, field: str = "location") -> int:
    """Returns the id of one location. Raises `Problem` (404)."""
    return location_ids(caller, [{field: code}], within="", field=field)[code]


def location_ids_of(caller: Caller, codes: Iterable[str], field: str) -> dict[str, int]:
    """Returns the ids of these locations. Raises `Problem` (404)."""
    return location_ids(caller, [{field: code} for code in codes], within="", field=field)


def variant_id(caller: Caller, sku: str, field: str = "sku") -> int:
    """Returns the id of one variant. Raises `Problem` (404)."""
    return variant_ids(caller, [{field: sku}], within="", field=field)[sku]


def check_once(lines: Sequence[Line], *fields: str, within: str = "lines") -> None:
    """Refuses a line about what an earlier one was about, of which one would be ignored. Raises `Problem` (422)."""
    seen: set[tuple[Any, ...]] = set()
    for index, line in enumerate(lines):
        about = tuple(line[field] for field in fields)
        if about in seen:
            named = ", ".join(f"{field} {value!r}" for field, value in zip(fields, about, strict=True))
            message = f"An earlier line is about {named} already. Say it in one line."
            raise Problem(REFUSED, message, field=f"{within}[{index}].{fields[0]}")
        seen.add(about)


def _named(lines: Sequence[Line], field: str) -> set[str]:
    return {line[field] for line in lines if line.get(field) is not None}


def _check(lines: Sequence[Line], found: Mapping[str, int], within: str, field: str, what: str) -> None:
    named = ((index, line.get(field)) for index, line in enumerate(lines))
    missing = [(index, name) for index, name in named if name is not None and name not in found]
    if not missing:
        return
    errors = [
        {
            "field": f"{within}[{index}].{field}" if within else field,
            "message": f"There is no {what} {name!r}.",
        }
        for index, name in missing[:_LISTED]
    ]
    raise Problem(NOT_FOUND, errors[0]["message"], field=errors[0]["field"], errors=errors)
