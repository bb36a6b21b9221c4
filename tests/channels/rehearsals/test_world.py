"""The other world differs from the record by what was sold otherwise, and by nothing else."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from channels.rehearsals.events import Move
from channels.rehearsals.world import Sale, World

MUG, HERE, THERE = 1, 10, 20
PAIR, ELSEWHERE = (MUG, HERE), (MUG, THERE)


class Record:
    """A ledger in small: one variant at one place, order lines by number."""

    def __init__(self, on_hand: int) -> None:
        self.world = World({PAIR: (on_hand, 0, 0)})
        self.on_hand, self.reserved = on_hand, 0

    def move(self, line: int | None, on_hand: int, reserved: int, reason: str = "sale") -> Move:
        """Records a movement."""
        self.on_hand += on_hand
        self.reserved += reserved
        kind = "reservation" if reserved > 0 else "shipment" if on_hand < 0 else "release"
        move = Move(MUG, HERE, self.on_hand, self.reserved, 0, on_hand, reserved, kind, reason, line)
        self.world.record(move)
        return move

    def sell(self, line: int, wanted: int, accepted: int) -> int:
        """Sells to a line; returns what the other world lacks."""
        held = min(wanted, self.on_hand - self.reserved)
        if held:
            self.move(line, 0, held)
        sale = Sale(line, MUG, [(PAIR, held)] if held else [], wanted - held)
        return self.world.sell(sale, accepted, [PAIR])

    def differs(self) -> tuple[int, int]:
        """Returns what the other world has more on hand, and more reserved."""
        return self.world.on_hand[PAIR], self.world.reserved[PAIR]


def test_what_is_sold_alike_leaves_no_difference() -> None:
    record = Record(5)
    assert record.sell(1, 3, 3) == 0
    assert record.sell(2, 4, 4) == 2
    assert (record.world.lines, record.differs()) == ({}, (0, 0))


def test_what_is_not_sold_stays_available_until_it_is_shipped_or_released() -> None:
    record = Record(5)
    record.sell(1, 2, 0)
    record.sell(2, 2, 1)
    assert record.differs() == (0, -3)
    record.world.give_up(1, record.move(1, -2, -2))
    assert record.differs() == (2, -1)
    record.world.give_up(2, record.move(2, 0, -2, "cancellation"))
    assert record.differs() == (2, 0)
    assert record.world.lines == {}


def test_units_that_nobody_bought_fill_a_later_shortage() -> None:
    record = Record(1)
    record.sell(1, 1, 0)
    assert record.sell(2, 1, 1) == 0
    # In the record the first holds it and the second is owed; here the second holds it.
    assert record.differs() == (0, 0)
    record.move(None, 1, 0)
    record.world.fill(2, record.move(2, 0, 1, "shortage_filled"))
    assert record.differs() == (0, -1)
    record.world.give_up(2, record.move(2, -1, -1))
    assert record.differs() == (0, -1)
    record.world.give_up(1, record.move(1, -1, -1))
    assert record.differs() == (1, 0)
    assert record.world.lines == {}


def test_what_was_owed_and_not_sold_is_not_filled() -> None:
    record = Record(0)
    assert record.sell(1, 2, 0) == 0
    record.move(None, 2, 0)
    record.world.fill(1, record.move(1, 0, 2, "shortage_filled"))
    assert record.differs() == (0, -2)
    record.world.give_up(1, record.move(1, 0, -2, "cancellation"))
    assert (record.differs(), record.world.lines) == ((0, 0), {})


def test_a_unit_is_not_sold_twice_in_the_other_world() -> None:
    record = Record(1)
    record.sell(1, 1, 0)
    record.sell(2, 1, 1)
    # The record gets its unit back and sells it to a third; here the second has it.
    record.world.give_up(1, record.move(1, 0, -1, "cancellation"))
    assert record.sell(3, 1, 1) == 1
    assert record.world.available(PAIR) == 0


_STEPS = st.lists(st.tuples(st.integers(1, 4), st.integers(0, 4), st.booleans()), max_size=12)


@given(stock=st.integers(0, 10), steps=_STEPS)
@settings(deadline=None)
def test_no_unit_is_lost_or_made(stock: int, steps: list[tuple[int, int, bool]]) -> None:
    record = Record(stock)
    held = []
    for number, (wanted, accepted, _) in enumerate(steps):
        before = record.reserved
        accepted = min(accepted, wanted)
        assert 0 <= record.sell(number, wanted, accepted) <= accepted
        held.append(record.reserved - before)
        _assert_adds_up(record)
    for number, (units, (_, _, ships)) in enumerate(zip(held, steps, strict=True)):
        if units:
            move = record.move(number, -units if ships else 0, -units, "sale" if ships else "cancellation")
            record.world.give_up(number, move)
            _assert_adds_up(record)
    if not any(ships for _, _, ships in steps) and all(held):
        assert (record.differs(), record.world.lines) == ((0, 0), {})


def _assert_adds_up(record: Record) -> None:
    """What the other world has reserved is what its lines hold; it never ships what it does not have."""
    lines = record.world.lines.values()
    more = sum(sum(line.extra.values()) - sum(line.missing.values()) for line in lines)
    on_hand, reserved, _ = record.world.stock(PAIR, is_other=True)
    assert record.differs()[1] == more
    assert 0 <= reserved <= on_hand


@pytest.mark.parametrize("units", [0, 3])
def test_the_recorded_world_is_what_the_movements_say(units: int) -> None:
    record = Record(5)
    record.sell(1, 3, units)
    assert record.world.stock(PAIR, is_other=False) == (5, 3, 0)
    assert record.world.stock(PAIR, is_other=True) == (5, units, 0)
    assert record.world.stock(ELSEWHERE, is_other=True) == (0, 0, 0)
    nothing: dict[Any, Any] = {}
    assert World().levels == nothing
