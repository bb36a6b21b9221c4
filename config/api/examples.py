"""Examples of bodies, for the description of the API."""

from collections.abc import Callable
from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer


def request_example(title: str, value: Any) -> Callable[[Any], Any]:
    """Shows what a body may look like, with the serializer that checks it."""
    return extend_schema_serializer(examples=[OpenApiExample(title, value=value, request_only=True)])


def answer_example(title: str, value: Any) -> Callable[[Any], Any]:
    """Shows what an answer, or a row of a list, looks like, with the serializer that makes it."""
    return extend_schema_serializer(examples=[OpenApiExample(title, value=value, response_only=True)])
