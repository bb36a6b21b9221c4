"""Every operation of the description, so that a test can walk all of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from drf_spectacular.generators import SchemaGenerator

ROOT = "/api/v1"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method at one address."""

    method: str
    path: str
    name: str

    @property
    def is_on_row(self) -> bool:
        """Whether the address names a row."""
        return "{id}" in self.path

    @property
    def rows(self) -> str:
        """The first part of the address: what its rows are."""
        return self.path.removeprefix(f"{ROOT}/").partition("/")[0]


@cache
def schema() -> dict[str, Any]:
    """Returns the description."""
    found: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    return found


def endpoints() -> list[Endpoint]:
    """Returns all operations."""
    return list(_endpoints())


def _endpoints() -> Iterator[Endpoint]:
    for path, operations in schema()["paths"].items():
        for method, operation in operations.items():
            yield Endpoint(method.upper(), path, operation["operationId"])


def lists() -> list[Endpoint]:
    """Returns the operations that list rows."""
    return [each for each in endpoints() if each.method == "GET" and not each.is_on_row]
