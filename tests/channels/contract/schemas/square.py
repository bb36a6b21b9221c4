"""Square's OpenAPI document."""

import json
from collections.abc import Mapping
from functools import cache
from typing import Any, Final
from urllib.parse import urlsplit

import jsonschema  # type: ignore[import-untyped]

from channels.sandbox.shop import SandboxShop
from tests.channels.contract.schemas import SCHEMAS
from tests.channels.contract.schemas.openapi import operation_of, read_query

FOLDER: Final = SCHEMAS / "square"


@cache
def document() -> Any:
    """Reads the document."""
    return json.loads((FOLDER / "square-2025-08-20.openapi.json").read_text())


def check(sandbox: SandboxShop) -> set[str]:
    """Compares every call that was made with the document; returns the names of the operations."""
    return {_check_call(*call) for call in sandbox.requests_log}


def _check_call(method: str, target: str, body: str, status: int) -> str:
    parts = urlsplit(target)
    operation = operation_of(document(), method, parts.path)
    read_query(operation, parts.query)
    described = operation.get("requestBody")
    if described is None:
        assert not body
    else:
        check_body(described["content"]["application/json"]["schema"], json.loads(body))
    return str(operation["operationId"])


def check_body(schema: Mapping[str, Any], value: Any, where: str = "") -> None:
    """Fails on members that the schema does not name, and on values that do not fit it."""
    if "$ref" in schema:
        schema = document()["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    if isinstance(value, dict) and "properties" in schema:
        unknown = set(value) - set(schema["properties"])
        assert not unknown, f"{where} has no {', '.join(sorted(unknown))}"
        assert set(schema.get("required", ())) <= set(value), f"{where} lacks a required member"
        for name, each in value.items():
            described = schema["properties"][name]
            assert not described.get("readOnly"), f"{where}.{name} is only read"
            check_body(described, each, f"{where}.{name}")
    elif isinstance(value, list) and "items" in schema:
        for each in value:
            check_body(schema["items"], each, f"{where}[]")
    else:
        plain = {name: schema[name] for name in schema if name not in ("nullable", "example")}
        jsonschema.Draft202012Validator({**plain, "components": document()["components"]}).validate(value)
