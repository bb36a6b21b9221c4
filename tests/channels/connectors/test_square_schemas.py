"""Every call to Square stands in the vendor's own document: path, query and body."""

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import jsonschema  # type: ignore[import-untyped]
import pytest
from django.conf import settings

from channels.connectors.base import Address, Connector, PushItem
from channels.sandbox.book import CatalogueItem
from channels.sandbox.profiles import INSTANT
from channels.sandbox.square import SquareSandbox
from tests.channels.connectors.shops import Inbox, connect

_SHARED: Final = Path(os.environ.get("ONECOUNT_SHARED", Path(settings.BASE_DIR).parent / "shared"))
_FILE: Final = _SHARED / "platforms" / "schemas" / "square" / "square-2025-08-20.openapi.json"

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(not _FILE.is_file(), reason=f"Square's schema is not at {_FILE}"),
]


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(_FILE.read_text())
    return found


@pytest.fixture
def sandbox() -> Iterator[SquareSandbox]:
    with SquareSandbox(profile=INSTANT, limits="generous") as shop:
        shop.load_catalogue([CatalogueItem("MUG", "Mug", quantities={"AMS": 9})])
        yield shop


def exercise(sandbox: SquareSandbox, connector: Connector) -> None:
    """Makes every kind of call once."""
    connector.check()
    (place,) = connector.fetch_locations()
    (listing,) = connector.fetch_listings()
    address = Address(1, listing.external_id, location_external_id=place.external_id)
    connector.push([PushItem(address, 5)], call_id="1")
    connector.read_levels([address])
    list(connector.fetch_levels())
    placed = sandbox.place_order([("MUG", 1)])
    page = connector.fetch_orders("")
    connector.fetch_orders(page.cursor)
    connector.fetch_order(placed.id)
    with Inbox.open() as inbox:
        for _ in range(2):
            connector.register_webhooks(inbox.url)
            connector.audit_webhooks(inbox.url)


def operation_of(document: Mapping[str, Any], method: str, path: str) -> Any:
    """Finds the operation of a call; the path without variables wins."""
    for template in sorted(document["paths"], key=lambda each: each.count("{")):
        pattern = re.sub(r"\{[^}]+\}", "[^/]+", template)
        if re.fullmatch(pattern, path) and method.lower() in document["paths"][template]:
            return document["paths"][template][method.lower()]
    raise AssertionError(f"Square documents no {method} {path}.")


def check_body(document: Mapping[str, Any], schema: Any, value: Any, where: str = "") -> None:
    """Fails on members that the schema does not name, and on values that do not fit it."""
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    if isinstance(value, dict) and "properties" in schema:
        unknown = set(value) - set(schema["properties"])
        assert not unknown, f"{where} has no {', '.join(sorted(unknown))}"
        assert set(schema.get("required", ())) <= set(value), f"{where} lacks a required member"
        for name, each in value.items():
            described = schema["properties"][name]
            assert not described.get("readOnly"), f"{where}.{name} is only read"
            check_body(document, described, each, f"{where}.{name}")
    elif isinstance(value, list) and "items" in schema:
        for each in value:
            check_body(document, schema["items"], each, f"{where}[]")
    else:
        plain = {name: schema[name] for name in schema if name not in ("nullable", "example")}
        jsonschema.Draft202012Validator({**plain, "components": document["components"]}).validate(value)


def test_every_call_stands_in_the_vendors_document(sandbox: SquareSandbox, document: dict[str, Any]) -> None:
    exercise(sandbox, connect(sandbox))
    seen = set()
    for method, target, body, status in sandbox.requests_log:
        parts = urlsplit(target)
        operation = operation_of(document, method, parts.path)
        declared = {each["name"] for each in operation.get("parameters", ()) if each["in"] == "query"}
        assert {name for name, _ in parse_qsl(parts.query)} <= declared
        described = operation.get("requestBody")
        if described is None:
            assert not body
        else:
            check_body(document, described["content"]["application/json"]["schema"], json.loads(body))
        assert not operation.get("deprecated")
        assert not operation.get("x-is-deprecated")
        assert status == 200
        seen.add(operation["operationId"])
    assert {"BatchChangeInventory", "SearchOrders", "CreateWebhookSubscription"} <= seen
    assert len(seen) >= 9


def test_the_check_finds_what_the_document_does_not_name(document: dict[str, Any]) -> None:
    operation = operation_of(document, "POST", "/v2/inventory/changes/batch-create")
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    good = {
        "idempotency_key": "1",
        "changes": [{"type": "PHYSICAL_COUNT", "physical_count": {"quantity": "1"}}],
    }
    check_body(document, schema, good)
    wrongs: list[dict[str, Any]] = [
        {"changes": []},
        {"idempotency_key": "1", "change": []},
        {"idempotency_key": "1", "changes": [{"type": "COUNT"}]},
        {"idempotency_key": "1", "changes": [{"physical_count": {"quantity": 1}}]},
    ]
    for wrong in wrongs:
        with pytest.raises((AssertionError, jsonschema.ValidationError)):
            check_body(document, schema, wrong)
