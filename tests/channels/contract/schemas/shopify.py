"""Shopify's GraphQL schemas, one for each version of its API."""

import gzip
import json
from functools import cache
from pathlib import Path
from typing import Any, Final

from graphql import GraphQLSchema, build_client_schema, parse, validate
from graphql.execution.values import get_variable_values
from graphql.language import OperationDefinitionNode

from channels.sandbox.shop import SandboxShop
from tests.channels.contract.schemas import SCHEMAS

FOLDER: Final = SCHEMAS / "shopify"


@cache
def vendor_schemas() -> tuple[tuple[str, GraphQLSchema], ...]:
    """Returns the vendor's schemas by version; empty where they are not at hand."""
    paths = sorted(FOLDER.glob("admin_*.introspection.json.gz"))
    return tuple((path.name, _schema(path)) for path in paths)


def _schema(path: Path) -> GraphQLSchema:
    data = json.loads(gzip.decompress(path.read_bytes()))["data"]
    # Its stricter rules reject one deprecated field in the vendor's own schema.
    return build_client_schema(data, assume_valid=True)


def problems_of(schema: GraphQLSchema, query: str, variables: dict[str, Any] | None = None) -> list[str]:
    """Returns what a schema finds wrong with a document and, where given, with its variables."""
    document = parse(query)
    found = [error.message for error in validate(schema, document)]
    if variables is None or found:
        return found
    operation = next(node for node in document.definitions if isinstance(node, OperationDefinitionNode))
    values = get_variable_values(schema, list(operation.variable_definitions or ()), variables)
    return [error.message for error in values] if isinstance(values, list) else []


def check(sandbox: SandboxShop) -> None:
    """Compares every document that was sent, and its variables, with the schemas."""
    bodies = [body for _, target, body, _ in sandbox.requests_log if target.endswith("graphql.json")]
    for version, schema in vendor_schemas():
        for body in map(json.loads, bodies):
            problems = problems_of(schema, body["query"], body["variables"])
            assert not problems, (version, problems, body)
