"""Filters that take what their columns can hold, and refuse the rest with the field."""

from datetime import datetime
from typing import Any

import django_filters
from django import forms
from django.core.validators import RegexValidator
from drf_spectacular.utils import extend_schema_field

from config.api.fields import LARGEST_ID
from inventory.api.query import NO_INSTANT, as_instant

_DIGITS = RegexValidator(r"\A[0-9]{1,19}\Z", "Enter a whole number.")


class WholeField(forms.IntegerField):
    """A whole number in ASCII digits."""

    def to_python(self, value: Any) -> int | None:
        """Returns the number. Raises `ValidationError`."""
        if value not in self.empty_values:
            _DIGITS(value)
        return super().to_python(value)


@extend_schema_field({"type": "integer", "format": "int64", "minimum": 0, "maximum": LARGEST_ID})
class WholeFilter(django_filters.NumberFilter):
    """An id or a count."""

    field_class = WholeField

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, min_value=0, max_value=LARGEST_ID, **options)

    def get_max_validator(self) -> None:
        """Returns none: the field's own maximum says it."""


class InstantField(forms.Field):
    """An instant with its time zone."""

    def to_python(self, value: Any) -> datetime | None:
        """Returns the instant. Raises `ValidationError`: read as UTC, one without a zone would be another than was meant."""
        if value in self.empty_values:
            return None
        found = as_instant(str(value))
        if found is None:
            raise forms.ValidationError(NO_INSTANT)
        return found


class InstantFilter(django_filters.IsoDateTimeFilter):
    """When something happened."""

    field_class = InstantField


class TruthField(forms.Field):
    """`true` or `false`."""

    def to_python(self, value: Any) -> bool | None:
        """Returns which. Raises `ValidationError`: a value that nobody understands must not list everything."""
        if value in self.empty_values:
            return None
        if value not in {"true", "false"}:
            raise forms.ValidationError("Write true or false.")
        return bool(value == "true")


class TruthFilter(django_filters.BooleanFilter):
    """Whether something is so."""

    field_class = TruthField


class Filters(django_filters.FilterSet):
    """Filters of a list; each stands for one column or relation."""
