"""A simulated seller's account with its connector, whose every request the vendor's own schemas must allow."""

import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import parse_qsl, urlsplit

import jsonschema  # type: ignore[import-untyped]
from django.conf import settings

from channels.connectors.amazon_seller import AmazonSellerConnector
from channels.connectors.base import AcceptedPush, InboundRequest, PushItem, PushResult
from channels.sandbox.amazon_seller import AmazonSellerSandbox
from channels.sandbox.book import CatalogueItem
from channels.sandbox.profiles import INSTANT
from channels.sandbox.shop import SandboxShop
from tests.channels.connectors.shops import connect

SHARED: Final = Path(os.environ.get("ONECOUNT_SHARED", Path(settings.BASE_DIR).parent / "shared"))
SCHEMAS: Final = SHARED / "platforms" / "schemas" / "amazon"
MISSING: Final = f"Amazon's schemas are not at {SCHEMAS}"

#: Path of the API → the vendor's model of it.
_MODELS: Final = {
    "/orders/": "orders_2026-01-01.json",
    "/listings/": "listingsItems_2021-08-01.json",
    "/fba/": "fbaInventory.json",
    "/notifications/": "notifications.json",
    "/feeds/": "feeds_2021-06-30.json",
    "/reports/": "reports_2021-06-30.json",
    "/sellers/": "sellers.json",
    "/vendor/orders/": "vendorOrders.json",
    "/vendor/transactions/": "vendorTransactionStatus.json",
    "/vendor/directFulfillment/orders/": "vendorDirectFulfillmentOrders_2021-12-28.json",
    "/vendor/directFulfillment/inventory/": "vendorDirectFulfillmentInventoryV1.json",
    "/vendor/directFulfillment/transactions/": "vendorDirectFulfillmentTransactions_2021-12-28.json",
}
CATALOGUE: Final = [
    CatalogueItem(sku="MUG", title="Mug", quantities={"main": 10}),
    CatalogueItem(sku="CUP/2, blue", title="Cup", quantities={"main": 20}),
    CatalogueItem(sku="FBA-JUG", title="Jug", quantities={"main": 30}, is_fulfilled_by_channel=True),
]


@contextmanager
def opened(**options: Any) -> Iterator[AmazonSellerSandbox]:
    """Opens an account that answers at once; at the end its requests are compared with the vendor's schemas."""
    with AmazonSellerSandbox(**{"profile": INSTANT, "limits": "generous", **options}) as shop:
        shop.load_catalogue(CATALOGUE)
        # No order leaves the state of being pending by itself: tests count what is sent.
        shop.pending_seconds = 3600.0
        yield shop
        check_requests(shop)


def connector_to(sandbox: AmazonSellerSandbox, **credentials: str) -> AmazonSellerConnector:
    """Opens a connector to the account."""
    return cast(AmazonSellerConnector, connect(sandbox, **credentials))


def queued(message: Mapping[str, Any] | bytes) -> InboundRequest:
    """Makes a message as it comes out of the queue."""
    body = message if isinstance(message, bytes) else json.dumps(message).encode()
    return InboundRequest({"content-type": "application/json"}, body, datetime.now(UTC), is_queued=True)


def accepted(item: PushItem, result: PushResult, **details: Any) -> AcceptedPush:
    """Returns an accepted push to be followed."""
    return AcceptedPush(
        result.tracking_id, item.address, item.quantity, details.pop("sent_at", datetime.now(UTC)), **details
    )


def until(found: Callable[[], Any], *, within: float = 8.0) -> Any:
    """Waits until something is found, and returns it."""
    limit = time.monotonic() + within
    while not (value := found()):
        assert time.monotonic() < limit, "It never came."
        time.sleep(0.01)
    return value


# -- the vendor's schemas


@cache
def schema(name: str) -> dict[str, Any]:
    """Reads one of the vendor's files."""
    found: dict[str, Any] = json.loads((SCHEMAS / name).read_text())
    return found


def check_requests(sandbox: SandboxShop) -> int:
    """Compares every call that was made with the vendor's model; returns how many. Nothing where they are absent."""
    if not SCHEMAS.is_dir():
        return 0
    calls = [
        (method, target, body)
        for method, target, body, _ in sandbox.requests_log
        if urlsplit(target).path.startswith(tuple(_MODELS))
    ]
    for method, target, body in calls:
        _check_call(method, target, body)
    return len(calls)


def _check_call(method: str, target: str, body: str) -> None:
    parts = urlsplit(target)
    model, operation, named = _operation(method, parts.path)
    declared = {each["name"]: each for each in (_resolved(model, p) for p in operation["parameters"])}
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    assert query.keys() <= declared.keys(), (target, query.keys() - declared.keys())
    for name, parameter in declared.items():
        if parameter.get("required") and parameter["in"] == "query":
            assert name in query, (target, name)
    for name, text in query.items():
        _check_value(declared[name], text)
    for parameter in declared.values():
        if parameter["in"] == "body":
            validate(parameter["schema"], json.loads(body), model)
    assert named


def _resolved(model: Mapping[str, Any], parameter: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = parameter.get("$ref")
    return model["parameters"][reference.rpartition("/")[2]] if reference else parameter


def _operation(method: str, path: str) -> tuple[dict[str, Any], dict[str, Any], str]:
    prefix = next(each for each in _MODELS if path.startswith(each))
    model = schema(f"models/{_MODELS[prefix]}")
    for template in sorted(model["paths"], key=lambda each: each.count("{")):
        pattern = re.sub(r"\{[^}]+\}", "[^/]+", template)
        if re.fullmatch(pattern, path) and method.lower() in model["paths"][template]:
            return model, model["paths"][template][method.lower()], template
    raise AssertionError(f"Amazon documents no {method} {path}.")


def _check_value(parameter: Mapping[str, Any], text: str) -> None:
    kind = parameter["type"]
    values = text.split(",") if kind == "array" else [text]
    rules = parameter.get("items", {}) if kind == "array" else parameter
    assert len(values) <= parameter.get("maxItems", len(values)), (parameter["name"], len(values))
    for value in values:
        if rules.get("enum"):
            assert value in rules["enum"], (parameter["name"], value)
        if rules.get("type") == "integer":
            assert int(value) <= parameter.get("maximum", int(value))
        if rules.get("type") == "boolean":
            assert value in ("true", "false")
        if rules.get("format") == "date-time":
            assert datetime.fromisoformat(value).tzinfo is not None


def validate(rules: Mapping[str, Any], value: Any, model: Mapping[str, Any]) -> None:
    """Compares a value with a schema of a model."""
    jsonschema.Draft4Validator({**rules, "definitions": model["definitions"]}).validate(value)


def answer_schema(model: Mapping[str, Any], path: str, method: str, status: str = "200") -> Mapping[str, Any]:
    """Returns the schema of an operation's good answer."""
    found: Mapping[str, Any] = model["paths"][path][method]["responses"][status]["schema"]
    return found
