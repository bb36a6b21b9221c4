"""Fields that take what JSON says literally: a number is a number, a text a text, and a typing error is told."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, ClassVar, Final

from rest_framework import serializers

from config.api.examples import request_example

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


class Because(Text):
    """Why something is done, for a colleague who reads it in a year."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=10_000, **options)

    def to_internal_value(self, data: Any) -> str:
        """Returns the reason; blanks are none."""
        text = super().to_internal_value(data)
        if not text.strip():
            self.fail("blank")
        return text


@request_example(
    "A reason for whoever reads it in a year", {"because": "Agreed with the supplier by telephone."}
)
class BecauseSerializer(StrictSerializer):
    """Why it is done."""

    because = Because()


class Day(serializers.DateField):
    """A day of this era, as a text: later ones no calendar can add to."""

    default_error_messages: ClassVar[dict[str, Any]] = {"era": "Choose a day between 1970 and 8999."}

    def to_internal_value(self, data: Any) -> date:
        """Returns the day."""
        if not isinstance(data, str) or not data.isascii():
            self.fail("invalid", format="YYYY-MM-DD")
        day: date = super().to_internal_value(data)
        if not 1970 <= day.year < 9000:
            self.fail("era")
        return day


class Instant(serializers.DateTimeField):
    """An instant of this era, as a text with its time zone."""

    default_error_messages: ClassVar[dict[str, Any]] = {
        "era": "Choose an instant between 1970 and 8999.",
        "zone": "Name the time zone, as in 2026-01-31T14:00:00Z.",
    }

    def to_internal_value(self, data: Any) -> datetime:
        """Returns the instant."""
        if not isinstance(data, str) or not data.isascii():
            self.fail("invalid", format="2026-01-31T14:00:00Z")
        found: datetime = super().to_internal_value(data)
        if not 1970 <= found.year < 9000:
            self.fail("era")
        return found

    def enforce_timezone(self, value: datetime) -> datetime:
        """Refuses one without a time zone: read as UTC, it would be another instant than was meant."""
        if value.tzinfo is None:
            self.fail("zone")
        return super().enforce_timezone(value)


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
