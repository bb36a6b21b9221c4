"""Connections and search: pages by cursor, and the `field:>=value` queries of the Admin API."""

import base64
import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final

from channels.sandbox.shopify.definitions import Call, FieldType, GraphQLFault, fault

LARGEST_PAGE: Final = 250
PAGE_ARGUMENTS: Final = {
    "first": "Int",
    "after": "String",
    "last": "Int",
    "before": "String",
    "reverse": "Boolean",
}
_TERM: Final = re.compile(r"(\w+):(>=|<=|>|<)?('[^']*'|\"[^\"]*\"|\S+)")


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a connection: nodes with their cursors."""

    nodes: list[Any]
    cursors: list[str]
    has_next: bool
    has_previous: bool


def iso(at: float | None) -> str | None:
    """Returns an instant in the platform's form: UTC, whole seconds."""
    return None if at is None else datetime.fromtimestamp(int(at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _cursor(key: int) -> str:
    return base64.b64encode(json.dumps({"last_id": key}).encode()).decode()


def position(cursor: str | None) -> int | None:
    """Returns the key inside a cursor; raises `GraphQLFault` for what is none."""
    if cursor is None:
        return None
    try:
        return int(json.loads(base64.b64decode(cursor, validate=True))["last_id"])
    except (ValueError, KeyError, TypeError):
        raise GraphQLFault(fault("Invalid cursor for current pagination sort.", "BAD_REQUEST")) from None


def page_size(call: Call) -> int:
    """Returns how many nodes are asked for; raises `GraphQLFault` when that is not said, or too many."""
    size = call.arguments.get("first") or call.arguments.get("last")
    if size is None:
        raise GraphQLFault(fault("you must provide one of first or last", "BAD_REQUEST"))
    if not 0 < size <= LARGEST_PAGE:
        raise GraphQLFault(
            fault(f"first and last are between 1 and {LARGEST_PAGE}, not {size}", "BAD_REQUEST")
        )
    return int(size)


def page_of(items: Iterable[Any], key: Callable[[Any], int], call: Call) -> Page:
    """Cuts the page behind the cursor out of items that come in ascending keys, already behind the cursor or not."""
    size = page_size(call)
    if call.arguments.get("reverse") or call.arguments.get("last"):
        return _page_of_all(list(items), key, call, size)
    after = position(call.arguments.get("after"))
    behind = (item for item in items if after is None or key(item) > after)
    found = list(islice(behind, size + 1))
    return _page(found[:size], key, has_next=len(found) > size, has_previous=after is not None)


def _page_of_all(items: list[Any], key: Callable[[Any], int], call: Call, size: int) -> Page:
    if call.arguments.get("reverse"):
        items.reverse()
    keys = [key(item) for item in items]
    after, before = position(call.arguments.get("after")), position(call.arguments.get("before"))
    start = keys.index(after) + 1 if after in keys else 0
    end = keys.index(before) if before in keys else len(items)
    if call.arguments.get("first"):
        end = min(end, start + size)
    else:
        start = max(start, end - size)
    return _page(items[start:end], key, has_next=end < len(items), has_previous=start > 0)


def _page(nodes: list[Any], key: Callable[[Any], int], *, has_next: bool, has_previous: bool) -> Page:
    return Page(nodes, [_cursor(key(node)) for node in nodes], has_next, has_previous)


def connection_types(name: str) -> dict[str, dict[str, FieldType]]:
    """The connection and edge types of an object type."""
    return {
        f"{name}Connection": {
            "nodes": FieldType(f"[{name}!]!", lambda page, call: page.nodes),
            "edges": FieldType(
                f"[{name}Edge!]!", lambda page, call: list(map(Edge, page.nodes, page.cursors))
            ),
            "pageInfo": FieldType("PageInfo!", lambda page, call: page),
        },
        f"{name}Edge": {
            "node": FieldType(f"{name}!", lambda edge, call: edge.node),
            "cursor": FieldType("String!", lambda edge, call: edge.cursor),
        },
    }


@dataclass(frozen=True, slots=True)
class Edge:
    node: Any
    cursor: str


PAGE_INFO: Final = {
    "hasNextPage": FieldType("Boolean!", lambda page, call: page.has_next),
    "hasPreviousPage": FieldType("Boolean!", lambda page, call: page.has_previous),
    "startCursor": FieldType("String", lambda page, call: page.cursors[0] if page.cursors else None),
    "endCursor": FieldType("String", lambda page, call: page.cursors[-1] if page.cursors else None),
}


@dataclass(frozen=True, slots=True)
class Term:
    """One condition of a search."""

    field: str
    comparison: str
    value: str

    def instant(self) -> float:
        """The value as Unix seconds; raises `GraphQLFault`."""
        try:
            found = datetime.fromisoformat(self.value)
        except ValueError:
            raise GraphQLFault(
                fault(f"Invalid timestamp for query filter `{self.field}`.", "BAD_REQUEST")
            ) from None
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()

    def holds(self, value: float) -> bool:
        """Compares a whole-second instant with the term's."""
        mine, whole = self.instant(), int(value)
        return {
            ">=": whole >= mine,
            ">": whole > mine,
            "<=": whole <= mine,
            "<": whole < mine,
        }.get(self.comparison, whole == int(mine))


def terms(query: str | None) -> list[Term]:
    """Reads a search; terms are joined by AND, and what has no field name is left out."""
    found = _TERM.findall(query or "")
    return [Term(name, comparison or "", value.strip("'\"")) for name, comparison, value in found]


def lower_bound(conditions: Sequence[Term], name: str) -> float:
    """Returns the earliest instant that the conditions on a field allow; 0 without any."""
    bounds = [term.instant() for term in conditions if term.field == name and term.comparison in (">", ">=")]
    return max(bounds, default=0.0)
