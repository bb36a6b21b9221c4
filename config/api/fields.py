"""Fields that take what JSON says literally: a number is a number, a text a text, and a typing error is told."""

from collections.abc import Mapping
from typing import Any, Final

from rest_framework import serializers

#: Largest id and largest number that a column of 64 bits holds.
LARGEST_ID: Final = 2**63 - 1
#: Largest quantity of a line, as the ledger has it.
LARGEST_QUANTITY: Final = 10**15
#: Items of one request.
MOST_ITEMS: Final = 1_000


class StrictSerializer(serializers.Serializer[Any]):
    """Refuses members that it does not know: a typing error must not pass silently."""

    def to_internal_value(self, data: Any) -> Any:
        """Returns what was sent. Raises `ValidationError` for each member that nobody knows."""
        if isinstance(data, Mapping):
            known = {name for name, field in self.fields.items() if not field.read_only}
            unknown = {name: ["There is no such field."] for name in data if name not in known}
            if unknown:
                raise serializers.ValidationError(unknown)
        return super().to_internal_value(data)


class Text(serializers.CharField):
    """A text, exactly as sent; numbers are none."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("trim_whitespace", False)
        options.setdefault("max_length", 200)
        super().__init__(**options)

    def to_internal_value(self, data: Any) -> str:
        """Returns the text."""
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class Whole(serializers.IntegerField):
    """A whole number as JSON writes it: no text, no fraction, no exponent."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("min_value", 0)
        options.setdefault("max_value", LARGEST_QUANTITY)
        super().__init__(**options)

    def to_internal_value(self, data: Any) -> int:
        """Returns the number."""
        if not isinstance(data, int) or isinstance(data, bool):
            self.fail("invalid")
        return super().to_internal_value(data)


class RowId(Whole):
    """The id of something."""

    def __init__(self, **options: Any) -> None:
        super().__init__(min_value=1, max_value=LARGEST_ID, **options)


class Truth(serializers.BooleanField):
    """`true` or `false`."""

    def to_internal_value(self, data: Any) -> bool:
        """Returns it."""
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class Quantity(Whole):
    """Units in the variant's base unit; 1 or more."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("min_value", 1)
        super().__init__(**options)


def items(
    child: serializers.BaseSerializer[Any] | serializers.Field[Any, Any, Any, Any], **options: Any
) -> Any:
    """Returns a list of 1 to 1,000 of these."""
    return serializers.ListField(child=child, min_length=1, max_length=MOST_ITEMS, **options)
