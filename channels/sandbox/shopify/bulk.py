"""Bulk queries: a whole connection worked off in the background, answered as a file of JSON lines.

Source: shopify.dev, "Perform bulk operations with the GraphQL Admin API". One line an object; objects of nested connections are
lines of their own that name their parent. The file lies behind an address that needs no token.
"""

import json
import secrets
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import Any, Final

from channels.sandbox.httpd import Answer, Request
from channels.sandbox.shopify.definitions import Call, FieldType, GraphQLFault, Schema
from channels.sandbox.shopify.execution import Execution
from channels.sandbox.shopify.goods import Fields, Resolve, connection
from channels.sandbox.shopify.goods import field as plain
from channels.sandbox.shopify.ids import gid, parse_gid
from channels.sandbox.shopify.language import Field, Selection, SyntaxFault, parse
from channels.sandbox.shopify.paging import iso

PATH: Final = "/bulk/"
#: Queries at once for one app.
_MOST: Final = 5
_PAGE: Final = 250


@dataclass(slots=True)
class BulkOperation:
    """One query, on its way or done."""

    number: int
    query: str
    created_at: float
    key: str
    completed_at: float | None = None
    objects: int = 0
    is_failed: bool = False
    pieces: list[bytes] = field(default_factory=list)

    @property
    def status(self) -> str:
        """The platform's word for how far it is."""
        if self.is_failed:
            return "FAILED"
        return "RUNNING" if self.completed_at is None else "COMPLETED"


@dataclass(frozen=True, slots=True)
class _Root:
    """The connection that a query walks."""

    execution: Execution
    name: str
    arguments: Mapping[str, Any]
    type: str
    selections: tuple[Selection, ...]


class BulkOperations:
    """The bulk queries of one shop."""

    def __init__(self, shop: Any, schema: Schema) -> None:
        self._shop = shop
        self._schema = schema
        self.by_number: dict[int, BulkOperation] = {}

    def start(self, query: str) -> tuple[BulkOperation | None, list[dict[str, Any]]]:
        """Begins a query; returns it, or what is wrong with it."""
        running = sum(each.completed_at is None and not each.is_failed for each in self.by_number.values())
        if running >= _MOST:
            return None, [_error("LIMIT_REACHED", f"At most {_MOST} bulk queries run at once.")]
        try:
            root = self._root(query)
        except (GraphQLFault, SyntaxFault) as error:
            return None, [_error("INVALID", str(error))]
        number = len(self.by_number) + 1
        operation = BulkOperation(number, query, time.time(), secrets.token_urlsafe(16))
        self.by_number[number] = operation
        threading.Thread(target=self._run, args=(operation, root), name="sandbox-bulk", daemon=True).start()
        return operation, []

    def answer(self, request: Request) -> Answer:
        """Returns the file of a query that is done."""
        key = request.path.removeprefix(PATH).removesuffix(".jsonl")
        found = next(
            (each for each in self.by_number.values() if each.key == key and each.completed_at), None
        )
        if found is None or request.method != "GET":
            return Answer(404, b"Not Found", {"Content-Type": "text/plain"})
        return Answer(200, b"".join(found.pieces), {"Content-Type": "application/jsonl"})

    def _root(self, query: str) -> _Root:
        execution = Execution(self._schema, parse(query), "", {})
        selection = execution.operation.selections[0]
        found = self._schema.objects["QueryRoot"].get(getattr(selection, "name", ""))
        if not isinstance(selection, Field) or found is None or not found.named.endswith("Connection"):
            raise GraphQLFault({"message": "Bulk queries must contain at least one connection."})
        name = found.named.removesuffix("Connection")
        arguments = execution.arguments(found, selection)
        return _Root(execution, selection.name, arguments, name, _with_sizes(_of_nodes(selection)))

    def _run(self, operation: BulkOperation, root: _Root) -> None:
        try:
            for page in self._pages(root):
                operation.objects += len(page)
                operation.pieces.append("".join(f"{line}\n" for line in page).encode())
        except GraphQLFault:
            operation.is_failed = True
            return
        operation.completed_at = time.time()

    def _pages(self, root: _Root) -> Iterator[list[str]]:
        resolve = self._schema.objects["QueryRoot"][root.name].resolve
        after: str | None = None
        while True:
            with self._shop.records.lock:
                page = resolve(None, Call(self._shop, {**root.arguments, "first": _PAGE, "after": after}, {}))
                found = [
                    json.dumps(line, separators=(",", ":"))
                    for node in page.nodes
                    for line in _lines(root.execution.object_of(root.type, node, root.selections, self._shop))
                ]
            yield found
            if not page.has_next:
                return
            after = page.cursors[-1]


def _error(code: str, message: str) -> dict[str, Any]:
    return {"field": ["query"], "message": message, "code": code}


