"""The description of the API: what every operation has in common, added in one place."""

import re
from typing import Any, Final

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ComponentIdentity, ResolvedComponent, get_doc
from drf_spectacular.utils import Direction, OpenApiParameter

from config.api.problems import MEDIA_TYPE, ProblemSerializer, described, examples

_ALWAYS: Final = (400, 401, 403, 404, 405, 429, 500, 503)
_WRITES: Final = (409, 413, 415, 422)
_SAFE: Final = ("GET", "HEAD")

_IDEMPOTENCY_KEY: Final = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    description=(
        "1 to 128 visible ASCII characters that name this request. Sent again with the same body it gives the first "
        "answer again, for at least 24 hours; with another body it is refused."
    ),
)
_IF_MATCH: Final = OpenApiParameter(
    "If-Match",
    str,
    OpenApiParameter.HEADER,
    description="The `ETag` of what the change was made of; refused with 412 where somebody changed it meanwhile.",
)
#: What operations are called that all resources have.
_USUAL: Final = {
    "list": "Lists {}",
    "retrieve": "Shows one of the {}",
    "partial_update": "Changes one of the {}",
}
#: What filters of many lists mean, unless a list says otherwise.
_FILTERS: Final = {
    "category": "As it is written.",
    "cause": "What lies behind it.",
    "channel": "The id of a channel.",
    "code": "Its code, as it is written.",
    "conflict": "The id of a conflict.",
    "destination": "The code of the location that it goes to.",
    "external_id": "The id that the platform, or your system, gave it.",
    "gtin": "As it is written.",
    "is_active": "Whether it is in use.",
    "is_current": "Whether it is the version that counts now.",
    "is_mapped": "Whether it is linked to a variant.",
    "is_paused": "Whether it is told nothing for now.",
    "listing_level": "The id of a listing at a place.",
    "job": "What was being done.",
    "kind": "Of which kind.",
    "listing": "The id of a listing.",
    "location": "The code of a location.",
    "name": "As it is written.",
    "number": "Its number, as it is written.",
    "operation": "The id of an operation of the ledger.",
    "product": "The id of a product.",
    "purchase_order": "The id of a purchase order.",
    "reason": "Why it happened.",
    "reference": "Whose demand it is, as it is written.",
    "remedy": "Which remedy was chosen.",
    "rule_set": "The id of a rule set.",
    "run": "The id of a comparison.",
    "sku": "The SKU, as it is written.",
    "source": "The code of the location that it leaves.",
    "state": "How far it is.",
    "subject": "What it is about.",
    "subscription": "The id of a subscription.",
    "supplier": "The code of a supplier.",
    "title": "Whatever the case of its letters.",
    "topic": "As the platform calls it.",
    "type": "Of which type.",
    "variant": "The id of a variant.",
    "version": "The id of a version.",
}
_ID: Final[dict[str, Any]] = {
    "in": "path",
    "required": True,
    "description": "Its id.",
    "schema": {"type": "integer", "format": "int64", "minimum": 1, "maximum": 10**18 - 1},
}
_SINCE: Final = "Only from this instant on; with its time zone."
_BEFORE: Final = "Only before this instant; with its time zone."
_RATE: Final[dict[str, dict[str, Any]]] = {
    name: {"description": text, "schema": {"type": "integer"}}
    for name, text in {
        "RateLimit-Limit": "Requests that the key may make in a minute.",
        "RateLimit-Remaining": "How many of them are left.",
        "RateLimit-Reset": "Seconds until all of them may be made again.",
    }.items()
}


