"""A unit is oversold when it was sold beyond the stock, more than a second after the sale that took the last one."""

import math
from collections.abc import Mapping, Sequence
from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.demo.oversell import Oversell, StockEvent, count_oversold


def sale(at: float, units: int = 1, sku: str = "A") -> StockEvent:
    return StockEvent(at, sku, -units)


def restock(at: float, units: int = 1, sku: str = "A") -> StockEvent:
    return StockEvent(at, sku, units)


def correction(at: float, delta: int, sku: str = "A") -> StockEvent:
    return StockEvent(at, sku, delta, is_sale=False)


@pytest.mark.parametrize(
    ("stock", "events", "ours", "physics"),
    [
        pytest.param(5, [], 0, 0, id="nothing happens"),
        pytest.param(2, [sale(10), sale(20)], 0, 0, id="the last unit is no oversell"),
        pytest.param(1, [sale(10), sale(10.4)], 0, 1, id="within the second"),
        pytest.param(1, [sale(10), sale(11)], 0, 1, id="after exactly a second"),
        pytest.param(1, [sale(10), sale(11.001)], 1, 0, id="just after the second"),
        pytest.param(1, [sale(10), sale(10.9), sale(11.5)], 1, 1, id="the second runs from the last unit"),
        pytest.param(2, [sale(10, 5)], 0, 3, id="the sale that takes the last unit and more"),
        pytest.param(2, [sale(10, 5), sale(12, 2)], 2, 3, id="beyond, and later again"),
        pytest.param(0, [sale(0.5)], 1, 0, id="there never was any"),
        pytest.param(1, [sale(10), restock(12), sale(14)], 0, 0, id="a unit that came back can be sold"),
        pytest.param(
            1, [sale(10), restock(12), sale(14), sale(14.5)], 0, 1, id="the second begins anew with its sale"
        ),
        pytest.param(
            1, [sale(10), sale(10.5), restock(11), sale(13)], 1, 1, id="a unit that is owed is not for sale"
        ),
        pytest.param(
            1,
            [sale(10), sale(13), restock(14, 2), sale(15)],
            1,
            0,
            id="once nothing is owed there is one again",
        ),
        pytest.param(3, [sale(10), correction(11, -2), sale(13)], 1, 0, id="a loss takes the last unit too"),
        pytest.param(1, [correction(10, -4)], 0, 0, id="a correction sells nothing"),
        pytest.param(0, [correction(10, 2), sale(11, 2)], 0, 0, id="what was found can be sold"),
        pytest.param(1, [sale(12), sale(10)], 1, 0, id="time decides, not the sequence of the list"),
    ],
)
def test_cases_computed_by_hand(stock: int, events: Sequence[StockEvent], ours: int, physics: int) -> None:
    assert count_oversold({"A": stock}, events) == Oversell(ours, physics)


def test_skus_have_nothing_to_do_with_each_other() -> None:
    events = [sale(10, sku="A"), sale(20, sku="a"), sale(20, sku="B")]

    assert count_oversold({"A": 1, "a": 1}, events) == Oversell(oversold_units=1)


def test_another_span_of_grace_can_be_asked_for() -> None:
    events = [sale(10), sale(15)]

    assert count_oversold({"A": 1}, events, grace=5) == Oversell(physics_units=1)
    assert count_oversold({"A": 1}, events, grace=4) == Oversell(oversold_units=1)


def read_as_defined(stock: Mapping[str, int], events: Sequence[StockEvent]) -> Oversell:
    """Section 13 word by word: unit after unit, each looks back for the event that took the last one."""
    total = Oversell()
    for sku, of_sku in groupby(sorted(events, key=lambda e: e.sku), key=lambda e: e.sku):
        in_time = sorted(of_sku)
        for index, event in enumerate(in_time):
            for unit in range(-event.delta if event.is_sale else 0):
                left = stock.get(sku, 0) + sum(e.delta for e in in_time[:index]) - unit
                if left > 0:
                    continue
                since = event.at - last_unit_taken_at(stock.get(sku, 0), in_time[: index + 1])
                total.oversold_units += since > 1
                total.physics_units += since <= 1
    return total


def last_unit_taken_at(stock: int, events: Sequence[StockEvent]) -> float:
    """The latest instant at which the stock went from something to nothing; it may be the last event's own."""
    taken_at = -math.inf
    for event in events:
        if stock > 0 >= stock + event.delta:
            taken_at = event.at
        stock += event.delta
    return taken_at


_EVENTS = st.builds(
    StockEvent,
    at=st.integers(0, 40).map(lambda tenths: 100 + tenths / 4),
    sku=st.sampled_from("AB"),
    delta=st.integers(-4, 3).filter(bool),
).map(lambda e: StockEvent(e.at, e.sku, e.delta, is_sale=e.delta < 0))
_SALES = _EVENTS.map(lambda e: StockEvent(e.at, e.sku, -abs(e.delta)))
_CORRECTIONS = st.builds(
    StockEvent,
    at=st.integers(0, 40).map(lambda tenths: 100 + tenths / 4),
    sku=st.sampled_from("AB"),
    delta=st.integers(-4, 4).filter(bool),
    is_sale=st.just(value=False),
)


@given(
    stock=st.dictionaries(st.sampled_from("AB"), st.integers(0, 6)),
    events=st.lists(_EVENTS | _CORRECTIONS, max_size=14),
)
def test_the_walk_counts_what_the_definition_says(stock: dict[str, int], events: list[StockEvent]) -> None:
    assert count_oversold(stock, events) == read_as_defined(stock, events)


@given(stock=st.integers(0, 6), events=st.lists(_SALES, max_size=14))
def test_every_unit_sold_beyond_stock_is_counted_once(stock: int, events: list[StockEvent]) -> None:
    counted = count_oversold({"A": stock, "B": stock}, events)

    beyond = sum(max(sum(-event.delta for event in events if event.sku == sku) - stock, 0) for sku in "AB")
    assert counted.oversold_units + counted.physics_units == beyond
