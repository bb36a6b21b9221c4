"""Every call that a connector can make stands in the vendor's own schema: path, query and body."""

from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from tests.channels.contract.adapters import KINDS, adapter_of
from tests.channels.contract.schemas import bol, square
from tests.channels.contract.schemas.openapi import operation_of
from tests.channels.contract.stand import Stand, stand_of


def make_every_call(stand: Stand) -> None:
    """Makes every kind of call once, or what a second one makes of it."""
    stand.subscribe()
    connector, item = stand.connector(), stand.item("MUG", 5)
    connector.check()
    connector.push([item], call_id="1")
    connector.read_levels([item.address])
    list(connector.fetch_levels())
    sold, shipped = (stand.sandbox.place_order([("MUG", 1)]) for _ in range(2))
    page = connector.fetch_orders("")
    connector.fetch_orders(page.cursor)
    state = connector.fetch_order(sold.id)
    assert state is not None
    if stand.able.cancels_lines:
        connector.cancel_line(sold.id, state.lines[0].external_id, 1, call_id="2")
    stand.sandbox.fulfil(shipped.id, "MUG", 1)
    stand.sandbox.refund(shipped.id, "MUG", 1, restock=False)
    connector.fetch_order(shipped.id)
    if stand.able.manages_subscriptions:
        stand.connector().audit_webhooks(stand.inbox.url)
        stand.subscribe()
    for read in ("fetch_open_returns",):
        list(getattr(connector, read, list)())


@pytest.mark.django_db
@pytest.mark.parametrize("kind", KINDS)
def test_every_call_stands_in_the_vendors_schema(kind: str) -> None:
    schema = adapter_of(kind).schema
    if schema is None:
        pytest.skip(f"There is no schema for {kind} that its calls could be compared with.")
    if not schema.is_dir():
        pytest.skip(f"The schema for {kind} is not at {schema}; set ONECOUNT_SHARED to its folder.")
    with stand_of(kind) as stand:
        # What is compared is compared at the end of every stand.
        make_every_call(stand)


@pytest.mark.skipif(not bol.FOLDER.is_dir(), reason=f"bol's schemas are not at {bol.FOLDER}")
def test_the_check_of_bol_finds_what_the_documents_do_not_name() -> None:
    document = bol.document_of("/retailer/offers/1")
    operation = operation_of(document, "PATCH", "/retailer/offers/1")
    bol.check_body(document, operation, '{"stock": {"amount": 1, "managedByRetailer": false}}')
    for wrong in ('{"stock": {"amount": "1"}}', '{"stock": {"quantity": 1}}', '{"amount": 1}'):
        with pytest.raises(jsonschema.ValidationError):
            bol.check_body(document, operation, wrong)
    document = bol.document_of("/retailer/orders")
    listing = operation_of(document, "GET", "/retailer/orders")
    with pytest.raises(jsonschema.ValidationError):
        bol.check_query(document, listing, "change-interval-minute=61")


@pytest.mark.skipif(not square.FOLDER.is_dir(), reason=f"Square's schema is not at {square.FOLDER}")
def test_the_check_of_square_finds_what_the_document_does_not_name() -> None:
    operation = operation_of(square.document(), "POST", "/v2/inventory/changes/batch-create")
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    good = {
        "idempotency_key": "1",
        "changes": [{"type": "PHYSICAL_COUNT", "physical_count": {"quantity": "1"}}],
    }
    square.check_body(schema, good)
    wrongs: list[dict[str, Any]] = [
        {"changes": []},
        {"idempotency_key": "1", "change": []},
        {"idempotency_key": "1", "changes": [{"type": "COUNT"}]},
        {"idempotency_key": "1", "changes": [{"physical_count": {"quantity": 1}}]},
    ]
    for wrong in wrongs:
        with pytest.raises((AssertionError, jsonschema.ValidationError)):
            square.check_body(schema, wrong)
