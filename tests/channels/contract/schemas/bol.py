"""bol's OpenAPI documents."""

import json
from collections.abc import Mapping
from functools import cache
from typing import Any, Final
from urllib.parse import urlsplit

import jsonschema  # type: ignore[import-untyped]

from channels.sandbox.shop import SandboxShop
from tests.channels.contract.schemas import SCHEMAS
from tests.channels.contract.schemas.openapi import operation_of, read_query

FOLDER: Final = SCHEMAS / "bol"
#: Resources that are on a version of their own; the others are looked for in the rest.
_DOCUMENTS: Final = {
    "/retailer/offers": "offers-v11.3.0.openapi.json",
    "/shared": "shared-v10.openapi.json",
    "": "retailer-v10.openapi.json",
}


@cache
def _read(name: str) -> Any:
    return json.loads((FOLDER / name).read_text())


def document_of(path: str) -> Any:
    """Returns the document that a path stands in."""
    return _read(next(name for prefix, name in _DOCUMENTS.items() if path.startswith(prefix)))


def check(sandbox: SandboxShop) -> set[str]:
    """Compares every call that was made, but for the login, with the documents; returns the names of the operations."""
    calls = [call for call in sandbox.requests_log if urlsplit(call[1]).path != "/token"]
    return {_check_call(*call) for call in calls}


def _check_call(method: str, target: str, body: str, status: int) -> str:
    parts = urlsplit(target)
    document = document_of(parts.path)
    operation = operation_of(document, method, parts.path)
    check_query(document, operation, parts.query)
    check_body(document, operation, body)
    return str(operation["operationId"])


def check_query(document: Any, operation: Any, query: str) -> None:
    """Fails on parameters that the operation does not take."""
    for schema, text in read_query(operation, query):
        value: Any = text
        if schema["type"] == "integer":
            value = int(text)
        elif schema["type"] == "boolean":
            value = {"true": True, "false": False}[text]
        _validate(document, schema, value)


def check_body(document: Any, operation: Any, body: str) -> None:
    """Fails on a body that the operation does not take."""
    described = operation.get("requestBody")
    if described is None:
        assert not body
        return
    (content,) = [each for name, each in described["content"].items() if "retailer" in name]
    _validate(document, _closed(content["schema"], document), json.loads(body))


def _validate(document: Any, schema: Any, value: Any) -> None:
    jsonschema.Draft202012Validator({**schema, "components": document["components"]}).validate(value)


def _closed(schema: Any, document: Mapping[str, Any]) -> Any:
    """Returns the schema without room for members that it does not name."""
    if "$ref" in schema:
        return _closed(document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]], document)
    if "properties" in schema:
        members = {name: _closed(each, document) for name, each in schema["properties"].items()}
        return {**schema, "properties": members, "additionalProperties": False}
    return {**schema, "items": _closed(schema["items"], document)} if "items" in schema else schema
