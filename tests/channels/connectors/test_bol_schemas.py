"""Every call to bol stands in the vendor's own documents: path, query and body."""

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

from channels.connectors.bol import BolConnector
from channels.sandbox.bol import BolSandbox
from channels.sandbox.book import CatalogueItem
from channels.sandbox.profiles import INSTANT
from tests.channels.connectors.shops import Inbox, connect, item

_SHARED: Final = Path(os.environ.get("ONECOUNT_SHARED", Path(settings.BASE_DIR).parent / "shared"))
_FOLDER: Final = _SHARED / "platforms" / "schemas" / "bol"
#: Resources that are on a version of their own; the others are looked for in the rest.
_DOCUMENTS: Final = {
    "/retailer/offers": "offers-v11.3.0.openapi.json",
    "/shared": "shared-v10.openapi.json",
    "": "retailer-v10.openapi.json",
}

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(not _FOLDER.is_dir(), reason=f"bol's schemas are not at {_FOLDER}"),
]


@pytest.fixture(scope="module")
def documents() -> dict[str, Any]:
    return {prefix: json.loads((_FOLDER / name).read_text()) for prefix, name in _DOCUMENTS.items()}


@pytest.fixture
def sandbox() -> Iterator[BolSandbox]:
    with BolSandbox(profile=INSTANT, limits="generous") as shop:
        shop.load_catalogue([CatalogueItem(sku="MUG", title="Mug", quantities={"main": 10})])
        yield shop


def operation_of(documents: Mapping[str, Any], method: str, path: str) -> tuple[Any, Any]:
    """Finds the document and the operation of a call; the path without variables wins."""
    prefix = next(prefix for prefix in _DOCUMENTS if path.startswith(prefix))
    document = documents[prefix]
    for template in sorted(document["paths"], key=lambda each: each.count("{")):
        pattern = re.sub(r"\{[^}]+\}", "[^/]+", template)
        if re.fullmatch(pattern, path) and method.lower() in document["paths"][template]:
            return document, document["paths"][template][method.lower()]
    raise AssertionError(f"bol documents no {method} {path}.")


def check_query(document: Any, operation: Any, query: str) -> None:
    declared = {each["name"]: each for each in operation.get("parameters", ()) if each["in"] == "query"}
    for name, text in parse_qsl(query, keep_blank_values=True):
        schema = declared[name]["schema"]
        value: Any = text
        if schema["type"] == "integer":
            value = int(text)
        elif schema["type"] == "boolean":
            value = {"true": True, "false": False}[text]
        check(document, schema, value)


def check(document: Any, schema: Any, value: Any) -> None:
    jsonschema.Draft202012Validator({**schema, "components": document["components"]}).validate(value)


def check_body(document: Any, operation: Any, body: str) -> None:
    described = operation.get("requestBody")
    if described is None:
        assert not body
        return
    (content,) = [each for name, each in described["content"].items() if "retailer" in name]
    check(document, closed(content["schema"], document), json.loads(body))


def closed(schema: Any, document: Any) -> Any:
    """Returns the schema without room for members that it does not name."""
    if "$ref" in schema:
        return closed(document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]], document)
    if "properties" in schema:
        members = {name: closed(each, document) for name, each in schema["properties"].items()}
        return {**schema, "properties": members, "additionalProperties": False}
    return {**schema, "items": closed(schema["items"], document)} if "items" in schema else schema


def exercise(sandbox: BolSandbox, connector: BolConnector) -> None:
    """Makes every kind of call once."""
    connector.check()
    (offer,) = connector.fetch_listings()
    address = item(offer.external_id, 5)
    connector.push([address], call_id="1")
    connector.read_levels([address.address])
    placed = sandbox.place_order([("MUG", 2)])
    connector.fetch_orders("")
    connector.fetch_orders('{"since": "2026-11-01T00:00:00+00:00"}')
    state = connector.fetch_order(placed.id)
    assert state is not None
    connector.cancel_line(placed.id, state.lines[0].external_id, 2, call_id="1")
    shipped = sandbox.place_order([("MUG", 1)])
    sandbox.fulfil(shipped.id, "MUG", 1)
    sandbox.refund(shipped.id, "MUG", 1, restock=False)
    (announced,) = connector.fetch_open_returns()
    connector.fetch_return(announced.external_id)
    with Inbox.open() as inbox:
        connector.register_webhooks(inbox.url)
        connector.audit_webhooks(inbox.url)
        connector.register_webhooks(inbox.url)


def test_every_call_stands_in_the_vendors_documents(sandbox: BolSandbox, documents: dict[str, Any]) -> None:
    connector = connect(sandbox)
    assert isinstance(connector, BolConnector)
    exercise(sandbox, connector)
    seen = set()
    for method, target, body, status in sandbox.requests_log:
        parts = urlsplit(target)
        if parts.path == "/token":
            continue
        document, operation = operation_of(documents, method, parts.path)
        check_query(document, operation, parts.query)
        check_body(document, operation, body)
        assert not operation.get("deprecated")
        assert str(status) in operation["responses"]
        seen.add(operation["operationId"])
    assert {"update-offer", "cancel-order-item", "post-push-notification-subscription"} <= seen
    assert len(seen) >= 14


def test_the_check_finds_what_the_documents_do_not_name(documents: dict[str, Any]) -> None:
    document, operation = operation_of(documents, "PATCH", "/retailer/offers/1")
    check_body(document, operation, '{"stock": {"amount": 1, "managedByRetailer": false}}')
    for wrong in ('{"stock": {"amount": "1"}}', '{"stock": {"quantity": 1}}', '{"amount": 1}'):
        with pytest.raises(jsonschema.ValidationError):
            check_body(document, operation, wrong)
    _, listing = operation_of(documents, "GET", "/retailer/orders")
    with pytest.raises(jsonschema.ValidationError):
        check_query(document, listing, "change-interval-minute=61")
