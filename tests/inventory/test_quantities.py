"""Law 9 and bad input: whole numbers of what the merchant has, and a clear refusal of everything else."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from inventory.demands import DemandChange, settle
from inventory.errors import InvalidStockRequest, UnknownStock
from inventory.ledger import Context
from inventory.models import StockLevel
from inventory.reservations import Demand, ReservedUnits, confirm, fulfil, release, reserve
from inventory.stock import AdjustmentLine, CountLine, ShipmentLine, StockLine, adjust, count, receive, ship
from inventory.validation import LARGEST_QUANTITY
from tests.inventory.cast import Cast, ledger_size, level_of

Quantified = Callable[[Cast, Any], object]

_QUANTIFIED: dict[str, Quantified] = {
    "receive": lambda c, q: receive(c.context(), [StockLine(c.mug.pk, c.warehouse.pk, q)]),
    "ship": lambda c, q: ship(c.context(), [ShipmentLine(c.mug.pk, c.warehouse.pk, q)]),
    "reserve": lambda c, q: reserve(c.context(), [Demand("order", c.mug.pk, q, c.places)]),
    "partial": lambda c, q: reserve(c.context(), [Demand("o", c.mug.pk, q, c.places)], allow_partial=True),
    "fulfil": lambda c, q: fulfil(c.context(), [ReservedUnits(1, q)]),
    "release": lambda c, q: release(c.context(), [ReservedUnits(1, q)]),
}
#: Every operation that names a variant and a place.
_ATTEMPTS: tuple[Callable[[Cast, int, int], object], ...] = (
    lambda c, v, p: receive(c.context(), [StockLine(v, p, 1)]),
    lambda c, v, p: ship(c.context(), [ShipmentLine(v, p, 1)]),
    lambda c, v, p: ship(c.context(), [ShipmentLine(v, p, 1, "order")]),
    lambda c, v, p: adjust(c.context(), [AdjustmentLine(v, p, 1)]),
    lambda c, v, p: count(c.context(), [CountLine(v, p, 1)]),
    lambda c, v, p: reserve(c.context(), [Demand("order", v, 1, (p,))]),
    lambda c, v, p: settle(c.context(), [DemandChange("order", v, (p,), wanted=1)]),
)
_NOT_A_QUANTITY = [
    True,
    False,
    1.0,
    0.5,
    float("nan"),
    "1",
    "１２",
    None,
    2**63,
    10**400,
    LARGEST_QUANTITY + 1,
]


@pytest.fixture(autouse=True)
def _nothing_is_written(cast: Cast) -> object:
    cast.receive(5)
    before = ledger_size(), level_of(cast.mug, cast.warehouse)
    yield
    assert (ledger_size(), level_of(cast.mug, cast.warehouse)) == before


@pytest.mark.parametrize("name", _QUANTIFIED)
def test_what_is_no_positive_whole_number_is_refused(cast: Cast, name: str) -> None:
    for quantity in (*_NOT_A_QUANTITY, 0, -1):
        # Of a reservation, none means all that it holds.
        if quantity is None and name in {"fulfil", "release"}:
            continue
        assert _field_refused(_QUANTIFIED[name], cast, quantity) == "quantity", quantity


def test_an_adjustment_by_nothing_or_by_no_number_is_refused(cast: Cast) -> None:
    def attempt(cast: Cast, delta: Any) -> object:
        return adjust(cast.context(), [AdjustmentLine(cast.mug.pk, cast.warehouse.pk, delta)])

    for delta in (0, 0.5, True, "1", None, 2**63, -(2**63)):
        assert _field_refused(attempt, cast, delta) is not None, delta


def test_a_count_below_nothing_is_refused(cast: Cast) -> None:
    def attempt(cast: Cast, counted: Any) -> object:
        return count(cast.context(), [CountLine(cast.mug.pk, cast.warehouse.pk, counted)])

    for counted in (-1, 0.5, True, 2**63):
        assert _field_refused(attempt, cast, counted) is not None, counted


def _field_refused(attempt: Quantified, cast: Cast, number: Any) -> str | None:
    """Returns the field that a refusal names; None where nothing is refused."""
    try:
        attempt(cast, number)
    except InvalidStockRequest as refusal:
        return refusal.field
    return None


def test_a_variant_counted_twice_at_one_place_is_refused(cast: Cast) -> None:
    with pytest.raises(InvalidStockRequest, match="counted twice"):
        count(cast.context(), [CountLine(cast.mug.pk, cast.warehouse.pk, n) for n in (1, 2)])


@pytest.mark.parametrize("field", ["wanted", "cancelled", "fulfilled", "unfulfilled"])
def test_a_demand_changes_by_whole_numbers(cast: Cast, field: str) -> None:
    def attempt(cast: Cast, value: Any) -> object:
        return cast.settle("order", **{field: value})

    for value in (-1, 0.5, True, 2**63):
        assert _field_refused(attempt, cast, value) is not None, value


@pytest.mark.parametrize(
    "operation", [receive, ship, adjust, count, reserve, confirm, fulfil, release, settle]
)
def test_an_operation_without_lines_is_refused(cast: Cast, operation: Callable[..., object]) -> None:
    with pytest.raises(InvalidStockRequest):
        operation(cast.context(), [])


@pytest.mark.parametrize("reference", ["", "x" * 201, "a\0b", "\ud800"], ids=ascii)
def test_a_reference_that_nobody_could_find_again_is_refused(cast: Cast, reference: str) -> None:
    with pytest.raises(InvalidStockRequest):
        reserve(cast.context(), [Demand(reference, cast.mug.pk, 1, cast.places)])
    with pytest.raises(InvalidStockRequest):
        cast.settle(reference, wanted=1)
    if reference:
        with pytest.raises(InvalidStockRequest):
            ship(cast.context(), [ShipmentLine(cast.mug.pk, cast.warehouse.pk, 1, reference)])


@pytest.mark.parametrize("key", ["", "x" * 201, "a\0b", "\udfff"], ids=ascii)
def test_a_key_that_cannot_be_stored_is_refused(cast: Cast, key: str) -> None:
    with pytest.raises(InvalidStockRequest):
        receive(Context(cast.merchant.pk, key), [StockLine(cast.mug.pk, cast.warehouse.pk, 1)])


@pytest.mark.parametrize("field", ["actor", "source", "document"])
def test_notes_of_an_operation_that_cannot_be_stored_are_refused(cast: Cast, field: str) -> None:
    for text in ("x" * 201, "\0"):
        with pytest.raises(InvalidStockRequest) as refusal:
            receive(cast.context(**{field: text}), [StockLine(cast.mug.pk, cast.warehouse.pk, 1)])
        assert refusal.value.field == field


def test_a_demand_without_a_place_is_refused(cast: Cast) -> None:
    with pytest.raises(InvalidStockRequest):
        reserve(cast.context(), [Demand("order", cast.mug.pk, 1, ())])
    with pytest.raises(InvalidStockRequest):
        settle(cast.context(), [DemandChange("order", cast.mug.pk, (), wanted=1)])


@pytest.mark.parametrize("unknown", [0, -1, 2**40])
def test_goods_and_places_that_nobody_has_are_unknown(cast: Cast, unknown: int) -> None:
    for v, p in ((unknown, cast.warehouse.pk), (cast.mug.pk, unknown)):
        for attempt in _ATTEMPTS:
            with pytest.raises(UnknownStock):
                attempt(cast, v, p)


def test_goods_and_places_of_another_merchant_are_unknown(cast: Cast, stranger: Cast) -> None:
    for variant_id, place_id in (
        (stranger.mug.pk, stranger.warehouse.pk),
        (stranger.mug.pk, cast.warehouse.pk),
        (cast.mug.pk, stranger.warehouse.pk),
    ):
        with pytest.raises(UnknownStock):
            receive(cast.context(), [StockLine(variant_id, place_id, 1)])
        with pytest.raises(UnknownStock):
            count(cast.context(), [CountLine(variant_id, place_id, 0)])
    assert not StockLevel.objects.filter(variant=stranger.mug).exists()


def test_a_merchant_that_does_not_exist_has_nothing(cast: Cast) -> None:
    nobody = Context(2**40, "key")
    with pytest.raises(UnknownStock):
        receive(nobody, [StockLine(cast.mug.pk, cast.warehouse.pk, 1)])
    with pytest.raises(UnknownStock):
        reserve(nobody, [Demand("order", cast.mug.pk, 1, cast.places)])
    with pytest.raises(UnknownStock):
        settle(nobody, [DemandChange("order", cast.mug.pk, cast.places, wanted=1)])
    with pytest.raises(UnknownStock):
        confirm(nobody, [1])


@pytest.mark.parametrize("number", [2**63, 10**30])
def test_ids_beyond_64_bits_are_refused_as_a_request(cast: Cast, number: int) -> None:
    for v, p in ((number, cast.warehouse.pk), (cast.mug.pk, number)):
        for attempt in _ATTEMPTS:
            with pytest.raises((InvalidStockRequest, UnknownStock)):
                attempt(cast, v, p)
    for operation in (fulfil, release):
        with pytest.raises((InvalidStockRequest, UnknownStock)):
            operation(cast.context(), [ReservedUnits(number)])
    with pytest.raises((InvalidStockRequest, UnknownStock)):
        confirm(cast.context(), [number])


def test_a_level_that_would_pass_64_bits_is_refused(cast: Cast) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE inventory_stocklevel SET on_hand = 9223372036854775807")
    with pytest.raises(InvalidStockRequest):
        cast.receive(1)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE inventory_stocklevel SET on_hand = 5")
