"""Shops, a network that fails in every way, clocks that are off, and our own engine: in the end all numbers are right.

What a seed does is chosen by chance alone; the state machine below lets hypothesis choose, which makes what it finds small.
"""

from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from itertools import chain
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.properties import IS_THOROUGH, examples
from tests.simulation import stand
from tests.simulation.checks import check_always
from tests.simulation.safeguards import SAFEGUARDS, without
from tests.simulation.scripts import PUSH_FAULTS, hand_over, play, settle
from tests.simulation.shops import Line, Order, Shop
from tests.simulation.world import AUTUMN, SHOPS, SPRING, VARIANTS, Violation, World

#: Seeds of the quick run, and of the thorough one.
SEEDS: Final = 600 if IS_THOROUGH else 25
#: Seeds among which one has to show that a safeguard is missing.
ENOUGH: Final = 400


@pytest.mark.usefixtures("simulation")
def test_whatever_befalls_everything_is_right_in_the_end() -> None:
    for seed in range(SEEDS):
        try:
            play(seed)
        except Violation as violation:
            raise AssertionError(f"seed {seed}: {violation}") from violation


@pytest.mark.property
@pytest.mark.usefixtures("simulation")
@pytest.mark.parametrize("name", SAFEGUARDS)
def test_without_a_safeguard_the_simulation_finds_out(name: str) -> None:
    safeguard = SAFEGUARDS[name]
    if safeguard.story is not None:
        assert not _is_broken_by(safeguard.story)
    with without(name):
        if safeguard.story is not None:
            assert _is_broken_by(safeguard.story)
        else:
            assert any(_is_broken(seed) for seed in chain([safeguard.known_seed], range(ENOUGH)))


def _is_broken(seed: int) -> bool:
    return _raises(lambda: play(seed))


def _is_broken_by(story: Callable[[World], None]) -> bool:
    world = World(AUTUMN)

    def tell() -> None:
        story(world)
        settle(world)

    return _raises(tell)


def _raises(act: Callable[[], object]) -> bool:
    try:
        act()
    except Violation:
        return True
    return False


@pytest.mark.usefixtures("simulation")
def test_the_same_seed_has_the_same_story() -> None:
    first, again = play(7).story, play(7).story
    assert first == again
    assert len(first) > 20


UNITS: Final = st.integers(1, 4)
INDEX: Final = st.integers(0, 9)
SHOP: Final = st.integers(1, len(SHOPS))
SKU: Final = st.sampled_from(sorted(VARIANTS))


class Machine(RuleBasedStateMachine):
    """The same world, whose steps hypothesis chooses."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.stack.enter_context(stand.standing())
        self.world = World(AUTUMN)

    @rule(shop=SHOP, sku=SKU, units=UNITS, copies=st.lists(st.sampled_from([0.0, 2.0, 90_000.0]), max_size=3))
    def sell(self, shop: int, sku: str, units: int, copies: list[float]) -> None:
        seller = self.world.shops[shop]
        order = seller.sell({f"{seller.kind}-{sku}": units})
        if order is not None:
            self.world.announce(seller, order, copies=copies)

    @precondition(lambda self: self.open_lines())
    @rule(index=INDEX, units=UNITS, restocks=st.booleans(), copies=st.integers(0, 2), is_hint=st.booleans())
    def cancel(self, index: int, units: int, restocks: bool, copies: int, is_hint: bool) -> None:
        shop, order, line = self.choose(self.open_lines(), index)
        shop.cancel(order, line, min(units, line.open), restocks=restocks)
        self.world.announce(shop, order, copies=[0.0] * copies, is_hint=is_hint)

    @precondition(lambda self: self.open_lines())
    @rule(index=INDEX, units=UNITS, copies=st.integers(0, 2))
    def ship(self, index: int, units: int, copies: int) -> None:
        shop, order, line = self.choose(self.open_lines(), index)
        shop.ship(order, line, min(units, line.open))
        self.world.announce(shop, order, copies=[0.0] * copies)

    @rule(sku=SKU, units=UNITS, comes=st.booleans())
    def warehouse(self, sku: str, units: int, comes: bool) -> None:
        act: Callable[[str, int], None] = self.world.receive if comes else self.world.lose
        act(sku, units)

    @rule(sku=SKU, units=UNITS, seconds=st.sampled_from([1.0, 900.0]))
    def hold(self, sku: str, units: int, seconds: float) -> None:
        self.world.hold(sku, units, seconds=seconds)

    @precondition(lambda self: self.world.holds)
    @rule(index=INDEX, is_kept=st.booleans())
    def end_hold(self, index: int, is_kept: bool) -> None:
        chosen = self.choose(self.world.holds, index)
        (self.world.confirm if is_kept else self.world.release)(chosen)

    @precondition(lambda self: self.world.network)
    @rule(index=INDEX, is_lost=st.booleans())
    def deliver(self, index: int, is_lost: bool) -> None:
        message = self.choose(self.world.network, index)
        if is_lost:
            self.world.network.remove(message)
        else:
            hand_over(self.world, message)
            self.world.process()

    @rule(shop=SHOP)
    def poll(self, shop: int) -> None:
        self.world.poll(shop)

    @rule(shop=SHOP, fault=st.sampled_from(["", "", *PUSH_FAULTS]))
    def push(self, shop: int, fault: str) -> None:
        self.world.push(shop, fault=fault)

    @rule(shop=SHOP, statements=st.integers(0, 8), is_full=st.booleans())
    def push_and_break(self, shop: int, statements: int, is_full: bool) -> None:
        (self.world.fill_disk if is_full else self.world.kill_after)(statements)
        self.world.push(shop)
        self.world.mend_database()

    @rule(seconds=st.sampled_from([0.5, 3.0, 90.0, 86_400.0]))
    def wait(self, seconds: float) -> None:
        self.world.tick(seconds)
        self.world.sweep()

    @rule(seconds=st.sampled_from([0, 1, -1, 3600, -3600]))
    def step_clock(self, seconds: int) -> None:
        self.world.set_server_clock(timedelta(seconds=seconds))

    @invariant()
    def holds_always(self) -> None:
        check_always(self.world)

    def open_lines(self) -> list[tuple[Shop, Order, Line]]:
        """Returns the lines of which units are still to be shipped."""
        return [
            (shop, order, line)
            for shop in self.world.shops.values()
            for order in shop.orders.values()
            for line in order.lines
            if line.open
        ]

    def choose(self, among: list[Any], index: int) -> Any:
        """Returns one of several."""
        return among[index % len(among)]

    def teardown(self) -> None:
        try:
            settle(self.world)
        finally:
            self.stack.close()


class SpringMachine(Machine):
    """The same on the night when an hour is left out, with shops whose clocks are off."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(SPRING, shop_offsets=[timedelta(hours=hours) for hours in (-2, 24, 2)])


STEPS: Final = settings(
    max_examples=examples(40),
    stateful_step_count=15,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
Machine.TestCase.settings = STEPS
SpringMachine.TestCase.settings = STEPS
TestNightInAutumn = pytest.mark.property(Machine.TestCase)
TestNightInSpring = pytest.mark.property(SpringMachine.TestCase)
