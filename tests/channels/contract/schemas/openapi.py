"""Finds calls in OpenAPI documents."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl


def operation_of(document: Mapping[str, Any], method: str, path: str) -> Any:
    """Finds the operation of a call; the path without variables wins. Fails where none is documented."""
    for template in sorted(document["paths"], key=lambda each: each.count("{")):
        pattern = re.sub(r"\{[^}]+\}", "[^/]+", template)
        if re.fullmatch(pattern, path) and method.lower() in document["paths"][template]:
            operation = document["paths"][template][method.lower()]
            assert not operation.get("deprecated"), path
            assert not operation.get("x-is-deprecated"), path
            return operation
    raise AssertionError(f"The vendor documents no {method} {path}.")


def read_query(operation: Mapping[str, Any], query: str) -> list[tuple[Any, str]]:
    """Returns the schema of each parameter of a query with its text; fails on those that are not declared."""
    declared = {each["name"]: each for each in operation.get("parameters", ()) if each["in"] == "query"}
    given = parse_qsl(query, keep_blank_values=True)
    unknown = {name for name, _ in given} - declared.keys()
    assert not unknown, f"The vendor knows no {', '.join(sorted(unknown))}."
    return [(declared[name]["schema"], text) for name, text in given]
