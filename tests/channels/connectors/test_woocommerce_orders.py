"""What a WooCommerce order says: statuses, refunds, edits, plugins' inventions."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from channels.connectors import CONNECTORS
from channels.connectors.base import CancelEffects, Connector
from channels.connectors.woocommerce.orders import STAGES, order_state, reduce_order
from channels.errors import BadMessage, Rejected
from channels.events import OrderLineState
from channels.sandbox.book import CatalogueItem
from channels.sandbox.profiles import INSTANT
from channels.sandbox.woocommerce import WooCommerceSandbox
from tests.channels.connectors.shops import connect

COMPLETED_AT = "2026-11-21T12:00:00"


def an_order(status: str = "processing", **fields: Any) -> dict[str, Any]:
    line = {
        "id": 1,
        "name": "Mug",
        "product_id": 10,
        "variation_id": 0,
        "quantity": 3,
        "sku": "MUG",
        "price": 9.5,
    }
    return {
        "id": 1001,
        "number": "1001",
        "status": status,
        "currency": "EUR",
        "date_created_gmt": "2026-11-21T10:00:00",
        "date_modified_gmt": "2026-11-21T13:00:00",
        "date_completed_gmt": None,
        "date_paid_gmt": None,
        "shipping": {"country": "BE", "city": "Ghent"},
        "billing": {"country": "NL", "email": "someone@example.com"},
        "line_items": [line],
        "refunds": [],
        **fields,
    }


def a_refund(units: int = 1, *, at: str = "2026-11-21T11:00:00", line: int = 1) -> dict[str, Any]:
    meta = [{"key": "_refunded_item_id", "value": str(line)}]
    item = {"id": 77, "product_id": 10, "variation_id": 0, "quantity": -units, "meta_data": meta}
    return {"id": 501, "date_created_gmt": at, "line_items": [item]}


def counts(line: OrderLineState) -> tuple[int, int, int, int]:
    return line.quantity, line.cancelled, line.fulfilled, line.returned


def line_of(order: dict[str, Any], *refunds: dict[str, Any]) -> OrderLineState:
    (line,) = order_state(order, refunds).lines
    return line


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("pending", (0, 0, 0, 0)),
        ("checkout-draft", (0, 0, 0, 0)),
        ("failed", (0, 0, 0, 0)),
        ("on-hold", (3, 0, 0, 0)),
        ("processing", (3, 0, 0, 0)),
        ("completed", (3, 0, 3, 0)),
        ("cancelled", (3, 3, 0, 0)),
        ("refunded", (3, 3, 0, 0)),
        ("trash", (3, 3, 0, 0)),
    ],
)
def test_a_status_says_what_is_to_be_delivered(status: str, expected: tuple[int, int, int, int]) -> None:
    completed_at = COMPLETED_AT if status == "completed" else None
    assert counts(line_of(an_order(status, date_completed_gmt=completed_at))) == expected


@pytest.mark.parametrize(
    ("status", "restocked"), [("cancelled", 3), ("trash", 0), ("refunded", 0), ("processing", 0)]
)
def test_only_a_cancelled_order_puts_everything_back_on_the_shops_number(status: str, restocked: int) -> None:
    assert line_of(an_order(status)).restocked == restocked


def test_the_snapshot_carries_the_country_and_no_other_trace_of_the_customer() -> None:
    order = an_order(customer_note="Ring twice", billing={"country": "NL", "email": "someone@example.com"})
    order["line_items"][0]["meta_data"] = [
        {"key": "Engraving", "value": {"text": "For someone"}},
        {"key": "_reduced_stock", "value": "3"},
    ]
    reduced = reduce_order(order)
    assert "someone" not in repr(reduced)
    assert "Ring twice" not in repr(reduced)
    state = order_state(reduced)
    assert (state.country, state.currency, state.number) == ("BE", "EUR", "1001")


def test_times_without_a_zone_are_utc() -> None:
    state = order_state(an_order())
    assert state.updated_at == datetime(2026, 11, 21, 13, tzinfo=UTC)
    assert state.ordered_at == datetime(2026, 11, 21, 10, tzinfo=UTC)


def test_an_empty_address_that_php_writes_as_a_list_falls_back_to_the_other_one() -> None:
    assert order_state(an_order(shipping=[])).country == "NL"


# -- refunds


def test_a_refund_before_completion_is_a_cancellation() -> None:
    assert counts(line_of(an_order("processing"), a_refund(2))) == (3, 2, 0, 0)
    completed = an_order("completed", date_completed_gmt=COMPLETED_AT)
    assert counts(line_of(completed, a_refund(2))) == (3, 2, 1, 0)


def test_a_refund_after_completion_is_an_announced_return() -> None:
    completed = an_order("completed", date_completed_gmt=COMPLETED_AT)
    assert counts(line_of(completed, a_refund(2, at="2026-11-21T12:30:00"))) == (3, 0, 3, 2)


def test_a_full_refund_after_completion_returns_what_was_shipped() -> None:
    refunded = an_order("refunded", date_completed_gmt=COMPLETED_AT)
    assert counts(line_of(refunded, a_refund(3, at="2026-11-21T12:30:00"))) == (3, 0, 3, 3)


def test_money_alone_returns_nothing() -> None:
    amount_only = {"id": 501, "date_created_gmt": "2026-11-21T12:30:00", "amount": "5.00", "line_items": []}
    completed = an_order("completed", date_completed_gmt=COMPLETED_AT)
    assert counts(line_of(completed, amount_only)) == (3, 0, 3, 0)
    assert counts(line_of(an_order(), amount_only)) == (3, 0, 0, 0)


def test_refunds_of_one_line_add_up_and_never_exceed_it() -> None:
    assert counts(line_of(an_order(), a_refund(2), a_refund(2))) == (3, 3, 0, 0)


def test_a_refund_without_a_reference_to_its_line_finds_it_by_what_was_sold() -> None:
    refund = a_refund(1)
    del refund["line_items"][0]["meta_data"]
    assert counts(line_of(an_order(), refund)) == (3, 1, 0, 0)


def test_the_shops_own_counters_say_what_it_put_back() -> None:
    order = an_order("processing")
    order["line_items"][0]["meta_data"] = [{"key": "_reduced_stock", "value": "3"}]
    assert line_of(order, a_refund(1)).restocked == 0
    order["line_items"][0]["meta_data"] = [{"key": "_reduced_stock", "value": 2}]
    assert line_of(order, a_refund(1)).restocked == 1


def test_an_order_called_off_after_delivery_comes_back_as_a_return() -> None:
    assert counts(line_of(an_order("cancelled", date_completed_gmt=COMPLETED_AT))) == (3, 0, 3, 3)


# -- what plugins invent


def test_a_status_of_a_plugin_is_judged_by_what_the_shop_has_done() -> None:
    assert counts(line_of(an_order("packing"))) == (0, 0, 0, 0)
    assert counts(line_of(an_order("packing", date_paid_gmt=COMPLETED_AT))) == (3, 0, 0, 0)
    assert counts(line_of(an_order("delivered", date_completed_gmt=COMPLETED_AT))) == (3, 0, 3, 0)
    taken = an_order("packing")
    taken["line_items"][0]["meta_data"] = [{"key": "_reduced_stock", "value": "3"}]
    assert counts(line_of(taken)) == (3, 0, 0, 0)


def test_a_line_names_the_variation_and_an_unknown_product_names_nothing() -> None:
    order = an_order()
    order["line_items"][0]["variation_id"] = 12
    assert line_of(order).listing_external_id == "12"
    order["line_items"][0] |= {"variation_id": 0, "product_id": 0}
    assert line_of(order).listing_external_id == ""


@pytest.mark.parametrize("quantity", [-1, 2.5, "two", None, 10**12, True])
def test_an_impossible_quantity_is_refused(quantity: object) -> None:
    order = an_order()
    order["line_items"][0]["quantity"] = quantity
    with pytest.raises(BadMessage):
        order_state(order)


def test_every_stage_is_reached_by_a_status() -> None:
    assert {stage.name for stage in STAGES.values()} == {"HELD", "OPEN", "COMPLETED", "CANCELLED", "DROPPED"}


# -- read from a shop


@pytest.fixture
def sandbox() -> Iterator[WooCommerceSandbox]:
    with WooCommerceSandbox(profile=INSTANT) as shop:
        shop.load_catalogue([CatalogueItem(sku="MUG", title="Mug", quantities={"main": 10})])
        yield shop


@pytest.fixture
def connector(sandbox: WooCommerceSandbox, db: None) -> Connector:
    return connect(sandbox)


def fetched(connector: Connector, order_id: str) -> OrderLineState:
    state = connector.fetch_order(order_id)
    assert state is not None
    return state.lines[0]


def test_an_order_is_read_in_full_with_its_refunds(sandbox: WooCommerceSandbox, connector: Connector) -> None:
    placed = sandbox.place_order([("MUG", 3)])
    assert counts(fetched(connector, placed.id)) == (3, 0, 0, 0)
    sandbox.cancel(placed.id, "MUG", 1)
    line = fetched(connector, placed.id)
    assert counts(line) == (3, 1, 0, 0)
    assert line.restocked == 1
    assert line.sku == "MUG"


def test_a_delivered_unit_that_comes_back_is_returned_and_not_cancelled(
    sandbox: WooCommerceSandbox, connector: Connector
) -> None:
    placed = sandbox.place_order([("MUG", 3)])
    sandbox.fulfil(placed.id, "MUG", 3)
    sandbox.refund(placed.id, "MUG", 1, restock=False)
    line = fetched(connector, placed.id)
    assert counts(line) == (3, 0, 3, 1)
    assert line.restocked == 0
    sandbox.refund(placed.id, "MUG", 2, restock=True)
    line = fetched(connector, placed.id)
    assert counts(line) == (3, 0, 3, 3)
    assert line.restocked == 2


def test_an_order_that_the_shop_does_not_have_is_none(connector: Connector) -> None:
    assert connector.fetch_order("7999999") is None
    assert connector.fetch_order("no number") is None


# -- cancelling a line


def test_a_line_is_cancelled_once_by_a_refund_that_does_not_restock(
    sandbox: WooCommerceSandbox, connector: Connector
) -> None:
    placed = sandbox.place_order([("MUG", 3)])
    line_id = fetched(connector, placed.id).external_id
    for _ in range(2):
        outcome = connector.cancel_line(placed.id, line_id, 2, call_id="call-1")
        assert (outcome.cancelled, outcome.refunds, outcome.restocks) == (2, False, False)
    assert connector.cancel_effects({}) == CancelEffects()
    assert connector.cancel_effects({"pays_back_cancellations": True}) == CancelEffects(refunds=True)
    assert counts(fetched(connector, placed.id)) == (3, 2, 0, 0)
    assert sandbox.number("MUG") == 7


def test_more_than_the_open_units_cannot_be_cancelled(
    sandbox: WooCommerceSandbox, connector: Connector
) -> None:
    placed = sandbox.place_order([("MUG", 3)])
    line_id = fetched(connector, placed.id).external_id
    sandbox.fulfil(placed.id, "MUG", 3)
    with pytest.raises(Rejected, match="0 open units"):
        connector.cancel_line(placed.id, line_id, 1, call_id="call-1")


def test_the_shop_is_checked_and_named(sandbox: WooCommerceSandbox, connector: Connector) -> None:
    assert connector.check() == sandbox.name
    assert CONNECTORS["woocommerce"] is type(connector)
