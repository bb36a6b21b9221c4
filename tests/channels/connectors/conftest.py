"""A channel to spend limits from, and a simulated Shopify shop with its connector."""

import gzip
import json
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from graphql import GraphQLSchema, build_client_schema, parse, validate
from graphql.execution.values import get_variable_values
from graphql.language import OperationDefinitionNode

from channels.accounts import open_connector
from channels.connectors.shopify import ShopifyConnector
from channels.models import Channel
from channels.sandbox.book import CatalogueItem
from channels.sandbox.profiles import INSTANT
from channels.sandbox.shopify.shop import ShopifySandbox
from inventory.models import Merchant

SHARED = Path(os.environ.get("ONECOUNT_SHARED", Path(__file__).parents[4] / "shared"))
SCHEMAS = SHARED / "platforms" / "schemas" / "shopify"


@pytest.fixture
def channel(db: None) -> Channel:
    merchant = Merchant.objects.create(name="Merchant")
    return Channel.objects.create(merchant=merchant, name="Channel", kind="shopify")


@pytest.fixture
def shop() -> Iterator[ShopifySandbox]:
    """A Shopify shop with two places: 12 A here and 3 there, 5 B here only, C untracked and D overselling."""
    with ShopifySandbox(profile=INSTANT, limits="generous", name="Corner Shop") as shop:
        shop.add_location("here", "Here")
        shop.add_location("there", "There")
        shop.load_catalogue(
            [
                CatalogueItem("A", "Ant", gtin="4006381333931", quantities={"here": 12, "there": 3}),
                CatalogueItem("B", "Bee", quantities={"here": 5}),
                CatalogueItem("C", "Cat", quantities={"here": 1}, is_tracked=False),
                CatalogueItem("D", "Dog", quantities={"here": 0}, sells_beyond_stock=True),
            ]
        )
        yield shop
        _validate_requests(shop)


@pytest.fixture
def shop_channel(channel: Channel, shop: ShopifySandbox) -> Channel:
    channel.settings = shop.settings()
    channel.credentials = shop.credentials()
    channel.save()
    return channel


@pytest.fixture
def shopify(shop_channel: Channel) -> ShopifyConnector:
    connector = open_connector(shop_channel)
    assert isinstance(connector, ShopifyConnector)
    return connector


@cache
def vendor_schemas() -> tuple[tuple[str, GraphQLSchema], ...]:
    """Returns the vendor's schemas by version; empty where they are not at hand."""
    paths = sorted(SCHEMAS.glob("admin_*.introspection.json.gz"))
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


def _validate_requests(shop: ShopifySandbox) -> None:
    """Every request that a test made the connector send is one that the vendor's schema allows."""
    bodies = [json.loads(body) for _, target, body, _ in shop.requests_log if target.endswith("graphql.json")]
    for version, schema in vendor_schemas():
        for body in bodies:
            problems = problems_of(schema, body["query"], body["variables"])
            assert not problems, (version, problems, body)
