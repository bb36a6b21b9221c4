"""What a GraphQL schema is made of here: fields with their resolvers, types, and the errors a document earns."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


class GraphQLFault(Exception):
    """One or more top-level errors; there is no data."""

    def __init__(self, *errors: dict[str, Any]) -> None:
        super().__init__("; ".join(str(error["message"]) for error in errors))
        self.errors = list(errors)


def fault(message: str, code: str, **more: Any) -> dict[str, Any]:
    """Returns a top-level error."""
    return {"message": message, "extensions": {"code": code, **more}}


@dataclass(frozen=True, slots=True)
class Call:
    """One field being resolved."""

    context: Any
    arguments: dict[str, Any]
    directives: dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class FieldType:
    """A field: its type as written in SDL, how it is resolved, its arguments by name (types as in SDL)."""

    type: str
    resolve: Callable[[Any, Call], Any]
    arguments: Mapping[str, str] = field(default_factory=dict)
    #: Objects of this field cost nothing (lists of errors).
    is_free: bool = False

    @property
    def named(self) -> str:
        """The type without list and non-null marks."""
        return self.type.strip("[]!")


@dataclass(frozen=True, slots=True)
class Typed:
    """A value behind an interface, with its object type."""

    type: str
    source: Any


@dataclass(frozen=True, slots=True)
class Schema:
    """All that can be asked: object types, input objects, enums (None: any value)."""

    objects: Mapping[str, Mapping[str, FieldType]]
    inputs: Mapping[str, Mapping[str, str]]
    enums: Mapping[str, frozenset[str] | None]
    #: Interface name → the types behind it.
    interfaces: Mapping[str, frozenset[str]]

    def overlaps(self, condition: str, name: str) -> bool:
        """Tells whether a fragment on `condition` can apply to the type `name`."""
        if condition in ("", name):
            return True
        return name in self.interfaces.get(condition, ()) or condition in self.interfaces.get(name, ())