def _of_nodes(selection: Field) -> tuple[Selection, ...]:
    """Returns what is asked of each node: `edges { node { … } }` or `nodes { … }`."""
    for each in selection.selections or ():
        if isinstance(each, Field) and each.name == "nodes":
            return each.selections or ()
        if isinstance(each, Field) and each.name == "edges":
            inner = [one for one in each.selections or () if isinstance(one, Field) and one.name == "node"]
            return inner[0].selections or () if inner else ()
    raise GraphQLFault({"message": "Bulk queries need edges or nodes."})


def _with_sizes(selections: tuple[Selection, ...]) -> tuple[Selection, ...]:
    """Has nested connections answered whole, which need not say a size here."""
    return tuple(_with_size(each) if isinstance(each, Field) else each for each in selections)


def _with_size(selection: Field) -> Field:
    inner = _with_sizes(selection.selections or ())
    is_connection = any(isinstance(each, Field) and each.name in ("edges", "nodes") for each in inner)
    arguments = selection.arguments
    if is_connection and not {"first", "last"} & arguments.keys():
        arguments = {**arguments, "first": _PAGE}
    return replace(selection, arguments=arguments, selections=inner if selection.selections else None)


def _lines(found: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yields an object and, as lines of their own, those of its connections."""
    children = list(_taken_out(found))
    yield found
    for child in children:
        for line in _lines(child):
            line.setdefault("__parentId", found.get("id"))
            yield line


def _taken_out(found: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for name, value in list(found.items()):
        if not isinstance(value, dict):
            continue
        if "edges" in value or "nodes" in value:
            del found[name]
            yield from (edge["node"] for edge in value.get("edges", ()))
            yield from value.get("nodes", ())
        else:
            yield from _taken_out(value)


def _run_query(source: Any, call: Call) -> dict[str, Any]:
    operation, errors = call.context.bulk.start(str(call.arguments["query"]))
    return {"bulkOperation": operation, "userErrors": errors}


def _member(name: str) -> Resolve:
    return lambda error, call: error[name]


def _by_id(source: Any, call: Call) -> BulkOperation | None:
    kind, number, _ = parse_gid(str(call.arguments["id"]))
    found: BulkOperation | None = call.context.bulk.by_number.get(number)
    return found if kind == "BulkOperation" else None


def _url(operation: BulkOperation, call: Call) -> str | None:
    """Returns where the file lies; nowhere for an empty answer."""
    if operation.completed_at is None or not operation.objects:
        return None
    return f"{call.context.base_url}{PATH}{operation.key}.jsonl"


BULK: Final[dict[str, Fields]] = {
    "BulkOperation": {
        "id": plain("ID!", lambda each, call: gid("BulkOperation", each.number)),
        "status": plain("BulkOperationStatus!", lambda each, call: each.status),
        "errorCode": plain(
            "BulkOperationErrorCode", lambda each, call: "INTERNAL_SERVER_ERROR" if each.is_failed else None
        ),
        "type": plain("BulkOperationType!", lambda each, call: "QUERY"),
        "query": plain("String!", lambda each, call: each.query),
        "createdAt": plain("DateTime!", lambda each, call: iso(each.created_at)),
        "completedAt": plain("DateTime", lambda each, call: iso(each.completed_at)),
        "objectCount": plain("UnsignedInt64!", lambda each, call: str(each.objects)),
        "fileSize": plain(
            "UnsignedInt64", lambda each, call: str(sum(map(len, each.pieces))) if each.completed_at else None
        ),
        "url": plain("URL", _url),
        "partialDataUrl": plain("URL", lambda each, call: None),
    },
    "BulkOperationRunQueryPayload": {
        "bulkOperation": plain("BulkOperation", lambda payload, call: payload["bulkOperation"]),
        "userErrors": FieldType(
            "[BulkOperationUserError!]!", lambda payload, call: payload["userErrors"], is_free=True
        ),
    },
    "BulkOperationUserError": {
        name: plain(kind, _member(name))
        for name, kind in (
            ("field", "[String!]"),
            ("message", "String!"),
            ("code", "BulkOperationUserErrorCode"),
        )
    },
}
BULK_QUERIES: Final[Fields] = {
    "bulkOperation": plain("BulkOperation", _by_id, id="ID!"),
    "bulkOperations": connection(
        "BulkOperation",
        lambda source, call: list(call.context.bulk.by_number.values()),
        attrgetter("number"),
        query="String",
        sortKey="BulkOperationsSortKeys",
    ),
}
BULK_WRITES: Final[Fields] = {
    "bulkOperationRunQuery": FieldType(
        "BulkOperationRunQueryPayload!", _run_query, {"query": "String!", "groupObjects": "Boolean!"}
    ),
}
