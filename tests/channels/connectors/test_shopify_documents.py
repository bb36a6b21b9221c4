"""Every GraphQL document that Shopify is sent is one that the vendor's schema allows, at a price it accepts."""

import re
from pathlib import Path

import pytest
from graphql import OperationDefinitionNode, parse

from channels.connectors import shopify
from channels.connectors.shopify import bulk, catalogue, connector, levels, orders, stock, subscriptions
from channels.connectors.shopify.graphql import Document
from tests.channels.contract.schemas.shopify import problems_of, vendor_schemas

DOCUMENTS = Path(shopify.__file__).parent / "documents"
USED = {
    document.name: document
    for module in (bulk, catalogue, connector, levels, orders, stock, subscriptions)
    for document in vars(module).values()
    if isinstance(document, Document)
}


@pytest.mark.parametrize("name", sorted(USED))
def test_a_document_is_valid_against_the_vendors_schemas(name: str) -> None:
    schemas = vendor_schemas()
    if not schemas:
        pytest.skip("The vendor's schemas are not at hand; set ONECOUNT_SHARED to their folder.")
    for version, schema in schemas:
        assert not problems_of(schema, USED[name].text), version


def test_a_document_of_an_older_api_would_be_noticed() -> None:
    schemas = vendor_schemas()
    if not schemas:
        pytest.skip("The vendor's schemas are not at hand; set ONECOUNT_SHARED to their folder.")
    old = USED["set_quantities"].text.replace("$key: String!", "$key: String!, $ignore: Boolean")
    old = old.replace("input: $input", "input: $input, ignoreCompareQuantity: $ignore")
    assert all(problems_of(schema, old) for _, schema in schemas)


def test_no_file_is_left_over() -> None:
    fragments = {fragment for document in USED.values() for fragment in document.fragments}
    assert {path.stem for path in DOCUMENTS.glob("*.graphql")} == set(USED) | fragments


def test_documents_say_themselves_whether_they_write() -> None:
    for document in USED.values():
        operation = parse(document.text).definitions[0]
        assert isinstance(operation, OperationDefinitionNode)
        assert (operation.operation.value == "mutation") is document.is_mutation


def test_every_write_of_stock_or_money_carries_an_idempotency_key() -> None:
    for name in ("set_quantities", "activate", "refund"):
        assert re.search(r"@idempotent\(key: \$key\)", USED[name].text)
