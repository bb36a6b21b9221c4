"""Quantities as people write them, and whole base units inside."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inventory.errors import InvalidStockRequest
from inventory.models import UnitOfMeasure
from inventory.units import base_quantity, enterable, shown

KILOGRAM = UnitOfMeasure(code="kg", base_code="g", base_units=1_000)
DOZEN = UnitOfMeasure(code="dz", base_code="pc", base_units=12)


@pytest.mark.parametrize(
    ("entered", "unit", "base"),
    [
        ("0.25", KILOGRAM, 250),
        (" 2 ", KILOGRAM, 2_000),
        (Decimal("-0.001"), KILOGRAM, -1),
        ("1E+2", KILOGRAM, 100_000),
        ("0", KILOGRAM, 0),
        ("0.25", DOZEN, 3),
        (7, None, 7),
        ("7.0", None, 7),
        ("0.25kg", KILOGRAM, 250),
        ("250 g", KILOGRAM, 250),
        ("5pc", DOZEN, 5),
    ],
)
def test_what_is_entered_is_counted_in_base_units(
    entered: str | int | Decimal, unit: UnitOfMeasure | None, base: int
) -> None:
    assert base_quantity(entered, unit, field="amount") == base


@pytest.mark.parametrize(
    ("entered", "unit", "message"),
    [
        ("0.0005", KILOGRAM, "amount: 0.0005 kg is finer than 1 g"),
        ("1.0000000000000000000000000000000001", KILOGRAM, "is finer than 1 g"),
        ("1E-999999", KILOGRAM, "is finer than 1 g"),
        ("0.3", DOZEN, "0.3 dz is finer than 1 pc"),
        ("2.5", None, "2.5 is finer than 1 piece; enter a whole number"),
        ("1E+999999", KILOGRAM, "must be less than or equal to"),
        ("NaN", None, "enter a number"),
        ("a few", None, "enter a number"),
        ("", None, "enter a number"),
    ],
)
def test_what_is_finer_than_the_unit_or_no_number_is_refused_with_the_field(
    entered: str, unit: UnitOfMeasure | None, message: str
) -> None:
    with pytest.raises(InvalidStockRequest, match=message) as refusal:
        base_quantity(entered, unit, field="amount")
    assert refusal.value.field == "amount"


@pytest.mark.parametrize(
    ("quantity", "unit", "text"),
    [
        (250, KILOGRAM, "0.25 kg"),
        (1_234_000, KILOGRAM, "1,234 kg"),
        (0, KILOGRAM, "0 kg"),
        (-1, KILOGRAM, "-0.001 kg"),
        (7, DOZEN, "7 pc"),
        (18, DOZEN, "1.5 dz"),
        (12_000, None, "12,000"),
    ],
)
def test_base_units_are_shown_in_the_unit_where_that_is_short(
    quantity: int, unit: UnitOfMeasure | None, text: str
) -> None:
    assert shown(quantity, unit) == text


@settings(deadline=None, database=None)
@given(
    st.integers(0, 10**12),
    st.sampled_from([KILOGRAM, UnitOfMeasure(code="m", base_code="mm", base_units=1_000)]),
)
def test_what_is_shown_can_be_entered_again(quantity: int, unit: UnitOfMeasure) -> None:
    text = shown(quantity, unit).removesuffix(f" {unit.code}").replace(",", "")
    assert base_quantity(text, unit, field="amount") == quantity


@pytest.mark.parametrize("unit", [None, KILOGRAM, DOZEN])
@settings(deadline=None, database=None)
@given(quantity=st.integers(0, 10**12))
def test_what_a_form_shows_is_what_it_takes(unit: UnitOfMeasure | None, quantity: int) -> None:
    text = enterable(quantity, unit)
    assert " " not in text
    assert base_quantity(text, unit, field="amount") == quantity