class ApiSchema(AutoSchema):
    """Adds the problems, the headers and the idempotency key to each operation, and tags it by its resource."""

    #: An endpoint of ours.
    view: Any

    def get_description(self) -> str:  # type: ignore[override]
        """Says what it does, of what, and which scope it needs."""
        about = f"{get_doc(type(self.view))}\n\n" if self._is_usual else ""
        return f"{about}{super().get_description()}\n\nNeeds the scope {self._scope}."

    def get_summary(self) -> str:
        """Says it in a few words: those of its first sentence, unless all resources have it."""
        if self._is_usual:
            return _USUAL[self.view.action].format(self.view.name_of_rows.replace("_", " "))
        return re.split(r"(?<=[.;:]) |\n", super().get_description(), maxsplit=1)[0].rstrip(".;:")

    @property
    def _is_usual(self) -> bool:
        """Whether the operation does for its resource what it does for all others."""
        method = getattr(type(self.view), self.view.action)
        own = method.__qualname__.partition(".")[0] == type(self.view).__name__
        return self.view.action in _USUAL and not own

    @property
    def _scope(self) -> str:
        verb = "read" if self.method in _SAFE else "write"
        return "`owner`" if self.view.resource == "keys" else f"`{self.view.resource}:{verb}`"

    def get_tags(self) -> list[str]:
        """Groups operations by the resource that scopes speak of."""
        return [getattr(self.view, "resource", "") or "api"]

    def get_operation_id(self) -> str:
        """Names the operation after its view and what it does, the same in every version."""
        return f"{self.view.name_of_rows}_{self.view.action}"

    def get_request_serializer(self) -> Any:
        """Returns what a new row, or the change of one, is described by; other bodies are named where they are read."""
        name = {"create": "create_class", "partial_update": "change_class"}.get(self.view.action)
        return getattr(self.view, name) if name else None

    def get_override_parameters(self) -> list[Any]:
        """Adds the headers that writes take."""
        own = list(super().get_override_parameters())
        if self.method in _SAFE:
            return own
        repeats = [_IDEMPOTENCY_KEY] if self.view.is_one_transaction else []
        return [*own, *repeats, *([_IF_MATCH] if self._is_about_a_row else [])]

    def _get_filter_parameters(self) -> list[dict[str, Any]]:
        """Adds what filters mean that many lists have."""
        found: list[dict[str, Any]] = super()._get_filter_parameters()  # type: ignore[no-untyped-call]
        for parameter in found:
            known = _meaning_of(parameter["name"])
            if known and not parameter.get("description"):
                parameter["description"] = known
        return found

    def _resolve_path_parameters(self, variables: list[str]) -> list[dict[str, Any]]:
        """Describes the id in the address as the number that answers have."""
        return [{**_ID, "name": name} for name in variables]

    @property
    def _is_about_a_row(self) -> bool:
        return "{id}" in self.path

    def _get_response_bodies(self, direction: Direction = "response") -> dict[str, Any]:
        """Adds the problems to what the operation answers."""
        bodies: dict[str, Any] = super()._get_response_bodies(direction)
        reference = self.resolve_serializer(ProblemSerializer, direction).ref
        statuses = {*_ALWAYS, *(() if self.method in _SAFE else _WRITES)}
        if self._is_about_a_row and self.method not in _SAFE:
            statuses.add(412)
        statuses.update(getattr(self.view, "further_statuses", ()))
        for status in sorted(statuses):
            content = {MEDIA_TYPE: {"schema": reference, "examples": self._examples(status)}}
            bodies[str(status)] = {"description": described(status), "content": content}
        rate = {name: self._shared(ResolvedComponent.HEADER, name, header) for name, header in _RATE.items()}
        for status, body in bodies.items():
            if status not in {"401", "500"}:
                body["headers"] = {**body.get("headers", {}), **rate}
        return dict(sorted(bodies.items()))

    def _examples(self, status: int) -> dict[str, Any]:
        """Returns how refusals with this status look."""
        shown = examples(status)
        return {name: self._shared(ResolvedComponent.EXAMPLE, name, each) for name, each in shown.items()}

    def _shared(self, kind: str, name: str, content: dict[str, Any]) -> Any:
        """Returns a reference to something that is described once for all operations."""
        component = ResolvedComponent(name, kind, content, ComponentIdentity(name))  # type: ignore[no-untyped-call]
        self.registry.register_on_missing(component)
        return component.ref


def widen(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Says of every whole number without a maximum that it has 64 bits: generated clients would take it for one of 32."""
    for schema in result["components"]["schemas"].values():
        for member in schema.get("properties", {}).values():
            types = member.get("type")
            is_whole = types == "integer" or (isinstance(types, list) and "integer" in types)
            if is_whole and not {"format", "maximum", "enum"} & member.keys():
                member["format"] = "int64"
    return result


def _meaning_of(name: str) -> str:
    """Returns what a filter of this name means in most lists; empty where nobody has said so."""
    if name.endswith("since"):
        return _SINCE
    return _BEFORE if name.endswith("before") else _FILTERS.get(name, "")


class KeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Says how a key is sent."""

    target_class = "inventory.api.authentication.KeyAuthentication"
    name = "key"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, Any]:
        """Describes the header."""
        return {
            "type": "http",
            "scheme": "bearer",
            "description": "A key of the merchant, as `Bearer <key>`.",
        }
